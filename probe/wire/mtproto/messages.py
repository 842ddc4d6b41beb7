"""Unencrypted messages: what is said before there is a key, as packets without framing.

A packet is a key id of zero, a message id, a length and a body; in its place a peer may
send a transport error. What can be wrong with any answer has its word here.
"""

import struct
from typing import Final, Literal, NamedTuple

from probe.wire.mtproto.framing import ERROR_CODES, FrameFault, Random

HEAD_BYTES: Final = 20
"""Key id, message id and length, in front of every unencrypted message."""

MAX_PADDING_WORDS: Final = 63
"""As Telegram Desktop pads such messages; a first body of 20 bytes is a mark."""

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
        "mtproto_websocket_refused",
        "mtproto_websocket_wrong_subprotocol",
        "mtproto_websocket_broken",
        "mtproto_websocket_closed",
        "mtproto_no_public_key",
        "mtproto_key_refused",
        "mtproto_wrong_key",
        "mtproto_wrong_dh",
    ]
)
"""One word for each thing that can be wrong: with an answer, with the WebSocket around
it, and with the proof of a key."""


class Message(NamedTuple):
    """One message of a server; the upper half of ``number`` is its Unix time."""

    number: int
    body: bytes

    @property
    def server_time(self) -> int:
        """When it was sent by the server's clock: Unix time in whole seconds."""
        return self.number >> 32


class TransportError(NamedTuple):
    """The peer speaks MTProto and refused; ``code`` is positive, such as 404."""

    code: int


class Rejected(NamedTuple):
    """Anything else; ``detail`` is for people and holds nothing of the peer's."""

    fault: Fault
    detail: str | None = None


def message_id(now: float, random: Random) -> int:
    """Return a client's message id for ``now``, Unix time.

    A double has 22 bits of a second at this epoch. Constant zeros below them would mark
    us, so those and some above are random, as in TDLib; a client's ids are multiples of
    four.
    """
    noise = int.from_bytes(random(3), "little") >> 2
    return (int(now * 2**32) ^ noise) & ~3


def build_packet(number: int, body: bytes, random: Random) -> bytes:
    """Return a body as a packet, padded by whole words as official clients do."""
    padded = body + random(4 * (random(1)[0] % (MAX_PADDING_WORDS + 1)))
    return struct.pack("<qQI", 0, number, len(padded)) + padded


def read_packet(packet: bytes) -> Message | TransportError | Rejected:
    """Read one packet; padding behind the message is ignored. Never raises."""
    if len(packet) < HEAD_BYTES:
        return _read_short(packet)
    key_id, number, length = struct.unpack_from("<QQI", packet)
    if key_id != 0:
        return Rejected("mtproto_wrong_key_id")
    if number % 4 != 1:
        return Rejected("mtproto_wrong_message_id")
    body = packet[HEAD_BYTES : HEAD_BYTES + length]
    if len(body) < length:
        return Rejected("mtproto_truncated")
    return Message(number, body)


def _read_short(packet: bytes) -> TransportError | Rejected:
    # In padded framing an error is longer than its four bytes, but never as long
    # as a head.
    code = int.from_bytes(packet[:4], "little", signed=True)
    if len(packet) >= 4 and code in ERROR_CODES:
        return TransportError(-code)
    return Rejected("mtproto_truncated")
