"""Lines out of the bytes of a result file, gzip or plain, whole or damaged.

Pure: takes chunks of bytes, yields complete lines, and says at the end what was
wrong. Everything before a damage is readable and is yielded.
"""

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from probe.model.codec import MAX_LINE_BYTES

_GZIP_MAGIC: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
"""zlib's code for a stream with gzip header and trailer."""

_STEP_BYTES: Final = 256 * 1024
"""Decompressed at a time: a bomb of a thousand to one grows by this much before
its line is found too long."""


class Line(NamedTuple):
    """One complete line, without its newline; numbers count from 1."""

    number: int
    data: bytes


class Damage(NamedTuple):
    """What is wrong after line ``number``, the last one that was complete."""

    number: int
    reason: str
    is_cut: bool
    """The file merely ends early, as that of a killed run does."""


def read_lines(chunks: Iterable[bytes]) -> Iterator[Line | Damage]:
    """Yield the lines of a file; at most one `Damage`, and nothing after it."""
    number = 0
    rest = b""
    try:
        for block in _plain(chunks):
            *whole, rest = (rest + block).split(b"\n")
            for data in whole:
                number += 1
                yield Line(number, data)
            if len(rest) > MAX_LINE_BYTES:
                yield Damage(number, f"a line of more than {MAX_LINE_BYTES} bytes", is_cut=False)
                return
    except _Cut as error:
        yield Damage(number, str(error), is_cut=True)
        return
    except zlib.error as error:
        yield Damage(number, f"damaged gzip: {error}", is_cut=False)
        return
    if rest:
        yield Damage(number, "the last line has no end", is_cut=True)


class _Cut(Exception):  # noqa: N818 - an end, not an error
    """The stream ends before its trailer."""


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    source = iter(chunks)
    head = b""
    for chunk in source:
        head += chunk
        if len(head) >= len(_GZIP_MAGIC):
            break
    if not head:
        raise _Cut("empty file")
    if not head.startswith(_GZIP_MAGIC):
        yield head
        yield from source
        return
    yield from _decompressed(head, source)


def _decompressed(head: bytes, source: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress one gzip member after another (RFC 1952 allows several)."""
    member = None
    for chunk in chain((head,), source):
        pending = chunk
        while pending:
            member = member or zlib.decompressobj(_GZIP_WINDOW)
            block = member.decompress(pending, _STEP_BYTES)
            while block:
                yield block
                # A full block may leave output behind that needs no more input.
                full = len(block) == _STEP_BYTES and not member.unconsumed_tail
                block = member.decompress(b"", _STEP_BYTES) if full else b""
            pending = member.unconsumed_tail
            if member.eof:
                pending = member.unused_data
                member = None
    if member is not None:
        raise _Cut("the file ends early")
