"""What a detector looks for, and the thresholds that keep its false alarms as rare as asked.

Thresholds come from simulating the very series that is watched: its counts in their order, its
level with what is not known about it, its overdispersion.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from analysis.stats.levels import Counts, Floats, Level, draw, log_ratio

_MARGIN: Final = 1.3
"""Aimed at are so many times fewer false alarms than stated: a past is called stable because it
looks so, and a level is estimated more than once. Measured with 1.2: 0.9 to 1.0 of the rate
stated, 0.7 to 0.9 with it (``benchmarks/detection.py``)."""

_PATH_CELLS: Final = 1000


@dataclass(frozen=True)
class Design:
    """What is looked for, and how many false alarms that may cost.

    ``block_share`` is the part of measurements newly blocked that is found fastest; shares from
    half of it are found, later. ``cells_per_false_alarm`` holds for each direction.
    ``warm_up`` cells with data are needed before anything is said; ``settle`` after a change
    before another rise is looked for. ``memory`` cells make the level, so that slow drift is
    no event. ``cap`` bounds what one cell can say, in nats: a single cell can be a single
    probe. ``noise`` raises what is looked for to so many standard deviations between cells.
    ``simulated_alarms`` are seen while calibrating: 40 are known to 16 %, and the errors of one
    series' calibrations are independent.
    """

    block_share: float = 0.22
    cells_per_false_alarm: float = 2000.0
    warm_up: int = 168
    settle: int = 24
    memory: int = 2000
    cap: float = 4.0
    noise: float = 1.5
    simulated_alarms: int = 40

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


HOURLY: Final = Design()
"""One target in one network, some measurements an hour."""

DAILY: Final = Design(
    block_share=0.03,
    cells_per_false_alarm=10000.0,
    warm_up=28,
    settle=7,
    memory=240,
    cap=3.0,
    noise=3.0,
    simulated_alarms=8,
)
"""A country's measurements of everything, per day: a block is a few per cent of them, and what
is measured, by whom, shifts from week to week. So shifts below 3 standard deviations between
days are not looked for, and the rate is one in 27 years of the model's own noise, because the
model does not know fashions among volunteers. For the same reason few alarms are simulated."""

TARGET_BY_DAY: Final = Design(warm_up=14, settle=5, memory=240, simulated_alarms=12)
"""One target in one network, per day: few measurements, and a block shows in most of them."""


def thresholds(
    level: Level, n: Counts, others: list[float], design: Design, rng: np.random.Generator
) -> list[float]:
    """Simulate a series at its level; return a threshold for each other share looked for.

    None is below what one cell can say: a single cell never raises an alarm.
    """
    if not others:
        return []
    cells = design.simulated_alarms * _MARGIN * design.cells_per_false_alarm
    n_paths = int(np.ceil(cells / _PATH_CELLS))
    first = rng.integers(0, n.size, n_paths)
    # The series' own counts, in their order, so that nights and gaps stay what they are.
    total = n[(first[:, None] + np.arange(_PATH_CELLS)) % n.size]
    failed = draw(level, total, rng)
    ratios = (log_ratio(failed, total, level, other, design.cap) for other in others)
    rate = design.cells_per_false_alarm
    return [max(alarm_threshold(ratio, rate), design.cap) for ratio in ratios]


def alarm_threshold(ratios: Floats, cells_per_false_alarm: float) -> float:
    """Return the threshold that sums of these ratios (a path a row) pass so rarely.

    A sum's excursions from zero are alike and independent, so those whose maximum passes a
    threshold, divided by the cells simulated, are the rate of false alarms.
    """
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
