"""Change points of a whole series looked at afterwards, with intervals of dates and levels.

Shares become logits, weighted by what their cells know: chance within a cell, and noise between
cells that no number of measurements removes. Without the second part a country with 100 000
measurements a day changes every day. `ruptures` searches (PELT, Killick 2012).
"""

from itertools import pairwise
from typing import Final

import numpy as np
import ruptures
from numpy.typing import NDArray
from ruptures.base import BaseCost
from scipy import special, stats

from analysis.stats.levels import Counts, Floats, as_counts, fit_level
from analysis.stats.segments import ChangePoint, Segment
from analysis.stats.sparse import sparse_change_points, sparse_noise

__all__ = ["ChangePoint", "Segment", "change_points", "noise_around", "noise_between"]

_REPLICATES: Final = 400

_PENALTY: Final = 6.0
"""In units of log(cells) of a standard deviation squared; 2 is BIC's, noise that lasts some
cells asks for more."""

_DENSE: Final = 10
"""From so many failures a measured cell (or successes, the rarer), logits are about normal."""

_LEAST: Final = 1e-9
"""Shares of 0 and 1 have no logit."""

_LOCAL_CELLS: Final = 14
"""Noise between cells is measured within so many neighbours, so that the changes looked for
are no part of it."""


class _Weighted(BaseCost):  # type: ignore[misc]  # ruptures ships no types
    """Weighted sum of squares around the weighted mean, in constant time for any segment."""

    model = ""
    min_size = 1

    def fit(self, signal: Floats) -> "_Weighted":
        """Take values (first column) and weights (second)."""
        self.signal = signal
        value, weight = signal.T
        zero = np.zeros(1)
        self.weight = np.concatenate([zero, np.cumsum(weight)])
        self.first = np.concatenate([zero, np.cumsum(weight * value)])
        self.second = np.concatenate([zero, np.cumsum(weight * value * value)])
        return self

    def error(self, start: int, end: int) -> float:
        """Return the cost of one segment; cells without data cost nothing."""
        weight = self.weight[end] - self.weight[start]
        if weight <= 0:
            return 0.0
        first = self.first[end] - self.first[start]
        return float(self.second[end] - self.second[start] - first * first / weight)


def change_points(
    k: NDArray[np.int_],
    n: NDArray[np.int_],
    rng: np.random.Generator,
    *,
    min_cells: int = 7,
    level: float = 0.95,
) -> list[ChangePoint]:
    """Return where the share of failures changed, in order of time.

    Series of few measurements a cell are searched by their likelihood (`sparse`), in levels of
    at least `sparse.MIN_CELLS` measured cells; ``min_cells`` is for the others.

    Raises:
        ValueError: counts that are none.
    """
    k, n = as_counts(k, n)
    if _is_sparse(k, n):
        return sparse_change_points(k, n, sparse_noise(k, n), rng, level)
    if n.size < 2 * min_cells or (n > 0).sum() < 2 * min_cells:
        return []
    signal = np.stack(_weighted_logits(k, n), axis=1)
    shares = k / np.maximum(n, 1)
    search = ruptures.Pelt(custom_cost=_Weighted(), min_size=min_cells, jump=1)
    ends = search.fit(signal).predict(pen=_PENALTY * np.log(n.size))
    segments = [
        _segment(slice(start, stop), n, (shares, signal[:, 1]), rng, level)
        for start, stop in pairwise([0, *ends])
    ]
    found = []
    for before, after in pairwise(segments):
        first, last = _date_interval(signal, before, after, rng, level)
        found.append(ChangePoint(after.start, first, last, before, after))
    return found


def _is_sparse(k: Counts, n: Counts) -> bool:
    return min(int(k.sum()), int((n - k).sum())) < _DENSE * int((n > 0).sum())


def _weighted_logits(k: Counts, n: Counts) -> tuple[Floats, Floats]:
    """Return logits with half a failure on each side, and weights of about unit variance."""
    value = np.log((k + 0.5) / (n - k + 0.5))
    share = (k.sum() + 0.5) / (n.sum() + 1)
    odds = share * (1 - share)
    noise = noise_between(k, n) / odds
    weight = np.where(n > 0, 1 / (1 / (np.maximum(n, 1) * odds) + noise), 0.0)
    return np.where(n > 0, value, 0.0), weight


def noise_between(k: Counts, n: Counts) -> float:
    """Return how alike measurements of one cell are, beyond the level that its weeks have.

    The trimmed mean rho of short windows with levels of their own; phi makes it more.
    """
    if _is_sparse(k, n):
        return sparse_noise(k, n)
    rhos = []
    for start in range(0, n.size - _LOCAL_CELLS + 1, _LOCAL_CELLS):
        window = slice(start, start + _LOCAL_CELLS)
        if (n[window] > 1).sum() >= _LOCAL_CELLS // 2:
            found = fit_level(k[window], n[window], is_robust=False)
            rhos.append(found.rho * (1 + found.phi) / (1 - found.phi))
    return float(stats.trim_mean(rhos, 0.2)) if rhos else 0.0


def noise_around(k: Counts, n: Counts, point: ChangePoint) -> float:
    """Return how alike measurements of one cell are, beyond the two levels of a change.

    No window is left out as in `noise_between`: what is called certain must not rest on the
    quiet weeks alone.
    """
    excess = size = 0.0
    for side in (point.before, point.after):
        own = np.flatnonzero(n[side.start : side.stop] > 0) + side.start
        failed, total = k[own].astype(float), n[own].astype(float)
        share = failed.sum() / max(total.sum(), 1.0)
        if own.size < 2 or not 0 < share < 1:
            continue
        degrees = own.size - 1
        excess += ((failed - total * share) ** 2 / (total * share * (1 - share))).sum() - degrees
        size += total.sum() - (total**2).sum() / total.sum() - degrees
    return float(np.clip(excess / size, 0.0, 0.9)) if size > 0 else 0.0


def _block_cells(size: int) -> int:
    return max(1, int(round(size ** (1 / 3))))  # noqa: RUF046 - a NumPy float rounds to a float


def _blocks(size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return indices of a circular block bootstrap, replicates x cells."""
    block = _block_cells(size)
    starts = rng.integers(0, size, (_REPLICATES, -(-size // block)))
    index = (starts[:, :, None] + np.arange(block)).reshape(_REPLICATES, -1) % size
    return index[:, :size]


def _segment(
    cells: slice,
    n: Counts,
    weighted: tuple[Floats, Floats],
    rng: np.random.Generator,
    level: float,
) -> Segment:
    """Return a level with its interval, from shares and weights of cells.

    Shares, not logits: the mean logit of cells that differ is another one than their share's.
    """
    value, weight = (part[cells] for part in weighted)
    size = weight.size
    mean = (value * weight).sum() / max(weight.sum(), 1e-12)
    # Cells, not measurements, are drawn: a day with most measurements is one day.
    index = _blocks(size, rng)
    drawn = (value * weight)[index].sum(axis=1) / np.maximum(weight[index].sum(axis=1), 1e-12)
    # Few blocks are few degrees of freedom, and short ones cut what lasts longer than they do;
    # drawing whole ones varies less than the series did (Künsch's factor).
    half, blocks = (1 + level) / 2, size / _block_cells(size)
    few = stats.t.ppf(half, max(blocks - 1, 1)) / stats.norm.ppf(half)
    few *= _beyond_blocks(value - mean, weight, _block_cells(size))
    few /= np.sqrt(1 - min(1 / blocks, 0.5))
    middle, *bounds = special.logit(
        np.clip([mean, *np.quantile(drawn, [1 - half, half])], _LEAST, 1 - _LEAST)
    )
    low, high = special.expit(middle + few * (np.array(bounds) - middle))
    return Segment(
        cells.start, cells.stop, float(mean), float(low), float(high), int(n[cells].sum())
    )


def _beyond_blocks(residual: Floats, weight: Floats, block: int) -> float:
    """Return how much more a mean varies than in blocks, if neighbours are alike as in AR(1).

    A block bootstrap's variance is too small by about 2 phi / (1 - phi²) / block (Künsch 1989).
    """
    scaled = residual[weight > 0] * np.sqrt(weight[weight > 0])
    if scaled.size < 2 * block or not scaled.any():
        return 1.0
    phi = float((scaled[1:] * scaled[:-1]).sum() / (scaled**2).sum())
    phi = min(max(phi + (1 + 3 * phi) / scaled.size, 0.0), 0.7)
    return float(1 / np.sqrt(1 - min(2 * phi / (1 - phi**2) / block, 0.6)))


def _date_interval(
    signal: Floats, before: Segment, after: Segment, rng: np.random.Generator, level: float
) -> tuple[int, int]:
    """Date the change again in bootstrap replicates of the two segments."""
    value, weight = signal.T
    sides = []
    for segment in (before, after):
        own = slice(segment.start, segment.stop)
        mean = np.average(value[own], weights=weight[own])
        index = segment.start + _blocks(segment.stop - segment.start, rng)
        # Residuals in units of their own cells' noise, put onto the cells of the grid.
        scaled = ((value - mean) * np.sqrt(weight))[index]
        root = np.sqrt(weight[own])
        sides.append(mean + np.divide(scaled, root, out=np.zeros_like(scaled), where=root > 0))
    drawn = np.concatenate(sides, axis=1)
    own = weight[before.start : after.stop]
    total = np.cumsum(own)[:-1]
    first = np.cumsum(drawn * own, axis=1)
    # Weighted between-segment sum of squares of every split: the best split is the date.
    gain = first[:, :-1] ** 2 / np.maximum(total, 1e-12)
    gain += (first[:, -1:] - first[:, :-1]) ** 2 / np.maximum(own.sum() - total, 1e-12)
    gain -= first[:, -1:] ** 2 / own.sum()
    cells = before.start + 1 + np.argmax(gain, axis=1)
    low, high = np.quantile(cells, [(1 - level) / 2, (1 + level) / 2])
    return int(min(low, after.start)), int(max(high, after.start))
