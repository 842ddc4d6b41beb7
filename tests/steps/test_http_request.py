"""A page, or what of it arrived."""

import errno

import pytest
import trio
import trustme

import loopback
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, server_context, tcp_peer, tls
from probe.model.observation import Observation
from probe.model.step import HttpRequest
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.http_request import http_request

HOST = "192.0.2.1"
SPEC = HttpRequest(host="www.example.org", path="/", max_body_bytes=100, timeout_s=8.0)
HEAD = b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 50\r\n\r\n"


def get(*arrivals: Arrival, spec: HttpRequest = SPEC) -> Observation:
    """Ask for the page over what is written down."""
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> Observation:
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        return await http_request(context, spec, connection, connection)

    return play(scene)


def test_a_page() -> None:
    """Status, headers, title, length, hash, and the time from first byte to last."""
    body = b"<title>Hello</title>".ljust(50)
    row = get(Arrival(0.1, HEAD), Arrival(0.4, body))

    assert (row.failure, row.status_code, row.title) == (None, 200, "Hello")
    assert [(h.name, h.value) for h in row.headers] == [
        ("server", "nginx"),
        ("content-length", "50"),
    ]
    assert (row.body_bytes, row.body_is_truncated) == (50, False)
    assert row.body_duration_s == pytest.approx(0.3)
    assert row.received_bytes == len(HEAD) + 50
    assert row.sent_bytes > 0
    assert len(row.body_sha256 or "") == 64


@pytest.mark.parametrize(
    ("last", "failure", "detail_start"),
    [
        (Arrival(0.2, b""), "eof_error", "peer closed"),
        (Arrival(0.2, errno.ECONNRESET), "connection_reset", "ECONNRESET"),
        (Arrival(99.0, b"late"), "generic_timeout_error", None),
    ],
    ids=["close", "reset", "stall"],
)
def test_what_arrived_before_a_failure_is_kept(
    last: Arrival, failure: str, detail_start: str | None
) -> None:
    """Interrupted in the body: status and bytes are facts."""
    row = get(Arrival(0.1, HEAD + b"x" * 20), last)

    assert row.failure == failure
    assert (row.failure_detail or "").startswith(detail_start or "")
    assert (row.status_code, row.body_bytes, row.body_is_truncated) == (200, 20, False)
    assert row.received_bytes == len(HEAD) + 20


def test_a_stall_ends_at_the_deadline() -> None:
    """Not before and not after."""
    row = get(Arrival(0.1, HEAD))

    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)


def test_a_peer_that_closes_at_once() -> None:
    """No status, no body, and no bad HTTP either."""
    row = get(Arrival(0.1, b""))

    assert row.failure == "eof_error"
    assert (row.status_code, row.body_bytes, row.body_sha256) == (None, None, None)


def test_a_peer_that_says_nothing() -> None:
    """No first byte, no duration."""
    row = get()

    assert row.failure == "generic_timeout_error"
    assert (row.status_code, row.body_duration_s) == (None, None)


def test_garbage_is_a_failed_request_without_addresses() -> None:
    """The peer's text is quoted without the visitor's address."""
    row = get(Arrival(0.1, b"Blocked 93.184.216.34\r\n\r\n"))

    assert row.failure == "http_request_failed"
    assert "93.184" not in (row.failure_detail or "")


def test_a_long_page_is_cut() -> None:
    """The bound is the plan's; the connection is not read further."""
    row = get(Arrival(0.1, b"HTTP/1.1 200 OK\r\n\r\n"), Arrival(0.2, b"x" * 500))

    assert (row.failure, row.body_bytes, row.body_is_truncated) == (None, 100, True)


@pytest.mark.parametrize("status", [b"302 Found", b"403 Forbidden", b"451 Unavailable"])
def test_any_status_is_a_response(status: bytes) -> None:
    """What it means is a judgement."""
    row = get(Arrival(0.1, b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n"))

    assert row.failure is None
    assert row.status_code == int(status[:3])


def test_cancelling_propagates() -> None:
    """Somebody else's cancellation gives no observation."""

    async def scene() -> bool:
        row = Row(HOST)
        connection = FakeTcpConnection(row)
        context = context_of(FakeNetwork([row]), address=HOST)
        with trio.move_on_after(1) as outer:
            await http_request(context, SPEC, connection, connection)
            pytest.fail("went on after a cancellation")
        return outer.cancelled_caught

    assert play(scene)


@pytest.mark.anyio
async def test_a_real_peer_over_tls() -> None:
    """Bytes are counted below TLS: more than the page."""
    authority = trustme.CA()
    trust = TrustStores({"ours": [authority.cert_pem.bytes().decode()]})
    network = TrioNetwork()

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.receive_some()
        await stream.send_all(HEAD + b"x" * 50)

    async with tcp_peer(tls(server_context(authority, SPEC.host), serve)) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            stream = TlsStream(connection, trust.context("ours", ()), SPEC.host)
            await stream.handshake()
            context = context_of(network, address=loopback.ADDRESS)
            row = await http_request(context, SPEC, stream, connection)
        finally:
            connection.close()

    assert (row.failure, row.body_bytes) == (None, 50)
    assert row.received_bytes > len(HEAD) + 50


@pytest.mark.anyio
async def test_a_real_peer_without_tls() -> None:
    """The same step over a bare connection."""
    network = TrioNetwork()
    async with tcp_peer(after_hello(HEAD + b"x" * 20)) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS)
            row = await http_request(context, SPEC, connection, connection)
        finally:
            connection.close()

    assert (row.failure, row.status_code, row.body_bytes) == ("eof_error", 200, 20)
