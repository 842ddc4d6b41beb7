"""Packets in a TCP stream, in the four framings of MTProto's transport page.

Each framing is one connection's: the tag that the client sends first, then frames
in both directions. ``unframe`` returns a packet and the number of bytes that it
took, None if more are needed, or raises `FrameError`.
"""

import struct
import zlib
from collections.abc import Callable
from typing import Final, Literal, Protocol

Random = Callable[[int], bytes]
"""So many unpredictable bytes."""

Buffer = bytes | bytearray

MAX_FRAME_BYTES: Final = 64 * 1024
"""A resPQ packet is about 100 bytes; nobody's length field decides what we keep."""

MAX_PADDING_BYTES: Final = 15
"""Of padded intermediate; counted in the frame's length."""

ERROR_CODES: Final = range(-999, 0)
"""Transport errors are negative HTTP-like statuses, such as -404."""

FrameFault = Literal[
    "mtproto_frame_too_long",
    "mtproto_wrong_frame",
    "mtproto_wrong_checksum",
    "mtproto_wrong_sequence",
]


class FrameError(ValueError):
    """The bytes are no frame of this framing; ``fault`` says why."""

    def __init__(self, fault: FrameFault) -> None:
        super().__init__(fault)
        self.fault: FrameFault = fault


class Framing(Protocol):
    """One connection's framing."""

    tag: bytes

    def frame(self, packet: bytes) -> bytes:
        """Return a packet, whose length is a multiple of four, as a frame."""

    def unframe(self, buffer: Buffer) -> tuple[bytes, int] | None:
        """Return the first packet and its frame's length, None if it is incomplete.

        Raises:
            FrameError: if no more bytes can make this a frame.
        """


class Abridged:
    """Length in words: one byte, or 7f and three."""

    tag = b"\xef"

    def frame(self, packet: bytes) -> bytes:
        """Return the packet behind its length."""
        words, rest = divmod(len(packet), 4)
        assert rest == 0
        if words < 0x7F:
            return bytes((words,)) + packet
        return b"\x7f" + words.to_bytes(3, "little") + packet

    def unframe(self, buffer: Buffer) -> tuple[bytes, int] | None:
        """Find the packet; see `Framing`."""
        if not buffer:
            return None
        # The upper bit marks a quick acknowledgement, for which we never ask.
        if buffer[0] > 0x7F:
            raise FrameError("mtproto_wrong_frame")
        start = 4 if buffer[0] == 0x7F else 1
        if len(buffer) < start:
            return None
        words = buffer[0] if start == 1 else int.from_bytes(buffer[1:4], "little")
        return _slice(buffer, start, 4 * words)


class Intermediate:
    """Length in bytes, in four bytes."""

    tag = b"\xee" * 4

    def frame(self, packet: bytes) -> bytes:
        """Return the packet behind its length."""
        return struct.pack("<I", len(packet)) + packet

    def unframe(self, buffer: Buffer) -> tuple[bytes, int] | None:
        """Find the packet; see `Framing`."""
        if len(buffer) < 4:
            return None
        (length,) = struct.unpack_from("<i", buffer)
        return _bare_error(buffer, length) or _slice(buffer, 4, length)


class Padded(Intermediate):
    """Intermediate with up to 15 random bytes behind the packet.

    They cannot be told from the packet here: `unframe` leaves them on.
    """

    tag = b"\xdd" * 4

    def __init__(self, random: Random) -> None:
        self._random = random

    def frame(self, packet: bytes) -> bytes:
        """Return the packet and some padding behind the length of both."""
        padding = self._random(self._random(1)[0] % (MAX_PADDING_BYTES + 1))
        return super().frame(packet + padding)


class Full:
    """Length, number and checksum around each packet; nothing announces it."""

    tag = b""

    def __init__(self) -> None:
        self._sent = 0
        self._received = 0

    def frame(self, packet: bytes) -> bytes:
        """Return the packet in the next frame of this connection."""
        counted = struct.pack("<II", len(packet) + 12, self._sent) + packet
        self._sent += 1
        return counted + struct.pack("<I", zlib.crc32(counted))

    def unframe(self, buffer: Buffer) -> tuple[bytes, int] | None:
        """Find the packet of the next frame; see `Framing`."""
        if len(buffer) < 4:
            return None
        (length,) = struct.unpack_from("<i", buffer)
        if error := _bare_error(buffer, length):
            return error
        if length < 12:
            raise FrameError("mtproto_wrong_frame")
        if (found := _slice(buffer, 0, length)) is None:
            return None
        counted, checksum = found[0][:-4], found[0][-4:]
        if zlib.crc32(counted) != int.from_bytes(checksum, "little"):
            raise FrameError("mtproto_wrong_checksum")
        if int.from_bytes(counted[4:8], "little") != self._received:
            raise FrameError("mtproto_wrong_sequence")
        self._received += 1
        return counted[8:], length


def _bare_error(buffer: Buffer, length: int) -> tuple[bytes, int] | None:
    """Return a transport error that stands where a length should.

    Telethon's users have seen -429 from data centres in full framing so.
    """
    return (bytes(buffer[:4]), 4) if length in ERROR_CODES else None


def _slice(buffer: Buffer, start: int, length: int) -> tuple[bytes, int] | None:
    if length <= 0:
        raise FrameError("mtproto_wrong_frame")
    if start + length > MAX_FRAME_BYTES:
        raise FrameError("mtproto_frame_too_long")
    end = start + length
    return None if len(buffer) < end else (bytes(buffer[start:end]), end)
