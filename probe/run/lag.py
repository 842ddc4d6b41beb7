"""How late our own event loop is: facts timed under load must say so."""

from collections import deque
from typing import Final

import trio

INTERVAL_S: Final = 0.02
NOISE_S: Final = 0.005
"""Lag below this is the scheduler's, not ours, and is not kept."""
KEPT: Final = 2000


class LagMeter:
    """Sleeps for an interval, again and again, and notes every oversleep."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque(maxlen=KEPT)

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due = trio.current_time() + INTERVAL_S
            await trio.sleep_until(due)
            late = trio.current_time() - due
            if late > NOISE_S:
                self._late.append((trio.current_time(), late))

    def since(self, start: float) -> float:
        """Return the largest lag noted since a time on trio's clock, in seconds."""
        return max((late for at, late in self._late if at >= start), default=0.0)
