"""A page, or what of it arrived."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trustme
from hypothesis import given
from hypothesis import strategies as st

import loopback
from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from loopback import after_hello, server_context, tcp_peer, tls
from probe.model.observation import Observation
from probe.model.step import HttpRequest
from probe.net.api import TcpInfo
from probe.net.tls import TlsStream, TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.evidence import POLL_S
from probe.steps.http_request import (
    PATIENCE_ROUND_TRIPS,
    SILENCE_S,
    STALL_S,
    http_request,
)

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


RTT_S = 0.05
INFO = TcpInfo(
    rtt_s=RTT_S, retransmits=0, total_retransmits=0, unacked=0, bytes_acked=90, bytes_received=0
)


class Told(FakeTcpConnection):
    """A connection whose kernel says what it is told to say, by the clock."""

    tell: Callable[[float], TcpInfo | None]

    def tcp_info(self) -> TcpInfo | None:
        return self.tell(trio.current_time())


def told(
    tell: Callable[[float], TcpInfo | None], *arrivals: Arrival, timeout_s: float = 30.0
) -> Observation:
    """Ask for the page, with a kernel that speaks."""
    spec = HttpRequest(host="a.example", path="/", max_body_bytes=9000, timeout_s=timeout_s)
    row = Row(HOST, arrivals=arrivals)

    async def scene() -> Observation:
        connection = Told(row)
        connection.tell = tell
        start = trio.current_time()
        connection.tell = lambda now: tell(now - start)
        context = context_of(FakeNetwork([row]), address=HOST)
        return await http_request(context, spec, connection, connection)

    return play(scene)


def took(row: Observation) -> float:
    """Return how long the step took."""
    return row.t - row.t0


@pytest.mark.parametrize("has_info", [True, False])
def test_a_response_that_stops_is_not_waited_for(*, has_info: bool) -> None:
    """Nothing more for 2.5 s and 8 round trips; the wait for its start is one, unless known."""
    row = told(lambda _: INFO if has_info else None, Arrival(0.15, HEAD))

    patience = STALL_S + PATIENCE_ROUND_TRIPS * (RTT_S if has_info else 0.0)
    assert row.failure == "generic_timeout_error"
    assert 0.15 + patience <= took(row) <= 0.15 + patience + 2 * POLL_S
    assert (row.status_code, row.received_bytes) == (200, len(HEAD))


@given(gaps=st.lists(st.floats(0.001, STALL_S - 0.01), min_size=1, max_size=20))
def test_a_response_that_goes_on_is_never_cut(gaps: list[float]) -> None:
    """However slow: only the deadline of the plan ends it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(gaps)
    at = 0.1
    arrivals = [Arrival(at, head)]
    for gap in gaps:
        at += gap
        arrivals.append(Arrival(at, b"x"))
    row = told(lambda _: None, *arrivals, timeout_s=100)

    assert (row.failure, row.body_bytes) == (None, len(gaps))


def test_the_deadline_ends_even_what_goes_on() -> None:
    """At its time, not before and not after."""
    arrivals = [Arrival(float(n), HEAD if n == 1 else b"x") for n in range(1, 30)]
    row = told(lambda _: INFO, *arrivals, timeout_s=8)

    assert row.failure == "generic_timeout_error"
    assert took(row) == pytest.approx(8)


def test_bytes_that_we_have_not_read_yet_are_bytes() -> None:
    """A late loop of our own must not look like a silent peer."""
    row = told(lambda now: INFO._replace(bytes_received=int(now)), Arrival(0.1, HEAD), timeout_s=20)

    assert took(row) == pytest.approx(20)


def test_an_unacknowledged_request_is_given_up() -> None:
    """Three retransmissions without any answer."""
    row = told(lambda now: INFO._replace(unacked=1, retransmits=0 if now < 1.4 else 3))

    assert row.failure == "generic_timeout_error"
    assert 1.4 <= took(row) <= 1.4 + 2 * POLL_S
    assert (row.tcp_unacked, row.bytes_acked, row.received_bytes) == (1, 90, 0)


def test_retransmissions_of_a_response_that_has_begun_mean_nothing() -> None:
    """The request has arrived."""
    body = [Arrival(float(n), HEAD if n == 1 else b"x" * 50) for n in (1, 3)]
    row = told(lambda now: INFO._replace(unacked=1, retransmits=3 * (now > 1.5)), *body)

    assert row.failure is None


def test_an_acknowledged_request_without_an_answer_is_given_up() -> None:
    """3 s and 8 round trips after the acknowledgement, which came late."""
    row = told(lambda now: INFO._replace(unacked=int(now < 2)))

    patience = SILENCE_S + PATIENCE_ROUND_TRIPS * RTT_S
    assert row.failure == "generic_timeout_error"
    assert 2 + patience <= took(row) <= 2 + patience + 2 * POLL_S


def test_a_server_may_think_before_it_answers() -> None:
    """Less than the patience."""
    row = told(lambda _: INFO, Arrival(SILENCE_S - 0.1, HEAD + b"x" * 50))

    assert (row.failure, row.first_byte_s) == (None, pytest.approx(SILENCE_S - 0.1))


def test_a_peer_that_closes_at_once() -> None:
    """No status, no body, and no bad HTTP either."""
    row = get(Arrival(0.1, b""))

    assert row.failure == "eof_error"
    assert (row.status_code, row.body_bytes, row.body_sha256) == (None, None, None)


def test_a_peer_that_says_nothing() -> None:
    """No first byte, no duration; without the kernel's word the deadline ends it."""
    row = get()

    assert row.failure == "generic_timeout_error"
    assert (row.status_code, row.body_duration_s, row.first_byte_s) == (None, None, None)
    assert took(row) == pytest.approx(SPEC.timeout_s)


def test_garbage_is_a_failed_request_without_addresses() -> None:
    """The peer's text is quoted without the visitor's address."""
    row = get(Arrival(0.1, b"Blocked 93.184.216.34\r\n\r\n"))

    assert row.failure == "http_request_failed"
    assert "93.184" not in (row.failure_detail or "")


def test_a_long_page_is_cut() -> None:
    """The bound is the plan's; the connection is not read further."""
    row = get(Arrival(0.1, b"HTTP/1.1 200 OK\r\n\r\n"), Arrival(0.2, b"x" * 500))

    assert (row.failure, row.body_bytes, row.body_is_truncated) == (None, 100, True)


def page(body: bytes, *headers: bytes) -> bytes:
    """Return a response with a content length."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


WORDS = "Доступ закрыт"


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (page(f"<p>{WORDS}: 93.184.216.34".encode()), f"{WORDS}: [scrubbed]"),
        (page(WORDS.encode("koi8-r"), b"Content-Type: text/html; charset=KOI8-R"), WORDS),
        (page(b""), ""),
        (page(b"\x89PNG", b"Content-Type: image/png"), None),
    ],
)
def test_the_words_of_a_page_that_came_in_the_clear(response: bytes, text: str | None) -> None:
    """What it says of its encoding holds; an image says nothing."""
    assert get(Arrival(0.1, response)).body_text == text


def test_a_peer_that_is_cut_off_said_what_it_said() -> None:
    """Half a block page is one."""
    row = get(Arrival(0.1, HEAD + b"<b>Blocked"), Arrival(0.2, errno.ECONNRESET))

    assert (row.failure, row.body_text) == ("connection_reset", "Blocked")


@pytest.mark.parametrize(
    ("headers", "offset_s"),
    [
        ([b"Date: Tue, 24 Nov 2026 12:00:30 GMT"], 0),
        ([b"Date: Tue, 24 Nov 2026 13:00:35 GMT"], 3605),
        ([b"Date: Tue, 24 Nov 2026 11:00:30 GMT", b"Age: 3600"], 0),
        ([b"Date: yesterday"], None),
        ([], None),
    ],
)
def test_the_senders_clock(headers: list[bytes], offset_s: float | None) -> None:
    """Against ours, when the response came; the time itself is not kept."""
    row = get(Arrival(0.1, page(b"x", *headers)))

    assert row.clock_offset_s == offset_s
    assert [h.name for h in row.headers] == ["content-length"]


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
    assert row.body_text is None
    assert row.first_byte_s is not None
    assert row.first_byte_s <= took(row)


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
    assert row.body_text == "x" * 20
    assert row.first_byte_s is not None


@pytest.mark.anyio
async def test_a_real_peer_tells_the_time() -> None:
    """The kernel's counters and the clock of a real connection."""
    network = TrioNetwork()
    date = datetime.now(UTC) + timedelta(hours=1)  # noqa: TID251 # the peer's, in real time
    response = page(b"x", date.strftime("Date: %a, %d %b %Y %H:%M:%S GMT").encode())
    async with tcp_peer(after_hello(response)) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            context = context_of(network, address=loopback.ADDRESS)
            row = await http_request(context, SPEC, connection, connection)
        finally:
            connection.close()

    assert row.clock_offset_s == pytest.approx(3600, abs=60)
    if connection.tcp_info() is not None:
        assert row.tcp_unacked == 0
        assert row.bytes_acked == row.sent_bytes + 1
