"""The little of Telegram's type language that the handshake needs.

Numbers are little-endian, strings are bytes behind their length and padded to words
(core.telegram.org/mtproto/serialize).
"""

from typing import Final

_LONG: Final = 0xFE
"""In place of a length: three bytes of length follow. A length of one byte is less."""


def string(data: bytes) -> bytes:
    """Write a string of bytes."""
    if len(data) < _LONG:
        head = bytes((len(data),))
    else:
        head = bytes((_LONG,)) + len(data).to_bytes(3, "little")
    return head + data + bytes(-len(head + data) % 4)


def big_number(number: int) -> bytes:
    """Write a natural number as the string of its big-endian bytes, without zeros before."""
    return string(number.to_bytes((number.bit_length() + 7) // 8, "big"))


class Fields:
    """Reads a body from its start; EOFError where it ends too early."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def take(self, length: int) -> bytes:
        """Return the next bytes."""
        end = self._at + length
        if end > len(self._body):
            raise EOFError
        taken = self._body[self._at : end]
        self._at = end
        return taken

    def number(self, length: int) -> int:
        """Return the next number of so many bytes, unsigned."""
        return int.from_bytes(self.take(length), "little")

    def string(self) -> bytes:
        """Return the next string; its padding has to be there, whatever it is."""
        start = self._at
        length = self.number(1)
        if length >= _LONG:
            length = self.number(3)
        taken = self.take(length)
        self.take((start - self._at) % 4)
        return taken
