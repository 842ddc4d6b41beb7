"""req_pq_multi and resPQ: each thing that can be wrong with an answer has its own word."""

import hashlib
import random
import re
import struct
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from probe.model import failure as failures
from probe.model.observation import MtprotoTransport
from probe.wire.mtproto.carrier import Stream, obfuscated
from probe.wire.mtproto.conversation import Conversation, carrier_of
from probe.wire.mtproto.framing import MAX_FRAME_BYTES, FrameFault
from probe.wire.mtproto.messages import Fault, Rejected, TransportError, build_packet, message_id
from probe.wire.mtproto.obfuscation import Obfuscation
from probe.wire.mtproto.res_pq import (
    KNOWN_KEYS,
    PRODUCTION_KEYS,
    TEST_KEYS,
    ResPq,
    build_question,
    read_answer,
)

TRANSPORTS: tuple[MtprotoTransport, ...] = get_args(MtprotoTransport)
STREAMS = TRANSPORTS[:5]
NOW = 1_795_521_630.25

# The answer in Telegram's own example of the exchange (core.telegram.org/mtproto/samples-auth_key).
SAMPLE = bytes.fromhex(
    "0000000000000000 01C8831EC97AE551 40000000 63241605"
    "3E0549828CCA27E966B301A48FECE2FC A5CF4D33F4A11EA877BA4AA573907330"
    "0817ED48941A08F981000000 15C4B51C 01000000 216BE86C022BB4C3"
)
SAMPLE_NONCE = bytes.fromhex("3E0549828CCA27E966B301A48FECE2FC")

# Answers of production data centres, as public repositories keep them in their tests.
MARCH = bytes.fromhex(
    "0000000000000000015485c79283b2695000000063241605f05bf2edeb565a2f7149877399a10b8d"
    "c2a74ba9ac120c709f7d942803727959082d5eacb6daa4b2e500000015c4b51c03000000"
    "85fd64de851d9dd0a5b7f709355fc30b216be86c022bb4c3"
)
JULY = bytes.fromhex(
    "000000000000000001f4ccc26170466a500000006324160551a1143fc7a3666be4be54d6890a02dc"
    "63248f6748214eab8a2f4cc876e11974082e9cdb98c80cda4b00000015c4b51c03000000"
    "85fd64de851d9dd0a5b7f709355fc30b216be86c022bb4c3"
)


def seeded(seed: int = 1) -> Any:
    """Return a reproducible source of bytes."""
    return random.Random(seed).randbytes


def packet(
    nonce: bytes = SAMPLE_NONCE,
    *,
    key_id: int = 0,
    message_id: int = (0x51E57AC9 << 32) | 1,
    constructor: int = 0x05162463,
    server_nonce: bytes = b"s" * 16,
    pq: bytes = b"\x08\x17\xed\x48\x94\x1a\x08\xf9\x81\x00\x00\x00",
    vector: int = 0x1CB5C415,
    keys: tuple[int, ...] = (0xC3B42B026CE86B21,),
    count: int | None = None,
) -> bytes:
    """Return a good answer, but for what is given."""
    body = struct.pack("<I", constructor) + nonce + server_nonce + pq
    number = len(keys) if count is None else count
    body += struct.pack(f"<II{len(keys)}Q", vector, number, *keys)
    return struct.pack("<QQI", key_id, message_id, len(body)) + body


def test_the_published_example_verifies() -> None:
    """Its time is the upper half of 51E57AC91E83C801."""
    assert read_answer(SAMPLE, SAMPLE_NONCE) == ResPq(
        0x51E57AC9,
        (0xC3B42B026CE86B21,),
        0x17ED48941A08F981,
        SAMPLE_NONCE,
        bytes.fromhex("A5CF4D33F4A11EA877BA4AA573907330"),
    )
    assert packet(server_nonce=SAMPLE[40:56])[20:] == SAMPLE[20:]


@pytest.mark.parametrize(
    ("captured", "day"), [(MARCH, "2026-03-12"), (JULY, "2026-07-02")], ids=["March", "July"]
)
def test_answers_of_production_verify(captured: bytes, day: str) -> None:
    """They name the three keys of production and tell the time."""
    answer = read_answer(captured, captured[24:40])
    assert isinstance(answer, ResPq)
    assert datetime.fromtimestamp(answer.server_time, UTC).date().isoformat() == day
    assert frozenset(answer.fingerprints) == PRODUCTION_KEYS


def test_test_data_centres_are_known() -> None:
    """Either of their own keys will do."""
    for key in TEST_KEYS:
        assert isinstance(read_answer(packet(keys=(1, key)), SAMPLE_NONCE), ResPq)
    assert not PRODUCTION_KEYS & TEST_KEYS


def test_keys_of_a_service_of_its_own_are_known_to_it() -> None:
    """Only to it, and beside Telegram's."""
    own = packet(keys=(7,))
    assert read_answer(own, SAMPLE_NONCE) == Rejected("mtproto_unknown_keys")
    assert isinstance(read_answer(own, SAMPLE_NONCE, KNOWN_KEYS | {7}), ResPq)
    assert isinstance(read_answer(packet(), SAMPLE_NONCE, KNOWN_KEYS | {7}), ResPq)


def request(now: float, seed: int) -> tuple[bytes, bytes]:
    """Return a whole first packet, and its nonce."""
    source = seeded(seed)
    question = build_question(source)
    return build_packet(message_id(now, source), question.body, source), question.nonce


@given(st.integers(0, 2**32), st.floats(0, 2**32 - 1))
def test_a_request_is_well_formed(seed: int, now: float) -> None:
    """Unencrypted, a client's message id of about now, padding counted in the length."""
    built, nonce = request(now, seed)
    key_id, number, length, constructor = struct.unpack_from("<QQII", built)
    assert (key_id, constructor) == (0, 0xBE7E8EF1)
    assert number % 4 == 0
    assert abs(number / 2**32 - now) < 0.01
    assert length == len(built) - 20
    assert length in range(20, 20 + 4 * 63 + 1, 4)
    assert built[24:40] == nonce


def test_requests_differ_in_length_and_low_bits() -> None:
    """A constant length, or zeros that come of floating point, would be a mark."""
    built = [request(NOW, seed)[0] for seed in range(200)]
    assert len({len(one) for one in built}) > 50
    assert len({one[8:10] for one in built}) > 150


def string(value: int, size: int = 8) -> bytes:
    """Return a number as TL writes a string of bytes, padded to words."""
    data = bytes((size,)) + value.to_bytes(size, "big")
    return data + bytes(-len(data) % 4)


WRONG: dict[str, tuple[bytes, Fault, str | None]] = {
    "encrypted": (packet(key_id=1 << 63), "mtproto_wrong_key_id", None),
    "a client's message id": (packet(message_id=4 << 32), "mtproto_wrong_message_id", None),
    "a reply's, mod 4 = 3": (packet(message_id=7), "mtproto_wrong_message_id", None),
    "another constructor": (packet(constructor=0xBE7E8EF1), "mtproto_wrong_constructor", None),
    "another nonce": (packet(b"n" * 16), "mtproto_wrong_nonce", None),
    "no server nonce": (packet(server_nonce=bytes(16)), "mtproto_wrong_server_nonce", None),
    "pq of 7 bytes": (packet(pq=string(15, 7)), "mtproto_wrong_pq", "not 8 bytes"),
    "pq of 12 bytes": (packet(pq=string(15, 12)), "mtproto_wrong_pq", "not 8 bytes"),
    "pq as a long string": (packet(pq=b"\xfe" + bytes(11)), "mtproto_wrong_pq", "not 8 bytes"),
    "pq of 2^63": (packet(pq=string(2**63)), "mtproto_wrong_pq", "too large"),
    "pq of 0": (packet(pq=string(0)), "mtproto_wrong_pq", "not composite"),
    "pq of 1": (packet(pq=string(1)), "mtproto_wrong_pq", "not composite"),
    "pq of 37": (packet(pq=string(37)), "mtproto_wrong_pq", "not composite"),
    # 2^61 - 1 is a Mersenne prime.
    "pq a prime": (packet(pq=string(2**61 - 1)), "mtproto_wrong_pq", "not composite"),
    "no vector": (packet(vector=0x1CB5C416), "mtproto_wrong_vector", None),
    "unknown keys": (packet(keys=(1, 2)), "mtproto_unknown_keys", None),
    "no keys": (packet(keys=()), "mtproto_unknown_keys", None),
    "more keys than bytes": (packet(count=2), "mtproto_truncated", None),
    "endless keys": (packet(count=2**32 - 1), "mtproto_truncated", None),
    "nothing": (b"", "mtproto_truncated", None),
    "no code of an error": (
        (-100_000).to_bytes(4, "little", signed=True),
        "mtproto_truncated",
        None,
    ),
    "a positive code": ((404).to_bytes(4, "little"), "mtproto_truncated", None),
}


@pytest.mark.parametrize(("answer", "fault", "detail"), WRONG.values(), ids=WRONG)
def test_each_wrong_thing_has_its_word(answer: bytes, fault: Fault, detail: str | None) -> None:
    assert read_answer(answer, SAMPLE_NONCE) == Rejected(fault, detail)


@pytest.mark.parametrize("number", [4, 15, 1681, 0x17ED48941A08F981, (2**31 - 1) ** 2, 561, 2**62])
def test_a_composite_pq_passes(number: int) -> None:
    """561 is a Carmichael number."""
    assert isinstance(read_answer(packet(pq=string(number)), SAMPLE_NONCE), ResPq)


@given(st.integers(0, 10_000))
def test_composites_are_those_that_something_divides(number: int) -> None:
    has_divisor = number > 3 and any(number % d == 0 for d in range(2, int(number**0.5) + 1))
    answer = read_answer(packet(pq=string(number)), SAMPLE_NONCE)
    assert isinstance(answer, ResPq) == has_divisor


@given(st.integers(0, len(SAMPLE) - 1))
def test_a_cut_answer_is_truncated(length: int) -> None:
    """Wherever it is cut."""
    assert read_answer(SAMPLE[:length], SAMPLE_NONCE) == Rejected("mtproto_truncated")


@given(st.integers(20, len(SAMPLE) - 1))
def test_an_answer_that_says_it_is_shorter_is_truncated(end: int) -> None:
    """Its length is believed, not what lies behind it."""
    short = SAMPLE[:16] + (end - 20).to_bytes(4, "little") + SAMPLE[20:]
    assert read_answer(short, SAMPLE_NONCE) == Rejected("mtproto_truncated")


@given(st.binary(max_size=15))
def test_padding_behind_the_message_is_ignored(padding: bytes) -> None:
    assert isinstance(read_answer(SAMPLE + padding, SAMPLE_NONCE), ResPq)


@pytest.mark.parametrize("code", [404, 429, 444, 500, 1, 999])
@pytest.mark.parametrize("padding", [b"", b"p" * 15], ids=["bare", "padded"])
def test_a_transport_error_is_an_answer_of_mtproto(code: int, padding: bytes) -> None:
    wire = (-code).to_bytes(4, "little", signed=True)
    assert read_answer(wire + padding, SAMPLE_NONCE) == TransportError(code)


def asked(transport: MtprotoTransport, seed: int = 1) -> Conversation:
    """Return a conversation that waits for its first answer."""
    source = seeded(seed)
    carrier = carrier_of(transport, dc_id=2, random=source, host="a.example")
    asking = Conversation(carrier, source)
    asking.ask(NOW)
    return asking


HTTP = b"HTTP/1.1 403 Forbidden\r\n\r\n"
ALERT = b"\x15\x03\x01\x00\x02\x02\x28"
SERVER_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize(
    ("sent", "protocol"),
    [(HTTP, "http"), (b"<!DOCTYPE html>", "http"), (ALERT, "tls"), (SERVER_HELLO, "tls")],
    ids=["http", "page", "alert", "hello"],
)
def test_other_protocols_are_recognized_at_once(
    transport: MtprotoTransport, sent: bytes, protocol: str
) -> None:
    """In whole and byte by byte, in every stream: without waiting for more."""
    assert asked(transport).receive(sent) == Rejected("not_mtproto", protocol)
    slow = asked(transport)
    answers = [slow.receive(sent[at : at + 1]) for at in range(len(sent))]
    assert Rejected("not_mtproto", protocol) in answers


@pytest.mark.parametrize("transport", ["abridged", "intermediate", "padded", "full"])
@pytest.mark.parametrize("sent", [b"SSH-2.0-OpenSSH", b"<p>\r\nBlocked", b"220 mail\r\n"])
def test_text_is_not_mtproto(transport: MtprotoTransport, sent: bytes) -> None:
    """A banner or a page without a head."""
    assert asked(transport).receive(sent) == Rejected("not_mtproto", "text")


def test_an_obfuscated_answer_may_look_like_text() -> None:
    """It is random bytes: what it means decides, not how it looks."""
    answer = asked("obfuscated").receive(b"SSH-2.0-OpenSSH")
    assert not isinstance(answer, Rejected) or answer.fault != "not_mtproto"


@given(
    st.sampled_from(TRANSPORTS),
    st.integers(0, 2**32),
    st.lists(st.binary(min_size=1, max_size=200), max_size=8),
)
def test_hostile_bytes_never_raise(
    transport: MtprotoTransport, seed: int, pieces: list[bytes]
) -> None:
    """And never pass: an answer to this request cannot be guessed."""
    asking = asked(transport, seed)
    for piece in pieces:
        answer = asking.receive(piece)
        asking.due()
        assert not isinstance(answer, ResPq)
        if answer is not None:
            break


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_end_of_the_stream_is_not_an_answer(transport: MtprotoTransport) -> None:
    with pytest.raises(EOFError):
        asked(transport).receive(b"")


@pytest.mark.parametrize("transport", STREAMS)
def test_an_endless_answer_is_bounded(transport: MtprotoTransport) -> None:
    """No more is ever kept than one frame and one read."""
    asking = asked(transport)
    for _ in range(2 * MAX_FRAME_BYTES // 1024):
        if (answer := asking.receive(b"\x7f\x00\x10\x00" + bytes(1020))) is not None:
            break
    assert isinstance(answer, Rejected)
    assert isinstance(asking._carrier, Stream)
    assert len(asking._carrier._waiting) <= MAX_FRAME_BYTES + 1024


def open_obfuscated(wire: bytes, secret: bytes) -> tuple[bytes, Any]:
    """Return what a server finds behind the start, and its cipher for the answer.

    Written from the page of transports, with the keys as the other side sees them.
    """

    def cipher(material: bytes) -> Any:
        key = material[:32]
        return Cipher(
            AES(hashlib.sha256(key + secret).digest() if secret else key), CTR(material[32:])
        )

    plain = cipher(wire[8:56]).decryptor().update(wire)
    return plain[56:], cipher(wire[8:56][::-1]).encryptor()


@pytest.mark.parametrize("secret", [b"", bytes(range(16))], ids=["direct", "secret"])
def test_a_server_understands_the_obfuscation(secret: bytes) -> None:
    """Tag, number of the data centre and request, and back the answer."""
    asking = Conversation(obfuscated("padded", dc_id=2, random=seeded(), secret=secret), seeded())
    inside, cipher = open_obfuscated(asking.ask(NOW), secret)
    assert inside[:6] == b"\xdd\xdd\xdd\xdd\x02\x00"
    length, key_id, number, _, constructor, nonce = struct.unpack_from("<IQQII16s", inside, 8)
    assert len(inside) == 8 + 4 + length
    assert (key_id, constructor) == (0, 0xBE7E8EF1)
    assert number >> 32 == int(NOW)

    answer = packet(nonce) + b"padding"
    wire = cipher.update(len(answer).to_bytes(4, "little") + answer)
    assert asking.receive(wire[:50]) is None
    assert isinstance(asking.receive(wire[50:]), ResPq)


def test_a_wrong_secret_is_no_answer() -> None:
    """Without the secret a server reads noise, and its noise is none to us."""
    asking = Conversation(
        obfuscated("padded", dc_id=2, random=seeded(), secret=bytes(16)), seeded()
    )
    inside, cipher = open_obfuscated(asking.ask(NOW), b"")
    assert inside[:4] != b"\xdd" * 4
    answer = asking.receive(cipher.update((100).to_bytes(4, "little") + packet()))
    assert not isinstance(answer, ResPq)


@given(st.integers(0, 2**32), st.integers(-20_000, 20_000))
def test_the_start_looks_like_nothing_else(seed: int, dc_id: int) -> None:
    """Neither another framing nor HTTP nor TLS; the data centre's number is signed."""
    start = Obfuscation(b"\xdd" * 4, dc_id, seeded(seed)).start
    assert len(start) == 64
    assert start[0] != 0xEF
    assert start[4:8] != bytes(4)
    assert not start.startswith(TAKEN)
    inside, _ = open_obfuscated(start, b"")
    assert struct.unpack("<h", inside[4:6]) == (dc_id,)


TAKEN = (b"HEAD", b"POST", b"GET ", b"OPTI", b"\xee" * 4, b"\xdd" * 4, b"\x16\x03\x01\x02")


@pytest.mark.parametrize("taken", [*TAKEN, b"\xef", b"abcd\0\0\0\0"])
def test_a_start_that_looks_like_something_is_drawn_again(taken: bytes) -> None:
    good = b"g" * 64
    draws = iter([taken.ljust(64, b"x"), good, b"zz"])
    assert Obfuscation(b"\xdd" * 4, 1, lambda _: next(draws)).start[:56] == good[:56]


def test_every_fault_can_be_stored() -> None:
    """Behind the prefix each matches the pattern of a failure."""
    words = set(get_args(FrameFault)) | {
        word for part in get_args(Fault) for word in get_args(part)
    }
    assert {fault for _, fault, _ in WRONG.values()} < words
    for word in words:
        assert re.match(failures.PATTERN, f"{failures.UNKNOWN_PREFIX}{word}")
    assert len(KNOWN_KEYS) == 5
