"""Lines of many files -> files of one month's lines each.

Measurements come in no order of time, and tables are kept by month. Sorting lines by month
before they are taken apart costs a tenth of sorting the rows they turn into.

Each line is marked with where it came from, as two more keys of its object, so that the
place of a fault is known whatever the way a line went.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

SEGMENT_BYTES: Final = 56 * 1024 * 1024
"""One month's lines that are taken apart together: a second's work for two threads, and
rows that fit into memory many times over."""

_FEW_BYTES: Final = 16 * 1024 * 1024
_BUFFER_BYTES: Final = 48 * 1024 * 1024
_WRITE_BYTES: Final = 1024 * 1024
_KEY: Final = b'"measurement_start_time"'
_VALUE: Final = re.compile(rb'\s*:\s*"(20[1-9][0-9]-[01][0-9])')
_MARK: Final = re.compile(rb'\{"rw_file":([0-9]+),"rw_line":([0-9]+),')
_OTHER: Final = b"other"


class Marked(NamedTuple):
    """A line as it was, the number of its file, and its number in it from 1."""

    file: int
    number: int
    data: bytes


def month_of(line: bytes) -> bytes:
    """Guess a measurement's month without parsing it; a wrong guess costs time only."""
    at = line.find(_KEY)
    found = _VALUE.match(line, at + len(_KEY)) if at >= 0 else None
    return found[1] if found else _OTHER


class Spool:
    """Sorts lines into files by month. ``add`` and ``rest`` yield files that are full."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: dict[bytes, list[bytes]] = {}
        self._sizes: dict[bytes, int] = {}
        self._buffered = 0
        self._n_full = 0
        self._few = folder / "few.jsonl"

    def add(self, file: int, number: int, line: bytes) -> Iterator[Path]:
        """Take one line, which begins with an opening brace and has no newline."""
        month = month_of(line)
        marked = b'{"rw_file":%d,"rw_line":%d,%b\n' % (file, number, line[1:])
        waiting = self._waiting.get(month)
        if waiting is None:
            waiting = self._waiting[month] = []
        waiting.append(marked)
        size = self._sizes.get(month, 0) + len(marked)
        self._sizes[month] = size
        self._buffered += len(marked)
        if size >= SEGMENT_BYTES:
            yield self._full(month)
        elif self._buffered >= _BUFFER_BYTES:
            for each in list(self._waiting):
                self._flush(each)

    def rest(self) -> Iterator[Path]:
        """Yield what is left, months with few lines together."""
        joined = 0
        for month, size in sorted(self._sizes.items()):
            if size < _FEW_BYTES:
                few = self._full(month)
                with few.open("rb") as source, self._few.open("ab") as target:
                    shutil.copyfileobj(source, target)
                few.unlink()
                joined += size
            else:
                yield self._full(month)
            if joined >= SEGMENT_BYTES // 2:
                yield self._numbered(self._few)
                joined = 0
        if joined:
            yield self._numbered(self._few)

    def _flush(self, month: bytes) -> Path:
        path = self._folder / f"lines-{month.decode()}.jsonl"
        waiting = self._waiting.pop(month, [])
        with path.open("ab", buffering=_WRITE_BYTES) as file:
            file.writelines(waiting)
        self._buffered -= sum(map(len, waiting))
        return path

    def _full(self, month: bytes) -> Path:
        del self._sizes[month]
        return self._numbered(self._flush(month))

    def _numbered(self, path: Path) -> Path:
        self._n_full += 1
        return path.rename(self._folder / f"full-{self._n_full:06}.jsonl")


def marked_lines(path: Path) -> Iterator[tuple[bytes, Marked]]:
    """Yield each line of a spooled file, as it is and as it was before it was marked."""
    with path.open("rb") as file:
        for line in file:
            found = _MARK.match(line)
            assert found is not None
            yield line, Marked(int(found[1]), int(found[2]), b"{" + line[found.end() :])
