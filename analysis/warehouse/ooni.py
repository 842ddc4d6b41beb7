"""OONI measurements -> staged rows; bad lines are counted with their place.

Lines are first read strictly and together. Only where something is refused are they looked
at one by one, so that damage costs time where it is and nowhere else.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import duckdb

from analysis.load import Fault
from analysis.warehouse import ooni_sql
from analysis.warehouse.lines import Source
from analysis.warehouse.ooni_shape import columns_sql, problem_of, valid_sql
from analysis.warehouse.spool import Marked, Spool, marked_lines
from analysis.warehouse.stage import Stage, literal

_MAX_SPLITS: Final = 200
"""Reads spent on one day's lines to find those that only the engine refuses (a key twice, for
one). What is not found within is refused together: a hostile file costs seconds."""

_Line = tuple[bytes, Marked]


class Importer:
    """Stages files one after another; nothing is whole before ``finish``.

    ``n_measurements`` and ``n_rows`` count what was staged, the first by ``source_file``.
    """

    def __init__(self, stage: Stage, fault: Callable[[Fault], None]) -> None:
        self.n_measurements: Counter[str] = Counter()
        self.n_rows = 0
        self._stage = stage
        self._fault = fault
        self._spool = Spool(stage.folder)
        self._paths: list[Path] = []
        self._source_files: list[str] = []
        self._n_splits = 0

    def add(self, path: Path, source_file: str, progress: Callable[[int], None]) -> None:
        """Take a file's lines; ``progress`` hears how many bytes are read."""
        file = len(self._paths)
        self._paths.append(path)
        self._source_files.append(source_file)
        source = Source(path, self._fault)
        number = 0
        for block in source.blocks():
            for line in block.split(b"\n")[:-1]:
                number += 1
                if line[:1] != b"{":
                    line = line.strip()  # noqa: PLW2901 - rare
                    if line[:1] != b"{":
                        if line:
                            source.fault(number, problem_of(line) or "$: not on its own line")
                        continue
                for full in self._spool.add(file, number, line):
                    self._import(full)
            progress(source.read_bytes)

    def finish(self, progress: Callable[[], None]) -> None:
        """Stage what is left."""
        for full in self._spool.rest():
            self._import(full)
            progress()

    def _import(self, path: Path) -> None:
        stage = self._stage
        self._load(path)
        path.unlink()
        for statement in ooni_sql.STATEMENTS:
            stage.run(
                statement,
                {"source_files": self._source_files} if "$source_files" in statement else None,
            )
        self.n_rows += stage.keep_steps()
        for source_file, n in stage.run("SELECT source_file, count(*) FROM meta GROUP BY ALL"):
            self.n_measurements[source_file] += n

    def _load(self, path: Path) -> None:
        """Fill table ``raw`` with the good lines; report the bad ones."""
        if self._read(path):
            return
        good: list[_Line] = []
        for line in marked_lines(path):
            problem = problem_of(line[1].data)
            if problem is None:
                good.append(line)
            else:
                self._report(line[1], problem)
        self._n_splits = 0
        kept = self._readable(path, good)
        _write(path, kept)
        assert self._read(path), "lines that the engine read in parts are refused together"

    def _report(self, line: Marked, problem: str) -> None:
        self._fault(Fault(self._paths[line.file], line.number, problem))

    def _read(self, path: Path) -> bool:
        """Read a plain file into ``raw``; False if anything in it is refused."""
        sql = ooni_sql.raw_sql(literal(path), columns_sql(), self._stage.number)
        try:
            self._stage.run(sql)
        except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.IOException):
            return False
        [(n_lines, n_bad)] = self._stage.run(
            f"SELECT count(*), count(*) FILTER (NOT {valid_sql()}) FROM raw"  # noqa: S608 - constants
        )
        self._stage.number += n_lines
        return not n_bad

    def _readable(self, path: Path, lines: Sequence[_Line]) -> list[_Line]:
        """Return the lines that the engine reads, by halving what it refuses."""
        if not lines:
            return []
        _write(path, lines)
        self._n_splits += 1
        if self._read(path):
            return list(lines)
        if len(lines) == 1 or self._n_splits >= _MAX_SPLITS:
            for _, line in lines:
                self._report(line, "$: refused by the engine's reader, such as a key twice")
            return []
        middle = len(lines) // 2
        return [*self._readable(path, lines[:middle]), *self._readable(path, lines[middle:])]


def _write(path: Path, lines: Sequence[_Line]) -> None:
    with path.open("wb") as file:
        file.writelines(data for data, _ in lines)
