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

from analysis.stats.design import Design, thresholds
from analysis.stats.levels import Counts, Floats, Level, as_counts, fit_level, log_ratio

Direction = Literal["onset", "lifting"]

_CREDIBLE: Final = 0.95


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


def detect(k: NDArray[np.int_], n: NDArray[np.int_], design: Design, seed: int) -> list[Change]:
    """Run over a whole series."""
    return advance(begin(design, seed), k, n)[1]


def advance(state: State, k: NDArray[np.int_], n: NDArray[np.int_]) -> tuple[State, list[Change]]:
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
    level, design = state.level, state.design
    assert level is not None
    wanted: list[float] = []
    # Too little may be known of this level to call anything above it a rise, and nothing of
    # the size looked for may be there to be lifted.
    is_settled = level.n_cells >= design.settle
    has_liftable = state.base is not None or level.share >= design.shift(level)
    if is_settled:
        wanted.append(design.raised(level))
    if has_liftable:
        wanted.append(design.lowered(level))
    rng = np.random.default_rng([state.seed, state.at])
    found = thresholds(level, state.n, wanted, design, rng)
    return replace(
        state,
        threshold_up=found[0] if is_settled else np.inf,
        threshold_down=found[-1] if has_liftable else np.inf,
    )


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
    has_enough = (state.n > 0).sum() >= min(level.n_cells, design.warm_up)
    if state.until_refit <= 0 and has_enough and not pending:
        # Half an alarm is no stable past: wait until it has become one, or nothing. And what
        # was known before a long gap is better than the first cells after it.
        state = _refitted(state)
    return taken, state, None


def _page(sum_before: float, ratios: Floats) -> Floats:
    sums = sum_before + np.cumsum(ratios)
    lowest = np.minimum(np.minimum.accumulate(sums), 0.0)
    result: Floats = sums - lowest
    return result


def _changed(state: State, direction: Direction) -> tuple[State, Change]:
    level = state.level
    assert level is not None
    start, first, last, evidence = _dated(state.k, state.n, level, direction)
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
    if direction == "onset" or base is None or after.share > (base[0].share + level.share) / 2:
        return _refitted(fresh, is_robust=False), change
    # Back to what it was: the old past counts again.
    k, n = np.concatenate([base[1], k]), np.concatenate([base[2], n])
    return _refitted(replace(fresh, k=k, n=n, base=None)), change


def _dated(k: Counts, n: Counts, level: Level, direction: Direction) -> tuple[int, int, int, float]:
    """Return the likeliest first cell of a change, its credible interval, and the evidence.

    Each first cell is tried with the share that its own tail shows (generalised likelihood
    ratio, of effective counts).
    """
    worth = 1 / (1 + np.maximum(n - 1, 0) * level.rho)
    failed, total = (np.cumsum((counts * worth)[::-1])[::-1] for counts in (k, n))
    share = (failed + 0.5) / (total + 1)
    is_right = share > level.share if direction == "onset" else share < level.share
    ratio = failed * np.log(share / level.share)
    ratio += (total - failed) * np.log((1 - share) / (1 - level.share))
    ratio = np.where(is_right, ratio, -np.inf)
    # Empty cells before a change are as likely as its first measured cell, which is taken.
    start = n.size - 1 - int(np.argmax(ratio[::-1]))
    weights = np.exp(ratio - ratio[start])
    order = np.argsort(-weights, kind="stable")
    enough = int(np.searchsorted(np.cumsum(weights[order]), _CREDIBLE * weights.sum())) + 1
    inside = order[:enough]
    return start, int(inside.min()), int(inside.max()), float(ratio[start])
