"""Thin series: changes found by likelihood, and which series are worth a search."""

import numpy as np

from analysis.stats.offline import change_points, noise_between
from analysis.stats.prefilter import evidence


def drawn(
    share: np.ndarray, per_cell: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    n = rng.poisson(per_cell, share.shape)
    return rng.binomial(n, share), n


def test_dates_of_thin_series_hold() -> None:
    """Three measurements a day: the change is found, its interval holds it in 9 of 10."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(40):
        k, n = drawn(np.repeat([0.05, 0.7], [60, 40]), 3, rng)
        (point,) = [one for one in change_points(k, n, rng) if one.is_rise][:1]
        inside += point.first <= 60 <= point.last
        assert point.before.low <= point.before.share <= point.before.high
        assert point.after.n == n[point.after.start : point.after.stop].sum()
    assert inside >= 36


def test_thin_noise_is_no_change() -> None:
    """Independent or alike within a day."""
    rng = np.random.default_rng(2)
    found = 0
    for rho in (0.0, 0.15):
        for _ in range(20):
            share = np.full(120, 0.1)
            if rho:
                share = rng.beta(share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho)
            found += len(change_points(*drawn(share, 6, rng), rng))
    assert found <= 4


def test_a_change_in_a_gap_can_be_on_any_day_of_it() -> None:
    """Ten days without data before the first blocked one belong to the interval."""
    k, n = np.zeros(60, int), np.full(60, 4)
    k[30:] = 4
    n[20:30] = 0
    (point,) = change_points(k, n, np.random.default_rng(3))

    assert point.cell == 30
    assert (point.first, point.last) == (20, 30)


def test_noise_within_a_cell_is_found_again() -> None:
    """On average, and near none where there is none."""
    rng = np.random.default_rng(4)
    for rho in (0.0, 0.2):
        found = []
        for _ in range(40):
            share = np.full(150, 0.3)
            if rho:
                share = rng.beta(share * (1 - rho) / rho, (1 - share) * (1 - rho) / rho)
            found.append(noise_between(*drawn(share, 8, rng)))
        assert abs(np.mean(found) - rho) < 0.04


def test_few_series_without_a_change_are_searched_and_all_with_one() -> None:
    """A long block, a short one, and none."""
    rng = np.random.default_rng(5)
    calm = np.full((300, 365), 0.05)
    long, short = calm[:50].copy(), calm[:50].copy()
    long[:, 200:] = 0.3
    short[:, 100:105] = 0.9

    assert (evidence(*drawn(calm, 4, rng)) >= 1).mean() < 0.06
    assert (evidence(*drawn(long, 4, rng)) >= 1).all()
    assert (evidence(*drawn(short, 4, rng)) >= 1).all()
    assert evidence(np.zeros((2, 9), int), np.array([[0] * 9, [3] * 9])).tolist() == [0.0, 0.0]
