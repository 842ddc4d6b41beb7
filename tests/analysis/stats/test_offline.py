"""Change points of a whole series, with intervals that hold."""

import numpy as np

from analysis.stats.offline import change_points


def days(shares: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return days of very different volume, with noise between days."""
    n = rng.integers(50, 20000, shares.size)
    size = 400
    return rng.binomial(n, rng.beta(shares * size, (1 - shares) * size)), n


def test_dates_and_levels_are_found_with_intervals() -> None:
    """Two changes in 200 days; in most series the intervals hold dates and levels."""
    rng = np.random.default_rng(1)
    shares = np.repeat([0.1, 0.2, 0.12], [80, 50, 70])
    dated = levelled = 0
    for _ in range(20):
        k, n = days(shares, rng)
        found = change_points(k, n, rng)
        assert [point.is_rise for point in found] == [True, False]
        for point, cell, share in zip(found, (80, 130), (0.2, 0.12), strict=True):
            assert abs(point.cell - cell) <= 2
            dated += point.first <= cell <= point.last
            levelled += point.after.low <= share <= point.after.high

    assert dated >= 36
    assert levelled >= 33


def test_noise_between_days_is_no_change() -> None:
    """However many measurements a day has."""
    rng = np.random.default_rng(2)
    found = [change_points(*days(np.full(365, 0.15), rng), rng) for _ in range(10)]

    assert sum(map(len, found)) <= 2


def test_a_gap_is_no_change() -> None:
    """A hundred days without data between equal levels."""
    rng = np.random.default_rng(3)
    k, n = days(np.full(300, 0.15), rng)
    k[100:200] = n[100:200] = 0

    assert change_points(k, n, rng) == []


def test_too_short_for_anything() -> None:
    """No data, no change points, no error."""
    rng = np.random.default_rng(4)

    assert change_points(np.zeros(0, int), np.zeros(0, int), rng) == []
    assert change_points(np.zeros(500, int), np.zeros(500, int), rng) == []


def test_a_seed_gives_the_same() -> None:
    """Bootstrap or not."""
    k, n = days(np.repeat([0.1, 0.3], 60), np.random.default_rng(5))
    one, other = (change_points(k, n, np.random.default_rng(6)) for _ in range(2))

    assert one == other
