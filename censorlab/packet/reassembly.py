"""A client's stream, put together from pieces in any order."""

from typing import Final

WINDOW_BYTES: Final = 2**16
"""How far ahead of what is missing pieces are kept; more than any first flight."""

_MAX_PIECES: Final = 256
"""Held at once: a sender of single bytes must not make every join long."""


class Reassembly:
    """Collects pieces by offset; of bytes sent twice the first copy in order counts.

    (Which copy wins differs between real stacks, which is what desynchronising
    evasions play on; this is what Linux does.)
    """

    __slots__ = ("_pieces", "next_offset")

    def __init__(self) -> None:
        self.next_offset = 0
        """Of the first byte that is missing."""
        self._pieces: dict[int, bytes] = {}

    def add(self, offset: int, data: bytes) -> bytes:
        """Add bytes and return those that are contiguous now and were not before.

        ``offset`` may be negative or long past: what is old is ignored, and so is
        what lies beyond the window.
        """
        start = self.next_offset
        if offset <= start:
            fresh = data[start - offset :]
            self.next_offset += len(fresh)
            return fresh + self._joined() if self._pieces else fresh
        if offset + len(data) <= start + WINDOW_BYTES:
            held = self._pieces.get(offset, b"")
            if len(data) > len(held) and (held or len(self._pieces) < _MAX_PIECES):
                self._pieces[offset] = held + data[len(held) :]
        return b""

    def _joined(self) -> bytes:
        joined = bytearray()
        for offset in sorted(self._pieces):
            if offset > self.next_offset:
                break
            piece = self._pieces.pop(offset)[self.next_offset - offset :]
            self.next_offset += len(piece)
            joined += piece
        return bytes(joined)

    @property
    def held_bytes(self) -> int:
        """How many bytes wait for others before them."""
        return sum(map(len, self._pieces.values()))
