"""Whose failure is it: the probe's own, the service's, or somebody's on the way?

Counts only; why a single measurement failed is the verdicts' business (`probe.verdict`).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.stats.intervals import jeffreys

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MIN_CONTROLS: Final = 2
"""Operators whose controls have to work: one that works can be a whitelist."""

MIN_COUNTRIES: Final = 3
"""A service that is down is down everywhere; two countries can share one censor's supplier."""

DOWN_SHARE: Final = 0.5
"""Of the countries that measured, so many (and more) fail at once."""


@dataclass(frozen=True, eq=False)
class Split:
    """Measurements by whose they are: they add up to what was given.

    ``self_failed`` says nothing about the target, neither for nor against.
    """

    worked: Counts
    failed: Counts
    self_failed: Counts


def split_self_failures(
    is_failed: ArrayLike, controls_ok: ArrayLike, cell: ArrayLike, n_cells: int
) -> Split:
    """Count measurements per cell, those whose controls failed apart.

    One entry per measurement: whether it failed, how many operators' controls worked in the
    same run, and its cell (0 to ``n_cells`` - 1). A measurement that *worked* without its
    controls is set apart too: leaving out failures alone would make a share of what is left.

    Raises:
        ValueError: arrays of unequal length, or a cell outside.
    """
    failed = np.asarray(is_failed, bool)
    at = np.asarray(cell, np.int64)
    is_own = np.asarray(controls_ok, np.int64) < MIN_CONTROLS
    if not failed.shape == at.shape == is_own.shape or failed.ndim != 1:
        raise ValueError(f"shapes {failed.shape}, {is_own.shape} and {at.shape} differ")
    if at.size and not (at.min() >= 0 and at.max() < n_cells):
        raise ValueError(f"a cell outside 0 to {n_cells - 1}")

    def count(chosen: Flags) -> Counts:
        return np.bincount(at[chosen], minlength=n_cells)

    return Split(count(~failed & ~is_own), count(failed & ~is_own), count(is_own))


@dataclass(frozen=True, eq=False)
class Down:
    """Per time cell: whether a service fails across countries, and what is left for a censor.

    ``excess_low`` bounds each country's share of failures above the others' (cells x countries,
    lower end of the interval): with a service that is down, only the excess can be a block.
    """

    is_down: Flags
    n_failing: Counts
    n_measuring: Counts
    elsewhere: Floats
    excess_low: Floats


def service_down(k: ArrayLike, n: ArrayLike, base: ArrayLike) -> Down:
    """Tell a service that is down from one that is blocked, by where else it fails.

    ``k`` of ``n`` failed, time cells x countries (or networks of different countries), and
    ``base`` is each country's share of failures at its stable level. A country fails where its
    interval lies above its base.

    Raises:
        ValueError: not 0 <= k <= n, or shapes that do not go together.
    """
    failed, total = np.asarray(k, np.int64), np.asarray(n, np.int64)
    level = np.asarray(base, float)
    if failed.ndim != 2 or level.shape != failed.shape[1:]:
        raise ValueError("needs cells x countries, and one base per country")
    found = jeffreys(failed, total)
    has_data = total > 0
    is_failing = has_data & (found.low > level)
    n_failing, n_measuring = is_failing.sum(axis=1), has_data.sum(axis=1)
    is_down = (n_failing >= MIN_COUNTRIES) & (n_failing >= DOWN_SHARE * n_measuring)
    elsewhere = _elsewhere(np.where(has_data, found.share, np.nan))
    # NaN: nobody else measured, so nothing is subtracted and nobody is acquitted.
    excess = np.where(has_data, found.low, 0.0) - np.nan_to_num(np.maximum(elsewhere, level))
    return Down(is_down, n_failing, n_measuring, elsewhere, np.maximum(excess, 0.0))


def _elsewhere(share: Floats) -> Floats:
    """Return the median share of the other countries; NaN where no other measured."""
    others = np.full(share.shape, np.nan)
    for column in range(share.shape[1]):
        rest = np.delete(share, column, axis=1)
        known = ~np.isnan(rest).all(axis=1)
        others[known, column] = np.nanmedian(rest[known], axis=1)
    return others
