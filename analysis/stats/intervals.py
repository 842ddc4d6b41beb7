"""Intervals of shares: binomial where measurements are independent, wider where probes repeat.

Every share comes with what it rests on: measurements, probes, and how many independent
measurements those are worth.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from analysis.stats.betabinomial import posterior

Floats = NDArray[np.float64]

LEVEL: Final = 0.95


@dataclass(frozen=True, eq=False)
class Shares:
    """Shares with intervals, elementwise. Without measurements: NaN, and all of 0 to 1."""

    share: Floats
    low: Floats
    high: Floats


@dataclass(frozen=True)
class ProbeShare:
    """One share over probes that measured more than once.

    ``rho`` is the correlation of two measurements by one probe, ``design_effect`` the factor
    by which it widens the variance, ``n_effective`` = measurements / design effect. All three
    are NaN where a single probe, or no probe twice, leaves nothing to compare.
    """

    share: float
    low: float
    high: float
    n_measurements: int
    n_probes: int
    rho: float
    design_effect: float
    n_effective: float


def checked(k: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Return failures and measurements as arrays of one shape.

    Raises:
        ValueError: not 0 <= k <= n, or shapes that do not go together.
    """
    failed, total = (
        np.array(counts)
        for counts in np.broadcast_arrays(np.asarray(k, float), np.asarray(n, float))
    )
    if not (np.isfinite(failed).all() and np.isfinite(total).all()):
        raise ValueError("counts hold NaN or infinity")
    if ((failed < 0) | (failed > total)).any():
        raise ValueError("counts need 0 <= k <= n")
    return failed, total


def jeffreys(k: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Shares:
    """Return k/n with Jeffreys intervals (Brown, Cai & DasGupta 2001), elementwise.

    Counts may be effective ones, that is, no whole numbers. The interval of k = 0 starts at 0
    and that of k = n ends at 1, as their paper has it.

    Raises:
        ValueError: not 0 <= k <= n, or shapes that do not go together.
    """
    failed, total = checked(k, n)
    low, high = (
        np.array(bound, float)
        for bound in proportion_confint(
            failed, np.where(total > 0, total, 1.0), alpha=1 - level, method="jeffreys"
        )
    )
    low[failed == 0] = 0.0
    high[failed == total] = 1.0
    share = np.divide(failed, total, out=np.full(failed.shape, np.nan), where=total > 0)
    return Shares(share, low, high)


def intraclass_correlation(k: ArrayLike, n: ArrayLike) -> float:
    """Return the correlation of two measurements in one group, by analysis of variance.

    Ridout, Demétrio & Firth 1999 find this estimator among the best of twenty for binary data.
    Negative estimates are 0; NaN where groups or repetitions are missing.

    Raises:
        ValueError: not 0 <= k <= n.
    """
    failed, total = checked(k, n)
    failed, total = failed[total > 0], total[total > 0]
    groups, measurements = total.size, total.sum()
    if groups < 2 or measurements <= groups:
        return float("nan")
    within = (failed - failed**2 / total).sum() / (measurements - groups)
    between = ((failed**2 / total).sum() - failed.sum() ** 2 / measurements) / (groups - 1)
    size = (measurements - (total**2).sum() / measurements) / (groups - 1)
    scale = between + (size - 1) * within
    return float(np.clip((between - within) / scale, 0.0, 1.0)) if scale > 0 else 0.0


def design_effect(n: ArrayLike, rho: float) -> float:
    """Return the factor by which correlated measurements widen the variance (Kish 1965)."""
    total = np.asarray(n, float)
    return float(1 + rho * ((total**2).sum() / total.sum() - 1))


def by_probe(
    k: ArrayLike, n: ArrayLike, level: float = LEVEL, *, rho: float | None = None
) -> ProbeShare:
    """Return one share of failures, from failures and measurements of each probe.

    Beta-binomial, with rho summed over rather than estimated (see `betabinomial`), at a level
    adjusted by simulation (see `_calibrated`). A ``rho`` known from more data, such as the
    whole series', can be given. The effective number is for reading; the interval does not
    come from it.

    Raises:
        ValueError: not 0 <= k <= n, or rho not within 0 to 1.
    """
    failed, total = checked(np.ravel(k), np.ravel(n))
    failed, total = failed[total > 0], total[total > 0]
    n_probes, measurements = int(total.size), float(total.sum())
    if rho is not None and not 0 <= rho < 1:
        raise ValueError(f"rho {rho}: needs 0 <= rho < 1")
    if not n_probes:
        return ProbeShare(np.nan, 0.0, 1.0, 0, 0, np.nan, np.nan, 0.0)
    inner = _calibrated(level, failed, total) if rho is None else level
    low, high = posterior(failed, total, rho).interval(inner)
    correlation = intraclass_correlation(failed, total) if rho is None else rho
    effect = design_effect(total, correlation) if measurements > n_probes else 1.0
    return ProbeShare(
        share=float(failed.sum() / measurements),
        low=0.0 if not failed.any() else low,
        high=1.0 if (failed == total).all() else high,
        n_measurements=int(measurements),
        n_probes=n_probes,
        rho=correlation,
        design_effect=effect,
        n_effective=measurements / effect,
    )


_LOG_P: Final = (-3.0, -1.5, 0.0)
"""Decimal logarithms of the p-value that probes are alike."""

_OUTSIDE: Final = (0.5, 0.8, 2.4)
"""At those, by how much what lies outside the interval is changed, of eight probes or fewer."""


def _calibrated(level: float, failed: Floats, total: Floats) -> float:
    """Return the posterior's level whose interval holds the share as often as ``level`` says.

    One prior of rho is too careful where probes are alike, as most are, and too bold where few
    of them differ much. How plainly they differ (Pearson's test) tells which. Fitted to
    coverage over shares of 3 to 60 %, 4 to 40 probes of up to 50 measurements, rho of 0 to 0.7
    (``benchmarks/detection.py`` measures it anew).
    """
    groups, share = total.size, failed.sum() / total.sum()
    if total.sum() <= groups or share in {0.0, 1.0}:
        return level
    pearson = ((failed - total * share) ** 2 / (total * share * (1 - share))).sum()
    p = max(float(stats.chi2.sf(pearson, groups - 1)), 1e-3) if groups > 1 else 1.0
    factor = float(np.interp(np.log10(p), _LOG_P, _OUTSIDE))
    # Many probes show how much they differ, and need less of it; of few measurements each, the
    # test shows little.
    few = 8 / max(groups, 8)
    told = min((total.sum() / groups - 1) / 8, 1.0)
    factor = 1 + (factor - 1) * (few * told if factor > 1 else np.sqrt(few))
    return float(1 - (1 - level) * factor)
