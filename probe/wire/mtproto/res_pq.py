"""``req_pq_multi`` and what a data centre answers: the first question of every client.

A verified answer proves a peer that speaks MTProto and read this request, not that
it is Telegram's: the fingerprints of Telegram's keys are public. `key_exchange` goes on
from it to a proof.
"""

import struct
from collections.abc import Collection
from typing import Final, NamedTuple

from probe.wire.mtproto.framing import Random
from probe.wire.mtproto.messages import Message, Rejected, TransportError, read_packet
from probe.wire.mtproto.tl import Fields

PRODUCTION_KEYS: Final = frozenset((0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5, 0xC3B42B026CE86B21))
TEST_KEYS: Final = frozenset((0xB25898DF208D2603, 0x9692106DA14B9F02))
KNOWN_KEYS: Final = PRODUCTION_KEYS | TEST_KEYS
"""Fingerprints of the RSA keys that data centres offer, as unsigned numbers."""

NONCE_BYTES: Final = 16

_REQ_PQ_MULTI: Final = 0xBE7E8EF1
_RES_PQ: Final = 0x05162463
_VECTOR: Final = 0x1CB5C415
_WITNESSES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Bases that decide primality below 2^64 (Sorenson and Webster 2015)."""


class Question(NamedTuple):
    """The body of a message to send, and the nonce that its answer has to repeat."""

    body: bytes
    nonce: bytes


class ResPq(NamedTuple):
    """A verified answer. ``server_time`` is Unix time in whole seconds.

    ``product`` is composite and below 2^63; ``nonce`` was ours, ``server_nonce`` is the
    server's.
    """

    server_time: int
    fingerprints: tuple[int, ...]
    product: int
    nonce: bytes
    server_nonce: bytes


Answer = ResPq | TransportError | Rejected


def build_question(random: Random) -> Question:
    """Build ``req_pq_multi``."""
    nonce = random(NONCE_BYTES)
    return Question(struct.pack("<I", _REQ_PQ_MULTI) + nonce, nonce)


def read_answer(packet: bytes, nonce: bytes, known: Collection[int] = KNOWN_KEYS) -> Answer:
    """Verify one packet; padding behind the message is ignored. Never raises.

    ``known`` are fingerprints of which the answer has to offer one.
    """
    message = read_packet(packet)
    if not isinstance(message, Message):
        return message
    return read_res_pq(message, nonce, known)


def read_res_pq(
    message: Message, nonce: bytes, known: Collection[int] = KNOWN_KEYS
) -> ResPq | Rejected:
    """Verify a message; see `read_answer`."""
    fields = Fields(message.body)
    try:
        if fields.number(4) != _RES_PQ:
            return Rejected("mtproto_wrong_constructor")
        if fields.take(NONCE_BYTES) != nonce:
            return Rejected("mtproto_wrong_nonce")
        server_nonce = fields.take(NONCE_BYTES)
        if not any(server_nonce):
            return Rejected("mtproto_wrong_server_nonce")
        # A string of 8 bytes takes 12: its length, and padding to words.
        if fields.take(1) != b"\x08":
            return Rejected("mtproto_wrong_pq", "not 8 bytes")
        product = int.from_bytes(fields.take(8), "big")
        fields.take(3)
        if product >= 2**63:
            return Rejected("mtproto_wrong_pq", "too large")
        if not _is_composite(product):
            return Rejected("mtproto_wrong_pq", "not composite")
        if fields.number(4) != _VECTOR:
            return Rejected("mtproto_wrong_vector")
        keys = fields.take(8 * fields.number(4))
    except EOFError:
        return Rejected("mtproto_truncated")
    fingerprints = struct.unpack(f"<{len(keys) // 8}Q", keys)
    if not any(one in known for one in fingerprints):
        return Rejected("mtproto_unknown_keys")
    return ResPq(message.server_time, fingerprints, product, nonce, server_nonce)


def _is_composite(number: int) -> bool:
    """Decide by Miller and Rabin's test, exactly below 2^64; 0 and 1 are not composite."""
    if number <= max(_WITNESSES):
        return number > 1 and number not in _WITNESSES
    odd, twos = number - 1, 0
    while odd % 2 == 0:
        odd //= 2
        twos += 1
    return any(_is_witness(base, number, odd, twos) for base in _WITNESSES)


def _is_witness(base: int, number: int, odd: int, twos: int) -> bool:
    power = pow(base, odd, number)
    if power in {1, number - 1}:
        return False
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return False
    return True
