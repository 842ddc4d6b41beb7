"""Change points of a whole series, with intervals that hold."""

import numpy as np

from analysis.stats.offline import change_points, noise_around, noise_between


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


def test_levels_are_shares_and_not_what_logits_average_to() -> None:
    """Where days differ by more than chance, the mean logit is another share's, and low."""
    rng = np.random.default_rng(6)
    shares = np.repeat([0.05, 0.12], 80)
    errors = []
    for _ in range(20):
        n = rng.integers(200, 2000, shares.size)
        k = rng.binomial(n, rng.beta(shares * 199, (1 - shares) * 199))
        for point in change_points(k, n, rng):
            errors += [point.before.share / 0.05 - 1, point.after.share / 0.12 - 1]

    assert len(errors) >= 40
    assert abs(np.mean(errors)) < 0.02


def test_noise_is_told_right_where_days_differ_in_volume() -> None:
    """Few days hold most of a window's measurements: its share is theirs, and so is less noise."""
    rng = np.random.default_rng(7)
    n = np.exp(rng.uniform(np.log(50), np.log(50000), (20, 300))).astype(int)
    k = rng.binomial(n, rng.beta(0.15 * 99, 0.85 * 99, n.shape))
    found = [noise_between(one_k, one_n) for one_k, one_n in zip(k, n, strict=True)]

    assert 0.0085 < np.mean(found) < 0.0125


def test_noise_around_a_change_is_without_the_change() -> None:
    """And with all of its weeks, quiet or not."""
    rng = np.random.default_rng(8)
    shares = np.repeat([0.1, 0.6], 200)
    n = rng.poisson(10, shares.size)
    k = rng.binomial(n, rng.beta(shares * 9, (1 - shares) * 9))
    (point,) = change_points(k, n, rng)

    assert 0.07 < noise_around(k, n, point) < 0.13


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
