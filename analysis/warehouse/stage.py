"""The engine's workspace for one build, where partitions wait to be put in place."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any, Final

import duckdb

from analysis.warehouse.schema import MEASUREMENTS, OBSERVATIONS, Table, empty_select
from analysis.warehouse.summary_sql import SUMMARY

MEMORY: Final = "900MB"
"""DuckDB's own bound; beyond it spills to disk. With Python, pyarrow and what the engine does
not count, a build stays under 1.5 GB."""


FORMAT: Final = "(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE 100000)"
"""Level 1 is a twentieth larger than the default, and a third less work."""


class BusyError(Exception):
    """Another process is building this warehouse. Names it."""


class Stage:
    """A connection with temporary tables of its own, and a folder shared with `twin`s.

    ``written`` are the partitions that have files, with repetitions.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, folder: Path, threads: int) -> None:
        self.connection = connection
        self.folder = folder
        self.threads = threads
        self.written: list[str] = []
        self._numbers = count()

    def twin(self) -> "Stage":
        """Return another connection to the same workspace, for another thread."""
        twin = copy(self)
        twin.connection = self.connection.cursor()
        return twin

    def run(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement to its end."""
        return self.connection.execute(sql, parameters).fetchall()

    def value(self, sql: str) -> int:
        """Return the one number that a query answers."""
        return int(self.run(sql)[0][0] or 0)

    def keep(self, table: Table, relation: str, values: Sequence[object]) -> None:
        """Write rows of one partition, named by its values.

        Columns of the table that the relation lacks are null.
        """
        pairs = zip(table.partitions, values, strict=True)
        partition = "/".join([table.name, *(f"{c.name}={value}" for c, value in pairs)])
        folder = self.folder / "tables" / partition
        folder.mkdir(parents=True, exist_ok=True)
        self.written.append(partition)
        path = folder / f"{next(self._numbers):06}.parquet"
        self.run(f"COPY ({as_table(table, relation)}) TO '{literal(path)}' {FORMAT}")

    def keep_by_day(self, table: Table, relation: str) -> None:
        """Write rows that have ``source`` and ``start_time``, each day of them apart."""
        for source, day in self.run(
            "SELECT DISTINCT source, CAST(start_time AS DATE) "  # noqa: S608 - our own names
            f"FROM {relation} ORDER BY ALL"
        ):
            of_day = f"CAST(start_time AS DATE) = DATE '{day}'"
            self.keep(table, f"SELECT * FROM {relation} WHERE {of_day}", (source, day))  # noqa: S608

    def keep_steps(self) -> int:
        """Write what tables ``meta`` and ``obs`` hold, and its summary; return how many steps."""
        self.run(f"CREATE OR REPLACE TEMP TABLE summary AS {SUMMARY}")
        self.keep_by_day(OBSERVATIONS, "obs")
        self.keep_by_day(MEASUREMENTS, "summary")
        return self.value("SELECT count(*) FROM obs")


def as_table(table: Table, relation: str) -> str:
    """Return SQL of a relation in the form of a table's files.

    The row of nulls is never there, but the engine cannot know, and so writes every column as
    one that may be null: files of one table must not differ in that, or readers that take the
    first file's word read nulls as empty texts.
    """
    columns = ", ".join(
        f'CAST("{column.name}" AS {column.type}) AS "{column.name}"' for column in table.columns
    )
    nulls = empty_select(table).replace("WHERE false", "WHERE random() > 2")
    return f"SELECT {columns} FROM ({nulls} UNION ALL BY NAME {relation})"  # noqa: S608


@contextlib.contextmanager
def open_stage(warehouse: Path, threads: int) -> Iterator[Stage]:
    """Open a workspace beside the tables; it is gone afterwards, however a build ends.

    Raises:
        BusyError: another process builds here.
    """
    warehouse.mkdir(parents=True, exist_ok=True)
    lock = warehouse / "_build.duckdb"
    try:
        # DuckDB locks its file against other processes, on every system.
        connection = duckdb.connect(str(lock))
    except duckdb.IOException as error:
        if "lock" not in str(error).lower():
            raise
        raise BusyError(f"{warehouse}: another process is building this warehouse") from None
    for leftover in warehouse.glob("_stage-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix="_stage-", dir=warehouse))
    try:
        stage = Stage(connection, folder, threads)
        for setting in (
            f"memory_limit = '{MEMORY}'",
            f"threads = {threads}",
            f"temp_directory = '{literal(folder / 'spill')}'",
            "enable_progress_bar = false",
            # Nothing is fetched from anywhere.
            "autoinstall_known_extensions = false",
        ):
            stage.run(f"SET {setting}")
        # What twins share: temporary tables are each connection's own.
        stage.run("ATTACH ':memory:' AS work")
        yield stage
    finally:
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)


def literal(path: Path | str) -> str:
    """Return a path as the inside of an SQL string."""
    return str(path).replace("'", "''")
