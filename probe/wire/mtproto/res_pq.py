"""``req_pq_multi`` and what a data centre answers, as packets without framing.

A verified answer proves a peer that speaks MTProto and read this request, not that
it is Telegram's: the fingerprints of Telegram's keys are public.
"""

import struct
from typing import Final, Literal, NamedTuple

from probe.wire.mtproto.framing import ERROR_CODES, FrameFault, Random

PRODUCTION_KEYS: Final = frozenset((0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5, 0xC3B42B026CE86B21))
TEST_KEYS: Final = frozenset((0xB25898DF208D2603, 0x9692106DA14B9F02))
KNOWN_KEYS: Final = PRODUCTION_KEYS | TEST_KEYS
"""Fingerprints of the RSA keys that data centres offer, as unsigned numbers."""

NONCE_BYTES: Final = 16
MAX_PADDING_WORDS: Final = 63
"""As Telegram Desktop pads its own first request; a body of 20 bytes is a mark."""

HEAD_BYTES: Final = 20
"""Key id, message id and length, in front of every unencrypted message."""

_REQ_PQ_MULTI: Final = 0xBE7E8EF1
_RES_PQ: Final = 0x05162463
_VECTOR: Final = 0x1CB5C415
_WITNESSES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
"""Bases that decide primality below 2^64 (Sorenson and Webster 2015)."""

Fault = (
    FrameFault
    | Literal[
        "not_mtproto",
        "mtproto_truncated",
        "mtproto_wrong_key_id",
        "mtproto_wrong_message_id",
        "mtproto_wrong_constructor",
        "mtproto_wrong_nonce",
        "mtproto_wrong_server_nonce",
        "mtproto_wrong_pq",
        "mtproto_wrong_vector",
        "mtproto_unknown_keys",
    ]
)
"""One word for each thing that can be wrong with an answer."""


class Request(NamedTuple):
    """A packet to send, and the nonce that its answer has to repeat."""

    packet: bytes
    nonce: bytes


class ResPq(NamedTuple):
    """A verified answer. ``server_time`` is Unix time in whole seconds."""

    server_time: int
    fingerprints: tuple[int, ...]


class TransportError(NamedTuple):
    """The peer speaks MTProto and refused; ``code`` is positive, such as 404."""

    code: int


class Rejected(NamedTuple):
    """Anything else; ``detail`` is for people and holds nothing of the peer's."""

    fault: Fault
    detail: str | None = None


Answer = ResPq | TransportError | Rejected


def build_request(now: float, random: Random) -> Request:
    """Build ``req_pq_multi``, padded as official clients do; ``now`` is Unix time."""
    nonce = random(NONCE_BYTES)
    padding = random(4 * (random(1)[0] % (MAX_PADDING_WORDS + 1)))
    body = struct.pack("<I", _REQ_PQ_MULTI) + nonce + padding
    # A double has 22 bits of a second at this epoch. Constant zeros below them
    # would mark us, so those and some above are random, as in TDLib; a client's
    # ids are multiples of four.
    noise = int.from_bytes(random(3), "little") >> 2
    message_id = (int(now * 2**32) ^ noise) & ~3
    return Request(struct.pack("<qQI", 0, message_id, len(body)) + body, nonce)


def read_answer(packet: bytes, nonce: bytes) -> Answer:
    """Verify one packet; padding behind the message is ignored. Never raises."""
    if len(packet) < HEAD_BYTES:
        return _read_short(packet)
    key_id, message_id, length = struct.unpack_from("<QQI", packet)
    if key_id != 0:
        return Rejected("mtproto_wrong_key_id")
    if message_id % 4 != 1:
        return Rejected("mtproto_wrong_message_id")
    body = packet[HEAD_BYTES : HEAD_BYTES + length]
    if len(body) < length:
        return Rejected("mtproto_truncated")
    checked = _read_body(body, nonce)
    return checked if isinstance(checked, Rejected) else ResPq(message_id >> 32, checked)


def _read_short(packet: bytes) -> Answer:
    # In padded framing an error is longer than its four bytes, but never as long
    # as a head.
    code = int.from_bytes(packet[:4], "little", signed=True)
    if len(packet) >= 4 and code in ERROR_CODES:
        return TransportError(-code)
    return Rejected("mtproto_truncated")


def _read_body(body: bytes, nonce: bytes) -> tuple[int, ...] | Rejected:
    """Return the fingerprints of a good resPQ."""
    fields = _Fields(body)
    try:
        if fields.number(4) != _RES_PQ:
            return Rejected("mtproto_wrong_constructor")
        if fields.take(NONCE_BYTES) != nonce:
            return Rejected("mtproto_wrong_nonce")
        if not any(fields.take(NONCE_BYTES)):
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
    if KNOWN_KEYS.isdisjoint(fingerprints):
        return Rejected("mtproto_unknown_keys")
    return fingerprints


class _Fields:
    """Reads a body from its start; EOFError where it ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._body):
            raise EOFError
        taken = self._body[self._at : end]
        self._at = end
        return taken

    def number(self, length: int) -> int:
        return int.from_bytes(self.take(length), "little")


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
