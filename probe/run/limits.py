"""Pace and concurrency: the observer must not become the censor.

Several near-simultaneous handshakes with one (network, server name, hello) make
some middleboxes drop the next ones, and a burst of connects makes our own event
loop report handshakes six times too slow (1000 at once: 610 ms instead of 102).
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from probe.model.target import QueryType

STARTS_PER_S: Final = 200
"""Measured: at 200 starts a second handshake p95 is within 1 % of the truth."""

QUESTIONS_PER_S: Final = 400
"""Names asked for, beside connections: datagrams, or threads of the system's resolver. At one
pace with connections a list of 300 names began to connect after six seconds."""

HANDSHAKES_PER_NETWORK: Final = 2
"""At once per /24 or /48, whatever they name: field reports of policing start at 4,
and not all of them agree that the name is part of what is counted."""

SAME_NAME_GAP_S: Final = 0.35
"""Between the starts of two handshakes of one (network, server name): three a second,
which is what ordinary browsers do and no report calls policed."""

NETWORK_GAP_S: Final = 0.1
"""Between the starts of any two handshakes in a network."""

CONNECTS_PER_NETWORK: Final = 24
"""At once per /24 or /48. A bare connect carries no name or hello to police; this
only bounds a burst at one operator, and a service's own data centres (Telegram
has 6 addresses in one /24, 3 ports each) must not queue behind dropped SYNs."""

TRANSFERS: Final = 3
"""Pages fetched at once, anywhere: at 256 kbit/s ten of them starve each other until
one stands still for seconds, which is what a censor's freeze looks like."""

FAST_TRANSFERS: Final = 8
FAST_BYTES_PER_S: Final = 100_000
"""On a line on which one control's page came at this rate, so many do not."""

PENDING_CONNECT_S: Final = 0.8
"""A connect that is not answered for so long gives its turn to shake hands to others:
nothing is open that could be counted, and silent hosts must not hold up a network."""


class Pacer:
    """Spaces starts evenly."""

    def __init__(self, gap_s: float = 1 / STARTS_PER_S) -> None:
        self._gap_s = gap_s
        self._next = 0.0

    async def wait_turn(self) -> None:
        """Wait until the next start may happen."""
        now = trio.current_time()
        turn = max(now, self._next)
        self._next = turn + self._gap_s
        await trio.sleep_until(turn)

    def due_in_s(self) -> float:
        """Return the seconds until the next start may happen."""
        return max(0.0, self._next - trio.current_time())

    def count(self) -> None:
        """A start happens now."""
        self._next = trio.current_time() + self._gap_s


class Turn:
    """A turn to have a connection that shakes hands; `lend` gives it away for a while."""

    def __init__(self, limiter: trio.CapacityLimiter) -> None:
        self._limiter = limiter
        self._has_it = False

    async def take(self) -> None:
        """Wait for the turn, unless it is held."""
        if not self._has_it:
            await self._limiter.acquire_on_behalf_of(self)
            self._has_it = True

    def give(self) -> None:
        """Let the next one have it."""
        if self._has_it:
            self._limiter.release_on_behalf_of(self)
            self._has_it = False

    @asynccontextmanager
    async def lent_when_silent(self) -> AsyncIterator[None]:
        """Hold the turn, but for no longer than `PENDING_CONNECT_S` while inside."""

        async def lend() -> None:
            await trio.sleep(PENDING_CONNECT_S)
            self.give()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(lend)
            yield
            nursery.cancel_scope.cancel()


class _Spacing:
    """The gaps between events in one network, and between those that name one server."""

    def __init__(self) -> None:
        self._networks: dict[str, Pacer] = defaultdict(lambda: Pacer(NETWORK_GAP_S))
        self._names: dict[tuple[str, str], Pacer] = defaultdict(lambda: Pacer(SAME_NAME_GAP_S))

    async def wait_turn(self, network: str, server_name: str) -> None:
        """Wait until both allow an event, which then counts with both.

        One after the other would not do: whoever waits for the second comes late, and
        the next one of the first follows closer than its gap.
        """
        pacers = (self._names[network, server_name], self._networks[network])
        await trio.lowlevel.checkpoint()
        while wait_s := max(p.due_in_s() for p in pacers):  # noqa: ASYNC110 - others move it
            await trio.sleep(wait_s)
        for pacer in pacers:
            pacer.count()


class Limits:
    """The limits of one run."""

    def __init__(self) -> None:
        self.pacer = Pacer()
        self._questions = Pacer(1 / QUESTIONS_PER_S)
        self._later_questions = trio.Lock()
        self.transfers = trio.CapacityLimiter(TRANSFERS)
        self._handshakes: dict[str, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(HANDSHAKES_PER_NETWORK)
        )
        self._starts = _Spacing()
        self._hellos = _Spacing()
        self._connects: dict[str, trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(CONNECTS_PER_NETWORK)
        )

    def allow_transfers(self, bytes_per_s: float) -> None:
        """Allow more pages at once if a control's page came at a good rate."""
        if bytes_per_s >= FAST_BYTES_PER_S:
            self.transfers.total_tokens = FAST_TRANSFERS

    async def question(self, query_type: QueryType) -> None:
        """Wait for a turn to ask for a name: addresses of IPv4 first, which most hosts have.

        Turns are given as they are asked for, and the whole list asks at once: those that can
        wait ask for theirs one after another, so that they never stand before the others.
        """
        if query_type == "A":
            await self._questions.wait_turn()
            return
        async with self._later_questions:
            await self._questions.wait_turn()

    @asynccontextmanager
    async def handshake(self, network: str, server_name: str) -> AsyncIterator[Turn]:
        """Wait for a turn to open a connection in a network and name a server on it.

        It is held until the connection ends: one that is still open counts for a
        middlebox as much as a new one.
        """
        turn = Turn(self._handshakes[network])
        await turn.take()
        try:
            await self._starts.wait_turn(network, server_name)
            yield turn
        finally:
            turn.give()

    async def hello(self, network: str, server_name: str) -> None:
        """Wait until the connection that is open may name its server.

        Starts are spaced, but connects that hang together are answered together, and
        what a middlebox counts are hellos.
        """
        await self._hellos.wait_turn(network, server_name)

    def connect(self, network: str) -> trio.CapacityLimiter:
        """Return the limiter for connects into a network."""
        return self._connects[network]
