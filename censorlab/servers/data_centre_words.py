"""Values as Telegram's Type Language writes them: numbers little-endian, strings in words."""

from typing import Final

_LONG: Final = 254
"""Marks a string whose length takes three bytes more."""


def string(data: bytes) -> bytes:
    """Return a string with its length in front, filled up to words of four bytes."""
    if len(data) < _LONG:
        written = bytes((len(data),)) + data
    else:
        written = bytes((_LONG,)) + len(data).to_bytes(3, "little") + data
    return written + bytes(-len(written) % 4)


def number_of(data: bytes) -> int:
    """Return an unsigned number."""
    return int.from_bytes(data, "little")


class Fields:
    """Reads values one after another; ``at`` is how many bytes were read.

    Each read raises EOFError if the data ends too early.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def take(self, length: int) -> bytes:
        """Return so many bytes."""
        end = self.at + length
        if end > len(self._data):
            raise EOFError
        taken = self._data[self.at : end]
        self.at = end
        return taken

    def number(self, length: int) -> int:
        """Return an unsigned number of so many bytes."""
        return number_of(self.take(length))

    def string(self) -> bytes:
        """Return a string, without what fills it up."""
        start = self.at
        length = self.number(1)
        if length == _LONG:
            length = self.number(3)
        data = self.take(length)
        self.take(-(self.at - start) % 4)
        return data
