"""When a wait for a first answer is given up: on the kernel's word, never on a guess."""

from collections.abc import Callable
from typing import Any, cast

import pytest
import trio

from fakes import FakeNetwork, play
from probe.net.api import TcpConnection, TcpInfo
from probe.steps.evidence import ACKED_SILENCE_S, POLL_S, STALL_RETRANSMITS, stop_on_silence

LIMIT_S = 30.0
RTT_S = 0.06
QUIET = TcpInfo(RTT_S, 0, 0, 0, 518, 0)
IN_VAIN = ACKED_SILENCE_S + 5 * RTT_S

Kernel = Callable[[float], TcpInfo | None]


class Counters:
    """A connection of which only the counters are asked; they depend on the time."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    def tcp_info(self) -> TcpInfo | None:
        return self._kernel(trio.current_time() - self._start)

    async def wait(self) -> float:
        """Return how long the wait was."""
        self._start = trio.current_time()
        connection = cast("TcpConnection", self)
        with trio.move_on_after(LIMIT_S) as deadline:
            await stop_on_silence(connection, deadline, FakeNetwork())
        return trio.current_time() - self._start


def waited(kernel: Kernel) -> float:
    return play(Counters(kernel).wait)


def info(**counters: Any) -> TcpInfo:
    return QUIET._replace(**counters)


def test_acknowledged_and_silent() -> None:
    """Ends so long after the acknowledgement was seen, at the next look."""
    assert waited(lambda _: QUIET) == pytest.approx(IN_VAIN, abs=2 * POLL_S)
    assert waited(lambda _: QUIET) >= IN_VAIN


def test_a_long_way_is_given_more_time() -> None:
    """Five round trips of it."""
    assert waited(lambda _: info(rtt_s=1.0)) >= ACKED_SILENCE_S + 5


def test_the_silence_counts_from_the_acknowledgement() -> None:
    """Not from the start of the wait, nor across a retransmission."""
    unacked = info(unacked=1, bytes_acked=1)
    assert waited(lambda t: unacked if t < 3 else QUIET) >= 3 + IN_VAIN
    between = info(unacked=1)
    assert waited(lambda t: between if 1 < t < 1.5 else QUIET) >= 1.5 + IN_VAIN


def test_unacknowledged_after_enough_retransmissions() -> None:
    """As soon as the counter says so."""
    stalled = info(unacked=1, bytes_acked=1, retransmits=STALL_RETRANSMITS)
    fresh = info(unacked=1, bytes_acked=1)
    assert waited(lambda t: stalled if t > 1.7 else fresh) == pytest.approx(1.8, abs=POLL_S)


@pytest.mark.parametrize(
    "counters",
    [
        None,
        info(unacked=1, bytes_acked=1, retransmits=STALL_RETRANSMITS - 1),
        info(unacked=1),
        info(bytes_acked=1),
        info(retransmits=1),
        info(bytes_received=1),
        info(bytes_received=1, retransmits=STALL_RETRANSMITS),
    ],
    ids=["no counters", "resent", "in flight", "unsent", "being resent", "spoke", "spoke, lost"],
)
def test_what_is_no_evidence(counters: TcpInfo | None) -> None:
    """The deadline alone ends it."""
    assert waited(lambda _: counters) == LIMIT_S
