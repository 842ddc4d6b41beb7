"""A client's first bytes, put together from pieces in any order."""

from typing import Final

LIMIT_BYTES: Final = 2**17
"""More than a ClientHello may be; what lies beyond is not kept."""


class Reassembly:
    """Collects pieces by offset; overlapping bytes count as they first came.

    (Which copy wins differs between real stacks, which is what desynchronising
    evasions play on; Linux keeps the first.)
    """

    def __init__(self) -> None:
        self._pieces: dict[int, bytes] = {}
        self._held_bytes = 0
        self._start = bytearray()

    def add(self, offset: int, data: bytes) -> bytes:
        """Add bytes at an offset (>= 0) and return all that is contiguous from 0."""
        if offset == len(self._start) and not self._pieces:
            self._start += data[: LIMIT_BYTES - offset]
            return bytes(self._start)
        # Held pieces are bounded as a whole: a sender may repeat any of them.
        if offset + len(data) <= LIMIT_BYTES and self._held_bytes + len(data) <= LIMIT_BYTES:
            held = self._pieces.get(offset, b"")
            if len(data) > len(held):
                self._pieces[offset] = held + data[len(held) :]
                self._held_bytes += len(data) - len(held)
        self._join()
        return bytes(self._start)

    def _join(self) -> None:
        for offset in sorted(self._pieces):
            if offset > len(self._start):
                return
            piece = self._pieces.pop(offset)
            self._held_bytes -= len(piece)
            self._start += piece[len(self._start) - offset :]
