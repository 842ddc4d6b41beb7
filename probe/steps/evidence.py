"""Ends a wait as soon as the kernel's counters say that nothing will come of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from probe.net.api import Clock, TcpConnection, TcpInfo

STALL_RETRANSMITS: Final = 3
"""First bytes still unacknowledged after so many timeouts are not coming through.

Linux has sent them five times by then (its tail loss probe is not counted as a
retransmission), 1.7 s after the first where the round trip is short. Without the
last, which nobody had time to answer, all of them are lost at 20 % loss each way in
2 % of cases, at 2 % loss in 3 of a million.
"""

ACKED_SILENCE_S: Final = 1.8
"""How long bytes may stay acknowledged and unanswered, beside five round trips.

The peer has the bytes, so what is awaited is one answer, and an answer that is lost
once or twice comes again within this time (RFC 6298: after about a round trip and
0.2 s, then twice that).
"""

ACKED_SILENCE_ROUND_TRIPS: Final = 5

POLL_S: Final = 0.2
"""How often TCP_INFO is read: Linux sends nothing again sooner than that."""


@asynccontextmanager
async def until_silent(
    connection: TcpConnection, timeout_s: float, clock: Clock
) -> AsyncIterator[None]:
    """Give a connection's first answer so long, and no longer once waiting is in vain."""
    with trio.move_on_after(timeout_s) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_silence, connection, deadline, clock)
            yield
            nursery.cancel_scope.cancel()


async def stop_on_silence(
    connection: TcpConnection, deadline: trio.CancelScope, clock: Clock
) -> None:
    """Cancel ``deadline`` once waiting for a connection's first answer is in vain.

    For a connection on which nothing was received before: bytes of a proxy's answer
    count as one of the peer's. Runs until it is cancelled itself; where the platform
    has no TCP_INFO, it never stops anything.
    """
    acked_since: float | None = None
    while True:
        await trio.sleep(POLL_S)
        info = connection.tcp_info()
        if info is None or info.bytes_received > 0:
            continue
        if info.retransmits >= STALL_RETRANSMITS:
            deadline.cancel()
        if not _is_acked(info):
            acked_since = None
            continue
        if acked_since is None:
            acked_since = clock.now()
        limit_s = ACKED_SILENCE_S + ACKED_SILENCE_ROUND_TRIPS * info.rtt_s
        if clock.now() - acked_since >= limit_s:
            deadline.cancel()


def _is_acked(info: TcpInfo) -> bool:
    # The SYN counts as one acknowledged byte.
    return info.unacked == 0 and info.retransmits == 0 and info.bytes_acked > 1
