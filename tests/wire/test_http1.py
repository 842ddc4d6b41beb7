"""One HTTP/1.1 exchange: bounded, scrubbed, and ended by the end of the stream."""

import time
from datetime import UTC, datetime

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.wire.addresses import SCRUBBED
from probe.wire.http1 import (
    MAX_HEAD_BYTES,
    MAX_TITLE_CHARS,
    HttpError,
    HttpExchange,
    parse_date,
)

LIMIT = 1000


def exchange(*chunks: bytes, limit: int = LIMIT) -> HttpExchange:
    """Feed chunks to a fresh exchange."""
    fresh = HttpExchange("www.example.org", "/", max_body_bytes=limit)
    for chunk in chunks:
        fresh.receive(chunk)
    return fresh


def page(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a response with a content length."""
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def test_the_request_is_plain() -> None:
    """An unusual header would itself be a mark."""
    assert HttpExchange("www.example.org", "/x", max_body_bytes=1).request_bytes == (
        b"GET /x HTTP/1.1\r\nHost: www.example.org\r\n"
        b"User-Agent: Mozilla/5.0\r\nAccept: */*\r\n\r\n"
    )


def test_a_request_with_a_body() -> None:
    """A POST states its length and its type."""
    request = HttpExchange(
        "dns.example",
        "/dns-query",
        max_body_bytes=1,
        method="POST",
        headers=(("Content-Type", "application/dns-message"),),
        body=b"abc",
    ).request_bytes
    assert request.startswith(b"POST /dns-query HTTP/1.1\r\n")
    assert b"Content-Length: 3\r\n" in request
    assert b"Content-Type: application/dns-message\r\n" in request
    assert request.endswith(b"\r\n\r\nabc")


def test_a_page() -> None:
    """Status, body, title, and of the headers those of interest."""
    found = exchange(page(b"<title> A\n page </title>", b"Server: nginx", b"Set-Cookie: id=1"))
    assert found.is_complete
    assert not found.is_truncated
    assert found.status_code == 200
    assert found.headers == (("content-length", "24"), ("server", "nginx"))
    assert found.title() == "A page"


def test_a_page_arrives_byte_by_byte() -> None:
    """The cut of the stream into reads does not matter."""
    wire = page(b"<title>x</title>", b"Server: nginx")
    slow = exchange(*(wire[i : i + 1] for i in range(len(wire))))
    at_once = exchange(wire)
    assert (slow.headers, slow.body, slow.is_complete) == (at_once.headers, at_once.body, True)


def test_a_body_is_bounded() -> None:
    """Beyond the limit the exchange is complete and says so; at the limit it is whole."""
    assert exchange(page(b"x" * LIMIT)).is_truncated is False
    longer = exchange(page(b"x" * (LIMIT + 1)))
    assert (len(longer.body), longer.is_complete, longer.is_truncated) == (LIMIT, True, True)


def test_an_endless_body_is_bounded() -> None:
    """Without any length too."""
    endless = exchange(b"HTTP/1.1 200 OK\r\n\r\n", *(b"x" * 300 for _ in range(10)))
    assert (len(endless.body), endless.is_complete) == (LIMIT, True)


def test_a_chunked_body() -> None:
    """Chunks are joined (RFC 9112 section 7.1)."""
    found = exchange(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n",
        b"0\r\n\r\n",
    )
    assert (found.body, found.is_complete) == (b"abcde", True)


def test_a_body_that_ends_with_the_connection() -> None:
    """Without a length the close is the end (RFC 9112 section 6.3)."""
    found = exchange(b"HTTP/1.1 200 OK\r\n\r\nabc")
    assert not found.is_complete
    found.receive(b"")
    assert (found.body, found.is_complete, found.is_truncated) == (b"abc", True, False)


def test_interim_responses_are_passed_over() -> None:
    """100 and 103 announce a response and are none."""
    found = exchange(b"HTTP/1.1 103 Early Hints\r\nServer: x\r\n\r\n" + page(b"ok"))
    assert (found.status_code, found.body) == (200, b"ok")


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
    ids=["nothing", "half a status line", "half a body", "half a chunk"],
)
def test_an_early_end_is_an_end_of_file(wire: bytes) -> None:
    """A peer that closes is a network event, not bad HTTP; what came before is kept."""
    found = exchange(wire) if wire else exchange()
    with pytest.raises(EOFError):
        found.receive(b"")
    assert not found.is_complete


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28" * 20,
        b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (MAX_HEAD_BYTES + 1),
    ],
    ids=["ssh", "tls", "header", "length", "upgrade", "chunk", "endless head"],
)
def test_garbage(wire: bytes) -> None:
    """Anything but HTTP/1.1 is an error, and endless headers are."""
    with pytest.raises(HttpError):
        exchange(wire)


def test_an_error_does_not_quote_addresses() -> None:
    """Block pages without HTTP like to print the visitor's address."""
    with pytest.raises(HttpError) as caught:
        exchange(b"Blocked: 93.184.216.34\r\n\r\n")
    assert "93.184" not in str(caught.value)
    assert SCRUBBED in str(caught.value)


@given(chunks=st.lists(st.binary(max_size=40), max_size=5), is_http=st.booleans())
def test_the_end_of_the_stream_ends_every_exchange(*, chunks: list[bytes], is_http: bool) -> None:
    """After it an exchange is complete or has raised: nobody waits for more forever."""
    fresh = HttpExchange("a.example", "/", max_body_bytes=LIMIT)
    head = [b"HTTP/1.1 200 OK\r\n"] if is_http else []
    try:
        for chunk in (*head, *filter(None, chunks), b""):
            fresh.receive(chunk)
            if fresh.is_complete:
                return
    except (HttpError, EOFError):
        return
    assert fresh.is_complete


def test_titles_and_headers_are_scrubbed() -> None:
    """The visitor's address is neither in the title nor in a redirect."""
    found = exchange(
        page(
            b"<TITLE lang=en>Blocked for 93.184.216.34 and 2001:db8::1</TITLE>",
            b"Location: http://portal.example/?ip=93.184.216.34",
        )
    )
    assert found.title() == f"Blocked for {SCRUBBED} and {SCRUBBED}"
    assert dict(found.headers)["location"] == f"http://portal.example/?ip={SCRUBBED}"


@pytest.mark.parametrize(
    ("body", "title"),
    [
        (b"no title", None),
        (b"<title>never closed", None),
        (b"<title></title>", ""),
        (b"<title>\xff\xfe</title>", "\ufffd\ufffd"),
        (b"<title>" + b"x" * 500 + b"</title>", "x" * MAX_TITLE_CHARS),
        (b"<title>" + b"x" * 5000 + b"</title>", None),
    ],
)
def test_titles(body: bytes, title: str | None) -> None:
    """Absent, empty, not UTF-8, long, endless."""
    assert exchange(page(body), limit=10_000).title() == title


@pytest.mark.parametrize("unit", [b"<title", b"<title>", b"<title>x", b"<title </title"])
def test_a_hostile_title_takes_linear_time(unit: bytes) -> None:
    """A page of nothing but titles must not hold up the event loop."""
    found = exchange(page(unit * (65536 // len(unit))), limit=65536)
    start = time.perf_counter()
    found.title()
    assert time.perf_counter() - start < 0.1


@pytest.mark.parametrize(
    ("one", "other"),
    [("93.184.216.34", "1.1.1.1"), ("2001:db8::1", "2001:db8:1:2:3:4:5:6"), ("1.2.3.4", "fe80::9")],
)
def test_pages_that_differ_in_an_address_hash_alike(one: str, other: str) -> None:
    """Nor can the address be searched from the hash."""
    bodies = [f"<p>Your IP: {address}.</p>".encode() for address in (one, other)]
    hashes = {exchange(page(body)).body_sha256() for body in bodies}
    assert len(hashes) == 1
    assert exchange(page(b"<p>Your IP: none.</p>")).body_sha256() not in hashes


@given(st.binary(max_size=LIMIT))
def test_any_body_hashes(body: bytes) -> None:
    """Bytes of any kind."""
    assert len(exchange(page(body)).body_sha256()) == 64


def test_the_codec_is_not_a_server() -> None:
    """A request where a response belongs is garbage."""
    request = h11.Connection(h11.CLIENT).send(
        h11.Request(method="GET", target="/", headers=[("Host", "a")])
    )
    assert request is not None
    with pytest.raises(HttpError):
        exchange(request)


MOMENT = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", MOMENT),
        ("Sun Nov  6 08:49:37 1994", MOMENT),
        ("Wednesday, 06-Nov-24 08:49:37 GMT", MOMENT.replace(year=2024)),
        ("Sun, 06 Nov 1994 08:49:60 GMT", MOMENT.replace(second=59)),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 31 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Zzz 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("1994-11-06T08:49:37Z", None),
        ("Sun, 06 Nov 1994 08:49:37 +0300", None),
        ("", None),
    ],
)
def test_dates(text: str, date: datetime | None) -> None:
    """The three forms of RFC 9110 section 5.6.7, and what is none."""
    assert parse_date(text) == date


@given(st.text(max_size=40))
def test_any_date(text: str) -> None:
    """Never an error."""
    parse_date(text)
    parse_date(f"Sun, 06 Nov {text[:4]} 08:49:37 GMT")


@pytest.mark.parametrize(
    ("headers", "date"),
    [
        ([b"Date: Sun, 06 Nov 1994 08:49:37 GMT"], MOMENT),
        ([b"Date: Sun, 06 Nov 1994 08:49:30 GMT", b"Age: 7"], MOMENT),
        ([b"Date: Sun, 06 Nov 1994 08:49:37 GMT", b"Age: soon"], MOMENT),
        ([b"Date: Fri, 31 Dec 9999 23:59:59 GMT", b"Age: 7"], None),
        ([b"Age: 7"], None),
    ],
)
def test_when_a_response_was_sent(headers: list[bytes], date: datetime | None) -> None:
    """By its sender's clock; what a cache kept is older by its age (RFC 9111)."""
    found = exchange(page(b"x", *headers))
    assert found.date == date
    assert "date" not in dict(found.headers)


@pytest.mark.parametrize(
    ("content_type", "charset", "is_text"),
    [
        (None, None, True),
        (b"text/html", None, True),
        (b'Text/HTML; Charset="windows-1251"', "windows-1251", True),
        (b"application/xhtml+xml;charset=utf-8", "utf-8", True),
        (b"image/png", None, False),
        (b"application/json; charset=", None, False),
    ],
)
def test_what_the_body_calls_itself(
    content_type: bytes | None, charset: str | None, *, is_text: bool
) -> None:
    """A page may be of any encoding, and an image has none."""
    headers = [] if content_type is None else [b"Content-Type: " + content_type]
    found = exchange(page(b"x", *headers))
    assert (found.charset, found.is_text) == (charset, is_text)
