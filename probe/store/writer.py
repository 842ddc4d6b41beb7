"""Append-only files of one run: ``.part`` while open, renamed when complete.

Every line is handed to the kernel before it is reported, so a process killed at
any instant leaves every reported line readable; fsync at the end (and before
the rename) covers a power cut.
"""

import os
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from probe.model.codec import flatten
from probe.model.layout import PART, run_path
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.store.redact import Redactor

_GZIP_WINDOW: Final = 31
"""zlib's code for a gzip wrapper, whose header it writes without a file time."""


class StoreError(Exception):
    """The results directory cannot be written. Names the path."""


class RecordWriter:
    """Writes one kind of line for one run."""

    def __init__(self, root: Path, run: RunColumns, kind: str, redactor: Redactor) -> None:
        """Open the ``.part`` file; raises StoreError."""
        self.path = run_path(root, run, kind)
        self._run = run
        self._redactor = redactor
        self._compressor = zlib.compressobj(6, zlib.DEFLATED, _GZIP_WINDOW)
        self._part = self.path.with_name(self.path.name + PART)
        try:
            self._part.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._part.open("xb", buffering=0)
        except OSError as error:
            raise StoreError(f"cannot write {self._part}: {error.strerror}") from None

    def write(self, value: Observation | Verdict) -> dict[str, Any]:
        """Append one line; on return the kernel has it. Raises StoreError.

        Returns the columns as stored, scrubbed.

        The stream is flushed per line (Z_SYNC_FLUSH): some 10 % larger files,
        and a cut file is readable up to its last complete line.
        """
        columns: dict[str, Any] = self._redactor.apply(flatten(self._run, value))
        line = orjson.dumps(columns, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS)
        self._append(self._compressor.compress(line) + self._compressor.flush(zlib.Z_SYNC_FLUSH))
        return columns

    def finish(self) -> Path:
        """Complete the file: trailer, fsync, rename, fsync of the directory."""
        self._append(self._compressor.flush(zlib.Z_FINISH))
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self.path)
            if hasattr(os, "O_DIRECTORY"):
                directory = os.open(self.path.parent, os.O_DIRECTORY)
                try:
                    os.fsync(directory)
                finally:
                    os.close(directory)
        except OSError as error:
            raise StoreError(f"cannot write {self.path}: {error.strerror}") from None
        return self.path

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise StoreError(f"cannot write {self._part}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close without finishing after an error: the ``.part`` stays readable."""
        if not self._file.closed:
            self._file.close()
