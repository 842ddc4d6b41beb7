"""OONI measurements -> staged rows; bad lines are counted with their place.

Lines are first read strictly and together. Only where something is refused are they looked
at one by one, so that damage costs time where it is and nowhere else.
"""

import contextlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Condition
from typing import Final, Self

import duckdb

from analysis.result_files import Fault
from analysis.warehouse import certificates, ooni_sql, ooni_steps
from analysis.warehouse.lines import Source
from analysis.warehouse.ooni_shape import columns_sql, key_twice, problem_of, valid_sql
from analysis.warehouse.spool import Marked, Spool, marked_lines
from analysis.warehouse.stage import Stage, literal
from analysis.warehouse.summary_sql import summary_sql

_MAX_SPLITS: Final = 200
"""Reads spent on one file's lines to find those that only the engine refuses; no such line is
known. What is not found within is refused together: a hostile file costs seconds."""

_MIN_BYTES: Final = 100
"""A shorter line cannot hold what a measurement needs."""

_MAX_BAD: Final = 1_000_000
"""Lines of one file that are seen to be bad at once, seconds' worth of them; a few kilobytes
unpack to a thousand times more."""

_BY_FILE: Final = "SELECT source_file, count(*) FROM meta GROUP BY ALL"

_Line = tuple[bytes, Marked]


class Importer:
    """Stages files one after another; nothing is whole before ``finish``. To be used in a ``with``.

    ``n_measurements`` and ``n_rows`` count what was staged, the first by ``source_file``;
    ``n_repeated`` what was left out because it was staged before.
    """

    def __init__(self, stage: Stage, fault: Callable[[Fault], None]) -> None:
        self.n_measurements: Counter[str] = Counter()
        self.n_repeated: Counter[str] = Counter()
        self.n_rows = 0
        self._stage = stage
        self._fault = fault
        self._spool = Spool(stage.folder)
        self._paths: list[Path] = []
        self._source_files: list[str] = []
        self._numbers = count()
        self._turns = Condition()
        self._next = 0
        self._pool = ThreadPoolExecutor(stage.threads)
        self._running: deque[Future[None]] = deque()
        stage.run(ooni_sql.SEEN)

    def add(self, path: Path, source_file: str, progress: Callable[[int], None]) -> None:
        """Take a file's lines; ``progress`` hears how many bytes are read."""
        file = len(self._paths)
        self._paths.append(path)
        self._source_files.append(source_file)
        source = Source(path, self._fault)
        number = n_bad = 0
        for block in source.blocks():
            if not block.strip():
                # Blank lines unpack from nothing by the million.
                number += block.count(b"\n")
                continue
            for line in block.split(b"\n")[:-1]:
                number += 1
                if line[:1] != b"{" or len(line) < _MIN_BYTES:
                    if not line or not (line := line.strip()):
                        continue
                    if problem := _problem_at_once(line):
                        source.fault(number, problem)
                        n_bad += 1
                        continue
                for full in self._spool.add(file, number, line):
                    self._start(full)
            progress(source.read_bytes)
            if n_bad > _MAX_BAD:
                source.fault(number + 1, f"more than {_MAX_BAD} bad lines: the rest is not read")
                break

    def finish(self, progress: Callable[[], None]) -> None:
        """Stage what is left."""
        for full in self._spool.rest():
            self._start(full)
            progress()
        self._wait(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Nobody may be at work in the folder when it goes.
        self._pool.shutdown(cancel_futures=True)

    def _start(self, path: Path) -> None:
        """Take a month's lines apart beside the reading of more.

        So few rows are one thread's work to the engine; several files at once are not.
        """
        self._wait(self._stage.threads)
        self._running.append(self._pool.submit(self._import, path, next(self._numbers)))

    def _wait(self, most: int) -> None:
        while len(self._running) > most:
            self._running.popleft().result()

    def _import(self, path: Path, number: int) -> None:
        stage = self._stage.twin()
        try:
            self._load(stage, path)
            path.unlink()
            stage.run(ooni_sql.META, {"source_files": self._source_files})
            read = dict(stage.run(_BY_FILE))
            with self._turn(number):
                for statement in ooni_sql.ONCE:
                    stage.run(statement)
            whole = ooni_steps.whole_sql(has_chains=_parse_chains(stage))
            n_rows = stage.keep_steps("ooni", whole, summary_sql(is_ooni=True))
            counted = dict(stage.run(_BY_FILE))
        finally:
            self._pass(number)
            stage.connection.close()
        with self._turns:
            self.n_rows += n_rows
            self.n_measurements.update(counted)
            self.n_repeated.update(read)
            self.n_repeated.subtract(counted)

    @contextlib.contextmanager
    def _turn(self, number: int) -> Iterator[None]:
        """Wait until all segments before are through; a measurement's first place is kept."""
        with self._turns:
            self._turns.wait_for(lambda: self._next == number)
        yield
        self._pass(number)

    def _pass(self, number: int) -> None:
        with self._turns:
            self._turns.wait_for(lambda: self._next >= number)
            self._next = max(self._next, number + 1)
            self._turns.notify_all()

    def _load(self, stage: Stage, path: Path) -> None:
        """Fill ``raw`` and ``obs`` with the good lines; report the bad ones."""
        if _read(stage, path):
            return
        good: list[_Line] = []
        for line in marked_lines(path):
            problem = problem_of(line[1].data)
            if problem is None:
                good.append(line)
            else:
                self._report(line[1], problem)
        _write(path, good)
        if _read(stage, path):
            return
        plain: list[_Line] = []
        for line in good:
            problem = key_twice(line[1].data)
            if problem is None:
                plain.append(line)
            else:
                self._report(line[1], problem)
        kept = self._readable(stage, path, plain, count())
        _write(path, kept)
        assert _read(stage, path), "lines that the engine read in parts are refused together"

    def _report(self, line: Marked, problem: str) -> None:
        self._fault(Fault(self._paths[line.file], line.number, problem))

    def _readable(
        self, stage: Stage, path: Path, lines: Sequence[_Line], splits: Iterator[int]
    ) -> list[_Line]:
        """Return the lines that the engine reads, by halving what it refuses."""
        if not lines:
            return []
        _write(path, lines)
        if _read(stage, path):
            return list(lines)
        if len(lines) == 1 or next(splits) >= _MAX_SPLITS:
            for _, line in lines:
                self._report(line, "$: refused by the engine's reader")
            return []
        middle = len(lines) // 2
        return [
            *self._readable(stage, path, lines[:middle], splits),
            *self._readable(stage, path, lines[middle:], splits),
        ]


def _problem_at_once(line: bytes) -> str | None:
    """Say what is wrong with a line that is too short, or does not begin as an object does."""
    if line[:1] == b"{" and len(line) >= _MIN_BYTES:
        return None
    return problem_of(line) or "$: not on its own line"


def _read(stage: Stage, path: Path) -> bool:
    """Read marked lines into ``raw`` and ``obs``; False if anything in them is refused."""
    try:
        stage.run(ooni_sql.raw_sql(literal(path), columns_sql()))
    except (duckdb.InvalidInputException, duckdb.ConversionException, UnicodeDecodeError):
        # The engine's message may quote half a character, of which no exception can be made.
        return False
    if stage.value(f"SELECT count(*) FROM raw WHERE NOT {valid_sql()}"):  # noqa: S608 - constants
        return False
    stage.run(ooni_steps.NAMES)
    stage.run(ooni_steps.STEPS)
    return not stage.value(ooni_steps.N_NOT_FINITE)


def _parse_chains(stage: Stage) -> bool:
    """Fill ``certificates``; False if there is no chain."""
    chains = [chain for (chain,) in stage.run(ooni_steps.CHAINS)]
    if not chains:
        return False
    stage.connection.register("incoming", certificates.table_of(chains))
    stage.run("CREATE OR REPLACE TEMP TABLE certificates AS SELECT * FROM incoming")
    stage.connection.unregister("incoming")
    return True


def _write(path: Path, lines: Sequence[_Line]) -> None:
    with path.open("wb") as file:
        file.writelines(data for data, _ in lines)
