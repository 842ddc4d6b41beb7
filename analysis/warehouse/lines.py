"""A file of JSON lines, plain or compressed, whole or damaged -> its lines, in blocks.

Whatever a file is, what comes out are whole lines, and what is damaged costs itself and
not the file. Bounded: at most one line's limit and a few blocks are in memory.
"""

import io
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import orjson
import pyarrow as pa

from analysis.result_files import Fault

MAX_RECORD_BYTES: Final = 16 * 1024 * 1024
"""A hundred times the largest real measurement; also DuckDB's bound on one document."""

_CHUNK_BYTES: Final = 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_STEPS: Final = (_CHUNK_BYTES, 4096, 1)
_GZIP_WINDOW: Final = 31
"""zlib's code for a stream with gzip header and trailer."""


class Source:
    """One file to be cut up. ``read_bytes`` says how much of it was read so far.

    Damage is put into ``faults``; everything before it is in the segments.
    """

    def __init__(self, path: Path, faults: Callable[[Fault], None]) -> None:
        self.path = path
        self.read_bytes = 0
        self._faults = faults
        self._damage: str | None = None

    def fault(self, number: int, reason: str) -> None:
        """Report a damaged line of this file."""
        self._faults(Fault(self.path, number, reason))

    def blocks(self) -> Iterator[bytes]:
        """Yield blocks of whole lines, each ending with a newline.

        A line that is too long, or the broken end of a file, stays in as an empty line so
        that numbers hold.
        """
        number = 0
        rest = b""
        lines = self._document(self._plain())
        for block in lines:
            at = block.rfind(b"\n") + 1
            if not at:
                rest += block
                if len(rest) > MAX_RECORD_BYTES:
                    self.fault(number + 1, f"a record of more than {MAX_RECORD_BYTES} bytes")
                    rest = yield from self._skipped(lines)
                    number += 1
                continue
            whole = rest + block[:at]
            rest = block[at:]
            if len(whole) > MAX_RECORD_BYTES:
                whole = self._without_giants(whole, number)
            number += whole.count(b"\n")
            yield whole
        if self._damage is not None:
            # The part of a line before the damage is no line.
            self.fault(number, self._damage)
        elif rest.strip():
            yield rest + b"\n"

    def _skipped(self, blocks: Iterator[bytes]) -> Generator[bytes, None, bytes]:
        yield b"\n"
        for block in blocks:
            at = block.find(b"\n") + 1
            if at:
                tail = block[at:]
                cut = tail.rfind(b"\n") + 1
                if cut:
                    yield tail[:cut]
                return tail[cut:]
        return b""

    def _without_giants(self, whole: bytes, number: int) -> bytes:
        kept = []
        for offset, line in enumerate(whole.splitlines(keepends=True)):
            if len(line) > MAX_RECORD_BYTES:
                self.fault(number + offset + 1, f"a record of more than {MAX_RECORD_BYTES} bytes")
                kept.append(b"\n")
            else:
                kept.append(line)
        return b"".join(kept)

    def _document(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        """Turn one document over many lines, or an array, into lines; pass lines on."""
        head = b""
        for block in blocks:
            head += block
            if b"\n" in block or len(head) > MAX_RECORD_BYTES:
                break
        head = head.removeprefix(_BOM)
        line = head[: head.find(b"\n") + 1] or head
        if line.lstrip()[:1] in {b"{", b"["} and not _is_object(line):
            for block in blocks:
                if len(head) > MAX_RECORD_BYTES:
                    # Not one document, or one that is too long: lines, then.
                    yield head
                    yield block
                    yield from blocks
                    return
                head += block
            if len(head) <= MAX_RECORD_BYTES and (documents := _documents(head)):
                yield documents
                return
        if head:
            yield head
        yield from blocks

    def _plain(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                yield from self._decompressed(file)
        except OSError as error:
            self._damage = error.strerror or str(error) or type(error).__name__

    def _decompressed(self, file: BinaryIO) -> Iterator[bytes]:
        head = file.read(_CHUNK_BYTES)
        self.read_bytes += len(head)
        if not head:
            self._damage = "empty file"
        elif head.startswith(_GZIP_MAGIC):
            yield from self._gunzipped(head, file)
        elif head.startswith(_ZSTD_MAGIC):
            yield from self._unzstd(head, file)
        else:
            yield head
            yield from self._rest(file)

    def _rest(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(_CHUNK_BYTES):
            self.read_bytes += len(chunk)
            yield chunk

    def _gunzipped(self, head: bytes, file: BinaryIO) -> Iterator[bytes]:
        """Decompress one member after another (RFC 1952), a bounded step at a time."""
        member = zlib.decompressobj(_GZIP_WINDOW)
        pending = head
        rest = self._rest(file)
        try:
            while pending:
                if member.eof:
                    # Some writers pad the last block with zeros.
                    if not (pending := pending.lstrip(b"\0")):
                        pending = next(rest, b"")
                        continue
                    member = zlib.decompressobj(_GZIP_WINDOW)
                while block := member.decompress(pending, _CHUNK_BYTES):
                    yield block
                    pending = member.unconsumed_tail
                    if member.eof:
                        break
                pending = member.unused_data or next(rest, b"")
        except zlib.error as error:
            self._damage = f"damaged gzip: {error}"
            return
        if not member.eof:
            self._damage = "the gzip stream ends early"

    def _unzstd(self, head: bytes, file: BinaryIO) -> Iterator[bytes]:
        """Decompress frame after frame (RFC 8878).

        A read that meets damage gives nothing of what came before it, so from there on the
        file is read again in smaller steps, the last of one byte.
        """
        done = 0
        rest = self._rest(file)
        for step in _ZSTD_STEPS:
            raw = _Chained(head, rest)
            try:
                with pa.CompressedInputStream(pa.PythonFile(raw, "r"), "zstd") as stream:
                    left = done
                    while left:
                        left -= len(stream.read(min(left, _CHUNK_BYTES)))
                    while block := stream.read(step):
                        done += len(block)
                        yield block
            except (OSError, pa.ArrowException) as error:
                self._damage = f"damaged zstd: {str(error).splitlines()[0][:100]}"
            else:
                return
            file.seek(0)
            head, rest = b"", iter(partial(file.read, _CHUNK_BYTES), b"")


class _Chained(io.RawIOBase):
    """A readable file over a head and blocks; what pyarrow decompresses from."""

    def __init__(self, head: bytes, rest: Iterator[bytes]) -> None:
        super().__init__()
        self._buffer = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        if not self._buffer:
            self._buffer = next(self._rest, b"")
        if size < 0:
            size = len(self._buffer)
        part, self._buffer = self._buffer[:size], self._buffer[size:]
        return part


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _documents(data: bytes) -> bytes | None:
    """Return a whole document, or the elements of an array, as lines."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    rows = value if isinstance(value, list) else [value]
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)
