"""Fake TLS from the client's side: hellos, the answer's hash, records."""

import hashlib
import hmac
import os
import random
from contextlib import suppress
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.opening.tls import read_client_hello
from probe.wire.faketls import (
    MAX_CHUNK_BYTES,
    MAX_RECORD_BYTES,
    OLD_BYTES,
    FakeTls,
    HelloForm,
    RecordError,
    Verdict,
)
from probe.wire.proxy_links import MAX_DOMAIN_BYTES

SECRET = bytes(range(16))
DOMAIN = "www.example.org"
NOW = 1_800_000_000.7
FORMS: tuple[HelloForm, ...] = get_args(HelloForm)
TDLIB_SUITES = "130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035"
TDLIB_EXTENSIONS = {
    *(0x0000, 0xFF01, 0x002D, 0x0023, 0x44CD, 0x000D, 0xFE0D, 0x000A),
    *(0x0005, 0x000B, 0x0012, 0x002B, 0x0033, 0x0010, 0x0017, 0x001B),
}
"""Of the first flight that tdjson 1.8.69 sends, less reserved values (RFC 8701)."""

every_form = pytest.mark.parametrize("form", FORMS)
forms = st.sampled_from(FORMS)
pieces = st.lists(st.integers(1, 4000), max_size=20)


def client(form: HelloForm = "current", domain: str = DOMAIN, seed: int | None = None) -> FakeTls:
    drawn = os.urandom if seed is None else random.Random(seed).randbytes
    return FakeTls(SECRET, domain, form, now=NOW, random=drawn)


def record(kind: int, data: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(data).to_bytes(2, "big") + data


def flight(hello: bytes, secret: bytes = SECRET, cover: bytes = b"c" * 700) -> bytes:
    """Answer as a proxy does that knows the secret."""
    blank = record(22, b"\x02\0\0\x56\x03\x03" + bytes(32) + b"h" * 54) + record(20, b"\1")
    blank += record(23, cover)
    digest = hmac.new(secret, hello[11:43] + blank, hashlib.sha256).digest()
    return blank[:11] + digest + blank[43:]


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    found, at = [], 0
    for size in sizes:
        found.append(data[at : at + size])
        at += size
    return [piece for piece in [*found, data[at:]] if piece]


def suites_and_extensions(hello: bytes) -> tuple[str, dict[int, bytes]]:
    body = hello[9:]
    at = 35 + body[34]
    length = int.from_bytes(body[at : at + 2], "big")
    suites, at = body[at + 2 : at + 2 + length], at + 2 + length + 2
    found: dict[int, bytes] = {}
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    assert end == len(body)
    at += 2
    while at < end:
        kind, size = int.from_bytes(body[at : at + 2], "big"), int.from_bytes(body[at + 2 : at + 4])
        assert kind not in found
        found[kind] = body[at + 4 : at + 4 + size]
        at += 4 + size
    assert at == end
    return suites.hex(), found


@given(forms, st.integers(0, 2**32))
def test_the_hash_of_a_hello_carries_the_time(form: HelloForm, seed: int) -> None:
    hello = client(form, seed=seed).hello
    digest = hmac.new(SECRET, hello[:11] + bytes(32) + hello[43:], hashlib.sha256).digest()

    assert hello[11:39] == digest[:28]
    stamp = bytes(a ^ b for a, b in zip(hello[39:43], digest[28:], strict=True))
    assert int.from_bytes(stamp, "little") == int(NOW)


@given(forms, st.integers(0, 2**32), st.integers(1, MAX_DOMAIN_BYTES))
def test_hellos_are_well_formed_and_name_the_domain(form: HelloForm, seed: int, size: int) -> None:
    """Also to the lab's own reader; the old one has one size whatever the name."""
    domain = "a" * size
    hello = client(form, domain, seed).hello
    suites, extensions = suites_and_extensions(hello)

    assert hello[3:5] == (len(hello) - 5).to_bytes(2, "big")
    assert suites[4:] == TDLIB_SUITES
    assert extensions[0][5:].decode() == domain
    seen = read_client_hello(hello)
    assert seen is not None
    if form == "old":
        assert len(hello) == OLD_BYTES
        # What proxies of 2019 compare byte by byte.
        assert hello.startswith(bytes.fromhex("1603010200010001fc0303"))


@given(st.integers(0, 2**32))
def test_the_current_hello_has_what_the_applications_has(seed: int) -> None:
    """Suites, extensions and size, by which filters know it; the order is shuffled."""
    hello = client(seed=seed).hello
    _, extensions = suites_and_extensions(hello)
    reserved = {kind for kind in extensions if kind & 0x0F0F == 0x0A0A}

    assert set(extensions) - reserved == TDLIB_EXTENSIONS
    assert len(reserved) == 2
    assert 1700 <= len(hello) <= 1850
    assert extensions[13].hex() == "001609040905090604030804040105030805050108060601"
    assert len(extensions[51]) == 1263
    assert len(extensions[0xFE0D]) in {186, 218, 250, 282}


def test_no_two_hellos_are_alike() -> None:
    one, two = client().hello, client().hello
    assert one[11:43] != two[11:43]
    assert list(suites_and_extensions(one)[1]) != list(suites_and_extensions(two)[1])


@every_form
def test_its_key_shares_are_taken_by_openssl(form: HelloForm) -> None:
    """A cover site, to which proxies pass hellos on, answers with a ServerHello."""
    ssl = pytest.importorskip("OpenSSL.SSL")
    trustme = pytest.importorskip("trustme")
    context = ssl.Context(ssl.TLS_METHOD)
    trustme.CA().issue_cert(DOMAIN).configure_cert(context)
    server = ssl.Connection(context, None)
    server.set_accept_state()
    server.bio_write(client(form).hello)
    with pytest.raises(ssl.Error):  # it wants the client's next flight
        server.do_handshake()
    answer = server.bio_read(65536)
    assert answer[:1] == b"\x16"
    assert answer[5] == 2
    # So does the prober: that site does not know the secret.
    tls = client(form)
    verdict = tls.receive_answer(answer)
    assert verdict is not None
    assert verdict.fault == "faketls_masked"


@given(pieces, st.binary(max_size=300), st.binary(min_size=1, max_size=300))
def test_a_good_answer_in_any_pieces(sizes: list[int], cover: bytes, data: bytes) -> None:
    """What comes behind it in the same segment belongs to the records."""
    tls = client()
    answer = flight(tls.hello, cover=cover)
    verdict, carried = None, b""
    for piece in cut(answer + record(23, data), sizes):
        if verdict is None:
            verdict = tls.receive_answer(piece)
            if verdict is not None:
                carried += tls.unwrap(b"")
        else:
            carried += tls.unwrap(piece)
    assert verdict == Verdict(None)
    assert carried == data


@given(st.data())
def test_an_answer_with_any_bit_changed_is_nobodys(data: st.DataObject) -> None:
    tls = client()
    answer = bytearray(flight(tls.hello))
    # A longer record would only be waited for.
    at = data.draw(st.integers(5, len(answer) - 701).filter(lambda at: not 95 < at < 108))
    answer[at] ^= 1 << data.draw(st.integers(0, 7))
    assert tls.receive_answer(bytes(answer)) == Verdict("faketls_masked", "wrong hmac")


@given(forms, pieces)
def test_an_echo_is_no_tls_server(form: HelloForm, sizes: list[int]) -> None:
    """Whoever says our own hello back, with more behind it or not."""
    tls = client(form)
    said = tls.hello * 2
    first = max(6, sum(sizes))
    assert tls.receive_answer(said[:first]) == Verdict("faketls_not_tls", "echo")


def test_an_answer_to_another_hello_is_nobodys() -> None:
    """A replay: good once, and not for this hello."""
    earlier, tls = client(), client()
    assert tls.receive_answer(flight(earlier.hello)) == Verdict("faketls_masked", "wrong hmac")


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (b"\x15\x03\x03\x00\x02\x02\x28", Verdict("faketls_masked", "alert handshake_failure")),
        (record(22, b"\x02" + bytes(80)) + record(22, b"\x0b"), Verdict("faketls_masked")),
        (b"\x16\x03\x01", Verdict("faketls_masked")),
        (b"\x16\x03\x03\xff\xff", Verdict("faketls_masked")),
        (b"HTTP/1.1 400 Bad Request\r\n", Verdict("faketls_not_tls", "http")),
        (b"SSH-2.0-x\r\n", Verdict("faketls_not_tls")),
        (b"\x16\x04", Verdict("faketls_not_tls")),
    ],
)
def test_other_answers(answer: bytes, verdict: Verdict) -> None:
    """Known from the first byte that differs, and nothing is waited for."""
    assert client().receive_answer(answer) == verdict


@given(pieces=st.lists(st.binary(min_size=1, max_size=100), max_size=20), like_tls=st.booleans())
def test_any_bytes_are_an_answer_or_not(pieces: list[bytes], *, like_tls: bool) -> None:
    tls = client(seed=1)
    for piece in [b"\x16\x03\x03", *pieces] if like_tls else pieces:
        if tls.receive_answer(piece) is not None:
            break


@given(st.lists(st.binary(min_size=1, max_size=9000), min_size=1, max_size=4))
def test_records_that_are_sent(pieces: list[bytes]) -> None:
    """A change of cipher once, then no more in a record than clients put there."""
    tls = client(seed=1)
    sent = b"".join(map(tls.wrap, pieces))
    change, sent = sent[:6], sent[6:]
    assert change == record(20, b"\1")
    carried = b""
    while sent:
        length = int.from_bytes(sent[3:5], "big")
        assert sent[:3] == b"\x17\x03\x03"
        assert 1 <= length <= MAX_CHUNK_BYTES
        carried += sent[5 : 5 + length]
        sent = sent[5 + length :]
    assert carried == b"".join(pieces)


@given(st.lists(st.binary(max_size=600), min_size=1, max_size=5), pieces)
def test_records_that_are_received(datas: list[bytes], sizes: list[int]) -> None:
    """However they are cut; changes of cipher between them carry nothing."""
    tls = client(seed=1)
    stream = b"".join(record(23, data) + record(20, b"\1") for data in datas)
    assert b"".join(map(tls.unwrap, cut(stream, sizes))) == b"".join(datas)


@pytest.mark.parametrize(
    "stream",
    [
        record(21, b"\x02\x28"),
        b"\x17\x03\x01\x00\x01x",
        b"HTTP/1.1 200 OK",
        b"\x17\x03\x03" + (MAX_RECORD_BYTES + 1).to_bytes(2, "big"),
    ],
)
def test_other_records_end_it(stream: bytes) -> None:
    with pytest.raises(RecordError):
        client().unwrap(stream)


@given(st.lists(st.binary(max_size=100), max_size=20))
def test_any_bytes_are_records_or_end_it(pieces: list[bytes]) -> None:
    tls = client(seed=1)
    with suppress(RecordError):
        for piece in pieces:
            tls.unwrap(piece)
