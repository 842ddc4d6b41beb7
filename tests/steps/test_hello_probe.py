"""Hellos of our own making over a connection, and every way in which they end."""

import errno
import ssl
from collections.abc import Callable
from typing import get_args

import pytest
import trio
import trustme

import loopback
from censorlab.opening.tls import read_client_hello
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, alert, hold, reset, server_context, tcp_peer, tls
from probe.model.observation import HelloProfile, Observation
from probe.model.step import HelloProbe, TlsHandshake
from probe.net.api import TcpInfo
from probe.net.tls import TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.evidence import STALL_RETRANSMITS
from probe.steps.hello_probe import HOP_LIMIT, hello_probe
from probe.steps.tls_handshake import tls_handshake
from probe.wire.clienthello import OwnProfile

AUTHORITY = trustme.CA()
NAME = "www.example.org"
HOST = "192.0.2.1"
PROFILES: tuple[OwnProfile, ...] = get_args(OwnProfile)
STORES = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})

every_profile = pytest.mark.parametrize("profile", PROFILES)


def spec_of(profile: HelloProfile = "small", hop_limit: int | None = None) -> HelloProbe:
    return HelloProbe(server_name=NAME, profile=profile, timeout_s=6.0, hop_limit=hop_limit)


async def real(attend: loopback.Attend, spec: HelloProbe | TlsHandshake) -> Observation:
    """Say hello to a real peer of loopback."""
    network = TrioNetwork()
    async with tcp_peer(attend) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS, port=port, trust=STORES)
            if isinstance(spec, TlsHandshake):
                return (await tls_handshake(context, spec, connection))[0]
            return await hello_probe(context, spec, connection)
        finally:
            connection.close()


def written(
    *arrivals: Arrival, spec: HelloProbe | None = None, tcp_info: TcpInfo | None = None
) -> tuple[Observation, FakeTcpConnection]:
    """Say hello to what is written down, in no time."""
    row = Row(HOST, arrivals=arrivals, tcp_info=tcp_info)

    async def scene() -> tuple[Observation, FakeTcpConnection]:
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        return await hello_probe(context, spec or spec_of(), connection), connection

    return play(scene)


def tls12() -> ssl.SSLContext:
    context = server_context(AUTHORITY, NAME)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def other_group() -> ssl.SSLContext:
    context = server_context(AUTHORITY, NAME)
    context.set_ecdh_curve("prime256v1")
    return context


@pytest.mark.anyio
@every_profile
@pytest.mark.parametrize(
    "context",
    [lambda: server_context(trustme.CA(), "a.example"), tls12, other_group],
    ids=["any certificate", "TLS 1.2", "retry"],
)
async def test_a_server_that_goes_on(
    profile: OwnProfile, context: Callable[[], ssl.SSLContext]
) -> None:
    """Its ServerHello is success, whatever it would have said next."""
    row = await real(tls(context(), hold), spec_of(profile))

    assert (row.step, row.failure, row.failure_detail) == ("tls", None, None)
    assert (row.server_name, row.hello_profile, row.hop_limit) == (NAME, profile, None)
    assert row.first_flight_bytes == row.sent_bytes
    assert row.received_bytes > 40
    assert row.first_byte_s is not None
    assert row.first_byte_s <= row.t - row.t0
    assert row.bytes_acked is None or row.bytes_acked == 1 + row.sent_bytes
    assert (row.tls_version, row.peer_certificates) == (None, ())


WARNING = bytes((21, 3, 1, 0, 2, 1, 112))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("attend", "failure", "detail"),
    [
        (after_hello(b""), "eof_error", None),
        (after_hello(b"\x16\x03\x03"), "eof_error", None),
        (after_hello(WARNING), "eof_error", None),
        (reset, "connection_reset", "ECONNRESET"),
        (after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "ssl_failed_handshake", "plain http"),
        (after_hello(b"SSH-2.0-x\r\n"), "ssl_failed_handshake", "not TLS"),
        (after_hello(alert(40)), "ssl_failed_handshake", "alert handshake_failure"),
        (after_hello(alert(200)), "ssl_failed_handshake", "alert 200"),
        (after_hello(alert(112)), "ssl_invalid_hostname", "alert unrecognized_name"),
    ],
    ids=["close", "half", "warning", "reset", "http", "ssh", "alert", "number", "unknown name"],
)
async def test_other_ends(attend: loopback.Attend, failure: str, detail: str | None) -> None:
    """Each has its own word, the same as for a handshake of the TLS library's."""
    row = await real(attend, spec_of())

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.first_flight_bytes == row.sent_bytes
    assert (row.first_byte_s is None) == (row.received_bytes == 0)


@every_profile
def test_what_is_sent_is_the_hello(profile: OwnProfile) -> None:
    """Once, whole, and nothing else."""
    row, connection = written(spec=spec_of(profile))
    read = read_client_hello(connection.sent)

    assert read is not None
    assert (read.server_name, read.has_ech) == (NAME, profile == "ech")
    assert row.first_flight_bytes == row.sent_bytes == len(connection.sent)
    assert (len(connection.sent) > 1460) == (profile == "large")


def test_silence_ends_at_the_deadline() -> None:
    """Where the kernel tells nothing of the connection."""
    row, _ = written()

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(6.0)
    assert (row.received_bytes, row.first_byte_s) == (0, None)


def test_an_unacknowledged_hello_ends_on_evidence() -> None:
    """After enough retransmissions waiting longer shows nothing more."""
    row, _ = written(tcp_info=TcpInfo(0.06, STALL_RETRANSMITS, STALL_RETRANSMITS, 1, 1, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < 1
    assert (row.tcp_retransmits, row.tcp_unacked, row.bytes_acked) == (STALL_RETRANSMITS, 1, 1)
    assert (row.tcp_rtt_s, row.bytes_received) == (0.06, 0)


def test_an_answer_in_pieces() -> None:
    """It is waited for until it can be told; the first byte's time is the first piece's."""
    row, _ = written(
        Arrival(0.2, b"\x15"), Arrival(0.5, b"\x03\x03\x00\x02\x02"), Arrival(0.7, b"\x46")
    )

    assert row.failure_detail == "alert protocol_version"
    assert row.first_byte_s == pytest.approx(0.2)
    assert row.t - row.t0 == pytest.approx(0.7)


def test_a_hello_that_dies_on_the_way() -> None:
    """Its hop limit is set before it is sent, and not lifted while it may be sent again."""
    row, connection = written(Arrival(0.03, errno.EHOSTUNREACH), spec=spec_of(hop_limit=3))

    assert connection.hop_limits == [3]
    assert (row.failure, row.failure_detail) == ("host_unreachable", HOP_LIMIT)
    assert row.hop_limit == 3


def test_without_a_hop_limit_unreachable_is_unreachable() -> None:
    """And another error under a limit is that error."""
    plain, connection = written(Arrival(0.03, errno.EHOSTUNREACH))
    limited, _ = written(Arrival(0.03, errno.ECONNRESET), spec=spec_of(hop_limit=3))

    assert connection.hop_limits == []
    assert (plain.failure, plain.failure_detail) == ("host_unreachable", "EHOSTUNREACH")
    assert (limited.failure, limited.failure_detail) == ("connection_reset", "ECONNRESET")


@pytest.mark.anyio
async def test_a_hop_limit_on_a_real_connection() -> None:
    """Loopback is no router, so one hop is far enough."""
    row = await real(tls(server_context(AUTHORITY, NAME), hold), spec_of(hop_limit=1))

    assert (row.failure, row.hop_limit) == (None, 1)


@pytest.mark.parametrize("profile", ["default", "tls12"])
def test_the_library_s_own_forms_are_not_ours_to_send(profile: HelloProfile) -> None:
    """A plan that asks for them has a bug."""
    with pytest.raises(ValueError, match=profile):
        written(spec=spec_of(profile))


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        context = context_of(FakeNetwork([row]), address=HOST)
        with trio.move_on_after(1) as outer:
            await hello_probe(context, spec_of(), FakeTcpConnection(row))
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


@pytest.mark.anyio
async def test_the_library_s_forms() -> None:
    """A handshake says which form it sent and when the first byte came."""
    for profile, version in (("default", "TLSv1.3"), ("tls12", "TLSv1.2")):
        spec = TlsHandshake(server_name=NAME, alpn=(), trust="ours", timeout_s=6.0, profile=profile)
        row = await real(tls(server_context(AUTHORITY, NAME), hold), spec)

        assert (row.failure, row.tls_version, row.hello_profile) == (None, version, profile)
        assert row.first_byte_s is not None
        assert 0 <= row.first_byte_s <= row.t - row.t0
