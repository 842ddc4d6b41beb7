"""Several questions over one obfuscated stream, to the lab's data centre."""

import os
import random
import struct
from typing import Literal

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from hypothesis import given
from hypothesis import strategies as st

from censorlab.servers.data_centre import Session
from probe.wire.mtproto.carrier import obfuscated, plain
from probe.wire.mtproto.conversation import REPLAYED, Conversation
from probe.wire.mtproto.messages import Message, Rejected, TransportError
from probe.wire.mtproto.res_pq import ResPq

NOW = 1_800_000_000.0
FRAMINGS = st.sampled_from(["intermediate", "padded"])


def conversation(
    framing: Literal["intermediate", "padded"] = "padded", earlier: frozenset[bytes] = frozenset()
) -> Conversation:
    carrier = obfuscated(framing, dc_id=2, random=os.urandom)
    return Conversation(carrier, os.urandom, earlier=earlier)


class Centre:
    """Knows the keys of a conversation by its start, and says what a test wants."""

    def __init__(self, asking: Conversation) -> None:
        backwards = asking.ask(NOW)[8:56][::-1]
        self._sending = Cipher(AES(backwards[:32]), CTR(backwards[32:])).encryptor()

    def say(self, packet: bytes) -> bytes:
        """Frame and obfuscate a packet of the test's own."""
        return self._sending.update(struct.pack("<I", len(packet)) + packet)


@given(FRAMINGS, st.integers(1, 5), st.integers(1, 200))
def test_each_question_is_answered(
    framing: Literal["intermediate", "padded"], count: int, chunk: int
) -> None:
    """In pieces of any size, each by an answer of its own."""
    asking, centre = conversation(framing), Session()
    for number in range(1, count + 1):
        sent = centre.receive(asking.ask(NOW), NOW, b"s" * 16)
        answers = [asking.receive(sent[at : at + chunk]) for at in range(0, len(sent), chunk)]
        assert answers[:-1] == [None] * (len(answers) - 1)
        assert isinstance(answers[-1], ResPq)
        assert len(set(asking.nonces)) == number


def res_pq(nonce: bytes, keys: tuple[int, ...] = (0xD09D1D85DE64FD85,)) -> bytes:
    pq = b"\x08" + bytes.fromhex("17ED48941A08F981") + bytes(3)
    vector = struct.pack(f"<II{len(keys)}Q", 0x1CB5C415, len(keys), *keys)
    body = struct.pack("<I", 0x05162463) + nonce + b"s" * 16 + pq + vector
    return struct.pack("<QQI", 0, int(NOW) << 32 | 1, len(body)) + body


def answer_of(asking: Conversation, *packets: bytes) -> object:
    centre = Centre(asking)
    answer: object = None
    for packet in packets:
        answer = asking.receive(centre.say(packet))
    return answer


def test_a_repeated_answer_is_told_from_a_wrong_one() -> None:
    """By the nonces of this conversation and of those before it."""
    earlier = b"e" * 16
    asking = conversation(earlier=frozenset([earlier]))
    replay = Rejected("mtproto_wrong_nonce", REPLAYED)
    assert answer_of(asking, res_pq(earlier)) == replay

    asking = conversation()
    centre = Centre(asking)
    old = res_pq(asking.nonces[0])
    assert isinstance(asking.receive(centre.say(old)), ResPq)
    asking.ask(NOW)
    assert asking.receive(centre.say(old)) == replay

    assert answer_of(conversation(), res_pq(b"x" * 16)) == Rejected("mtproto_wrong_nonce")


@pytest.mark.parametrize("code", [404, 429, 444])
def test_transport_errors(code: int) -> None:
    packet = (-code).to_bytes(4, "little", signed=True)
    assert answer_of(conversation(), packet) == TransportError(code)


def test_unknown_keys() -> None:
    asking = conversation()
    centre = Centre(asking)
    answer = asking.receive(centre.say(res_pq(asking.nonces[0], (1, 2))))
    assert answer == Rejected("mtproto_unknown_keys")


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http"),
        (b"\x15\x03\x03\x00\x02\x02\x32", "tls"),
        (b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03" + bytes(60), "tls"),
    ],
)
def test_other_protocols_are_recognized(data: bytes, detail: str) -> None:
    asking = conversation()
    asking.ask(NOW)
    assert asking.receive(data) == Rejected("not_mtproto", detail)


@given(st.integers(0, 2**32), st.lists(st.binary(max_size=400), max_size=30))
def test_any_bytes_are_an_answer_or_not(seed: int, pieces: list[bytes]) -> None:
    """Nothing is raised, and what is kept has a limit."""
    source = random.Random(seed).randbytes
    asking = Conversation(obfuscated("padded", dc_id=2, random=source), source)
    asking.ask(NOW)
    for piece in filter(None, pieces):
        if isinstance(asking.receive(piece), Rejected):
            break


@given(st.lists(st.floats(0, 2**32 - 1), min_size=2, max_size=20))
def test_numbers_rise_within_a_conversation(times: list[float]) -> None:
    """Whatever the clock does, and all are a client's."""
    asking = Conversation(plain("intermediate", os.urandom), os.urandom)
    asking.ask(times[0])
    sent = [asking.send(bytes(8), now) for now in times]
    numbers = [struct.unpack_from("<Q", frame, 12)[0] for frame in sent]
    assert all(number % 4 == 0 for number in numbers)
    assert numbers == sorted(set(numbers))


def test_other_messages_are_carried_too() -> None:
    """To and from, unread."""
    asking = Conversation(plain("intermediate", os.urandom), os.urandom)
    frame = asking.send(b"a message of words..", NOW)
    assert frame[:4] == b"\xee" * 4
    assert frame[28:48] == b"a message of words.."
    answer = struct.pack("<IQQI", 24, 0, int(NOW) << 32 | 1, 4) + b"back"
    assert asking.receive_message(answer) == Message(int(NOW) << 32 | 1, b"back")
