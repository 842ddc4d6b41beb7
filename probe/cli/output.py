"""Standard output, which may be full, or read by nobody any more.

Its errors get types of their own, wherever the writing was done: a bare OSError could
come from any socket or file, and of those each module knows its own.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import IO, Any, TypeVar, cast

Result = TypeVar("Result")


class StandardOutputError(Exception):
    """Standard output cannot be written; the message says why."""


class ReaderGoneError(StandardOutputError):
    """Who read standard output went away (``| head``): a choice, not a failure."""


class _Typed:
    """A text stream whose errors are `StandardOutputError`. Everything else is the stream's."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return _typed(lambda: self._stream.write(text))

    def flush(self) -> None:
        _typed(self._stream.flush)


def _typed(write: Callable[[], Result]) -> Result:
    try:
        return write()
    except BrokenPipeError:
        raise ReaderGoneError("nobody reads standard output") from None
    except OSError as error:
        raise StandardOutputError(f"cannot write to standard output: {error.strerror}") from None


def write_utf8(text: str) -> None:
    """Write text as it is: formats for programs are UTF-8 whatever the terminal's locale.

    Raises:
        StandardOutputError: standard output cannot be written.
    """
    sys.stdout.flush()
    data = text.encode()
    _typed(lambda: sys.stdout.buffer.write(data))
    _typed(sys.stdout.buffer.flush)


def print_json(document: dict[str, Any]) -> None:
    """Write a document as one line of JSON, at once.

    Raises:
        StandardOutputError: standard output cannot be written.
    """
    import orjson  # noqa: PLC0415 - start-up time

    write_utf8(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode())


@contextmanager
def typed_output() -> Iterator[None]:
    """Give standard output's errors their types, and flush it at the end.

    After such an error nothing more is written: what is still buffered would make the
    interpreter end with a traceback and a code of its own.

    Raises:
        StandardOutputError: from any writing inside, or from the flush.
    """
    # Python's stdout is None if it was closed from the start (``>&-``).
    stream = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - as long as the process
    with redirect_stdout(cast("IO[str]", _Typed(stream))):
        try:
            try:
                yield
            finally:
                sys.stdout.flush()
        except StandardOutputError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            raise
