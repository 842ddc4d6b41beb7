"""Do blocking and circumvention move together, and how far apart in time?

An association is what it says. Both can follow a third thing, such as a protest, and the lag
does not tell which came first in people's heads.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

Floats = NDArray[np.float64]

_MIN_PAIRS: Final = 30

_REPLICATES: Final = 999

_MAX_PERSISTENCE: Final = 0.97
"""Slower series have no more than a few independent cells, whatever their length."""


@dataclass(frozen=True, eq=False)
class Association:
    """Correlation of detrended series at each lag, with a band.

    Lag 3: the second series three cells later. The band holds at all lags together with
    probability ``level``, so the highest may be picked from it. ``elasticity`` is the slope:
    per cent of the second that go with one per cent of the first. NaN where fewer than 30 pairs.
    """

    lag: NDArray[np.int64]
    correlation: Floats
    low: Floats
    high: Floats
    elasticity: Floats
    n_pairs: NDArray[np.int64]
    level: float


def detrended_log(values: ArrayLike, period: int = 7, degree: int = 1) -> Floats:
    """Return logarithms without trend (a polynomial) and without the rhythm of ``period`` cells.

    Missing cells stay NaN; values that are not positive have no logarithm and are missing.
    """
    x = np.asarray(values, float)
    known = np.isfinite(x) & (x > 0)
    result = np.full(x.size, np.nan)
    if known.sum() <= period + degree:
        return result
    time = np.linspace(-1.0, 1.0, x.size)
    rhythm = np.eye(period)[np.arange(x.size) % period]
    powers = np.stack([time**power for power in range(1, degree + 1)], axis=1)
    design = np.concatenate([rhythm, powers], axis=1)
    log = np.log(x[known])
    fitted = design[known] @ np.linalg.lstsq(design[known], log, rcond=None)[0]
    result[known] = log - fitted
    return result


def lagged_association(
    first: ArrayLike,
    second: ArrayLike,
    max_lag: int,
    block: int,
    rng: np.random.Generator,
    *,
    level: float = 0.95,
) -> Association:
    """Correlate two series that are detrended already, at lags from -max_lag to max_lag.

    The band comes from a moving-block bootstrap (Künsch 1989) of pairs, ``block`` cells a
    block: days are not independent, and shuffling them would call any two slow series related.
    Fisher's z makes its replicates symmetric; their highest deviation over lags makes it
    simultaneous.

    Raises:
        ValueError: series of unequal length, or too short for a block and the lags.
    """
    x, y = np.asarray(first, float), np.asarray(second, float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"shapes {x.shape} and {y.shape} differ")
    if not 1 <= block <= x.size - 2 * max_lag:
        raise ValueError(f"{x.size} cells are too few for blocks of {block} and lags of {max_lag}")
    lags = np.arange(-max_lag, max_lag + 1)
    late = np.full((lags.size, x.size), np.nan)
    for row, lag in enumerate(range(-max_lag, max_lag + 1)):
        late[row, max(-lag, 0) : x.size - max(lag, 0)] = y[max(lag, 0) : x.size + min(lag, 0)]
    correlation, elasticity, pairs = _moments(x, late)
    starts = rng.integers(0, x.size - block + 1, (_REPLICATES, -(-x.size // block)))
    index = (starts[:, :, None] + np.arange(block)).reshape(_REPLICATES, -1)[:, : x.size]
    drawn = np.stack([_moments(x[row], late[:, row])[0] for row in index])
    z = np.arctanh(np.clip(correlation, -0.999999, 0.999999))
    deviation = np.arctanh(np.clip(drawn, -0.999999, 0.999999)) - z
    spread = np.nanstd(deviation, axis=0) if np.isfinite(z).any() else np.full(z.size, np.nan)
    reach = np.full(z.size, np.nan)
    if np.isfinite(z).any():
        highest = np.nanmax(np.abs(deviation[:, np.isfinite(z)] / spread[np.isfinite(z)]), axis=1)
        # Few blocks are few degrees of freedom, of overlapping ones half as many again; as far
        # out in t as the highest is in the normal's tail. Drawing whole blocks varies less than
        # the series did (both Künsch 1989).
        blocks = x.size / block
        far = float(np.quantile(highest, level))
        far = float(stats.t.isf(stats.norm.sf(far), max(1.5 * blocks - 1, 1)))
        far *= _beyond_blocks(_persistence(x) * _persistence(y), block)
        reach = far * spread / np.sqrt(1 - min(1 / blocks, 0.5))
    return Association(
        lags, correlation, np.tanh(z - reach), np.tanh(z + reach), elasticity, pairs, level
    )


def _persistence(values: Floats) -> float:
    """Return the correlation of neighbours, with what a mean and a trend taken out have hidden.

    It is too small by about (3 + 5 phi) / cells (Kendall 1954, with a quadratic trend).
    """
    both = np.isfinite(values[1:]) & np.isfinite(values[:-1])
    later, earlier = values[1:][both], values[:-1][both]
    scale = np.sqrt((later**2).sum() * (earlier**2).sum())
    if not scale > 0:
        return 0.0
    phi = float((later * earlier).sum() / scale)
    return float(min(max(phi + (3 + 5 * phi) / both.sum(), 0.0), _MAX_PERSISTENCE))


def _beyond_blocks(product: float, block: int) -> float:
    """Return how much more a correlation varies than blocks show, if both series are AR(1).

    Its variance grows with the sum over lags of the product of both autocorrelations (Bartlett
    1946); blocks cut what lasts longer than they do.
    """
    whole = (1 + product) / (1 - product)
    cut = 2 * product * (1 - product**block) / (block * (1 - product) ** 2)
    return float(np.sqrt(whole / (whole - cut)))


def _moments(x: Floats, late: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return correlation, slope and number of pairs of x with each row."""
    both = np.isfinite(x) & np.isfinite(late)
    pairs = both.sum(axis=1)
    enough = np.where(pairs >= _MIN_PAIRS, pairs, np.nan)
    a, b = np.where(both, x, 0.0), np.where(both, late, 0.0)
    a = np.where(both, a - (a.sum(axis=1) / np.maximum(pairs, 1))[:, None], 0.0)
    b = np.where(both, b - (b.sum(axis=1) / np.maximum(pairs, 1))[:, None], 0.0)
    covariance, of_x, of_y = (a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = enough / enough
        return scale * covariance / np.sqrt(of_x * of_y), scale * covariance / of_x, pairs
