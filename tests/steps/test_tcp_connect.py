"""One connect, one observation: what it calls each outcome, and that nothing stays open."""

import errno

import pytest
import trio

from fakes import CONNECTED, SILENCE, FakeNetwork, Row, context_of, play
from loopback import ADDRESS, closed_port, hold, tcp_peer
from probe.model.observation import Observation
from probe.model.step import TcpConnect
from probe.net.api import IcmpError, TcpInfo
from probe.net.trio_network import TrioNetwork
from probe.steps.tcp_connect import SYN_BYTES, tcp_connect

HOST = "192.0.2.1"
SPEC = TcpConnect(timeout_s=3.3)


def connect(row: Row) -> tuple[Observation, bool]:
    """Connect to a written-down address; say whether the socket was closed."""
    network = FakeNetwork([row])

    async def scene() -> tuple[Observation, bool]:
        context = context_of(network, address=HOST, port=443)
        observation, connection = await tcp_connect(context, SPEC, HOST, 443)
        (opened,) = network.opened
        assert (connection is None) == opened.is_closed
        return observation, opened.is_closed

    return play(scene)


def info(total_retransmits: int) -> TcpInfo:
    return TcpInfo(0.123, 0, total_retransmits, 1, 0, 0)


def test_a_connection() -> None:
    """Time, round trip and the SYN are recorded; the caller gets the connection."""
    row, is_closed = connect(Row(HOST, 0.06, CONNECTED, tcp_info=info(0)))

    assert not is_closed
    assert row.failure is None
    assert row.t - row.t0 == pytest.approx(0.06)
    assert (row.tcp_rtt_s, row.tcp_retransmits) == (0.123, 0)
    assert (row.address, row.port, row.ip_version) == (HOST, 443, 4)
    assert (row.sent_bytes, row.received_bytes) == (SYN_BYTES, SYN_BYTES)


@pytest.mark.parametrize(
    ("number", "failure"),
    [
        (errno.ECONNREFUSED, "connection_refused"),
        (errno.EHOSTUNREACH, "host_unreachable"),
        (errno.ENETUNREACH, "network_unreachable"),
        (errno.ETIMEDOUT, "timed_out"),
        (errno.ECONNRESET, "connection_reset"),
        (errno.EACCES, "permission_denied"),
        (errno.EDOM, "unknown_failure: EDOM"),
    ],
)
def test_an_error_is_named(number: int, failure: str) -> None:
    """The failure is the table's word, the detail the errno's name."""
    row, is_closed = connect(Row(HOST, 0.06, number, tcp_info=info(2)))

    assert is_closed
    assert (row.failure, row.failure_detail) == (failure, errno.errorcode[number])
    assert row.tcp_retransmits == 2
    assert row.tcp_rtt_s is None
    assert (row.sent_bytes, row.received_bytes) == (3 * SYN_BYTES, 0)


def test_an_icmp_error_is_told_from_a_reset() -> None:
    """One errno: the columns hold what answered, if that was ICMP, and from where."""
    refused = Row(HOST, 0.06, errno.ECONNREFUSED, icmp_error=IcmpError(3, 3, "path"))
    row, _ = connect(refused)
    reset, _ = connect(Row(HOST, 0.06, errno.ECONNREFUSED))

    assert row.failure == reset.failure == "connection_refused"
    assert (row.icmp_type, row.icmp_code, row.icmp_origin) == (3, 3, "path")
    assert (reset.icmp_type, reset.icmp_code, reset.icmp_origin) == (None, None, None)


def test_a_connection_has_no_icmp_error() -> None:
    """An error on the way to success is nothing that the connect ended with."""
    row, _ = connect(Row(HOST, 0.06, CONNECTED, icmp_error=IcmpError(3, 1, "path")))

    assert (row.failure, row.icmp_type, row.icmp_code, row.icmp_origin) == (None, None, None, None)


def test_silence_ends_at_the_deadline() -> None:
    """How often the SYN was sent again is what makes a silence credible."""
    row, is_closed = connect(Row(HOST, 0, SILENCE, tcp_info=info(3)))

    assert is_closed
    assert (row.failure, row.failure_detail) == ("generic_timeout_error", None)
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
    assert row.tcp_retransmits == 3


def test_without_tcp_info_the_facts_are_null() -> None:
    """Other platforms have none."""
    row, _ = connect(Row(HOST, 0, SILENCE))

    assert (row.tcp_retransmits, row.tcp_unacked) == (None, None)


def test_cancelling_closes_and_propagates() -> None:
    """Somebody else's cancellation is not a timeout of ours."""
    network = FakeNetwork([Row(HOST, 0, SILENCE)])

    async def scene() -> bool:
        with trio.move_on_after(1) as outer:
            await tcp_connect(context_of(network, address=HOST), SPEC, HOST, 443)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
    assert network.opened[0].is_closed


@pytest.mark.anyio
async def test_real_peers() -> None:
    """A listener and a closed port of loopback."""
    network = TrioNetwork()
    context = context_of(network, address=ADDRESS)
    async with tcp_peer(hold) as port:
        row, connection = await tcp_connect(context, SPEC, ADDRESS, port)
        assert connection is not None
        connection.close()
    refused, nothing = await tcp_connect(context, SPEC, ADDRESS, closed_port())

    assert row.failure is None
    assert (refused.failure, refused.failure_detail) == ("connection_refused", "ECONNREFUSED")
    assert nothing is None
