"""MTProto's framings over a stream, in those of PyPI's ``mtproto``, sans I/O."""

import struct
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from mtproto.enums import ConnectionRole, TransportEvent
from mtproto.transport.connection import Connection
from mtproto.transport.packets.base_packet import BasePacket
from mtproto.transport.packets.error_packet import ErrorPacket

from censorlab.servers.data_centre_answers import WRONG_CENTRE, Centre

_ABRIDGED: Final = b"\xef"
_INTERMEDIATE: Final = b"\xee" * 4
_PADDED: Final = b"\xdd" * 4
_FULL: Final = b"full"
"""Of our own: this framing has no tag, but zeros where others have keys."""
_OBFUSCATED_TAGS: Final = {
    _ABRIDGED * 4: _ABRIDGED,
    _INTERMEDIATE: _INTERMEDIATE,
    _PADDED: _PADDED,
}
_START_BYTES: Final = 64
_LENGTH: Final = 0x7FFF_FFFF
"""The upper bit of a frame's length asks for a quick acknowledgement."""
_MAX_FRAME_BYTES: Final = 1 << 20
_TEST_NUMBERS: Final = 10_000


class RefusedError(Exception):
    """What came is no transport's, or no packet: a data centre closes the connection."""


class Framed:
    """One stream without its socket: bytes in, bytes out.

    ``number`` is the data centre's: who names another in the obfuscation is told so. None
    takes any: Telethon and Pyrogram leave it random. ``only_obfuscated``: as in a
    WebSocket. The obfuscation is undone here, not in the library: its own needs a compiler
    on Python 3.12 and later, and its pure form leaves bytes as they are (0.3.1).
    """

    is_over: Final = False

    def __init__(
        self, centre: Centre, number: int | None = None, *, only_obfuscated: bool = False
    ) -> None:
        self._centre = centre
        self._number = number
        self._only_obfuscated = only_obfuscated
        self._connection: Connection[Any] = Connection(ConnectionRole.SERVER)
        self._tag = b""
        self._waiting = b""
        self._receiving: CipherContext | None = None
        self._sending: CipherContext | None = None
        self._is_for_another = False

    def receive(self, data: bytes, now: float, server_nonce: bytes) -> bytes:
        """Return the answers to what these bytes complete; ``now`` is Unix time.

        Raises:
            RefusedError: if they cannot be understood.
        """
        self._waiting += data if self._receiving is None else self._receiving.update(data)
        if not self._tag:
            self._recognize()
        end = self._whole_frames()
        whole, self._waiting = self._waiting[:end], self._waiting[end:]
        self._connection.data_received(whole)
        sent = b""
        try:
            while whole and (packet := self._connection.next_event()) is not None:
                sent += self._connection.send(self._answer(packet, now, server_nonce))
        except Exception as error:  # the library raises many kinds on bytes it cannot parse
            raise RefusedError from error
        return sent if self._sending is None else self._sending.update(sent)

    def _answer(self, packet: object, now: float, server_nonce: bytes) -> BasePacket:
        if isinstance(packet, TransportEvent):
            raise RefusedError  # a frame too long
        if self._is_for_another:
            return ErrorPacket(WRONG_CENTRE)
        return self._centre.answer(packet, now, server_nonce)

    def _recognize(self) -> None:
        """Find the framing, below the obfuscation if there is one."""
        start = self._waiting
        if not self._only_obfuscated and (tag := _bare_tag(start)):
            self._tag = tag
        elif len(start) >= _START_BYTES:
            self._unveil(start)
        else:
            return
        if self._tag == _FULL:
            return  # the library looks at its zeros itself
        self._waiting = self._waiting[len(self._tag) :]
        self._connection.data_received(self._tag)

    def _unveil(self, start: bytes) -> None:
        keys = start[8:56]
        backwards = keys[::-1]
        self._receiving = Cipher(AES(keys[:32]), CTR(keys[32:])).decryptor()
        self._sending = Cipher(AES(backwards[:32]), CTR(backwards[32:])).encryptor()
        start = self._receiving.update(start)
        self._tag = _OBFUSCATED_TAGS.get(start[56:60], b"")
        if not self._tag:
            raise RefusedError
        (named,) = struct.unpack_from("<h", start, 60)
        if self._number is not None:
            # Negative for media, and so many more for the test centres.
            self._is_for_another = abs(named) % _TEST_NUMBERS != self._number
        self._waiting = self._tag + start[_START_BYTES:]

    def _whole_frames(self) -> int:
        """Return how many of the waiting bytes the library may have.

        At less than four bytes from the end of an intermediate frame it raises (0.3.1).
        """
        if self._tag not in {_INTERMEDIATE, _PADDED}:
            return len(self._waiting) if self._tag else 0
        end = 0
        while len(self._waiting) >= end + 4:
            length = struct.unpack_from("<I", self._waiting, end)[0] & _LENGTH
            if length > _MAX_FRAME_BYTES:
                raise RefusedError
            if len(self._waiting) < end + 4 + length:
                break
            end += 4 + length
        return end


def _bare_tag(start: bytes) -> bytes:
    """Return which framing this is without obfuscation, if that shows."""
    if start.startswith(_ABRIDGED):
        return _ABRIDGED
    if start[:4] in {_INTERMEDIATE, _PADDED}:
        return start[:4]
    return _FULL if start[4:8] == bytes(4) else b""
