"""A line on the terminal that says how far long work is. Nothing where nobody looks."""

import shutil
import sys
import time
from typing import Final, TextIO

_EVERY_S: Final = 0.2
_BAR: Final = 24


class ProgressLine:
    """Redraws one line, at most five times a second; ``close`` removes it.

    Only on a terminal that can move its cursor, so that logs and pipes stay clean.
    """

    def __init__(self, stream: TextIO | None = None, *, is_dumb: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._is_shown = self._stream.isatty() and not is_dumb
        self._next = 0.0
        self._width = 0

    def show(self, part: float, words: str) -> None:
        """Show how much is done, 0 to 1, and what is being done."""
        now = time.monotonic()
        if not self._is_shown or now < self._next:
            return
        self._next = now + _EVERY_S
        done = round(min(max(part, 0.0), 1.0) * _BAR)
        printable = "".join(char if char.isprintable() else "?" for char in words)
        line = f"[{'#' * done}{'.' * (_BAR - done)}] {part:4.0%} {printable[:40]}"
        # A line that wraps is never removed: carriage return goes to its last row only.
        self._write(line[: shutil.get_terminal_size().columns - 1])

    def close(self) -> None:
        """Clear the line."""
        if self._width:
            self._write("")
            self._stream.write("\r")
            self._stream.flush()
            self._width = 0

    def _write(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)
