"""The stable level of a series of counts, and what each cell says for another level.

A series is a dense grid of time cells: ``n`` measurements, ``k`` of which failed. A cell
without measurements has n = 0: it carries no evidence, but time passes.

Counts of one cell share their probes, networks and hour, so cells differ by more than chance.
That is modelled as beta-binomial: the correlation ``rho`` of two measurements in one cell
(variance of a cell's share: p (1 - p) (1 + (n - 1) rho) / n), and the correlation ``phi`` of
neighbouring cells.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import signal, special, stats

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]

_OUTLIER_SD: Final = 3.5
"""Blocks further from the median than this are no stable past (Iglewicz & Hoaglin 1993)."""

_FAILURES_PER_BLOCK: Final = 5
"""So many failures in an average block make its share about normal. Trimming single cells of
three measurements at a base rate of 1 % would trim the base rate away."""

_CHANCE: Final = 0.1
"""Overdispersion is believed from this p-value on: wrongly believed, it costs hours."""

MAX_RHO: Final = 0.95
MAX_PHI: Final = 0.9


@dataclass(frozen=True)
class Level:
    """A level that a series kept. ``n_effective`` measurements' worth is known about it."""

    share: float
    rho: float
    phi: float
    n_cells: int
    n_effective: float


def as_counts(k: NDArray[np.int_], n: NDArray[np.int_]) -> tuple[Counts, Counts]:
    """Check failures and measurements.

    Raises:
        ValueError: not one-dimensional of one length, or not 0 <= k <= n.
    """
    failed, total = np.asarray(k), np.asarray(n)
    if failed.ndim != 1 or failed.shape != total.shape:
        raise ValueError(f"shapes {failed.shape} and {total.shape}: need one of each")
    for name, values in (("k", failed), ("n", total)):
        if values.size and not (np.isfinite(values).all() and (values == np.floor(values)).all()):
            raise ValueError(f"{name} holds something else than whole numbers")
    if ((failed < 0) | (failed > total)).any():
        at = int(np.flatnonzero((failed < 0) | (failed > total))[0])
        raise ValueError(f"cell {at}: {failed[at]} of {total[at]}")
    return failed.astype(np.int64), total.astype(np.int64)


def fit_level(k: Counts, n: Counts, *, is_robust: bool = True, noise: Level | None = None) -> Level:
    """Estimate a level; robustly, without the cells of blocks that stand out.

    ``noise`` is a level whose rho and phi hold at least, where cells are too few to tell.

    Raises:
        ValueError: no measurement at all.
    """
    has_data = n > 0
    k, n = k[has_data], n[has_data]
    if not n.size:
        raise ValueError("no cell with data")
    if is_robust:
        kept = _stable(k, n)
        k, n = k[kept], n[kept]
    # Half a failure on each side (Jeffreys): a level of exactly 0 or 1 makes anything else
    # impossible, and one failure an alarm.
    share = float((k.sum() + 0.5) / (n.sum() + 1))
    rho = _rho(k, n, share)
    phi = _phi(k, n, share, rho) if rho else 0.0
    if noise is not None:
        rho, phi = max(rho, noise.rho), max(phi, noise.phi)
    design_effect = 1 + rho * (float((n * n).sum() / n.sum()) - 1)
    n_effective = n.sum() / design_effect * (1 - phi) / (1 + phi)
    return Level(share, rho, phi, int(n.size), float(n_effective))


def _stable(k: Counts, n: Counts) -> NDArray[np.bool_]:
    share = (k.sum() + 0.5) / (n.sum() + 1)
    size = max(_FAILURES_PER_BLOCK / min(share, 1 - share), 1.0)
    block = np.floor((n.cumsum() - n) / size).astype(np.int64)
    block = np.unique(block, return_inverse=True)[1]
    totals = np.bincount(block, n)
    shares = np.bincount(block, k) / totals
    if shares.size < 5:
        return np.ones(k.size, bool)
    middle = np.median(shares)
    chance = np.sqrt(np.maximum(middle * (1 - middle), 1e-6) / totals)
    scale = np.maximum(chance, stats.median_abs_deviation(shares, scale="normal"))
    stands_out = np.abs(shares - middle) > _OUTLIER_SD * scale
    # One block alone is this series' noise, with heavy tails; neighbours together are an event.
    beside = np.zeros(shares.size, bool)
    beside[1:] |= stands_out[:-1]
    beside[:-1] |= stands_out[1:]
    kept: NDArray[np.bool_] = ~(stands_out & beside)[block]
    return kept


def _rho(k: Counts, n: Counts, share: float) -> float:
    """Return the moment estimate of rho (Williams 1982), 0 where chance alone explains it."""
    degrees = int((n > 1).sum()) - 1
    if degrees < 1:
        return 0.0
    many = n > 1
    k, n = k[many], n[many]
    pearson = float(((k - n * share) ** 2 / (n * share * (1 - share))).sum())
    if stats.chi2.sf(pearson, degrees) > _CHANCE:
        return 0.0
    # The share is that of these very cells: those with most measurements are not far from it.
    # A cell or two with nearly all of them would leave nothing to divide by.
    left = n.sum() - (n * n).sum() / n.sum() - degrees
    size = max(float(left), float((n - 1).sum()) / 2)
    return float(np.clip((pearson - degrees) / size, 0.0, MAX_RHO))


def _phi(k: Counts, n: Counts, share: float, rho: float) -> float:
    """Return the lag-1 correlation of cells, 0 where it is not significant."""
    z = (k - n * share) / np.sqrt(n * share * (1 - share) * (1 + (n - 1) * rho))
    if z.size < 8:
        return 0.0
    phi = float((z[1:] * z[:-1]).mean() / (z * z).mean())
    return float(np.clip(phi, 0.0, MAX_PHI)) if phi > 1.64 / np.sqrt(z.size) else 0.0


def log_ratio(k: Counts, n: Counts, level: Level, other: float, cap: float) -> Floats:
    """Return each cell's log-likelihood ratio of share ``other`` to the level, within ± cap."""
    most = int(n.max(initial=0)) + 1
    if n.size <= most * most:
        return _exact(np.clip(_log_ratio(k, n, level, other), -cap, cap))
    # Few distinct cells: each is worked out once.
    table = np.zeros((most, most))
    total, failed = np.tril_indices(most)
    table[total, failed] = np.clip(_log_ratio(failed, total, level, other), -cap, cap)
    found: Floats = _exact(table).ravel()[n * most + k]
    return found


def _exact(ratios: Floats) -> Floats:
    """Round to millionths of a power of two, whose sums are exact in any order and any pieces."""
    rounded: Floats = np.round(ratios * 2.0**20) / 2.0**20
    return rounded


def _log_ratio(k: Counts, n: Counts, level: Level, new: float) -> Floats:
    old = level.share
    if level.rho == 0:
        ratio = k * np.log(new / old) + (n - k) * np.log((1 - new) / (1 - old))
    else:
        size = (1 - level.rho) / level.rho
        ratio = (
            special.betaln(k + new * size, n - k + (1 - new) * size)
            - special.betaln(new * size, (1 - new) * size)
            - special.betaln(k + old * size, n - k + (1 - old) * size)
            + special.betaln(old * size, (1 - old) * size)
        )
    result: Floats = ratio
    return result


def draw(level: Level, n: Counts, rng: np.random.Generator) -> Counts:
    """Draw failures for paths of measurements (a path a row), the level itself uncertain.

    Each path has a level of its own from what is known about it (Jeffreys posterior): a base
    rate from six failures is wrong by 40 %, and false alarms come from exactly that.
    """
    known = level.n_effective
    share = rng.beta(level.share * known + 0.5, (1 - level.share) * known + 0.5, (n.shape[0], 1))
    share = np.clip(share, 1e-9, 1 - 1e-9)
    if level.rho == 0:
        return rng.binomial(n, share)
    if level.phi == 0:
        size = (1 - level.rho) / level.rho
        return rng.binomial(n, rng.beta(share * size, (1 - share) * size, n.shape))
    noise = rng.standard_normal(n.shape) * np.sqrt(1 - level.phi**2)
    noise[:, 0] /= np.sqrt(1 - level.phi**2)
    walk = signal.lfilter([1.0], [1.0, -level.phi], noise, axis=1)
    spread = np.sqrt(level.rho / (share * (1 - share)))
    return rng.binomial(n, special.expit(special.logit(share) + spread * walk))
