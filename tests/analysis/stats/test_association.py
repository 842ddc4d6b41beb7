"""Association at a lag, with a band that unrelated slow series do not leave."""

import numpy as np
import pytest
from scipy.signal import lfilter

from analysis.stats.association import detrended_log, lagged_association


def slow(cells: int, rng: np.random.Generator, phi: float = 0.7) -> np.ndarray:
    return lfilter([1.0], [1.0, -phi], rng.standard_normal(cells))


def test_a_lag_is_found() -> None:
    """The second follows the first by five days: highest there, with the band above zero."""
    rng = np.random.default_rng(1)
    first = slow(405, rng)
    second = np.concatenate([np.zeros(5), 0.8 * first[:-5]]) + 0.5 * slow(405, rng)
    found = lagged_association(first, second, 14, 20, rng)
    best = int(np.argmax(found.correlation))

    assert found.lag[best] == 5
    assert found.low[best] > 0.3
    assert found.elasticity[best] == pytest.approx(0.8, abs=0.2)
    assert found.n_pairs[best] == 400


def test_unrelated_slow_series_stay_within_the_band() -> None:
    """At all of 21 lags together, in at least 9 of 10 pairs; day-wise tests would not."""
    rng = np.random.default_rng(2)
    outside = 0
    for _ in range(10):
        found = lagged_association(slow(300, rng), slow(300, rng), 10, 25, rng)
        outside += bool(((found.low > 0) | (found.high < 0)).any())

    assert outside <= 2


def test_what_lasts_longer_than_a_block_is_no_association() -> None:
    """Neighbours that correlate by 0.9 outlast blocks of two weeks: the band is wide enough.

    Of 29 lags the highest of unrelated pairs is beyond 2.4 standard deviations in 1 of 10.
    """
    rng = np.random.default_rng(12)

    def pair() -> list[np.ndarray]:
        return [detrended_log(np.exp(0.1 * slow(200, rng, 0.9)), degree=2) for _ in range(2)]

    spread = np.std([np.arctanh(np.corrcoef(*pair())[0, 1]) for _ in range(300)])
    bands = [lagged_association(*pair(), 14, 14, rng) for _ in range(6)]
    reach = np.median([np.arctanh(one.high) - np.arctanh(one.correlation) for one in bands])

    assert reach > 2.45 * spread


def test_trend_and_week_are_no_association() -> None:
    """Two series that only grow and only rest on Sundays have nothing left to share."""
    rng = np.random.default_rng(3)
    time = np.arange(200)
    week = 1 + 0.5 * (time % 7 == 6)
    one, other = (
        detrended_log(np.exp(0.01 * time) * week * rng.lognormal(0, 0.1, 200)) for _ in range(2)
    )
    found = lagged_association(one, other, 3, 14, rng)

    assert (np.abs(found.correlation) < 0.25).all()


def test_missing_days_stay_missing() -> None:
    """They are no zeros, and lags with too few pairs have no correlation."""
    rng = np.random.default_rng(4)
    values = rng.lognormal(0, 1, 100)
    values[10:20] = np.nan
    values[30] = 0.0
    log = detrended_log(values)
    sparse = np.where(np.arange(100) < 25, rng.standard_normal(100), np.nan)
    found = lagged_association(sparse, rng.standard_normal(100), 2, 10, rng)

    assert np.isnan(log[10:20]).all()
    assert np.isnan(log[30])
    assert np.isfinite(log[:10]).all()
    assert np.isnan(found.correlation).all()
    assert np.isnan(found.low).all()


def test_too_short() -> None:
    """Refused rather than answered from nothing."""
    rng = np.random.default_rng(5)
    with pytest.raises(ValueError):
        lagged_association(np.zeros(20), np.zeros(20), 8, 10, rng)
