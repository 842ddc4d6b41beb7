"""Quantiles of histograms, and the ratio of two medians with an interval."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.stats.intervals import LEVEL

Floats = NDArray[np.float64]

_DRAWS: Final = 1000


class Histogram(NamedTuple):
    """Values in ascending order, and how often each was counted; no count is 0."""

    values: Floats
    counts: NDArray[np.int64]

    @property
    def n(self) -> int:
        """How many were counted."""
        return int(self.counts.sum())


class Ratio(NamedTuple):
    """A ratio of medians with its interval."""

    ratio: float
    low: float
    high: float


def histogram(values: ArrayLike, counts: ArrayLike) -> Histogram:
    """Add up counts of equal values.

    Raises:
        ValueError: a count below 0, or nothing counted.
    """
    number = np.asarray(counts, np.int64)
    if (number < 0).any() or not number.any():
        raise ValueError("a histogram needs counts, none of them below 0")
    kept = np.asarray(values, float)[number > 0]
    levels, place = np.unique(kept, return_inverse=True)
    sums = np.bincount(place, number[number > 0]).astype(np.int64)
    return Histogram(levels, sums)


def quantiles(of: Histogram, shares: ArrayLike) -> Floats:
    """Return the least values that at least such shares of all do not exceed."""
    reached = np.cumsum(of.counts) / of.n
    # Sums of shares such as 0.1 are a little more or less than they should be.
    places = np.searchsorted(reached, np.asarray(shares, float) - 1e-12)
    return of.values[np.minimum(places, of.values.size - 1)]


def median_ratio(
    one: Histogram, other: Histogram, n: tuple[int, int], seed: int, level: float = LEVEL
) -> Ratio:
    """Return median(one) / median(other) with a bootstrap interval (Efron & Tibshirani 1993).

    Draws are of ``n`` values of either side, not of all that were counted: values of one run
    resemble each other, and taking each run as worth one value errs to the wide side.

    Raises:
        ValueError: a number of draws below 1.
    """
    if min(n) < 1:
        raise ValueError("needs a run on either side")
    rng = np.random.default_rng(seed)
    medians = [_medians(of, size, rng) for of, size in ((one, n[0]), (other, n[1]))]
    tail = (1 - level) / 2
    low, high = np.quantile(medians[0] / medians[1], [tail, 1 - tail])
    ratio = float(quantiles(one, 0.5) / quantiles(other, 0.5))
    return Ratio(ratio, min(float(low), ratio), max(float(high), ratio))


def _medians(of: Histogram, n: int, rng: np.random.Generator) -> Floats:
    drawn = rng.multinomial(n, of.counts / of.n, size=_DRAWS)
    reached = np.cumsum(drawn, axis=1) >= n / 2
    return np.asarray(of.values[reached.argmax(axis=1)], float)
