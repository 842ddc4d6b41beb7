"""A Telegram data centre as far as ``resPQ``, in the frames of PyPI's ``mtproto``.

Run by `data_centre`; needs no account, as what it answers does not either.
"""

import os
import struct
import sys
import time
from typing import Any, Final

import trio
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from mtproto.enums import ConnectionRole
from mtproto.transport.connection import Connection
from mtproto.transport.packets.base_packet import BasePacket
from mtproto.transport.packets.error_packet import ErrorPacket
from mtproto.transport.packets.message_packet import UnencryptedMessagePacket

from censorlab.servers.program import Program

PORTS: Final = (443, 80, 5222)
"""Those that official clients try on each address."""

_REQ_PQ: Final = (0x60469778, 0xBE7E8EF1)
"""``req_pq`` and ``req_pq_multi``."""
_RES_PQ: Final = 0x05162463
_VECTOR: Final = 0x1CB5C415
_PQ: Final = bytes.fromhex("17ED48941A08F981")
"""494C553B * 53911073: the example in Telegram's description of the handshake."""
_FINGERPRINTS: Final = (0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5, 0xC3B42B026CE86B21)
"""The keys that production data centres offer."""
_NOT_FOUND: Final = 404
"""Transport error for what it does not understand, and for unknown keys."""

_ABRIDGED: Final = b"\xef"
_INTERMEDIATE: Final = b"\xee" * 4
_PADDED: Final = b"\xdd" * 4
_OBFUSCATED_TAGS: Final = {
    _ABRIDGED * 4: _ABRIDGED,
    _INTERMEDIATE: _INTERMEDIATE,
    _PADDED: _PADDED,
}
_LENGTH: Final = 0x7FFF_FFFF
"""The upper bit of a frame's length asks for a quick acknowledgement."""
_READ_BYTES: Final = 65_536


def data_centre(*ports: int, name: str = "data_centre") -> Program:
    """Serve MTProto on every address: abridged, (padded) intermediate, obfuscated or not."""
    chosen = ports or PORTS
    return Program(
        name=name,
        package="mtproto",
        files={},
        words=(sys.executable, "-m", "censorlab.servers.data_centre", *map(str, chosen)),
        listens=tuple(("tcp", port) for port in chosen),
    )


class RefusedError(Exception):
    """What came is no transport's, or no packet: a data centre closes the connection."""


class Session:
    """One connection without its socket: bytes in, bytes out.

    The obfuscation is undone here, not in the library: its own needs a compiler
    on Python 3.12 and later, and its pure form leaves bytes as they are (0.3.1).
    """

    def __init__(self) -> None:
        self._connection: Connection[Any] = Connection(ConnectionRole.SERVER)
        self._tag = b""
        self._waiting = b""
        self._receiving: CipherContext | None = None
        self._sending: CipherContext | None = None

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
                sent += self._connection.send(answer(packet, now, server_nonce))
        except Exception as error:  # the library raises many kinds on bytes it cannot parse
            raise RefusedError from error
        return sent if self._sending is None else self._sending.update(sent)

    def _recognize(self) -> None:
        """Find the transport's tag, below the obfuscation if there is one."""
        start = self._waiting
        if start.startswith(_ABRIDGED):
            self._tag = _ABRIDGED
        elif start[:4] in {_INTERMEDIATE, _PADDED}:
            self._tag = start[:4]
        elif len(start) >= 64:
            keys = start[8:56]
            backwards = keys[::-1]
            self._receiving = Cipher(AES(keys[:32]), CTR(keys[32:])).decryptor()
            self._sending = Cipher(AES(backwards[:32]), CTR(backwards[32:])).encryptor()
            start = self._receiving.update(start)
            self._tag = _OBFUSCATED_TAGS.get(start[56:60], b"")
            if not self._tag:
                raise RefusedError
            self._waiting = self._tag + start[64:]
        else:
            return
        self._waiting = self._waiting[len(self._tag) :]
        self._connection.data_received(self._tag)

    def _whole_frames(self) -> int:
        """Return how many of the waiting bytes the library may have.

        At less than four bytes from the end of an intermediate frame it raises (0.3.1).
        """
        if self._tag != _INTERMEDIATE:
            return len(self._waiting) if self._tag else 0
        end = 0
        while len(self._waiting) >= end + 4:
            (length,) = struct.unpack_from("<I", self._waiting, end)
            if len(self._waiting) < end + 4 + (length & _LENGTH):
                break
            end += 4 + (length & _LENGTH)
        return end


def answer(packet: object, now: float, server_nonce: bytes) -> BasePacket:
    """Return ``resPQ`` if the packet asks for it, else a transport error."""
    if not isinstance(packet, UnencryptedMessagePacket) or len(packet.message_data) < 20:
        return ErrorPacket(_NOT_FOUND)
    constructor, nonce = struct.unpack_from("<I16s", packet.message_data)
    if constructor not in _REQ_PQ:
        return ErrorPacket(_NOT_FOUND)
    # A string of 8 bytes: its length, then padding to a multiple of four.
    product = bytes([len(_PQ)]) + _PQ + bytes(3)
    keys = struct.pack("<II3Q", _VECTOR, len(_FINGERPRINTS), *_FINGERPRINTS)
    body = struct.pack("<I16s16s", _RES_PQ, nonce, server_nonce) + product + keys
    # An answer's number: Unix time in the upper half, 1 modulo 4.
    return UnencryptedMessagePacket(int(now * 2**32) & ~3 | 1, body)


async def _serve(stream: trio.SocketStream) -> None:
    session = Session()
    try:
        while data := await stream.receive_some(_READ_BYTES):
            if sent := session.receive(bytes(data), time.time(), os.urandom(16)):
                await stream.send_all(sent)
    except (RefusedError, trio.BrokenResourceError):
        return


async def _main(ports: list[int]) -> None:
    async with trio.open_nursery() as nursery:
        for port in ports:
            nursery.start_soon(trio.serve_tcp, _serve, port)


if __name__ == "__main__":
    trio.run(_main, [int(word) for word in sys.argv[1:]])
