"""Which protocol first bytes are, and what they name, in pieces of any size."""

import itertools
import ssl
import time
from hashlib import sha512

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening import mtproto
from censorlab.opening.first_bytes import Opening, Seen
from censorlab.opening.http import Request, RequestReader


def recognise(data: bytes) -> Seen | None:
    return Opening().feed(data)


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"GET / HTTP/1.1\r\nHost: Web.Messenger.test\r\n", "web.messenger.test"),
        (b"GET / HTTP/1.1\r\nA: b\r\nhOST:\tx.test:8080\r\n\r\n", "x.test"),
        (b"GET / HTTP/1.0\r\n\r\n", None),
    ],
)
def test_the_host_of_a_request(data: bytes, host: str | None) -> None:
    """Whatever its case, port and place among the header fields."""
    assert RequestReader().feed(data) == Request(host)


def test_a_host_cut_short_is_not_read() -> None:
    """A split inside the name must not give a shorter name."""
    data = b"GET / HTTP/1.1\r\nHost: web.messenger.test\r\n"
    for end in range(len(data) - 2):
        assert RequestReader().feed(data[:end]) is None


@pytest.mark.parametrize(
    ("data", "transport"),
    [
        (b"\xef\x0a" + bytes(40), "abridged"),
        (b"\xee\xee\xee\xee\x28\0\0\0", "intermediate"),
        (b"\xdd\xdd\xdd\xdd\x30\0\0\0", "padded"),
        (sha512(b"a key").digest(), "obfuscated"),
        (b"SSH-2.0-OpenSSH_9.2 and more text, which is never random looking", None),
        (bytes(64), None),
        (b"\xef", None),
    ],
)
def test_transports_of_mtproto(data: bytes, transport: str | None) -> None:
    """Tagged ones by their tag, obfuscated2 by looking random."""
    assert mtproto.recognise(data) == transport


def test_random_preambles_never_pass_by_chance() -> None:
    """A lab's outcome must not hang on the client's key; a TLS-like first byte included."""
    for n in range(3000):
        preamble = sha512(n.to_bytes(4, "big")).digest()
        for data in (preamble, b"\x16" + preamble[1:]):
            seen = recognise(data)
            assert seen is not None
            assert seen.protocol == "mtproto", n


def test_the_full_transport_is_never_taken_for_random_bytes() -> None:
    """It has no mark either, and a message before there is a key has eight zeros."""
    for number in range(20_000):
        noise = sha512(b"%d" % number).digest() * 2
        head = bytes((0x98, 0, 0, 0)) + bytes(4) + bytes(8) + noise[:8] + bytes((0x74, 0, 0, 0))
        assert mtproto.recognise(head + bytes.fromhex("f18e7ebe") + noise[8:]) is None


def test_what_first_bytes_are() -> None:
    """Each protocol is named once, and only when it has shown itself."""
    assert recognise(b"G") is None
    assert recognise(b"hello") is None
    other = recognise(b"a" * 64)
    assert other is not None
    assert other.protocol == "other"
    tagged = recognise(b"\xee\xee\xee\xee")
    assert tagged is not None
    assert tagged.protocol == "mtproto"


REQUEST = b"GET /a HTTP/1.1\r\nAccept: */*\r\nHost: web.messenger.test\r\n\r\n"


def hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="a.test")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


OPENINGS = {
    "tls": hello(),
    "http": REQUEST,
    "mtproto": sha512(b"a key").digest(),
    "other": b"GETTING it is not, nor any protocol that this censor has a name for.",
}


@given(st.sampled_from(sorted(OPENINGS)), st.lists(st.integers(1, 500)))
def test_pieces_show_what_the_whole_shows(protocol: str, cuts: list[int]) -> None:
    """The same, and once only: at the end of what it takes."""
    data = OPENINGS[protocol]
    places = [0, *sorted({c for c in cuts if c < len(data)}), len(data)]
    opening, found = Opening(), []
    for a, b in itertools.pairwise(places):
        seen = opening.feed(data[a:b])
        if seen is not None:
            found.append(seen)
            break
    assert found == [recognise(data)]
    assert found[0].protocol == protocol


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_bytes_are_something_or_nothing(pieces: list[bytes]) -> None:
    """No input raises."""
    opening = Opening()
    for piece in pieces:
        if opening.feed(piece) is not None:
            break


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /" + b"a" * 20_000,
        b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 4_000,
        b"\x16\x03\x01\x00\x01\x01\x16\x03\x01\x00\x03\x00\xff\xff"
        + b"\x16\x03\x01\x00\x01\x00" * 25_000,
    ],
    ids=["request line", "header fields", "records of one byte"],
)
def test_endless_openings_are_given_up(endless: bytes) -> None:
    """Byte by byte, within a bound of bytes, in time linear in them."""
    opening, started = Opening(), time.process_time()
    for at in range(len(endless)):
        if opening.feed(endless[at : at + 1]) is not None:
            break
    else:
        pytest.fail("still waiting")
    assert len(opening.data) <= 2**17 + 1
    assert time.process_time() - started < 2.0
