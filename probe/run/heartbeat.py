"""Is it our own load, or the line? Small connects to controls while everything runs.

The controls before and after say nothing about a minute in between. A beat is a
bare connect to a known-good host, about 200 bytes; when beats fail, new starts
wait, and what failed meanwhile is tried again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
import trio

from probe.model.observation import Observation
from probe.model.step import Chain, TcpConnect

BEAT_S: Final = 1.0

BEAT_TIMEOUT_S: Final = 2.5
"""Three SYNs: on a line that loses one packet in fifty each way all three are lost
once in 16,000 beats, so one failed beat is a reason to wait."""

MAX_PAUSE_S: Final = 12.0
"""Spent on waiting in one run, at most: a line that is bad for longer is a bad line,
and the controls at the end will say so."""


@dataclass
class Heartbeat:
    """Beats until cancelled. ``attempt`` carries a chain out and records what it saw."""

    controls: Callable[[], list[Chain]]
    attempt: Callable[[Chain, int], Awaitable[list[Observation]]]
    is_good: Callable[[Observation], bool]
    _failing_since: float | None = None
    _waiting: int = 0
    _waiting_since: float = 0.0
    _waited_s: float = 0.0
    _bad: list[tuple[float, float]] = field(default_factory=list)
    _calm: trio.Event = field(default_factory=trio.Event)

    def __post_init__(self) -> None:
        """Start out calm."""
        self._calm.set()

    async def run(self) -> None:
        """Knock at one control after the other."""
        number = 0
        # Asked each time: at the first beat only the nearest have answered.
        while controls := self.controls():
            await trio.sleep(BEAT_S)
            beat = msgspec.structs.replace(
                controls[number % len(controls)],
                steps=(TcpConnect(timeout_s=BEAT_TIMEOUT_S),),
                follow_up="heartbeat",
                trigger="start",
            )
            started = trio.current_time()
            number += 1
            rows = await self.attempt(beat, number)
            self._note(started, is_good=bool(rows) and self.is_good(rows[-1]))

    def _note(self, started: float, *, is_good: bool) -> None:
        if not is_good:
            if self._failing_since is None:
                self._failing_since = started - BEAT_S
                self._calm = trio.Event()
        elif self._failing_since is not None:
            self._bad.append((self._failing_since, trio.current_time()))
            self._failing_since = None
            self._calm.set()

    async def wait_for_calm(self) -> None:
        """Wait while beats fail, but not for ever."""
        if not self._waiting:
            self._waiting_since = trio.current_time()
        self._waiting += 1
        try:
            with trio.move_on_after(self._left_s()):
                await self._calm.wait()
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._waited_s += trio.current_time() - self._waiting_since

    def _left_s(self) -> float:
        """Return how long the run may still wait; what many wait for together counts once."""
        now_s = trio.current_time() - self._waiting_since if self._waiting else 0.0
        return max(0.0, MAX_PAUSE_S - self._waited_s - now_s)

    def was_bad_since(self, start: float) -> bool:
        """Tell whether beats failed since ``start`` (trio's clock), and waiting is worth it."""
        if self._left_s() < BEAT_S:
            return False
        return self._failing_since is not None or any(end >= start for _, end in self._bad)
