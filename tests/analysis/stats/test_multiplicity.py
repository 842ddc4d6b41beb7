"""Many series at once: few false onsets, and one event where one thing happened."""

import numpy as np
import pytest

from analysis.stats.clusters import SeriesChange, cluster
from analysis.stats.multiplicity import onset_p_values, select
from analysis.stats.online import Change


def test_false_discoveries_are_as_few_as_asked_for() -> None:
    """400 networks x endpoints of which 40 are blocked: at most 5 % of those kept are not."""
    rng = np.random.default_rng(1)
    blocked = np.zeros((20, 20), bool)
    blocked[:2] = True
    k_before = rng.binomial(300, 0.05, blocked.shape)
    k_after = rng.binomial(40, np.where(blocked, 0.4, 0.05))
    p = onset_p_values(k_before, 300, k_after, 40)
    found = select(p)

    assert found.is_selected[blocked].mean() > 0.9
    assert found.is_selected[~blocked].sum() <= 2
    assert (p[~blocked] < 0.05).sum() > 5


def test_p_values_of_no_change_are_no_smaller_than_they_say() -> None:
    """At most 5 % below 0.05, though what was before is an estimate."""
    rng = np.random.default_rng(2)
    p = onset_p_values(rng.binomial(60, 0.1, 5000), 60, rng.binomial(50, 0.1, 5000), 50)

    assert (p < 0.05).mean() < 0.055


def test_what_was_not_measured_is_not_tested() -> None:
    """NaN, never kept, and not counted among the tests."""
    p = onset_p_values([1, 0, 1], [20, 0, 20], [0, 5, 20], [0, 5, 20])
    found = select(p)

    assert np.isnan(p).tolist() == [True, True, False]
    assert found.is_selected.tolist() == [False, False, True]
    assert found.adjusted[2] == p[2]


def test_dependence_costs() -> None:
    """Benjamini-Yekutieli never keeps more than Benjamini-Hochberg."""
    p = np.random.default_rng(3).beta(0.3, 1, 200)

    assert (select(p).is_selected <= select(p, is_dependent=False).is_selected).all()


@pytest.mark.parametrize("p", [-0.1, 1.1, np.inf])
def test_p_values_that_are_none(p: float) -> None:
    """Refused."""
    with pytest.raises(ValueError):
        select([0.5, p])


def change(country: str, series: int, cell: int, direction: str = "onset") -> SeriesChange:
    return SeriesChange(
        country, series, Change(direction, cell, cell - 1, cell + 2, cell + 5, 0.1, 0.5, 9, 8.0)
    )


def test_series_that_change_together_are_one_event() -> None:
    """Same country, same direction, close in time; the interval is that of all of them."""
    found = cluster(
        [
            change("RU", 1, 100),
            change("RU", 2, 102),
            change("RU", 3, 101),
            change("IR", 4, 101),
            change("RU", 1, 102, "lifting"),
            change("RU", 5, 140),
        ],
        gap=2,
        span=7,
    )

    assert [(e.country, e.direction, e.cell, e.n_series) for e in found] == [
        ("IR", "onset", 101, 1),
        ("RU", "onset", 101, 3),
        ("RU", "lifting", 102, 1),
        ("RU", "onset", 140, 1),
    ]
    assert (found[1].first, found[1].last) == (99, 104)


def test_a_chain_does_not_become_one_event() -> None:
    """A change a day for a month is several events of at most a week."""
    found = cluster([change("RU", series, series) for series in range(30)], gap=1, span=7)

    assert [event.n_series for event in found] == [7, 7, 7, 7, 2]


def test_order_does_not_matter() -> None:
    """Events are the same however the changes come."""
    changes = [change("RU", series, 7 * series % 30) for series in range(20)]

    assert cluster(changes, 2, 7) == cluster(changes[::-1], 2, 7)
