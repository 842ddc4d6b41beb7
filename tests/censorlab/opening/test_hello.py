"""The censor's ClientHello reader: real hellos, every split, and garbage."""

import contextlib
import itertools
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening.tls import (
    MAX_HELLO_BYTES,
    HelloReader,
    MalformedHelloError,
    read_client_hello,
)


def openssl_hello(server_name: str | None) -> bytes:
    """The first flight of this Python's OpenSSL: a parser's independent witness."""
    context = ssl.create_default_context()
    context.check_hostname = False
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname=server_name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def in_records(message: bytes, cuts: list[int]) -> bytes:
    """A handshake message cut into TLS records at the given places."""
    places = [0, *sorted({c for c in cuts if 0 < c < len(message)}), len(message)]
    return b"".join(
        b"\x16\x03\x01" + (end - start).to_bytes(2, "big") + message[start:end]
        for start, end in itertools.pairwise(places)
    )


def read_name(data: bytes) -> str | None:
    hello = read_client_hello(data)
    return hello and hello.server_name


NAMED = openssl_hello("web.messenger.test")
MESSAGE = NAMED[5:]


@pytest.mark.parametrize("name", ["web.messenger.test", None])
def test_reads_a_real_hello(name: str | None) -> None:
    """The name that OpenSSL was told, or none."""
    hello = read_client_hello(openssl_hello(name))
    assert hello is not None
    assert hello.server_name == name


def test_every_prefix_needs_more() -> None:
    """A hello cut short anywhere is never an error and never a premature answer."""
    for end in range(len(NAMED)):
        assert read_client_hello(NAMED[:end]) is None
    assert read_name(NAMED + b"anything after it") == "web.messenger.test"


@given(st.lists(st.integers(1, len(MESSAGE) - 1), max_size=30), st.integers(0, 10_000))
def test_records_do_not_hide_the_name(cuts: list[int], arrived: int) -> None:
    """Splitting over TLS records, the oldest evasion, is read through."""
    wire = in_records(MESSAGE, cuts)
    assert read_name(wire) == "web.messenger.test"
    if arrived < len(wire):
        assert read_client_hello(wire[:arrived]) is None


@given(st.lists(st.integers(1, len(MESSAGE) - 1), max_size=8), st.lists(st.integers(1, 600)))
def test_pieces_of_any_size_read_like_the_whole(records: list[int], cuts: list[int]) -> None:
    """The hello is known with its last byte, wherever TCP has cut the stream."""
    wire = in_records(MESSAGE, records)
    places = [0, *sorted({c for c in cuts if c < len(wire)}), len(wire)]
    reader = HelloReader()
    found = [reader.feed(wire[a:b]) for a, b in itertools.pairwise(places)]
    assert found[:-1] == [None] * (len(found) - 1)
    assert found[-1] == read_client_hello(wire)


@given(st.binary(max_size=600))
def test_garbage_escapes_only_as_the_documented_error(data: bytes) -> None:
    """No input makes the reader fail in another way."""
    with contextlib.suppress(MalformedHelloError):
        read_client_hello(data)


@given(st.integers(0, len(NAMED) - 1), st.integers(0, 255), st.integers(0, len(NAMED)))
def test_a_damaged_hello_escapes_only_as_the_documented_error(
    at: int, value: int, end: int
) -> None:
    """Neither does a real hello with one byte changed, whole or cut."""
    damaged = NAMED[:at] + bytes((value,)) + NAMED[at + 1 :]
    with contextlib.suppress(MalformedHelloError):
        read_client_hello(damaged[:end])


@given(st.binary(max_size=300))
def test_a_complete_message_of_garbage(body: bytes) -> None:
    """Behind a correct frame the body's lengths are not trusted either."""
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    try:
        hello = read_client_hello(in_records(message, []))
    except MalformedHelloError:
        return
    assert hello is not None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"\x16\x02",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x03\x01\x00\x01\x02",
        b"\x16\x03\x01\x00\x04\x01" + (MAX_HELLO_BYTES + 1).to_bytes(3, "big"),
    ],
)
def test_what_is_not_a_hello_is_said_at_once(data: bytes) -> None:
    """The relay need not wait for more of what can never be a hello."""
    with pytest.raises(MalformedHelloError):
        read_client_hello(data)
