"""Pace and concurrency: the observer must not become the censor.

Several near-simultaneous handshakes with one (network, server name, hello) make
some middleboxes drop the next ones, and a burst of connects makes our own event
loop report handshakes six times too slow (1000 at once: 610 ms instead of 102).
"""

from collections import defaultdict
from typing import Final

import trio

STARTS_PER_S: Final = 200
"""Measured: at 200 starts a second handshake p95 is within 1 % of the truth."""

HANDSHAKES_PER_KEY: Final = 2
"""At once per (network, server name); field reports of policing start at 4."""

CONNECTS_PER_NETWORK: Final = 24
"""At once per /24 or /48. A bare connect carries no name or hello to police; this
only bounds a burst at one operator, and a service's own data centres (Telegram
has 6 addresses in one /24, 3 ports each) must not queue behind dropped SYNs."""


class Pacer:
    """Spaces starts evenly."""

    def __init__(self) -> None:
        self._next = 0.0

    async def wait_turn(self) -> None:
        """Wait until the next start may happen."""
        now = trio.current_time()
        turn = max(now, self._next)
        self._next = turn + 1 / STARTS_PER_S
        await trio.sleep_until(turn)


class Limits:
    """The limits of one run."""

    def __init__(self) -> None:
        self.pacer = Pacer()
        self._handshakes: dict[tuple[str, str], trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(HANDSHAKES_PER_KEY)
        )
        self._connects: dict[str, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(CONNECTS_PER_NETWORK)
        )

    def handshake(self, network: str, server_name: str) -> trio.CapacityLimiter:
        """Return the limiter for handshakes naming ``server_name`` in a network."""
        return self._handshakes[network, server_name]

    def connect(self, network: str) -> trio.CapacityLimiter:
        """Return the limiter for connects into a network."""
        return self._connects[network]
