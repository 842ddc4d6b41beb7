"""Change points of a series of few measurements a cell, by the binomial likelihood itself.

Logits of one measurement are two values far apart, and their weights are wrong. So thin series
are searched by likelihood, divided by what cells differ more than chance.
"""

from itertools import pairwise
from typing import Final

import numpy as np
import ruptures
from numpy.typing import NDArray
from ruptures.base import BaseCost
from scipy import special, stats

from analysis.stats.intervals import by_probe
from analysis.stats.levels import Counts, Floats
from analysis.stats.segments import ChangePoint, Segment

_REPLICATES: Final = 300

_PENALTY: Final = 3.0
"""In units of log(cells), of twice the log-likelihood. A false one in 20 series of 100 cells."""

_EXACT: Final = 120
"""Of more cells only some are tried as edges, and their neighbours afterwards."""

_WINDOW_CELLS: Final = 14

MIN_CELLS: Final = 3
"""Measured cells of a level: fewer can be one bad evening."""


class _Binomial(BaseCost):  # type: ignore[misc]  # ruptures ships no types
    """Minus twice the log-likelihood at the segment's own share, over the dispersion."""

    model = ""
    min_size = 1

    def __init__(self, dispersion: float) -> None:
        self.dispersion = dispersion

    def fit(self, signal: Floats) -> "_Binomial":
        """Take failures (first column) and measurements (second)."""
        self.signal = signal
        self.sums = np.concatenate([np.zeros((1, 2)), np.cumsum(signal, axis=0)])
        return self

    def error(self, start: int, end: int) -> float:
        """Return the cost of one segment."""
        k, n = self.sums[end] - self.sums[start]
        return float(-2 * _log_likelihood(k, n) / self.dispersion)


def _log_likelihood(k: Floats, n: Floats) -> Floats:
    found: Floats = special.xlogy(k, k) + special.xlogy(n - k, n - k) - special.xlogy(n, n)
    return found


def sparse_noise(k: Counts, n: Counts) -> float:
    """Return how alike measurements of one cell are, beyond the level of its neighbours.

    Moments of short windows with levels of their own, averaged without the extremes, which
    hold the changes looked for. No test of significance: in a window it hardly ever is.
    """
    at = np.flatnonzero(n > 0)
    excess, sizes = [], []
    for start in range(0, at.size, _WINDOW_CELLS):
        own = at[start : start + _WINDOW_CELLS]
        failed, total = k[own].astype(float), n[own].astype(float)
        share = failed.sum() / total.sum()
        if own.size < _WINDOW_CELLS // 2 or not 0 < share < 1:
            continue
        pearson = ((failed - total * share) ** 2 / (total * share * (1 - share))).sum()
        excess.append(pearson / (own.size - 1) - 1)
        sizes.append(total.mean() - 1)
    if not excess or np.mean(sizes) <= 0:
        return 0.0
    return float(np.clip(stats.trim_mean(excess, 0.1) / np.mean(sizes), 0.0, 0.9))


def sparse_change_points(
    k: Counts, n: Counts, rho: float, rng: np.random.Generator, level: float
) -> list[ChangePoint]:
    """Return where the share of failures changed; ``rho`` is the correlation within a cell.

    The date's interval reaches back over cells without data: it can have changed in any.
    """
    at = np.flatnonzero(n > 0)
    if at.size < 2 * MIN_CELLS or not 0 < k.sum() < n.sum():
        return []
    signal = np.stack([k[at], n[at]], axis=1).astype(float)
    total = signal[:, 1]
    dispersion = max(1 + rho * ((total**2).sum() / total.sum() - 1), 1.0)
    jump = max(at.size // _EXACT, 1)
    search = ruptures.Pelt(custom_cost=_Binomial(dispersion), min_size=MIN_CELLS, jump=jump)
    ends = search.fit(signal).predict(pen=_PENALTY * np.log(at.size))
    edges = _refined(np.cumsum(signal, axis=0), [0, *ends], jump)
    if len(edges) < 3:
        return []
    segments = [_segment(at, signal, edge, k.size, level) for edge in pairwise(edges)]
    found = []
    for number, (before, after) in enumerate(pairwise(segments)):
        inner = slice(edges[number], edges[number + 2])
        cut = edges[number + 1]
        first, last = _dates(signal[inner], cut - inner.start, rho, rng, level)
        gap = int(at[inner.start + first - 1]) + 1
        found.append(ChangePoint(after.start, gap, int(at[inner.start + last]), before, after))
    return found


def _refined(sums: Floats, edges: list[int], jump: int) -> list[int]:
    """Move each edge within ``jump`` cells to where the likelihood is highest."""
    found = list(edges)
    for number in range(1, len(edges) - 1):
        start, stop = found[number - 1], edges[number + 1]
        low = max(edges[number] - jump + 1, start + MIN_CELLS)
        places = np.arange(low, min(edges[number] + jump, stop - MIN_CELLS + 1))
        before = sums[places - 1] - (sums[start - 1] if start else 0)
        after = sums[stop - 1] - sums[places - 1]
        gain = _log_likelihood(*before.T) + _log_likelihood(*after.T)
        found[number] = int(places[np.argmax(gain)])
    return found


def _segment(
    at: NDArray[np.int64], signal: Floats, edges: tuple[int, int], size: int, level: float
) -> Segment:
    start, stop = edges
    k, n = signal[start:stop].T
    # Cells, not measurements, are what repeats independently.
    found = by_probe(k, n, level)
    end = int(at[stop]) if stop < at.size else size
    begin = int(at[start]) if start else 0
    return Segment(begin, end, found.share, found.low, found.high, int(n.sum()))


def _dates(
    signal: Floats, cut: int, rho: float, rng: np.random.Generator, level: float
) -> tuple[int, int]:
    """Date the change again in series drawn from its two levels; return places within both."""
    k, n = signal.T
    share = np.empty(n.size)
    for side in (slice(0, cut), slice(cut, n.size)):
        share[side] = (k[side].sum() + 0.5) / (n[side].sum() + 1)
    shape = (_REPLICATES, n.size)
    if rho > 0:
        size = (1 - rho) / rho
        share = rng.beta(share * size, (1 - share) * size, shape)
    drawn = np.cumsum(rng.binomial(n.astype(np.int64), share, shape), axis=1).astype(float)
    total = np.cumsum(n)
    gain = _log_likelihood(drawn[:, :-1], total[:-1])
    gain = gain + _log_likelihood(drawn[:, -1:] - drawn[:, :-1], total[-1] - total[:-1])
    places = 1 + np.argmax(gain, axis=1)
    low, high = np.quantile(places, [(1 - level) / 2, (1 + level) / 2])
    return int(min(low, cut)), int(max(high, cut))
