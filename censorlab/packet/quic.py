"""QUIC version 1 Initial packets, decrypted as any observer can (RFC 9000, RFC 9001 §5)."""

import hmac
from collections.abc import Iterator
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from censorlab.packet.errors import MalformedPacketError

VERSION_1: Final = 1

_SALT: Final = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
"""RFC 9001 §5.2."""
_LONG_HEADER: Final = 0xC0
_TYPE: Final = 0x30
_INITIAL: Final = 0x00
_MAX_ID_BYTES: Final = 20
_TAG_BYTES: Final = 16
_SAMPLE_AT: Final = 4
_PADDING: Final = 0x00
_PING: Final = 0x01
_ACK: Final = frozenset({0x02, 0x03})
_CRYPTO: Final = 0x06
_CLOSE: Final = frozenset({0x1C, 0x1D})


class Keys(NamedTuple):
    """What protects a client's Initial packets."""

    key: bytes
    iv: bytes
    header: bytes


class Fragment(NamedTuple):
    """A piece of the client's handshake bytes."""

    offset: int
    data: bytes


class _Cursor:
    """Takes fields off a datagram or a decrypted payload."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise MalformedPacketError(f"QUIC field of {count} bytes cut short")
        self.at += count
        return piece

    def number(self) -> int:
        """Take a variable-length integer (RFC 9000 §16)."""
        first = self.take(1)[0]
        rest = self.take((1 << (first >> 6)) - 1)
        return int.from_bytes(bytes((first & 0x3F,)) + rest, "big")


def destination_id(datagram: bytes) -> bytes:
    """Return the destination connection id of the Initial that a datagram starts with.

    Raises:
        MalformedPacketError: if it starts with anything else.
    """
    cursor = _Cursor(datagram)
    if cursor.take(1)[0] & (_LONG_HEADER | _TYPE) != _LONG_HEADER | _INITIAL:
        raise MalformedPacketError("not a QUIC Initial")
    if int.from_bytes(cursor.take(4), "big") != VERSION_1:
        raise MalformedPacketError("not QUIC version 1")
    length = cursor.take(1)[0]
    if length > _MAX_ID_BYTES:
        raise MalformedPacketError(f"QUIC connection id of {length} bytes")
    return cursor.take(length)


def client_keys(first_destination_id: bytes) -> Keys:
    """Derive the keys from the id that the client's very first Initial was sent to."""
    initial_secret = hmac.digest(_SALT, first_destination_id, "sha256")
    secret = _expand(initial_secret, b"client in", 32)
    return Keys(
        _expand(secret, b"quic key", 16),
        _expand(secret, b"quic iv", 12),
        _expand(secret, b"quic hp", 16),
    )


def _expand(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446 §7.1) with an empty context."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
    return HKDFExpand(hashes.SHA256(), length, info).derive(secret)


def read_initials(datagram: bytes, keys: Keys) -> tuple[Fragment, ...]:
    """Return the CRYPTO pieces of all Initials at the start of a datagram.

    Raises:
        MalformedPacketError: if the first is no Initial under these keys, or
            any that follows is damaged.
    """
    fragments: list[Fragment] = []
    at = 0
    while at < len(datagram):
        if at and datagram[at] & (_LONG_HEADER | _TYPE) != _LONG_HEADER | _INITIAL:
            break  # a 0-RTT or Handshake packet, or padding of the datagram
        payload, length = _open(datagram[at:], keys)
        fragments += _crypto_frames(_Cursor(payload))
        at += length
    return tuple(fragments)


def _open(packet: bytes, keys: Keys) -> tuple[bytes, int]:
    """Remove header protection and decrypt (RFC 9001 §5.3, §5.4)."""
    cursor = _Cursor(packet)
    cursor.at = 5 + 1 + len(destination_id(packet))
    cursor.take(cursor.take(1)[0])  # source connection id
    cursor.take(cursor.number())  # token
    length = cursor.number()
    number_at = cursor.at
    end = number_at + len(cursor.take(length))
    sample = packet[number_at + _SAMPLE_AT : number_at + _SAMPLE_AT + 16]
    if length < _SAMPLE_AT + _TAG_BYTES:
        raise MalformedPacketError(f"QUIC packet of {length} bytes")
    encryptor = Cipher(algorithms.AES(keys.header), modes.ECB()).encryptor()  # noqa: S305  RFC 9001 §5.4.3 prescribes a single block
    mask = encryptor.update(sample)
    header = bytearray(packet[: number_at + 4])
    header[0] ^= mask[0] & 0x0F
    number_length = (header[0] & 0x03) + 1
    for n in range(number_length):
        header[number_at + n] ^= mask[1 + n]
    payload_at = number_at + number_length
    number = bytes(header[number_at:payload_at]).rjust(12, b"\0")
    nonce = bytes(a ^ b for a, b in zip(keys.iv, number, strict=True))
    try:
        payload = AESGCM(keys.key).decrypt(
            nonce, packet[payload_at:end], bytes(header[:payload_at])
        )
    except InvalidTag:
        raise MalformedPacketError("QUIC Initial does not authenticate") from None
    return payload, end


def _crypto_frames(frames: _Cursor) -> Iterator[Fragment]:
    """Walk the frames that an Initial may carry (RFC 9000 §17.2.2)."""
    while frames.at < len(frames.data):
        kind = frames.take(1)[0]
        if kind in (_PADDING, _PING):
            continue
        if kind == _CRYPTO:
            offset = frames.number()
            yield Fragment(offset, frames.take(frames.number()))
        elif kind in _ACK:
            frames.number()
            frames.number()
            ranges = frames.number()
            for _ in range(1 + 2 * ranges + (3 if kind & 1 else 0)):
                frames.number()
        elif kind in _CLOSE:
            return
        else:
            raise MalformedPacketError(f"QUIC frame {kind:#x} in an Initial")
