"""Online detection of onset and lifting in a series of counts per time cell.

Two cumulative sums of count-weighted log-likelihood ratios (CUSUM, Page 1954; beta-binomial),
one for a higher and one for a lower share of failures than the present level. A cell without
measurements adds nothing. The level is estimated per series from its own stable past, and the
thresholds by simulating that very series: its counts, its level with what is not known about
it, its overdispersion.

Nothing looks ahead and nothing is drawn from a shared generator: a `State` and the next cells
give the next state, in pieces of any size. A late measurement is handled by going on from a
state before it, with the same result as from scratch.
"""

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from analysis.stats.levels import Counts, Floats, Level, as_counts, draw, fit_level, log_ratio

Direction = Literal["onset", "lifting"]

_SIMULATED_ALARMS: Final = 25
"""False alarms to see while calibrating: their number is then known to 20 %, and the errors of
one series' calibrations are independent."""

_MARGIN: Final = 1.4
"""Aimed at are so many times fewer false alarms than stated: a past is called stable because it
looks so, and a level is estimated more than once. Measured without it: 0.9 to 1.2 of the rate
stated (``benchmarks/detection.py``)."""

_PATH_CELLS: Final = 1000

_CREDIBLE: Final = 0.95


@dataclass(frozen=True)
class Design:
    """What is looked for, and how many false alarms that may cost.

    ``block_share`` is the part of measurements newly blocked that is found fastest; shares from
    half of it are found, later. ``cells_per_false_alarm`` holds for each direction.
    ``warm_up`` cells with data are needed before anything is said; ``settle`` after a change
    before another rise is looked for. ``memory`` cells make the level, so that slow drift is
    no event. ``cap`` bounds what one cell can say, in nats: a single cell can be a single
    probe. ``noise`` raises what is looked for to so many standard deviations between cells.
    """

    block_share: float = 0.25
    cells_per_false_alarm: float = 2000.0
    warm_up: int = 168
    settle: int = 24
    memory: int = 2000
    cap: float = 4.0
    noise: float = 1.5

    def raised(self, level: Level) -> float:
        """Return the share under the block that is looked for."""
        return float(min(level.share + self.shift(level), (1 + level.share) / 2))

    def lowered(self, level: Level) -> float:
        """Return the share after the lifting that is looked for."""
        return float(max(level.share - self.shift(level), level.share / 4))

    def shift(self, level: Level) -> float:
        """Return the difference of shares that is looked for."""
        spread = np.sqrt(level.rho * level.share * (1 - level.share))
        return float(max(self.block_share * (1 - level.share), self.noise * spread))


@dataclass(frozen=True)
class Change:
    """A change: cell of onset with its 95 % credible interval, and cell of detection.

    ``evidence`` is the log-likelihood ratio in nats. Shares are of failures; ``n_after``
    measurements between onset and detection carry the new one.
    """

    direction: Direction
    cell: int
    first: int
    last: int
    detected: int
    before: float
    after: float
    n_after: int
    evidence: float


def _none() -> Counts:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class State:
    """All that detection knows after ``at`` cells. Cells ``k``, ``n`` are those of the level."""

    design: Design
    seed: int
    at: int = 0
    k: Counts = field(default_factory=_none)
    n: Counts = field(default_factory=_none)
    level: Level | None = None
    refit_cells: int = 0
    until_refit: int = 0
    threshold_up: float = np.inf
    threshold_down: float = np.inf
    up: float = 0.0
    down: float = 0.0
    base: tuple[Level, Counts, Counts] | None = None

    @property
    def is_raised(self) -> bool:
        """Whether an onset has not been lifted."""
        return self.base is not None


def begin(design: Design, seed: int) -> State:
    """Return the state before the first cell."""
    return State(design, seed)


def detect(
    k: NDArray[np.int_], n: NDArray[np.int_], design: Design, seed: int
) -> list[Change]:
    """Run over a whole series."""
    return advance(begin(design, seed), k, n)[1]


def advance(
    state: State, k: NDArray[np.int_], n: NDArray[np.int_]
) -> tuple[State, list[Change]]:
    """Take in the next cells.

    Raises:
        ValueError: counts that are none.
    """
    k, n = as_counts(k, n)
    changes: list[Change] = []
    while n.size:
        taken, state, change = (_warm_up if state.level is None else _watch)(state, k, n)
        k, n = k[taken:], n[taken:]
        if change is not None:
            changes.append(change)
    return state, changes


_Step = tuple[int, State, Change | None]


def _warm_up(state: State, k: Counts, n: Counts) -> _Step:
    missing = state.design.warm_up - int((state.n > 0).sum())
    seen = np.cumsum(n > 0)
    taken = int(np.searchsorted(seen, missing)) + 1 if seen[-1] >= missing else n.size
    state = _kept(state, k[:taken], n[:taken])
    if seen[-1] >= missing:
        state = _refitted(state)
    return taken, state, None


def _kept(state: State, k: Counts, n: Counts) -> State:
    size = state.design.memory
    return replace(
        state,
        at=state.at + n.size,
        k=np.concatenate([state.k, k])[-size:],
        n=np.concatenate([state.n, n])[-size:],
    )


def _refitted(state: State, *, is_robust: bool = True) -> State:
    """Estimate the level anew, calibrate for it, and say when to do so again."""
    cells = state.n.size
    # Noise between cells is not known from a handful: the level before is the best guess.
    noise = state.level if cells < state.design.warm_up else None
    level = fit_level(state.k, state.n, is_robust=is_robust, noise=noise)
    wait = max(cells, 2) if cells < state.design.memory else state.design.memory // 2
    state = replace(state, level=level, until_refit=min(wait, state.design.memory))
    return _calibrated(state)


def _calibrated(state: State) -> State:
    assert state.level is not None
    rng = np.random.default_rng([state.seed, state.at])
    up, down = thresholds(state.level, state.n, state.design, rng)
    if state.level.n_cells < state.design.settle:
        # Too little is known of this level to call anything above it a rise.
        up = np.inf
    if state.base is None and state.level.share < state.design.shift(state.level):
        # Nothing of the size looked for is there to be lifted.
        down = np.inf
    return replace(state, threshold_up=up, threshold_down=down)


def thresholds(
    level: Level, n: Counts, design: Design, rng: np.random.Generator
) -> tuple[float, float]:
    """Simulate a series at its level; return the thresholds for a rise and for a fall.

    A sum's excursions from zero are alike and independent, so those whose maximum passes a
    threshold, divided by the cells simulated, are the rate of false alarms.
    """
    cells = _SIMULATED_ALARMS * _MARGIN * design.cells_per_false_alarm
    n_paths = int(np.ceil(cells / _PATH_CELLS))
    first = rng.integers(0, n.size, n_paths)
    # The series' own counts, in their order, so that nights and gaps stay what they are.
    total = n[(first[:, None] + np.arange(_PATH_CELLS)) % n.size]
    failed = draw(level, total, rng)
    up, down = (
        _quantile(log_ratio(failed, total, level, other, design.cap), design.cells_per_false_alarm)
        for other in (design.raised(level), design.lowered(level))
    )
    return up, down


def _quantile(ratios: Floats, cells_per_false_alarm: float) -> float:
    # A path starts with a sum of zero; the running minimum then gives Page's sum at once.
    sums = np.cumsum(ratios, axis=1)
    sums -= np.minimum(np.minimum.accumulate(sums, axis=1), 0.0)
    flat = sums.ravel()
    is_start = flat <= 1e-12
    is_start[:: ratios.shape[1]] = True
    highest = np.sort(np.maximum.reduceat(flat, np.flatnonzero(is_start)))
    allowed = int(flat.size / (cells_per_false_alarm * _MARGIN))
    # Lattices of few measurements have ties: pass strictly above the last one not allowed.
    return float(np.nextafter(highest[max(highest.size - allowed - 1, 0)], np.inf))


def _watch(state: State, k: Counts, n: Counts) -> _Step:
    level, design = state.level, state.design
    assert level is not None
    taken = min(n.size, max(state.until_refit, 1))
    k, n = k[:taken], n[:taken]
    ups = _page(state.up, log_ratio(k, n, level, design.raised(level), design.cap))
    downs = _page(state.down, log_ratio(k, n, level, design.lowered(level), design.cap))
    alarms = np.flatnonzero((ups > state.threshold_up) | (downs > state.threshold_down))
    if alarms.size:
        stop = int(alarms[0])
        direction: Direction = "onset" if ups[stop] > state.threshold_up else "lifting"
        state = _kept(state, k[: stop + 1], n[: stop + 1])
        state, change = _changed(state, direction)
        return stop + 1, state, change
    state = _kept(state, k, n)
    state = replace(state, up=ups[-1], down=downs[-1], until_refit=state.until_refit - taken)
    pending = ups[-1] > state.threshold_up / 2 or downs[-1] > state.threshold_down / 2
    if state.until_refit <= 0 and not pending:
        # Half an alarm is no stable past: wait until it has become one, or nothing.
        state = _refitted(state)
    return taken, state, None


def _page(sum_before: float, ratios: Floats) -> Floats:
    sums = sum_before + np.cumsum(ratios)
    lowest = np.minimum(np.minimum.accumulate(sums), 0.0)
    result: Floats = sums - lowest
    return result


def _changed(state: State, direction: Direction) -> tuple[State, Change]:
    level, design = state.level, state.design
    assert level is not None
    other = design.raised(level) if direction == "onset" else design.lowered(level)
    start, first, last, evidence = _dated(state.k, state.n, level, other, design.cap)
    k, n = state.k[start:], state.n[start:]
    after = fit_level(k, n, is_robust=False)
    offset = state.at - state.n.size
    change = Change(
        direction=direction,
        cell=offset + start,
        first=offset + first,
        last=offset + last,
        detected=state.at - 1,
        before=level.share,
        after=after.share,
        n_after=int(n.sum()),
        evidence=evidence,
    )
    base = state.base
    if direction == "onset" and base is None:
        base = (level, state.k[:start], state.n[:start])
    fresh = replace(state, k=k, n=n, up=0.0, down=0.0, base=base)
    if direction == "lifting" and base is not None:
        if after.share < (base[0].share + level.share) / 2:
            # Back to what it was: the old past counts again.
            kept = np.concatenate([base[1], k]), np.concatenate([base[2], n])
            fresh = replace(fresh, k=kept[0], n=kept[1], base=None)
            return _refitted(fresh), change
    fresh = _refitted(fresh, is_robust=False)
    return fresh, change


def _dated(
    k: Counts, n: Counts, level: Level, other: float, cap: float
) -> tuple[int, int, int, float]:
    """Return the likeliest first cell of a change, its credible interval, and the evidence."""
    for _ in range(2):
        tail = np.cumsum(log_ratio(k, n, level, other, cap)[::-1])[::-1]
        start = int(np.argmax(tail))
        other = float(np.clip((k[start:].sum() + 0.5) / (n[start:].sum() + 1), 1e-6, 1 - 1e-6))
    weights = np.exp(tail - tail.max())
    order = np.argsort(-weights, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weights[order]), _CREDIBLE * weights.sum())) + 1
    inside = order[:enough]
    return start, int(inside.min()), int(inside.max()), float(tail.max())
