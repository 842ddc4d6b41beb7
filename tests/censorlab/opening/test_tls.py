"""What a hello shows besides its name."""

import contextlib
import itertools
import re
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening.tls import (
    ApplicationDataCounter,
    MalformedHelloError,
    as_records,
    read_client_hello,
)


def openssl_hello(*, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.create_default_context()
    context.maximum_version = newest
    context.set_alpn_protocols(["h2", "http/1.1"])
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="web.messenger.test")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = openssl_hello()


@pytest.mark.parametrize(
    ("newest", "version", "start"),
    [(ssl.TLSVersion.TLSv1_3, 0x0304, "t13d"), (ssl.TLSVersion.TLSv1_2, 0x0303, "t12d")],
)
def test_the_highest_version_offered(newest: ssl.TLSVersion, version: int, start: str) -> None:
    """TLS 1.3 hides it in an extension; a 1.2 hello says it outright."""
    hello = read_client_hello(openssl_hello(newest=newest))
    assert hello is not None
    assert (hello.server_name, hello.version, hello.has_ech) == (
        "web.messenger.test",
        version,
        False,
    )
    assert hello.ja4.startswith(start)
    assert re.fullmatch(r"t1[23]d\d{4}h2_[0-9a-f]{12}_[0-9a-f]{12}", hello.ja4)


def test_the_fingerprint_is_the_hellos_not_the_connections() -> None:
    """Random and key share differ between two hellos; JA4 does not."""
    first, second = read_client_hello(HELLO), read_client_hello(openssl_hello())
    assert first is not None
    assert second is not None
    assert first.ja4 == second.ja4


def test_ech_is_seen() -> None:
    """By its extension, whatever is in it."""
    added = b"\xfe\x0d\x00\x02\x00\x00"
    message = HELLO[5:]
    at = 4 + 34
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    at += 1 + message[at]
    length = int.from_bytes(message[at : at + 2], "big") + len(added)
    body = message[4:at] + length.to_bytes(2, "big") + message[at + 2 :] + added
    hello = read_client_hello(as_records(b"\x01" + len(body).to_bytes(3, "big") + body))
    assert hello is not None
    assert hello.has_ech


@given(st.integers(0, len(HELLO) - 1), st.integers(0, 255), st.integers(0, len(HELLO)))
def test_a_damaged_hello_escapes_only_as_the_documented_error(
    at: int, value: int, end: int
) -> None:
    """One byte changed, whole or cut."""
    with contextlib.suppress(MalformedHelloError):
        read_client_hello((HELLO[:at] + bytes((value,)) + HELLO[at + 1 :])[:end])


RECORDS = b"".join(
    bytes((kind, 3, 3)) + size.to_bytes(2, "big") + bytes(size)
    for kind, size in ((22, 300), (20, 1), (23, 53), (23, 0), (21, 2), (23, 9))
)
"""Hello, change of cipher, three records of application data among others."""


@pytest.mark.parametrize(("allowed", "start"), [(0, 311), (1, 369), (2, 381), (3, None)])
@given(st.lists(st.integers(1, len(RECORDS) - 1)))
def test_application_data_is_counted_whatever_the_pieces(
    allowed: int, start: int | None, cuts: list[int]
) -> None:
    """The first record too many is found at its first byte."""
    places = [0, *sorted(set(cuts)), len(RECORDS)]
    counter = ApplicationDataCounter(allowed)
    found = None
    for a, b in itertools.pairwise(places):
        at = counter.feed(RECORDS[a:b])
        if at is not None:
            found = a + at
            break
    assert found == start


@given(st.lists(st.binary(max_size=100)))
def test_counting_never_fails(pieces: list[bytes]) -> None:
    """Bytes that are no records are skipped as if they were."""
    counter = ApplicationDataCounter(1)
    for piece in pieces:
        at = counter.feed(piece)
        assert at is None or 0 <= at < len(piece)
