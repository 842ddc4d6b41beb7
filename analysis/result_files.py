"""Result files -> typed rows: every readable line, and every damage with its place."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from probe.model.codec import Fact, MalformedLineError, Stored, decode_line
from probe.model.layout import OBSERVATIONS, PART, ResultFile, classify
from probe.model.lines import Damage, read_lines
from probe.model.observation import Observation
from probe.model.verdict import Verdict

_CHUNK_BYTES: Final = 64 * 1024


class NoResultsError(Exception):
    """The path holds nothing that could be read as results. Names the path."""


class Fault(NamedTuple):
    """A place that cannot be read: ``file:line: reason``."""

    path: Path
    number: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.reason}"


def find(path: Path) -> list[ResultFile]:
    """Return the result files under a directory, or the one file given, sorted.

    A ``.part`` whose finished file exists is a leftover and is left out.

    Raises:
        NoResultsError: the path does not exist, or is a file of another kind.
    """
    if not path.exists():
        raise NoResultsError(f"{path}: no such file or directory")
    paths = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    found = [file for p in paths if (file := classify(p)) is not None]
    if path.is_file() and not found:
        raise NoResultsError(
            f"{path}: not a result file (expected a name ending in .obs.jsonl.gz, "
            ".verdict.jsonl.gz, or the same with .part)"
        )
    return [
        file
        for file in found
        if not (file.is_part and file.path.with_name(file.path.name.removesuffix(PART)).exists())
    ]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _read(
    path: Path, fact_type: type[Fact], *, is_part: bool
) -> Iterator[tuple[int, Stored[Fact]] | Fault]:
    try:
        for item in read_lines(_chunks(path)):
            if isinstance(item, Damage):
                # The file of an unfinished or killed run may end anywhere.
                if not (is_part and item.is_cut):
                    yield Fault(path, item.number + 1, item.reason)
                continue
            try:
                yield item.number, decode_line(item.data, fact_type)
            except MalformedLineError as error:
                yield Fault(path, item.number, str(error))
    except OSError as error:
        yield Fault(path, 0, error.strerror or type(error).__name__)


def read_file(
    file: ResultFile, faults: list[Fault]
) -> Iterator[Stored[Observation] | Stored[Verdict]]:
    """Yield a file's readable lines; append what cannot be read to ``faults``."""
    for _, row in read_numbered(file, faults):
        yield row


def read_numbered(
    file: ResultFile, faults: list[Fault]
) -> Iterator[tuple[int, Stored[Observation] | Stored[Verdict]]]:
    """Do as `read_file`, with the lines' numbers."""
    rows: Iterator[tuple[int, Stored[Observation] | Stored[Verdict]] | Fault] = (
        _read(file.path, Observation, is_part=file.is_part)
        if file.kind == OBSERVATIONS
        else _read(file.path, Verdict, is_part=file.is_part)
    )
    for row in rows:
        if isinstance(row, Fault):
            faults.append(row)
        else:
            yield row
