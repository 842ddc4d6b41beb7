"""How alike two measurements by one probe are, told apart from how days differ.

A block that begins makes all of a probe's measurements differ from those before it. That is
not what widens the interval of one day's share: so probes are compared within a day only.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ENOUGH: Final = 10
"""Comparisons within probes from which a series' own correlation is used."""

_UNKNOWN: Final = 1.0
"""Where nothing tells: a probe counts once, however often it measures."""


def within_strata(
    failed: ArrayLike, total: ArrayLike, probes: ArrayLike, series: ArrayLike, stratum: ArrayLike
) -> Floats:
    """Return the correlation of two measurements by one probe of each series, pooled over strata.

    Each row stands for ``probes`` probes that had ``failed`` of ``total`` each; ``series`` and
    ``stratum`` (a day of one series) number rows from 0. The estimator is that of
    `intervals.intraclass_correlation`, its sums of squares added up over strata. A series
    with too few repetitions has the correlation of all series together, and 1 where
    those are too few as well. So is the result: one value for each number of series.
    """
    k, n, weight = (np.asarray(values, float) for values in (failed, total, probes))
    group, day = np.asarray(series, int), np.asarray(stratum, int)
    if not k.size:
        return np.zeros(0)
    owner = np.zeros(int(day.max()) + 1, int)
    owner[day] = group

    def by_day(values: Floats) -> Floats:
        return np.asarray(np.bincount(day, weight * values, minlength=owner.size), float)

    measured, failing, probed = by_day(n), by_day(k), by_day(np.ones(k.size))
    squares = by_day(np.divide(k**2, n, out=np.zeros(k.size), where=n > 0))
    is_used = measured > 0
    one = np.where(is_used, measured, 1.0)
    sums = np.stack(
        [
            failing - squares,  # within probes
            measured - probed,  # its degrees of freedom
            squares - failing**2 / one,  # between probes
            np.maximum(probed - 1, 0.0),  # its degrees of freedom
            measured - by_day(n**2) / one,
        ]
    )
    n_series = int(group.max()) + 1
    added = [np.bincount(owner, row, minlength=n_series) for row in sums]
    own = np.asarray(np.stack(added), float)
    common = _correlation(own.sum(axis=1, keepdims=True))[0]
    enough = (own[1] >= ENOUGH) & (own[3] >= ENOUGH)
    return np.where(enough, _correlation(own), common)


def _correlation(sums: Floats) -> Floats:
    within, within_free, between, between_free, size = sums
    is_told = (within_free > 0) & (between_free > 0)
    inner = within / np.where(is_told, within_free, 1.0)
    outer = between / np.where(is_told, between_free, 1.0)
    mean_size = size / np.where(is_told, between_free, 1.0)
    scale = outer + (mean_size - 1) * inner
    found = np.clip((outer - inner) / np.where(scale > 0, scale, 1.0), 0.0, 1.0)
    return np.where(is_told, np.where(scale > 0, found, 0.0), _UNKNOWN)
