"""An honest line: delay, jitter, loss, and a rate with a queue before it."""

from random import Random
from typing import Annotated, Final

from msgspec import Meta, Struct

DEFAULT_QUEUE_BYTES: Final = 65_536
"""About 40 full packets: 2 s of a 256 kbit/s line, as cheap modems have."""

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One direction of a line; both directions have the same, with separate chance.

    ``delay_s`` is one way; jitter adds a uniform share of ``jitter_s``, and
    never reorders. ``loss`` strikes before the queue.
    """

    delay_s: Seconds = 0.0
    jitter_s: Seconds = 0.0
    loss: Share = 0.0
    rate_bytes_per_s: Annotated[int, Meta(ge=1)] | None = None
    queue_bytes: Annotated[int, Meta(ge=1500)] = DEFAULT_QUEUE_BYTES


class Pipe:
    """One direction's state. The same seed and sizes give the same losses."""

    def __init__(self, line: Line, seed: str) -> None:
        self._line = line
        # Chance here is for repeating a run, not for secrets. Jitter has its own,
        # so that packet n's fate hangs on nothing but the seed and the share.
        self._loss = Random(f"{seed} loss")  # noqa: S311  repeatable on purpose
        self._jitter = Random(f"{seed} jitter")  # noqa: S311  repeatable on purpose
        self._free_at = 0.0
        self._last_due = 0.0

    def carry(self, size: int, now: float) -> float | None:
        """Return when a packet of ``size`` bytes arrives, None if it is lost."""
        line = self._line
        if line.loss and self._loss.random() < line.loss:
            return None
        due = now + line.delay_s
        if line.jitter_s:
            due += self._jitter.random() * line.jitter_s
        if line.rate_bytes_per_s is not None:
            start = max(now, self._free_at)
            if (start - now) * line.rate_bytes_per_s > line.queue_bytes:
                return None
            self._free_at = start + size / line.rate_bytes_per_s
            due += self._free_at - now
        self._last_due = max(due, self._last_due)
        return self._last_due
