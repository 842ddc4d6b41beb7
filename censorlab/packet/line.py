"""An honest line: delay, jitter, loss, and a rate with a queue before it."""

from random import Random
from typing import Annotated, Final

from msgspec import Meta, Struct

DEFAULT_QUEUE_BYTES: Final = 65_536
"""About 40 full packets: 2 s of a 256 kbit/s line, as cheap modems have."""

_LARGEST_SURPLUS: Final = 15.0
"""Of losses over their share, or under it, in packets: see ``Losses``."""

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


class Losses:
    """Which packets are lost: seeded chance whose count cannot stray.

    Independent draws at 20 % miss it by 0.4 points in one standard deviation over
    10 000 packets, so two lines with one share would differ by what a test takes
    for an effect. Here each packet's chance is its own until the losses are 15
    packets more or fewer than their share; then only what leads back can happen.
    So any run of packets, wherever it starts, has its share of losses to within
    30 packets (0.3 points of 10 000), and 15 from the start, while short
    runs and the gaps between losses stay what chance makes of them: 15 is the
    standard deviation of 1400 packets at 20 %, and of 4700 at 5 %. Packet n's
    fate hangs on nothing but the seed and the share.
    """

    def __init__(self, share: float, seed: str) -> None:
        self._share = share
        # Chance here is for repeating a run, not for secrets.
        self._draw = Random(seed).random  # noqa: S311  repeatable on purpose
        self._surplus = 0.0

    def strike(self) -> bool:
        """Say whether the next packet is lost."""
        is_lost = self._draw() < self._share
        surplus = self._surplus + is_lost - self._share
        if abs(surplus) > _LARGEST_SURPLUS:
            is_lost = not is_lost
            surplus = self._surplus + is_lost - self._share
        self._surplus = surplus
        return is_lost


class Pipe:
    """One direction's state. The same seed gives the same losses."""

    def __init__(self, line: Line, seed: str) -> None:
        self._line = line
        self._losses = Losses(line.loss, f"{seed} loss")
        # Chance of its own: losses with jitter are those without.
        self._jitter = Random(f"{seed} jitter")  # noqa: S311  repeatable on purpose
        self._free_at = 0.0
        self._last_due = 0.0

    def carry(self, size: int, now: float) -> float | None:
        """Return when a packet of ``size`` bytes arrives, None if it is lost."""
        line = self._line
        if line.loss and self._losses.strike():
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
