"""Files of measurements -> one record at a time, whatever is between them.

A file is one JSON document over any number of lines, or one document a line, either
of them plain, gzip or (with pyarrow) zstd. At most one record is in memory.
"""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import orjson

MAX_RECORD_BYTES: Final = 32 * 1024 * 1024
"""Forty times the largest real measurement seen; a bound on memory, not on OONI."""

_CHUNK_BYTES: Final = 64 * 1024
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"


class Stream(Protocol):
    """What is read from: a file, or what decompresses one."""

    def read(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes."""

    def readline(self, size: int, /) -> bytes:
        """Return up to the end of a line, of at most ``size`` bytes."""


class Record(NamedTuple):
    """One document and the line that it begins on, counted from 1."""

    number: int
    data: bytes


class Unreadable(NamedTuple):
    """A place where no record could be read."""

    number: int
    reason: str


def read_records(path: Path) -> Iterator[Record | Unreadable]:
    """Yield the records of a file; where it cannot be read on, the last is `Unreadable`."""
    number = 0
    try:
        with path.open("rb") as raw:
            for item in _records(_plain(raw)):
                number = item.number
                yield item
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        yield Unreadable(number + 1, reason or str(error) or type(error).__name__)


def _plain(raw: io.BufferedReader) -> Stream:
    """Return the decompressed stream. Whoever reads bounds what a read may grow to."""
    head = raw.peek(len(_ZSTD))
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=raw)
    return _zstd(raw) if head.startswith(_ZSTD) else raw


def _zstd(raw: io.BufferedReader) -> Stream:
    try:
        import pyarrow as pa  # noqa: PLC0415 - large, and an extra
    except ModuleNotFoundError:
        raise OSError(
            0, "zstd needs the extra 'analysis' (pyarrow is missing); or: zstd -d FILE"
        ) from None
    return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw), "zstd"))


def _records(file: Stream) -> Iterator[Record | Unreadable]:
    """Take the file for lines unless only all of it together is JSON."""
    head = file.readline(MAX_RECORD_BYTES + 1)
    if head and not _is_json(head):
        head += file.read(MAX_RECORD_BYTES + 1 - len(head))
        if len(head) <= MAX_RECORD_BYTES and _is_json(head):
            yield Record(1, head)
            return
    yield from _lines(_joined(head, file))


def _is_json(data: bytes) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def _joined(head: bytes, file: Stream) -> Callable[[int], bytes]:
    """Return a ``readline`` over what was read ahead and the rest of the file."""
    ahead = io.BytesIO(head)

    def readline(limit: int) -> bytes:
        part = ahead.readline(limit)
        whole = part.endswith(b"\n") or len(part) == limit
        return part if whole else part + file.readline(limit - len(part))

    return readline


def _lines(readline: Callable[[int], bytes]) -> Iterator[Record | Unreadable]:
    number = 0
    while line := readline(MAX_RECORD_BYTES + 1):
        number += 1
        if len(line) > MAX_RECORD_BYTES:
            yield Unreadable(number, f"a record of more than {MAX_RECORD_BYTES} bytes")
            while line and not line.endswith(b"\n"):
                line = readline(_CHUNK_BYTES)
        elif line.strip():
            yield Record(number, line)
