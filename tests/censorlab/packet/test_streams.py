"""Rules that follow a stream: records counted, replies cut, pages and redirects."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import tcp
from censorlab.rules import HttpBlockpage, HttpHostRst, HttpTruncate, RecordDrop

from .talk import (
    DATA,
    FOUR,
    HELLO,
    ISN,
    NAME,
    RST_ACK,
    SIX,
    Conversation,
    has_right_checksums,
    over,
    read,
    shown,
    talk,
)

REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode()
CHANGE_CIPHER = b"\x14\x03\x03\x00\x01\x01"
BODY = bytes(range(256)) * 12


@pytest.fixture(autouse=True, scope="module", params=[FOUR, SIX], ids=["IPv4", "IPv6"])
def _ip_version(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every claim holds for both."""
    with over(request.param):
        yield


def record(size: int, kind: int = 23) -> bytes:
    return bytes((kind, 3, 3)) + size.to_bytes(2, "big") + bytes(size)


def test_the_second_record_never_arrives() -> None:
    """The first passes with its packet; the packet of the next is the first to vanish."""
    chat = talk(RecordDrop(server_name=NAME))
    assert shown(chat.say_hello()) == [("up", DATA)]
    assert chat.down(data=b"server's flight")
    at = ISN + 1 + len(HELLO)
    finished = CHANGE_CIPHER + record(53)
    assert chat.up(data=finished, seq=at)
    assert chat.down(data=b"ticket")
    at += len(finished)
    assert chat.up(data=record(400), seq=at) == []
    assert chat.up(data=record(400), seq=at) == chat.down() == chat.down(data=b"x") == []
    other = talk(RecordDrop(server_name=NAME))
    other.say_hello("control.test")
    assert all(other.up(data=record(9), seq=ISN + 1 + 512 + n * 14) for n in range(5))


@given(st.lists(st.integers(1, 900), max_size=10), st.integers(1, 4), st.integers(1, 2))
def test_records_are_counted_whatever_the_segments(
    cuts: list[int], records: int, times: int
) -> None:
    """Cut anywhere, sent once or twice: what passes ends in the segment before the next."""
    said = CHANGE_CIPHER + b"".join(record(size) for size in (53, 0, 300, 200))
    starts = [6, 64, 69, 374, len(said) + 1]
    chat = talk(RecordDrop(server_name=NAME, records=records))
    limit = starts[records]
    chat.say_hello()
    edges = sorted({0, len(said), *(c for c in cuts if c < len(said))})
    for start, end in itertools.pairwise(edges):
        for _ in range(times):
            passes = bool(chat.up(data=said[start:end], seq=ISN + 1 + len(HELLO) + start))
            assert passes == (end <= limit)


def test_a_reordered_record_is_counted_when_it_is_known() -> None:
    """The segment that closes the gap shows the record, and vanishes."""
    chat = talk(RecordDrop(server_name=NAME))
    chat.say_hello()
    at, first = ISN + 1 + len(HELLO), record(53)
    assert chat.up(data=record(100), seq=at + len(first))
    assert chat.up(data=first, seq=at) == []


def ask(rule: HttpTruncate) -> Conversation:
    chat = talk(rule)
    assert shown(chat.up(data=REQUEST)) == [("up", DATA)]
    chat.heard = ISN + 1 + len(REQUEST)
    return chat


@given(st.integers(1, len(BODY) - 1), st.lists(st.integers(20, 1460), min_size=1))
def test_a_reply_is_truncated_to_the_byte(limit: int, sizes: list[int]) -> None:
    """Whatever the segments: the client gets so many bytes and a FIN, then the server a RST."""
    chat = ask(HttpTruncate(host=NAME, after_bytes=limit))
    got, at, is_closed = b"", 0, False
    while at < len(BODY):
        piece = BODY[at : at + sizes[at % len(sizes)]]
        at += len(piece)
        for out in chat.down(data=piece):
            _, segment, data = read(out.packet)
            assert has_right_checksums(out.packet)
            got += data
            is_closed = bool(segment.flags & tcp.FIN)
    assert (got, is_closed) == (BODY[:limit], True)
    chat.acked = (chat.acked + limit + 1) % 2**32
    (reset,) = chat.up(16, seq=chat.heard)
    _, segment, _ = read(reset.packet)
    assert (reset.direction, segment.flags, segment.seq) == ("up", RST_ACK, chat.heard % 2**32)
    assert chat.up(17) == chat.down(data=b"x") == []


def test_a_lost_byte_is_still_resent_before_the_end() -> None:
    """Until the client has them all, the server's bytes up to the limit pass again."""
    chat = ask(HttpTruncate(host=NAME, after_bytes=1000))
    start = chat.reply_seq
    assert shown(chat.down(data=BODY[:600]))
    assert shown(chat.down(data=BODY[600:1400]))[0][1] & tcp.FIN
    assert chat.up(16, seq=chat.heard)
    assert read(chat.down(data=BODY[:600], seq=start)[0].packet)[2] == BODY[:600]
    (again,) = chat.down(data=BODY[600:1400], seq=start + 600)
    assert read(again.packet)[2] == BODY[600:1000]


def test_a_short_reply_is_left_alone() -> None:
    """And another host's."""
    chat = ask(HttpTruncate(host=NAME, after_bytes=1000))
    assert shown(chat.down(17, data=BODY[:999])) == [("down", 17)]
    chat = ask(HttpTruncate(host="other.test", after_bytes=10))
    assert shown(chat.down(data=BODY[:1400])) == [("down", 16)]


@pytest.mark.parametrize(
    "response",
    [
        "HTTP/1.1 302 Found\r\nLocation: http://warning.test/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 451 Unavailable\r\nContent-Length: 19\r\n\r\nZugang gesperrt: §",
    ],
)
def test_any_response_can_be_injected(response: str) -> None:
    """A redirect, or a page that is not ASCII: whole, with the FIN."""
    chat = talk(HttpBlockpage(host=NAME, response=response))
    page, reset = chat.up(data=REQUEST)
    _, segment, data = read(page.packet)
    assert (data, bool(segment.flags & tcp.FIN)) == (response.encode(), True)
    assert (reset.direction, read(reset.packet)[1].flags) == ("up", RST_ACK)


@given(st.lists(st.integers(1, len(REQUEST) - 1)), st.randoms(use_true_random=False))
def test_a_request_in_segments_is_read(cuts: list[int], random: object) -> None:
    """In any order; the segment that completes the Host line is struck."""
    edges = sorted({0, len(REQUEST), *cuts})
    pieces = [(a, REQUEST[a:b]) for a, b in itertools.pairwise(edges)]
    random.shuffle(pieces)  # type: ignore[attr-defined]  Hypothesis' own Random type
    chat = talk(HttpHostRst(host=NAME))
    results = [shown(chat.up(data=piece, seq=ISN + 1 + at)) for at, piece in pieces]
    struck = [n for n, result in enumerate(results) if result != [("up", DATA)]]
    assert struck
    assert results[struck[0]] == [("down", RST_ACK), ("up", RST_ACK)]
    assert all(result == [] for result in results[struck[0] + 1 :])
