"""Our own ClientHellos, as TLS servers and the lab's own reader take them, and what answers."""

import os
import random
import ssl
from collections.abc import Callable
from typing import get_args

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

import loopback
from censorlab.opening.tls import read_client_hello
from probe.wire.clienthello import (
    LARGE_BYTES,
    MAX_WARNINGS,
    Answer,
    OwnProfile,
    build_client_hello,
    classify_answer,
)

PROFILES: tuple[OwnProfile, ...] = get_args(OwnProfile)
NAME = "www.example.org"
AUTHORITY = trustme.CA()
MLKEM_PRIME = 3329
SECP256R1, X25519, X25519_MLKEM768 = 0x0017, 0x001D, 0x11EC
PADDING, SUPPORTED_GROUPS, KEY_SHARE, ECH = 21, 10, 51, 0xFE0D

every_profile = pytest.mark.parametrize("profile", PROFILES)

label = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", fullmatch=True)
names = (
    st.lists(label, min_size=2, max_size=8)
    .map(".".join)
    .filter(lambda name: len(name) <= 253 and not name.rpartition(".")[2].isdigit())
)


def scripted(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def openssl_answer(hello: bytes, context: ssl.SSLContext) -> bytes:
    """Return what OpenSSL, as a server, says to a hello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLError):  # at best it wants the client's next flight
        server.do_handshake()
    return outgoing.read()


def newest_openssl_answer(hello: bytes) -> bytes:
    """As above, by the newer OpenSSL inside `cryptography`, which knows ML-KEM."""
    if SSL.OPENSSL_VERSION_NUMBER < 0x30500000:
        pytest.skip("this OpenSSL knows no ML-KEM")
    context = SSL.Context(SSL.TLS_METHOD)
    AUTHORITY.issue_cert(NAME).configure_cert(context)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    server.bio_write(hello)
    with pytest.raises(SSL.Error):
        server.do_handshake()
    return server.bio_read(65536)


def vectors(data: bytes) -> list[tuple[int, bytes]]:
    """Cut (two-byte number, two-byte length, value) entries apart."""
    found = []
    while data:
        length = int.from_bytes(data[2:4], "big")
        assert len(data) >= 4 + length
        found.append((int.from_bytes(data[:2], "big"), data[4 : 4 + length]))
        data = data[4 + length :]
    return found


def extensions_of(hello: bytes) -> dict[int, bytes]:
    """Return the extensions of a hello or a ServerHello that is one record."""
    assert len(hello) >= 5 + int.from_bytes(hello[3:5], "big")
    body = hello[9 : 5 + int.from_bytes(hello[3:5], "big")]
    at = 2 + 32
    at += 1 + body[at]
    if hello[5] == 1:
        at += 2 + int.from_bytes(body[at : at + 2], "big")
        at += 1 + body[at]
    else:
        at += 3
    assert int.from_bytes(body[at : at + 2], "big") == len(body) - at - 2
    found = vectors(body[at + 2 :])
    assert len(dict(found)) == len(found)
    return dict(found)


def shares_of(hello: bytes) -> dict[int, bytes]:
    return dict(vectors(extensions_of(hello)[KEY_SHARE][2:]))


@every_profile
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_goes_on_with_it(profile: OwnProfile, version: ssl.TLSVersion) -> None:
    """OpenSSL answers each form with a ServerHello, in both versions, for our name."""
    seen: list[str | None] = []
    context = loopback.server_context(AUTHORITY, NAME, alpn=("h2",))
    context.minimum_version = context.maximum_version = version
    context.sni_callback = lambda _, name, __: seen.append(name)

    answer = openssl_answer(build_client_hello(NAME, profile, os.urandom, ("h2",)), context)

    assert classify_answer(answer) == Answer("server_hello")
    assert seen == [NAME]


@every_profile
def test_a_server_of_another_group_asks_again(profile: OwnProfile) -> None:
    """All forms offer P-256 without a share for it; the retry is no plain ServerHello."""
    context = loopback.server_context(AUTHORITY, NAME)
    context.set_ecdh_curve("prime256v1")

    answer = openssl_answer(build_client_hello(NAME, profile, os.urandom), context)

    assert classify_answer(answer) == Answer("hello_retry")


@every_profile
def test_a_server_that_knows_the_hybrid_group_takes_it_if_offered(profile: OwnProfile) -> None:
    """The share is one that ML-KEM's own check of keys accepts (FIPS 203 §7.2)."""
    answer = newest_openssl_answer(build_client_hello(NAME, profile, os.urandom))

    assert classify_answer(answer) == Answer("server_hello")
    share = extensions_of(answer)[KEY_SHARE]
    wanted = X25519_MLKEM768 if profile == "large" else X25519
    assert int.from_bytes(share[:2], "big") == wanted


def test_that_check_is_a_check() -> None:
    """One coefficient at the prime, and the same server refuses."""
    hello = bytearray(build_client_hello(NAME, "large", os.urandom))
    at = hello.index(shares_of(bytes(hello))[X25519_MLKEM768])
    hello[at : at + 2] = MLKEM_PRIME.to_bytes(2, "little")

    answer = newest_openssl_answer(bytes(hello))

    assert classify_answer(answer) == Answer("alert", 2, 47)


@every_profile
@given(name=names, seed=st.integers(0, 2**32))
def test_every_name_is_read_back(profile: OwnProfile, name: str, seed: int) -> None:
    """The lab's reader finds the name, the versions and the extension; one record, no more."""
    hello = build_client_hello(name, profile, scripted(seed), ("h2", "http/1.1"))

    read = read_client_hello(hello)

    assert read is not None
    assert (read.server_name, read.version, read.has_ech) == (name, 0x0304, profile == "ech")
    extra = 0 if profile == "small" else 1
    if profile == "large" and PADDING not in extensions_of(hello):
        extra = 0
    assert read.ja4.startswith(f"t13d10{10 + extra}h2_")
    assert len(hello) == 5 + int.from_bytes(hello[3:5], "big")


@given(name=names)
def test_sizes(name: str) -> None:
    """Small and ech fit one packet anywhere, large never fits one."""
    small, large, ech = (len(build_client_hello(name, p, os.urandom)) for p in PROFILES)

    assert small < 300 or len(name) > 80
    assert small < 500
    assert ech < 1100
    assert large >= LARGE_BYTES > 1460


@given(seed=st.integers(0, 2**32))
def test_the_hybrid_key(seed: int) -> None:
    """768 numbers below the prime, a seed, and the same X25519 key as beside it."""
    hello = build_client_hello(NAME, "large", scripted(seed))
    shares = shares_of(hello)
    key = shares[X25519_MLKEM768]
    packed = int.from_bytes(key[:1152], "little")
    coefficients = [packed >> 12 * n & 0xFFF for n in range(768)]

    assert list(shares) == [X25519_MLKEM768, X25519]
    assert len(key) == 1216
    assert max(coefficients) < MLKEM_PRIME
    assert len(set(coefficients)) > 500
    assert key[1184:] == shares[X25519]
    X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(shares[X25519]))


@given(name=names, seed=st.integers(0, 2**32))
def test_the_grease_extension(name: str, seed: int) -> None:
    """It has the fields of a real one (RFC 9849 §5), as long as a padded inner hello's."""
    hello = build_client_hello(name, "ech", scripted(seed))
    ech = extensions_of(hello)[ECH]
    (_, public), (_, payload) = vectors(b"\0\0" + ech[6:40] + b"\0\0" + ech[40:])
    small = build_client_hello(name, "small", scripted(seed))
    inner = len(small) - 5 - 4 - 32  # without frames and session id

    assert ech[:5] == bytes((0, 0, 1, 0, 1))
    X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    assert (len(payload) - 16) % 32 == 0
    assert inner <= len(payload) - 16 < inner + 32


def test_profiles_differ_in_one_respect() -> None:
    """What is not named by the profile is the same in all."""
    small, large, ech = (
        extensions_of(build_client_hello(NAME, p, scripted(1))) for p in ("small", "large", "ech")
    )

    del ech[ECH], large[PADDING]
    assert small.keys() == large.keys() == ech.keys()
    assert ech == small
    different = {kind for kind, value in small.items() if large[kind] != value}
    assert different == {SUPPORTED_GROUPS, KEY_SHARE}


@every_profile
def test_chance_is_an_argument(profile: OwnProfile) -> None:
    """The same bytes from the same chance, others from another; keys are never repeated."""
    first, again, other = (build_client_hello(NAME, profile, scripted(seed)) for seed in (1, 1, 2))

    assert first == again
    assert len(first) == len(other)
    assert shares_of(first)[X25519] != shares_of(other)[X25519]


@every_profile
@pytest.mark.parametrize("name", ["", "192.0.2.1", "2001:db8::1"])
def test_no_name_and_no_address_is_sent(profile: OwnProfile, name: str) -> None:
    """RFC 6066 §3 allows host names only."""
    read = read_client_hello(build_client_hello(name, profile, os.urandom))

    assert read is not None
    assert read.server_name is None


@every_profile
def test_a_name_has_its_wire_form(profile: OwnProfile) -> None:
    """Turning a name into A-labels is the caller's."""
    with pytest.raises(UnicodeEncodeError):
        build_client_hello("пример.example", profile, os.urandom)


SERVER_HELLO = bytes.fromhex("0200002603 03") + bytes(32) + bytes.fromhex("00130100")
ALERT = loopback.alert(40)
UNKNOWN_NAME_WARNING = bytes((21, 3, 1, 0, 2, 1, 112))


def in_records(message: bytes, size: int) -> bytes:
    return b"".join(
        b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece
        for at in range(0, len(message), size)
        if (piece := message[at : at + size])
    )


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", Answer("incomplete")),
        (ALERT, Answer("alert", 2, 40)),
        (ALERT[:6], Answer("incomplete")),
        (bytes((21, 3, 3, 0, 2, 1, 0)), Answer("alert", 1, 0)),
        (bytes((21, 3, 3, 0, 1, 2)), Answer("other")),
        (bytes((21, 3, 3, 0, 2, 7, 40)), Answer("other")),
        (UNKNOWN_NAME_WARNING, Answer("incomplete")),
        (UNKNOWN_NAME_WARNING + in_records(SERVER_HELLO, 100), Answer("server_hello")),
        (UNKNOWN_NAME_WARNING * (MAX_WARNINGS + 1), Answer("alert", 1, 112)),
        (b"HTTP/1.1 400 Bad Request\r\n", Answer("http")),
        (b"<HTML>\r\n<head><title>400 The plain", Answer("http")),
        (b"<!DOCTYPE html>", Answer("http")),
        (b"HTT", Answer("incomplete")),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Answer("other")),
        (b"\x16\x02\x00", Answer("other")),
        (b"\x16\x03\x03\x00\x00", Answer("other")),
        (b"\x16\x03\x03\x40\x01", Answer("other")),
        (b"\x16\x03\x03\x00\x04\x01", Answer("other")),
        (b"\x16\x03\x03\x00\x04\x02\x00\x00\x10", Answer("other")),
        (in_records(b"\x02\x00\x00\x26\x02\x00", 100), Answer("other")),
        (b"\x17\x03\x03\x00\x10", Answer("other")),
        (in_records(SERVER_HELLO, 100)[:-1], Answer("server_hello")),
        (in_records(SERVER_HELLO[:37], 100), Answer("incomplete")),
    ],
)
def test_answers(data: bytes, answer: Answer) -> None:
    """What each start of an answer is."""
    assert classify_answer(data) == answer


@given(size=st.integers(1, 50))
def test_a_server_hello_in_many_records(size: int) -> None:
    """RFC 8446 §5.1 lets a message be cut anywhere."""
    assert classify_answer(in_records(SERVER_HELLO, size)).kind == "server_hello"


pieces = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [SERVER_HELLO[:9], b"\x16\x03\x03\x00\x01\x02", b"\x16\x03\x03\x00\x01", b"\x02\x00"]
    ),
    st.sampled_from([UNKNOWN_NAME_WARNING, ALERT, b"\x16\x03\x03", b"HTTP", b"<!doctype"]),
    st.binary(max_size=60).map(lambda data: in_records(SERVER_HELLO + data, 3)),
)
streams = st.lists(pieces, max_size=12).map(b"".join)


@given(data=streams, more=streams)
def test_more_bytes_complete_an_answer_and_never_change_it(data: bytes, more: bytes) -> None:
    """Nothing raises, and reading on until it is complete takes a few hundred bytes at most."""
    early, late = classify_answer(data), classify_answer(data + more)

    assert early.kind == "incomplete" or early == late
    assert late.kind != "incomplete" or len(data + more) < 300
    assert (early.description is None) == (early.kind != "alert")


def test_alerts_have_names() -> None:
    """A number without a name stands for itself."""
    assert Answer("alert", 2, 112).alert_name == "unrecognized_name"
    assert Answer("alert", 2, 200).alert_name == "200"
    assert Answer("http").alert_name is None
