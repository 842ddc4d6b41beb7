"""The files that formats go to: opened before a run, so that a typo costs no run."""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_USAGE, CommandError
from probe.cli.formats.delimited import as_csv
from probe.cli.formats.documents import as_json, as_ndjson
from probe.cli.formats.github import SUMMARY_VARIABLE, as_annotations, as_summary
from probe.cli.formats.junit import as_junit
from probe.cli.formats.markdown import as_markdown
from probe.cli.formats.prometheus import as_prometheus

if TYPE_CHECKING:
    from probe.cli.formats.report import Report
    from probe.cli.formats.wanted import Wanted

RENDERERS: Final[Mapping[str, "Callable[[Report], str]"]] = {
    "json": as_json,
    "ndjson": as_ndjson,
    "csv": as_csv,
    "md": as_markdown,
    "junit": as_junit,
    "prom": as_prometheus,
    "github": as_markdown,
}
"""What each format writes to a file of its own."""

PRINTED: Final[Mapping[str, "Callable[[Report], str]"]] = {
    "csv": as_csv,
    "md": as_markdown,
    "junit": as_junit,
    "prom": as_prometheus,
    "github": as_annotations,
}
"""What the formats made for others write to standard output."""


@dataclass(frozen=True)
class _File:
    """One file. ``part`` becomes ``path`` when complete; None where nothing can replace it."""

    name: str
    typed: str
    path: Path
    part: Path | None


class Outputs:
    """The files of one run; a context manager that leaves no unfinished one behind."""

    def __init__(self, wanted: "Sequence[Wanted]") -> None:
        """Create each file's beginning.

        Raises:
            CommandError: exit 3 for a place that cannot be written, 2 for a place named
                twice or a format that is for people only.
        """
        self._files: list[_File] = []
        self._summary: Path | None = None
        try:
            for one in wanted:
                self._begin(one)
        except BaseException:
            self._discard()
            raise

    def _begin(self, one: "Wanted") -> None:
        if one.path is None:
            if one.name == "github" and (place := os.environ.get(SUMMARY_VARIABLE)):
                self._summary = _appendable(place)
            return
        if one.name == "table":
            raise CommandError(
                EXIT_USAGE, ["--format table is for standard output; md is for files"]
            )
        file = _begun(one.name, one.path)
        others = [other.path for other in self._files if other.part is not None]
        self._files.append(file)
        if file.path in others:
            raise CommandError(EXIT_USAGE, [f"two formats go to {one.path}"])

    def write(self, report: "Report") -> list[str]:
        """Write all; return what went wrong, file by file: the others are written still."""
        problems = []
        for file in self._files:
            try:
                _write(file, RENDERERS[file.name](report).encode())
            except OSError as error:
                problems.append(_problem(file.name, file.typed, error))
        if self._summary is not None:
            try:
                with self._summary.open("ab") as summary:
                    summary.write(as_summary(report, self._summary.stat().st_size).encode())
            except OSError as error:
                problems.append(_problem("github", str(self._summary), error))
        return problems

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._discard()

    def _discard(self) -> None:
        for file in self._files:
            if file.part is not None:
                with suppress(OSError):
                    file.part.unlink(missing_ok=True)


def _begun(name: str, typed: str) -> _File:
    """Prove that a file can be written, without touching what is there."""
    # A link stays one: what it points to is replaced.
    path = Path(os.path.realpath(typed))
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe cannot be replaced; opening a pipe would wait for its reader.
            if path.is_dir():
                raise IsADirectoryError(0, "it is a directory")
            if not os.access(path, os.W_OK):
                raise PermissionError(0, "it cannot be written")
            return _File(name, typed, path, None)
        part = path.with_name(f".reachwatch-{secrets.token_hex(6)}.part")
        # The process's own mask: whoever collects metrics is another user.
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except FileNotFoundError:
        problem = f"--format {name}={typed}: there is no directory {path.parent}"
        raise CommandError(EXIT_BAD_INPUT, [problem]) from None
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [_problem(name, typed, error)]) from None
    return _File(name, typed, path, part)


def _appendable(place: str) -> Path:
    try:
        with Path(place).open("ab"):
            return Path(place)
    except OSError as error:
        problem = f"--format github: {SUMMARY_VARIABLE} names {place}: {error.strerror}"
        raise CommandError(EXIT_BAD_INPUT, [problem]) from None


def _write(file: _File, data: bytes) -> None:
    if file.part is None:
        with file.path.open("wb") as special:
            special.write(data)
        return
    with file.part.open("wb") as part:
        part.write(data)
        part.flush()
        os.fsync(part.fileno())
    file.part.replace(file.path)


def _problem(name: str, typed: str, error: OSError) -> str:
    return f"--format {name}={typed}: {error.strerror}"
