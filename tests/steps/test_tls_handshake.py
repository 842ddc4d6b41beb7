"""The handshake's facts, whatever its outcome."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import trio
import trustme

import loopback
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, alert, hold, reset, server_context, tcp_peer, tls
from probe.model.observation import HelloSplit, Observation
from probe.model.step import TlsHandshake, TlsProfile
from probe.net.api import TcpInfo
from probe.net.browser_hello import MISSING
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.evidence import STALL_RETRANSMITS
from probe.steps.tls_handshake import tls_handshake

AUTHORITY = trustme.CA()
NAME = "www.example.org"
STORES = TrustStores({"ours": [AUTHORITY.cert_pem.bytes().decode()]})
SPEC = TlsHandshake(server_name=NAME, alpn=("http/1.1",), trust="ours", timeout_s=6.0)
HOST = "192.0.2.1"


async def real(
    attend: loopback.Attend, spec: TlsHandshake = SPEC
) -> tuple[Observation, TlsStream | None]:
    """Shake hands with a real peer of loopback."""
    network = TrioNetwork()
    async with tcp_peer(attend) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS, port=port, trust=STORES)
            return await tls_handshake(context, spec, connection)
        finally:
            connection.close()


def written(*arrivals: Arrival, tcp_info: TcpInfo | None = None) -> Observation:
    """Shake hands with what is written down, in no time."""
    row = Row(HOST, arrivals=arrivals, tcp_info=tcp_info)

    async def scene() -> Observation:
        context = context_of(FakeNetwork([row]), address=HOST, trust=STORES)
        observation, stream = await tls_handshake(context, SPEC, FakeTcpConnection(row))
        assert (stream is None) == (observation.failure is not None)
        return observation

    return play(scene)


@pytest.mark.anyio
async def test_a_verified_handshake() -> None:
    """All facts are there and the stream goes on."""
    row, stream = await real(tls(server_context(AUTHORITY, NAME, alpn=("http/1.1",)), hold))

    assert stream is not None
    assert (row.failure, row.verify_code, row.server_name) == (None, None, NAME)
    assert (row.tls_version, row.alpn) == ("TLSv1.3", "http/1.1")
    assert row.peer_certificates[0].subject_alt_names == (NAME,)
    assert row.first_flight_bytes is not None
    assert 0 < row.first_flight_bytes < row.sent_bytes
    assert row.received_bytes > 500
    assert row.bytes_acked is None or row.bytes_acked > row.first_flight_bytes


YESTERDAY = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("context", "failure", "code"),
    [
        (lambda: server_context(AUTHORITY, "a.example"), "ssl_invalid_hostname", 62),
        (lambda: server_context(trustme.CA(), NAME), "ssl_unknown_authority", 20),
        (
            lambda: server_context(
                AUTHORITY,
                NAME,
                not_before=YESTERDAY,
                not_after=YESTERDAY + timedelta(days=1),
            ),
            "ssl_invalid_certificate",
            10,
        ),
    ],
    ids=["name", "authority", "expired"],
)
async def test_a_certificate_that_does_not_verify(
    context: Callable[[], object], failure: str, code: int
) -> None:
    """Failure, code and the presented certificate; no stream to go on with."""
    row, stream = await real(tls(context(), hold))  # type: ignore[arg-type] # a server's context

    assert stream is None
    assert (row.failure, row.verify_code) == (failure, code)
    assert len(row.peer_certificates) == 1
    assert row.tls_version is None


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("attend", "failure", "detail"),
    [
        (after_hello(b""), "eof_error", None),
        (reset, "connection_reset", "ECONNRESET"),
        (after_hello(b"HTTP/1.1 400\r\n\r\n"), "ssl_failed_handshake", "WRONG_VERSION_NUMBER"),
        (after_hello(alert(40)), "ssl_failed_handshake", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
        (after_hello(alert(112)), "ssl_invalid_hostname", "TLSV1_UNRECOGNIZED_NAME"),
    ],
    ids=["close", "reset", "http", "alert", "unknown name"],
)
async def test_a_handshake_cut_off(
    attend: loopback.Attend, failure: str, detail: str | None
) -> None:
    """Each end has its own word; the hello's length is known, no certificate was seen."""
    row, _ = await real(attend)

    assert (row.failure, row.failure_detail) == (failure, detail)
    assert row.first_flight_bytes
    assert (row.peer_certificates, row.verify_code) == ((), None)


def test_silence_ends_at_the_deadline() -> None:
    """Where the kernel tells nothing of the connection."""
    row = written()

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
    assert row.sent_bytes == row.first_flight_bytes


def test_an_acknowledged_hello_without_an_answer_ends_on_evidence() -> None:
    """Its counters tell it from one that was never acknowledged."""
    row = written(tcp_info=TcpInfo(0.06, 0, 0, 0, 518, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < SPEC.timeout_s / 2
    assert (row.bytes_acked, row.bytes_received) == (518, 0)


def test_an_unacknowledged_hello_ends_on_evidence() -> None:
    """After enough retransmissions waiting longer shows nothing more."""
    row = written(tcp_info=TcpInfo(0.06, STALL_RETRANSMITS, STALL_RETRANSMITS, 1, 1, 0))

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 < 1
    assert (row.tcp_retransmits, row.tcp_unacked, row.bytes_acked) == (STALL_RETRANSMITS, 1, 1)


def test_a_peer_that_has_spoken_is_waited_for() -> None:
    """Retransmissions after an answer are loss, not silence."""
    row = written(
        Arrival(0.1, b"\x16\x03\x03"), tcp_info=TcpInfo(0.06, STALL_RETRANSMITS, 4, 1, 518, 3)
    )

    assert row.failure == "generic_timeout_error"
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
    assert row.received_bytes == 3


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        context = context_of(FakeNetwork([row]), address=HOST, trust=STORES)
        with trio.move_on_after(1) as outer:
            await tls_handshake(context, SPEC, FakeTcpConnection(row))
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


@pytest.mark.anyio
@pytest.mark.parametrize("profile", ["default", "tls12", "chrome", "firefox", "safari"])
@pytest.mark.parametrize("split", ["segments", "records"])
async def test_forms_of_hello_are_recorded(profile: TlsProfile, split: HelloSplit) -> None:
    """Profile, split and size; what comes after is as ever."""
    if profile not in ("default", "tls12"):
        pytest.importorskip("utls")
    spec = msgspec.structs.replace(SPEC, profile=profile, split=split)
    row, stream = await real(tls(server_context(AUTHORITY, NAME, alpn=("http/1.1",)), hold), spec)

    assert stream is not None
    assert (row.failure, row.hello_profile, row.hello_split) == (None, profile, split)
    assert (row.alpn, row.peer_certificates[0].subject_alt_names) == ("http/1.1", (NAME,))
    assert row.first_flight_bytes is not None
    assert 0 < row.first_flight_bytes < row.sent_bytes


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("attend", "failure", "code"),
    [
        (tls(server_context(AUTHORITY, "a.example"), hold), "ssl_invalid_hostname", 62),
        (tls(server_context(trustme.CA(), NAME), hold), "ssl_unknown_authority", 20),
        (after_hello(b"HTTP/1.1 400\r\n\r\n"), "ssl_failed_handshake", None),
        (after_hello(alert(40)), "ssl_failed_handshake", None),
        (after_hello(alert(112)), "ssl_invalid_hostname", None),
        (after_hello(b""), "eof_error", None),
        (reset, "connection_reset", None),
    ],
    ids=["name", "authority", "http", "alert", "unknown name", "close", "reset"],
)
async def test_a_browsers_profile_has_the_same_words(
    attend: loopback.Attend, failure: str, code: int | None
) -> None:
    """One end, one failure, whichever library shook hands."""
    pytest.importorskip("utls")
    for profile in ("default", "chrome"):
        row, stream = await real(attend, msgspec.structs.replace(SPEC, profile=profile))
        assert stream is None
        assert (row.failure, row.verify_code) == (failure, code)
        assert len(row.peer_certificates) == (1 if code else 0)


def test_without_the_library_the_step_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The observation names the extra, and nothing was sent."""
    monkeypatch.setitem(sys.modules, "utls", None)
    row = Row(HOST)
    connection = FakeTcpConnection(row)

    async def scene() -> Observation:
        context = context_of(FakeNetwork([row]), address=HOST, trust=STORES)
        spec = msgspec.structs.replace(SPEC, profile="chrome", split="records")
        observation, stream = await tls_handshake(context, spec, connection)
        assert stream is None
        return observation

    found = play(scene)
    assert (found.failure, found.failure_detail) == ("unknown_failure: skipped", MISSING)
    assert (found.hello_profile, found.hello_split) == ("chrome", "records")
    assert connection.sent_bytes == 0
