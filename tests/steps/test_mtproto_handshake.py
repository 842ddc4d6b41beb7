"""The handshake's facts, in every transport and whatever its outcome."""

import errno
import re
import sys
from collections.abc import Callable, Iterator
from typing import get_args

import pytest
import trio
import trustme

import loopback
from censorlab.servers.data_centre import RefusedError, Session
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from foreign_centre import ForeignCentre, websocket_centre
from key_holder import KeyHolder, private_key
from loopback import after_hello, alert, hold, reset, tcp_peer
from probe.model import failure as failures
from probe.model.observation import MtprotoTransport, Observation
from probe.model.step import MtprotoHandshake
from probe.net.api import ByteStream, TcpInfo
from probe.net.tls import HandshakeError, TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.evidence import STALL_RETRANSMITS
from probe.steps.mtproto_handshake import mtproto_handshake
from probe.wire.mtproto.public_key import PublicKeyError

TRANSPORTS: tuple[MtprotoTransport, ...] = get_args(MtprotoTransport)
HOST = "192.0.2.1"
TIMEOUT_S = 6.0
SERVER_NONCE = b"s" * 16


def spec(
    transport: MtprotoTransport,
    timeout_s: float = TIMEOUT_S,
    path: str = "",
    public_keys: tuple[str, ...] = (),
) -> MtprotoHandshake:
    return MtprotoHandshake(
        transport=transport, dc_id=2, timeout_s=timeout_s, path=path, public_keys=public_keys
    )


def data_centre(*, ahead_s: float = 0.0) -> loopback.Attend:
    """Serve what the lab's data centre answers, with a clock of its own."""

    async def attend(client: trio.abc.Stream) -> None:
        peer = Session()
        try:
            async for data in client:
                now = TrioNetwork().wall_clock().timestamp() + ahead_s
                # Split, so that no read holds a whole frame by luck.
                for byte in peer.receive(bytes(data), now, SERVER_NONCE):
                    await client.send_all(bytes((byte,)))
        except (RefusedError, trio.BrokenResourceError):
            return

    return attend


async def shaken(port: int, spec: MtprotoHandshake, tls: TrustStores | None = None) -> Observation:
    """Shake hands with what listens on a port of loopback."""
    network = TrioNetwork()
    connection = network.open_tcp(loopback.ADDRESS, port)
    try:
        await connection.connect()
        stream: ByteStream = connection
        if tls:
            stream = TlsStream(connection, tls.context("lab", ("http/1.1",)), "a.example")
            await stream.handshake()
        context = context_of(network, address=loopback.ADDRESS, port=port)
        row, session = await mtproto_handshake(context, spec, stream, connection)
        assert (session is None) == (row.failure is not None)
        return row
    finally:
        connection.close()


async def real(
    attend: loopback.Attend, transport: MtprotoTransport, timeout_s: float = TIMEOUT_S
) -> Observation:
    """Shake hands with a real peer of loopback."""
    async with tcp_peer(attend) as port:
        return await shaken(port, spec(transport, timeout_s))


def written(
    *arrivals: Arrival, transport: MtprotoTransport = "padded", tcp_info: TcpInfo | None = None
) -> Observation:
    """Shake hands with what is written down, in no time."""
    row = Row(HOST, arrivals=arrivals, tcp_info=tcp_info)

    async def scene() -> Observation:
        context = context_of(FakeNetwork([row]), address=HOST)
        connection = FakeTcpConnection(row)
        found, _ = await mtproto_handshake(context, spec(transport), connection, connection)
        return found

    return play(scene)


def res_pq(now: float) -> Callable[[bytes], bytes]:
    return lambda sent: Session().receive(sent, now, SERVER_NONCE)


@pytest.mark.anyio
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_verified_answer_of_a_real_peer(transport: MtprotoTransport) -> None:
    """All facts are there, in every transport."""
    row = await real(data_centre(), transport)

    assert (row.step, row.failure, row.failure_detail) == ("mtproto", None, None)
    assert row.mtproto_transport == transport
    assert row.clock_offset_s is not None
    assert abs(row.clock_offset_s) <= 2
    assert row.sent_bytes >= 41
    assert row.received_bytes >= 101
    assert row.first_byte_s is not None
    assert 0 <= row.first_byte_s <= row.t - row.t0 + 1e-6
    assert row.bytes_acked is None or row.bytes_acked > row.sent_bytes
    assert row.tls_version is None


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["http", "websocket"])
async def test_the_same_through_tls(transport: MtprotoTransport) -> None:
    """The time to the first byte is that of the answer, not of the session's tickets."""
    authority = trustme.CA()
    stores = TrustStores({"lab": (authority.cert_pem.bytes().decode(),)})
    server = loopback.server_context(authority, "a.example", alpn=("http/1.1",))
    async with tcp_peer(loopback.tls(server, data_centre())) as port:
        row = await shaken(port, spec(transport), stores)

    assert (row.step, row.failure, row.mtproto_transport) == ("mtproto", None, transport)
    assert row.first_byte_s is not None
    assert 0 < row.first_byte_s <= row.t - row.t0 + 1e-6
    assert row.sent_bytes > 100


def foreign(client_of: ForeignCentre) -> loopback.Attend:
    async def attend(client: trio.SocketStream) -> None:
        async for data in client:
            await client.send_all(client_of.receive(bytes(data)))

    return attend


HOLDER = KeyHolder(private_key("own"))


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["abridged", "intermediate", "padded", "full", "http"])
async def test_a_service_of_its_own(transport: MtprotoTransport) -> None:
    """PyPI's mtproto and Telethon: its key is known to who names it, and to nobody else."""
    for keys, failure in (((HOLDER.pem(),), None), ((), "unknown_failure: mtproto_unknown_keys")):
        async with tcp_peer(foreign(ForeignCentre(HOLDER))) as port:
            row = await shaken(port, spec(transport, public_keys=keys))
        assert row.failure == failure


def test_a_text_that_is_no_key_is_an_error() -> None:
    """Of the target list: nothing is sent."""

    async def scene() -> None:
        row = Row(HOST)
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        with pytest.raises(PublicKeyError):
            await mtproto_handshake(
                context, spec("padded", public_keys=("?",)), connection, connection
            )
        assert connection.sent_bytes == 0

    play(scene)


class BrokenTls:
    """A stream below which a record is not what TLS sent."""

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self) -> bytes:
        await trio.lowlevel.checkpoint()
        raise HandshakeError("BAD_RECORD_MAC")


def test_tls_that_breaks_is_not_mtproto_that_breaks() -> None:
    async def scene() -> Observation:
        row = Row(HOST)
        context = context_of(FakeNetwork([row]), address=HOST)
        found, session = await mtproto_handshake(
            context, spec("http"), BrokenTls(), FakeTcpConnection(row)
        )
        assert session is None
        return found

    row = play(scene)
    assert (row.failure, row.failure_detail) == ("ssl_failed_handshake", "BAD_RECORD_MAC")


@pytest.mark.parametrize(
    ("address", "host", "header"),
    [
        (HOST, "", "192.0.2.1"),
        ("2001:db8::1", "", "[2001:db8::1]"),
        (HOST, "2001:db8::2", "[2001:db8::2]"),
        (HOST, "a.example", "a.example"),
    ],
)
@pytest.mark.parametrize("transport", ["http", "websocket"])
def test_the_host_is_the_endpoints(
    transport: MtprotoTransport, address: str, host: str, header: str
) -> None:
    """Its name, or its address as a header has it."""

    async def scene() -> bytes:
        row = Row(address)
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=address)
        asked = MtprotoHandshake(transport=transport, dc_id=2, timeout_s=1, host=host)
        await mtproto_handshake(context, asked, connection, connection)
        return connection.sent

    assert f"\r\nHost: {header}\r\n".encode() in play(scene)


@pytest.fixture(scope="module")
def websocket_port() -> Iterator[int]:
    with websocket_centre(HOLDER) as port:
        yield port


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "failure", "detail"),
    [
        ("", None, None),
        ("/apiws", None, None),
        ("/elsewhere", "unknown_failure: mtproto_websocket_refused", "http 302"),
        ("/nowhere", "unknown_failure: mtproto_websocket_refused", "http 404"),
        ("/without", "unknown_failure: mtproto_websocket_wrong_subprotocol", "none"),
    ],
)
async def test_a_websocket_of_aiohttp(
    websocket_port: int, path: str, failure: str | None, detail: str | None
) -> None:
    """Each way to end has its own outcome."""
    row = await shaken(websocket_port, spec("websocket", path=path, public_keys=(HOLDER.pem(),)))

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.clock_offset_s is None or failure is None


@pytest.mark.anyio
async def test_the_clock_of_the_peer() -> None:
    """Ours is behind: the offset is positive."""
    row = await real(data_centre(ahead_s=3600), "padded")

    assert row.clock_offset_s == pytest.approx(3600, abs=2)


@pytest.mark.parametrize("ahead_s", [0.0, 0.4, -0.4])
def test_the_offset_is_in_whole_seconds(ahead_s: float) -> None:
    """Its fraction would tell when the run began, to the millisecond."""
    now = FakeNetwork().wall_clock().timestamp()
    row = written(Arrival(0.06, res_pq(now + ahead_s)), transport="full")

    assert row.failure is None
    assert row.clock_offset_s in {0.0, -1.0}
    assert row.first_byte_s == pytest.approx(0.06)


@pytest.mark.anyio
@pytest.mark.parametrize("transport", ["abridged", "obfuscated"])
@pytest.mark.parametrize(
    ("attend", "failure", "detail"),
    [
        (after_hello(b""), "eof_error", None),
        (after_hello(b"\x64"), "eof_error", None),
        (reset, "connection_reset", "ECONNRESET"),
        (after_hello(b"HTTP/1.1 400 Bad\r\n\r\n"), "unknown_failure: not_mtproto", "http"),
        (after_hello(alert(40)), "unknown_failure: not_mtproto", "tls"),
    ],
    ids=["close", "close within", "reset", "http", "tls"],
)
async def test_a_handshake_cut_off(
    transport: MtprotoTransport, attend: loopback.Attend, failure: str, detail: str | None
) -> None:
    """Each end has its own word; there is no time of the peer's."""
    row = await real(attend, transport)

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.clock_offset_s is None
    assert row.sent_bytes > 0


def code(number: int) -> bytes:
    return b"\x04\x00\x00\x00" + (-number).to_bytes(4, "little", signed=True)


def other_nonce(sent: bytes) -> bytes:
    """Answer another request than the one sent."""
    good = bytearray(res_pq(0.0)(sent))
    good[28] ^= 1
    return bytes(good)


@pytest.mark.parametrize(
    ("what", "failure"),
    [
        (code(404), "unknown_failure: mtproto_error_404"),
        (code(429), "unknown_failure: mtproto_error_429"),
        (code(444), "unknown_failure: mtproto_error_444"),
        (other_nonce, "unknown_failure: mtproto_wrong_nonce"),
        (b"\xff\xff\xff\x7f", "unknown_failure: mtproto_frame_too_long"),
        (b"SSH-2.0-OpenSSH_9", "unknown_failure: not_mtproto"),
    ],
)
def test_a_wrong_answer(what: bytes | Callable[[bytes], bytes], failure: str) -> None:
    """Its word can be stored, and nothing is waited for."""
    row = written(Arrival(0.06, what))

    assert row.failure == failure
    assert re.match(failures.PATTERN, failure)
    assert row.clock_offset_s is None
    assert row.t - row.t0 == pytest.approx(0.06)


def test_silence_ends_at_the_deadline() -> None:
    """Where the kernel tells nothing."""
    row = written()

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(TIMEOUT_S)
    assert (row.first_byte_s, row.received_bytes, row.tcp_rtt_s) == (None, 0, None)


def test_an_acknowledged_request_without_an_answer_ends_on_evidence() -> None:
    row = written(tcp_info=TcpInfo(0.06, 0, 0, 0, 200, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < TIMEOUT_S / 2
    assert (row.tcp_rtt_s, row.tcp_retransmits, row.tcp_unacked) == (0.06, 0, 0)
    assert (row.bytes_acked, row.bytes_received) == (200, 0)


@pytest.mark.anyio
@pytest.mark.skipif(sys.platform != "linux", reason="TCP_INFO is read on Linux only")
async def test_a_silent_real_peer_ends_on_evidence() -> None:
    """The kernel's counters do say that it has the request, and nothing else ends this."""
    row = await real(hold, "obfuscated", timeout_s=600)

    assert row.failure == "generic_timeout_error"
    assert (row.tcp_unacked, row.bytes_received) == (0, 0)
    assert row.bytes_acked == row.sent_bytes + 1


def test_an_unacknowledged_request_ends_on_evidence() -> None:
    row = written(tcp_info=TcpInfo(0.06, STALL_RETRANSMITS, STALL_RETRANSMITS, 1, 1, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < 1


def test_half_an_answer_is_waited_for() -> None:
    """A peer that has spoken may go on; the deadline ends it."""
    info = TcpInfo(0.06, 0, 0, 0, 200, 8)
    row = written(Arrival(0.06, b"\x64\x00\x00\x00" + bytes(4)), tcp_info=info)

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(TIMEOUT_S)
    assert row.received_bytes == 8


def test_a_reset_while_waiting() -> None:
    row = written(Arrival(0.3, errno.ECONNRESET))

    assert (row.failure, row.failure_detail) == ("connection_reset", "ECONNRESET")
    assert row.t - row.t0 == pytest.approx(0.3)


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        context = context_of(FakeNetwork([row]), address=HOST)
        with trio.move_on_after(1) as outer:
            connection = FakeTcpConnection(row)
            await mtproto_handshake(context, spec("padded"), connection, connection)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)
