"""Throttling is claimed from interleaved pairs only, three of them, on an idle machine."""

from collections.abc import Sequence

import pytest

from facts import Scene
from probe.model.observation import Observation
from probe.verdict.pace import MIN_PAIRS, is_slow, is_throttled, paired_ratios, rate


def http(rows: Sequence[Observation], role: str) -> list[Observation]:
    return [row for row in rows if row.step == "http" and row.role == role]


def scene_of(
    pairs: Sequence[tuple[float | None, float | None]], *, lag: float = 0.0
) -> tuple[list[Observation], list[Observation]]:
    """A first transfer, then (target, contrast) rates in turns; None: it never got to a page."""
    scene = Scene().transfers([10], address="192.0.2.9")
    for own, other in pairs:
        if other is not None:
            scene.transfers([other], address="192.0.2.9", role="contrast")
        if own is not None:
            scene.transfers([own], address="192.0.2.9", loop_lag_s=lag)
    return http(scene.rows, "test"), http(scene.rows, "contrast")


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(10, 100)] * 3, True),
        ([(49, 100)] * 3, True),
        ([(10, 100)] * 2, False),
        ([(10, 100), (10, 100), (60, 100)], False),
        ([(90, 100)] * 3, False),
        ([(10, 10)] * 3, False),
        ([], False),
    ],
    ids=["slow", "under half", "two pairs", "one fast pair", "alike", "slow line", "none"],
)
def test_throttled(pairs: list[tuple[float, float]], *, expected: bool) -> None:
    """Each of three pairs, under half."""
    assert is_throttled(*scene_of(pairs)) is expected


def test_our_own_load_is_not_throttling() -> None:
    """A busy event loop slows what it measures."""
    assert not is_throttled(*scene_of([(10, 100)] * 3, lag=1.0))


def test_a_transfer_counts_in_one_pair() -> None:
    """A target attempt that got to no page leaves its contrast without a partner."""
    tests, contrasts = scene_of([(None, 100), (None, 100), (10, 100)])
    assert paired_ratios(tests, contrasts) == pytest.approx([0.1])
    assert not is_throttled(tests, contrasts)


def test_the_first_transfer_has_no_partner() -> None:
    """It raised the suspicion, so it cannot confirm it."""
    tests, contrasts = scene_of([(10, None), (10, 100), (10, 100)])
    assert len(paired_ratios(tests, contrasts)) == 2
    assert not is_throttled(tests, contrasts)


def test_order_of_rows_does_not_matter() -> None:
    """Time does."""
    tests, contrasts = scene_of([(10, 100), (20, 100), (30, 100)])
    assert sorted(paired_ratios(tests[::-1], contrasts[::-1])) == pytest.approx([0.1, 0.2, 0.3])
    assert MIN_PAIRS == 3


@pytest.mark.parametrize(
    "columns",
    [
        {"failure": "eof_error"},
        {"received_bytes": 1000},
        {"body_duration_s": None},
        {"body_duration_s": 0.0},
        {"step": "tls"},
    ],
)
def test_a_transfer_that_says_nothing_about_pace(columns: dict[str, object]) -> None:
    """Cut off, short, instant, or no transfer."""
    whole = {"step": "http", "received_bytes": 60_000, "body_duration_s": 2.0}
    assert rate(Scene().add(**whole)) == 30_000
    assert rate(Scene().add(**(whole | columns))) is None


def test_suspicion_compares_with_the_controls() -> None:
    """Under a quarter of their median; without controls there is no suspicion."""
    scene = Scene()
    for pace in (100, 200, 4000):
        scene.transfers([pace], address="192.0.2.1", role="control")
    (slow, fine) = (
        http(Scene().transfers([pace], address="192.0.2.9").rows, "test")[0] for pace in (49, 51)
    )
    assert is_slow(slow, scene.rows)
    assert not is_slow(fine, scene.rows)
    assert not is_slow(slow, [])
