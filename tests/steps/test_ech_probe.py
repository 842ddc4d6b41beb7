"""Encrypted Client Hello over a connection: read, not read, cut off, or not tried."""

import errno
import ssl
from collections.abc import Callable

import pytest
import trio
import trustme

import loopback
from ech_peer import Key, answer_to, published, record_of
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, alert, hold, reset, server_context, tcp_peer, tls
from probe.model.observation import Observation
from probe.model.step import EchProbe
from probe.net.api import TcpInfo
from probe.net.trio_network import TrioNetwork
from probe.steps.ech_probe import ECH_REJECTED, NO_KEY, NO_USABLE_KEY, ech_probe
from probe.steps.evidence import STALL_RETRANSMITS

AUTHORITY = trustme.CA()
NAME = "secret.example.org"
PUBLIC = "public.example"
HOST = "192.0.2.1"
KEY = Key(public_name=PUBLIC.encode())
OLD_KEY = Key(private=bytes(range(2, 34)), public_name=PUBLIC.encode())
SPEC = EchProbe(server_name=NAME, timeout_s=6.0)
SKIPPED = "unknown_failure: skipped"


def server(curve: str | None = None) -> ssl.SSLContext:
    context = server_context(AUTHORITY, NAME, PUBLIC)
    if curve:
        context.set_ecdh_curve(curve)
    return context


def answering(key: Key, context: ssl.SSLContext) -> loopback.Attend:
    """Answer as a server with this key does."""

    async def attend(client: trio.SocketStream) -> None:
        hello = b""
        while len(hello) < 5 or len(hello) < 5 + int.from_bytes(hello[3:5], "big"):
            hello += await client.receive_some()
        await client.send_all(answer_to(hello, key, context))
        await hold(client)

    return attend


async def real(attend: loopback.Attend, key: Key = KEY) -> Observation:
    network = TrioNetwork()
    async with tcp_peer(attend) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS, port=port)
            context.run.ech_configs[NAME] = published(key)
            return await ech_probe(context, SPEC, connection)
        finally:
            connection.close()


def written(
    *arrivals: Arrival, configs: bytes | None = published(KEY), tcp_info: TcpInfo | None = None
) -> tuple[Observation, FakeTcpConnection]:
    """Probe what is written down, in no time."""
    row = Row(HOST, arrivals=arrivals, tcp_info=tcp_info)

    async def scene() -> tuple[Observation, FakeTcpConnection]:
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        if configs is not None:
            context.run.ech_configs[NAME] = configs
        return await ech_probe(context, SPEC, connection), connection

    return play(scene)


@pytest.mark.anyio
@pytest.mark.parametrize("curve", [None, "prime256v1"], ids=["hello", "retry"])
async def test_a_server_that_has_the_key(curve: str | None) -> None:
    """It proves that it read the name, at once or in asking for another hello."""
    row = await real(answering(KEY, server(curve)))

    assert (row.step, row.failure, row.failure_detail) == ("tls", None, None)
    assert (row.ech_is_accepted, row.server_name, row.hello_profile) == (True, NAME, "ech")
    assert row.first_flight_bytes == row.sent_bytes
    assert row.received_bytes > 40
    assert row.first_byte_s is not None
    assert (row.tls_version, row.peer_certificates) == (None, ())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "attend",
    [answering(KEY, server()), tls(server(), hold), tls(server("prime256v1"), hold)],
    ids=["another key", "OpenSSL", "retry"],
)
async def test_a_server_that_did_not_read_it(attend: loopback.Attend) -> None:
    """It was reached and answered, but the name did not arrive."""
    row = await real(attend, OLD_KEY)

    assert (row.failure, row.failure_detail) == (ECH_REJECTED, None)
    assert row.ech_is_accepted is False
    assert row.received_bytes > 40


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("attend", "failure", "detail"),
    [
        (after_hello(b""), "eof_error", None),
        (after_hello(b"\x16\x03\x03"), "eof_error", None),
        (reset, "connection_reset", "ECONNRESET"),
        (after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "ssl_failed_handshake", "plain http"),
        (after_hello(b"SSH-2.0-x\r\n"), "ssl_failed_handshake", "not TLS"),
        (after_hello(alert(40)), "ssl_failed_handshake", "alert handshake_failure"),
        (after_hello(alert(112)), "ssl_invalid_hostname", "alert unrecognized_name"),
    ],
    ids=["close", "half", "reset", "http", "ssh", "alert", "unknown name"],
)
async def test_other_ends(attend: loopback.Attend, failure: str, detail: str | None) -> None:
    """The same words as for every other hello; of acceptance nothing is known."""
    row = await real(attend)

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.ech_is_accepted is None
    assert row.first_flight_bytes == row.sent_bytes


def test_the_name_is_not_sent_in_the_clear() -> None:
    """What goes out is one hello, for the public name."""
    row, connection = written()

    assert NAME.encode() not in connection.sent
    assert PUBLIC.encode() in connection.sent
    assert row.first_flight_bytes == row.sent_bytes == len(connection.sent)
    assert len(connection.sent) < 1460


def test_an_answer_in_pieces() -> None:
    """It is waited for until it is whole."""
    whole: list[bytes] = []

    def part(start: int, end: int | None) -> Callable[[bytes], bytes]:
        def reply(sent: bytes) -> bytes:
            if not whole:
                whole.append(answer_to(sent, KEY, server()))
            return whole[0][start:end]

        return reply

    row, _ = written(
        Arrival(0.2, part(0, 3)), Arrival(0.4, part(3, 60)), Arrival(0.7, part(60, None))
    )

    assert (row.failure, row.ech_is_accepted) == (None, True)
    assert row.first_byte_s == pytest.approx(0.2)
    assert row.t - row.t0 == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("configs", "detail"),
    [
        (None, NO_KEY),
        (published(Key(kem=0x0010)), NO_USABLE_KEY),
        (published(), NO_USABLE_KEY),
        (b"\0", "ECHConfigList ends within its length"),
    ],
)
def test_without_a_key_nothing_is_sent(configs: bytes | None, detail: str) -> None:
    """The row says which of the reasons it is."""
    row, connection = written(configs=configs)

    assert (row.failure, row.failure_detail) == (SKIPPED, detail)
    assert (connection.sent, row.sent_bytes, row.ech_is_accepted) == (b"", 0, None)
    assert row.t == row.t0


def test_silence_ends_at_the_deadline() -> None:
    """Where the kernel tells nothing of the connection."""
    row, _ = written()

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(6.0)
    assert (row.received_bytes, row.first_byte_s, row.ech_is_accepted) == (0, None, None)


def test_an_unacknowledged_hello_ends_on_evidence() -> None:
    """After enough retransmissions waiting longer shows nothing more."""
    row, _ = written(tcp_info=TcpInfo(0.06, STALL_RETRANSMITS, STALL_RETRANSMITS, 1, 1, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < 1
    assert (row.tcp_retransmits, row.tcp_unacked) == (STALL_RETRANSMITS, 1)


SHORT = b"\x02\0\0\x26\x03\x03" + bytes(32) + b"\x21" + bytes(3)
LONG = b"\x02\x01\0\0\x03\x03" + bytes(40)


@pytest.mark.parametrize("message", [SHORT, LONG])
def test_an_answer_that_is_no_server_hello(message: bytes) -> None:
    """It only begins like one; the detail says what is wrong with it."""
    row, _ = written(Arrival(0.1, record_of(message)))

    assert row.failure == "ssl_failed_handshake"
    assert row.failure_detail is not None
    assert row.failure_detail.startswith("a ServerHello ")
    assert row.ech_is_accepted is None


def test_an_endless_answer_ends() -> None:
    """Record after record that completes nothing is not collected for ever."""
    drops = [record_of(b"\x02\0\x0f\0\x03\x03" + bytes(40))]
    drops += [record_of(b"\0")] * 4000
    row, _ = written(*(Arrival(0.001 * i, drop) for i, drop in enumerate(drops)))

    assert row.failure == "ssl_failed_handshake"
    assert row.received_bytes < 10_000


def test_a_reset_is_a_reset() -> None:
    """Before anything arrives."""
    row, _ = written(Arrival(0.03, errno.ECONNRESET))

    assert (row.failure, row.failure_detail) == ("connection_reset", "ECONNRESET")


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        context = context_of(FakeNetwork([row]), address=HOST)
        context.run.ech_configs[NAME] = published(KEY)
        with trio.move_on_after(1) as outer:
            await ech_probe(context, SPEC, FakeTcpConnection(row))
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


def test_a_list_of_many_keys_takes_the_first() -> None:
    """And a long list is no harder than a short one."""
    keys = [Key(config_id=number % 256) for number in range(800)]
    row, connection = written(
        Arrival(0.1, lambda sent: answer_to(sent, keys[0], server())), configs=published(*keys)
    )

    assert len(published(*keys)) < 2**16
    assert (row.failure, row.ech_is_accepted) == (None, True)
    assert connection.sent_bytes == row.first_flight_bytes
