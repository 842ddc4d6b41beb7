"""Two bytes a packet: which limits end it, and that nothing complete is ever sent."""

import errno
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import loopback
from censorlab.rules import FreezePackets, Rule
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import World
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, hold, reset, tcp_peer
from probe.model.observation import Observation
from probe.model.step import TinyWrites
from probe.net.api import TcpInfo
from probe.net.trio_network import TrioNetwork
from probe.steps.tiny_writes import (
    MAX_BYTES,
    MAX_IN_FLIGHT,
    NO_TCP_INFO,
    OUT_OF_TIME,
    STALLED,
    payload,
    tiny_writes,
)

HOST = "192.0.2.1"
WRITES = 40
SPEC = TinyWrites(writes=WRITES, timeout_s=6.0)
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="needs TCP_INFO")


class Line:
    """A peer that acknowledges each packet after a delay, and only so many of them.

    The packet after those is sent again at 0.2, 0.6, 1.4 s. ``lost`` says how many
    packets have been lost before.
    """

    def __init__(self, delay_s: float, passing: int = 1000, lost: int = 0) -> None:
        self.delay_s, self.passing, self.lost = delay_s, passing, lost
        self.most_in_flight = 0

    def __call__(self, connection: FakeTcpConnection) -> TcpInfo:
        now = trio.current_time()
        times = connection.sent_times
        arrived = sum(now - at >= self.delay_s for at in times[: self.passing])
        in_flight = len(times) - arrived
        self.most_in_flight = max(self.most_in_flight, in_flight)
        waited = now - times[self.passing] if len(times) > self.passing else 0.0
        retransmits = sum(waited >= at for at in (0.2, 0.6, 1.4, 3.0))
        lost = self.lost if times else 0
        return TcpInfo(self.delay_s, retransmits, retransmits + lost, in_flight, 1 + 2 * arrived, 0)


def write(
    line: Line | None, *arrivals: Arrival, port: int = 443, spec: TinyWrites = SPEC
) -> tuple[Observation, FakeTcpConnection]:
    """Write to what is written down, in no time."""
    written = Row(HOST, arrivals=arrivals, tcp_info=line)

    async def scene() -> tuple[Observation, FakeTcpConnection]:
        connection = FakeTcpConnection(written)
        context = context_of(FakeNetwork([written]), address=HOST, port=port)
        return await tiny_writes(context, spec, connection), connection

    row, connection = play(scene)
    assert row.step == "writes"
    assert len(connection.sent) == 2 * len(connection.sent_times) == row.sent_bytes
    return row, connection


@pytest.mark.parametrize("delay_s", [0.001, 0.06, 0.6])
def test_all_are_acknowledged(delay_s: float) -> None:
    """On a line of any delay, with few enough in flight that each is a packet."""
    line = Line(delay_s)
    row, connection = write(line)

    assert (row.failure, row.failure_detail) == (None, None)
    assert (row.sent_bytes, row.bytes_acked, row.tcp_unacked) == (2 * WRITES, 2 * WRITES + 1, 0)
    assert len(connection.sent_times) == WRITES
    assert line.most_in_flight <= MAX_IN_FLIGHT


@pytest.mark.parametrize("delay_s", [0.001, 0.06, 0.6])
@pytest.mark.parametrize("passing", [0, 11, WRITES - 1])
def test_a_stall(delay_s: float, passing: int) -> None:
    """What passed is acknowledged; the rest was sent often enough, and no more is."""
    row, _ = write(Line(delay_s, passing))

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", STALLED)
    assert row.bytes_acked == 1 + 2 * passing
    assert row.tcp_retransmits == 3
    assert row.tcp_unacked
    assert 2 * passing < row.sent_bytes <= 2 * (passing + MAX_IN_FLIGHT)
    assert row.t - row.t0 < SPEC.timeout_s


def test_a_line_too_slow_is_no_stall() -> None:
    """Nothing was sent in vain: the time ran out."""
    row, _ = write(Line(3.5))

    assert (row.failure, row.failure_detail) == ("generic_timeout_error", OUT_OF_TIME)
    assert row.tcp_retransmits == 0
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)


def test_after_a_loss_each_packet_is_waited_for() -> None:
    """A kernel that has lost something may join what it holds back."""
    line = Line(0.12, lost=1)
    row, _ = write(line)

    assert row.failure is None
    assert line.most_in_flight == 1


@pytest.mark.parametrize(
    ("what", "failure", "detail"),
    [
        (b"", "eof_error", None),
        (errno.ECONNRESET, "connection_reset", "ECONNRESET"),
        (errno.EHOSTUNREACH, "host_unreachable", "EHOSTUNREACH"),
    ],
)
def test_the_connection_ends(what: bytes | int, failure: str, detail: str | None) -> None:
    """A server that closes on such a beginning is not silent: its own word, at once."""
    row, _ = write(Line(0.06, 5), Arrival(0.03, what))

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.sent_bytes == 2
    assert row.received_bytes == 0


def test_what_the_server_says_is_counted_only() -> None:
    """An answer, even a long one, changes nothing."""
    row, _ = write(Line(0.001), Arrival(0.0, b"x" * 1000), Arrival(0.01, b"y" * 1000))

    assert row.failure is None
    assert row.received_bytes == 2000
    assert row.first_byte_s is not None


def test_without_tcp_info_nothing_is_sent() -> None:
    """Whether anything was acknowledged could not be known."""
    row, connection = write(None)

    assert (row.failure, row.failure_detail) == ("unknown_failure: skipped", NO_TCP_INFO)
    assert connection.sent == b""


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST, tcp_info=Line(0.06))
        context = context_of(FakeNetwork([row]), address=HOST)
        with trio.move_on_after(1) as outer:
            await tiny_writes(context, SPEC, FakeTcpConnection(row))
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


@given(st.integers(0, MAX_BYTES), st.sampled_from([None, 80, 443, 5222]))
def test_nothing_complete_is_sent(length: int, port: int | None) -> None:
    """Neither a header line nor a record: a server has nothing to act upon."""
    data = payload(port, length)

    assert len(data) == length
    if port == 80:
        assert data.startswith(b"GET / HTTP/1.1\r\nAccept: "[:length])
        assert data.count(b"\r\n") <= 1
    elif length >= 9:
        assert data[:3] == b"\x16\x03\x01"
        assert int.from_bytes(data[3:5]) == int.from_bytes(data[6:9]) + 4 > length


def test_the_hello_ends_where_it_says() -> None:
    """Its lengths agree, so that a parser waits, and does not complain: a name is far."""
    data = payload(443, MAX_BYTES)
    body = int.from_bytes(data[6:9])
    suites = int.from_bytes(data[76:78])

    assert (data[5], data[43]) == (1, 32)
    assert set(data[78::2]) == {0x13}
    assert 69 + suites < body
    assert 78 + suites > MAX_BYTES


def test_more_than_a_record_is_a_mistake_of_ours() -> None:
    """The plan says how many; it is not the network's doing."""
    with pytest.raises(ValueError, match="4098 bytes"):
        payload(443, MAX_BYTES + 2)


async def real(attend: loopback.Attend) -> Observation:
    network = TrioNetwork()
    async with tcp_peer(attend) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS, port=port)
            return await tiny_writes(context, SPEC, connection)
        finally:
            connection.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_a_real_peer_that_reads() -> None:
    """The kernel's counters agree with ours."""
    row = await real(hold)

    assert row.failure is None
    assert (row.sent_bytes, row.bytes_acked, row.tcp_unacked) == (2 * WRITES, 2 * WRITES + 1, 0)


@LINUX_ONLY
@pytest.mark.anyio
@pytest.mark.parametrize(
    ("attend", "failure"), [(after_hello(b""), "eof_error"), (reset, "connection_reset")]
)
async def test_a_real_peer_that_ends_it(attend: loopback.Attend, failure: str) -> None:
    """Closed or reset after the first bytes."""
    assert (await real(attend)).failure == failure


HERE = Path(__file__).parent
SERVER = HERE.parent / "censorlab" / "kernel" / "plain_server.py"
SILENT = 4443
TOWN = {"client": ("10.77.0.2", "fd77::2"), "server": ("198.51.100.1",)}
CLIENT = """
import json, sys, trio
sys.path.insert(0, sys.argv[1])
import msgspec
from fakes import context_of
from probe.model.step import TcpConnect, TinyWrites
from probe.net.trio_network import TrioNetwork
from probe.steps.tcp_connect import tcp_connect
from probe.steps.tiny_writes import tiny_writes

async def main():
    context = context_of(TrioNetwork(), address="198.51.100.1", port=4443)
    _, connection = await tcp_connect(context, TcpConnect(timeout_s=5), "198.51.100.1", 4443)
    row = await tiny_writes(context, TinyWrites(writes=40, timeout_s=20), connection)
    connection.close()
    print(json.dumps(msgspec.to_builtins(row)))

trio.run(main)
"""


def behind(*rules: Rule) -> dict[str, Any]:
    """Write through a middlebox to a server that only reads."""
    try:
        with World(TOWN) as world:
            server = world.start("server", [sys.executable, str(SERVER), "server", "198.51.100.1"])
            world.await_listening(server, [("tcp", SILENT)])
            world.apply(rules)
            done = world.run(
                "client",
                [sys.executable, "-W", "error", "-c", CLIENT, str(HERE.parent)],
                timeout_s=60,
            )
            sent = world.counts().up_in
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found | {"packets": sent}


@pytest.mark.netns
def test_a_limit_of_packets() -> None:
    """A censor of 25 packets stalls the writes where its packets end."""
    row = behind(FreezePackets(packets=25))

    assert (row["failure"], row["failure_detail"]) == ("generic_timeout_error", STALLED)
    # Three packets were the handshake's, and of the 22 at most every second is an
    # acknowledgement.
    assert 1 + 2 * 11 <= row["bytes_acked"] <= 1 + 2 * 22
    assert row["bytes_acked"] < row["sent_bytes"] + 1
    assert row["tcp_retransmits"] >= 3


@pytest.mark.netns
def test_no_limit_of_packets() -> None:
    """Nothing in the way: all pass, each in a packet of its own."""
    row = behind()

    assert (row["failure"], row["bytes_acked"]) == (None, 2 * WRITES + 1)
    # SYN, its acknowledgement, and the end of the connection.
    assert row["packets"] >= WRITES + 2
