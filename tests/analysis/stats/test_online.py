"""Changes are found as they come, at the rate of false alarms that was asked for."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.stats.design import HOURLY, Design
from analysis.stats.levels import fit_level
from analysis.stats.online import Change, advance, begin, detect

QUICK = Design(cells_per_false_alarm=200.0, warm_up=50, settle=10, memory=150)


def series(
    base: float, raised: float, rng: np.random.Generator, during: range, cells: int
) -> tuple[np.ndarray, np.ndarray]:
    share = np.full(cells, base)
    share[during.start : during.stop] = raised
    n = rng.poisson(3, cells)
    return rng.binomial(n, share), n


@pytest.mark.parametrize("base", [0.01, 0.05, 0.1])
def test_false_alarms_are_no_more_than_asked_for(base: float) -> None:
    """Three measurements an hour, 25 series of 2000 h: at most one onset in 2000 h."""
    rng = np.random.default_rng(1)
    found = []
    for seed in range(25):
        cells = HOURLY.warm_up + 2000
        found += detect(rng.binomial(3, base, cells), np.full(cells, 3), HOURLY, seed)

    assert sum(change.direction == "onset" for change in found) <= 25


@pytest.mark.parametrize("base", [0.01, 0.05, 0.1])
def test_a_block_of_30_percent_is_found_within_12_hours(base: float) -> None:
    """Three measurements an hour of which 30 % fail: median delay at most 12 h."""
    rng = np.random.default_rng(2)
    delays = []
    for seed in range(100):
        share = np.full(560, base)
        share[500:] = 0.3
        found = detect(rng.binomial(3, share), np.full(560, 3), HOURLY, seed)
        at = (c.detected - 499 for c in found if c.direction == "onset")
        delays.append(next((hours for hours in at if hours > 0), 60))

    assert np.median(delays) <= 12


def test_onset_and_lifting_are_dated() -> None:
    """Both, within their intervals for most series, and the state is clear again."""
    rng = np.random.default_rng(3)
    inside = 0
    for seed in range(20):
        k, n = series(0.03, 0.6, rng, range(400, 500), 700)
        state, found = advance(begin(HOURLY, seed), k, n)
        onset = next(c for c in found if c.direction == "onset" and c.detected >= 400)
        lifting = next(c for c in found if c.direction == "lifting" and c.detected >= 500)
        inside += onset.first <= 400 <= onset.last and lifting.first <= 500 <= lifting.last

        assert abs(onset.cell - 400) <= 4
        assert abs(lifting.cell - 500) <= 8
        assert onset.before < 0.1 < onset.after
        assert not state.is_raised
    assert inside >= 16


def same(one: list[Change], other: list[Change]) -> bool:
    return repr(one) == repr(other)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 399), max_size=6), st.integers(0, 5))
def test_pieces_of_any_size_give_the_same(cuts: list[int], seed: int) -> None:
    """Online is online: nothing depends on how many cells come at once."""
    k, n = series(0.05, 0.7, np.random.default_rng(seed), range(200, 260), 400)
    state, found = begin(QUICK, 1), []
    edges = [0, *sorted(cuts), 400]
    for start, stop in pairwise(edges):
        state, more = advance(state, k[start:stop], n[start:stop])
        found += more
    whole, at_once = advance(begin(QUICK, 1), k, n)

    assert same(found, at_once)
    assert (state.up, state.down, state.at) == (whole.up, whole.down, whole.at)


def test_late_data_go_on_from_before_them() -> None:
    """A cell corrected late, replayed from an older state, equals everything from scratch."""
    k, n = series(0.05, 0.7, np.random.default_rng(4), range(200, 260), 400)
    before, early = advance(begin(QUICK, 1), k[:180], n[:180])
    advance(before, k[180:], n[180:])
    n[190] += 8
    k[190] += 7
    _, late = advance(before, k[180:], n[180:])

    assert same(early + late, detect(k, n, QUICK, 1))


def test_empty_cells_are_time_and_no_evidence() -> None:
    """A night without measurements inside an onset delays it by that night and no more."""
    k, n = series(0.05, 0.8, np.random.default_rng(5), range(200, 300), 300)
    gap = np.zeros(12, int)
    found = detect(k, n, QUICK, 1)
    delayed = detect(np.insert(k, 201, gap), np.insert(n, 201, gap), QUICK, 1)
    onset = next(c for c in found if c.detected >= 200)
    later = next(c for c in delayed if c.detected >= 200)

    assert later.detected == onset.detected + 12
    assert later.evidence == pytest.approx(onset.evidence)


def test_no_data_no_change() -> None:
    """A series without a measurement is silent, and so is one that only stops."""
    k, n = series(0.05, 0.05, np.random.default_rng(6), range(0), 200)
    zeros = np.zeros(3000, int)
    state, _ = advance(begin(QUICK, 1), k, n)

    assert detect(zeros, zeros, QUICK, 1) == []
    assert advance(state, zeros, zeros)[1] == []


def test_one_cell_alone_is_no_onset() -> None:
    """However many measurements fail in it: it can be one probe."""
    k, n = series(0.02, 0.02, np.random.default_rng(7), range(0), 300)
    k[:100] = 0
    n[250] = k[250] = 500
    k[251:] = 0

    assert not [c for c in detect(k, n, QUICK, 1) if c.detected >= 250]


def test_an_outage_in_the_past_does_not_make_the_level() -> None:
    """The stable past is what is most of it."""
    rng = np.random.default_rng(8)
    k, n = rng.binomial(3, 0.05, 500), np.full(500, 3)
    k[300:340] = 3

    assert fit_level(k, n).share == pytest.approx(0.05, abs=0.02)
    assert fit_level(k, n, is_robust=False).share > 0.1


def test_overdispersion_between_cells_is_no_onset() -> None:
    """Twenty measurements an hour that share their fate: the rate still holds."""
    rng = np.random.default_rng(9)
    found = []
    for seed in range(10):
        share = rng.beta(0.05 * 9, 0.95 * 9, 1200)
        n = rng.poisson(20, 1200)
        found += detect(rng.binomial(n, share), n, HOURLY, seed)

    assert sum(change.direction == "onset" for change in found) <= 10


@pytest.mark.parametrize(
    ("k", "n"), [([1], [0]), ([-1], [3]), ([1, 2], [3]), ([0.5], [1]), ([np.nan], [1])]
)
def test_counts_that_are_none(k: list[float], n: list[float]) -> None:
    """Refused, with the cell."""
    with pytest.raises(ValueError):
        detect(np.array(k), np.array(n), QUICK, 1)
