"""The engine's workspace for one build, where partitions wait to be put in place."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from itertools import count
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.warehouse.schema import MEASUREMENTS, OBSERVATIONS, Table, arrow_schema

MEMORY: Final = "900MB"
"""DuckDB's own bound; beyond it spills to disk. With Python, pyarrow and what the engine does
not count, a build stays under 1.5 GB."""


ROWS: Final = 100_000
"""Rows in a row group; so many are in memory beside the engine's."""


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
        self.numbers = count()

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

    def keep(self, table: Table, rows: pa.Table, values: Sequence[object]) -> None:
        """Write rows of one partition, named by its values.

        Columns of the table that the rows lack are null.
        """
        pairs = zip(table.partitions, values, strict=True)
        partition = "/".join([table.name, *(f"{c.name}={value}" for c, value in pairs)])
        folder = self.folder / "tables" / partition
        folder.mkdir(parents=True, exist_ok=True)
        self.written.append(partition)
        write(table, rows.to_reader(ROWS), folder / f"{next(self.numbers):06}.parquet")

    def keep_by_month(self, table: Table, source: str, relation: str) -> int:
        """Write rows that have ``date``, each month of them apart; return how many."""
        rows: pa.Table = self.connection.sql(relation).to_arrow_table()
        if not rows.num_rows:
            return 0
        days = pc.min_max(rows["date"]).as_py()
        first, last = (f"{days[name]:%Y-%m}" for name in ("min", "max"))
        if first == last:
            self.keep(table, rows, (source, first))
            return int(rows.num_rows)
        months = pc.add(pc.multiply(pc.year(rows["date"]), 100), pc.month(rows["date"]))
        for month in sorted(pc.unique(months).to_pylist()):
            own = rows.filter(pc.equal(months, month))
            self.keep(table, own, (source, f"{month // 100}-{month % 100:02}"))
        return int(rows.num_rows)

    def keep_steps(self, source: str, steps: str, summary: str) -> int:
        """Write the rows of two relations over ``meta`` and ``obs``; return how many steps."""
        self.keep_by_month(MEASUREMENTS, source, summary)
        return self.keep_by_month(OBSERVATIONS, source, steps)


def write(table: Table, batches: Iterable[pa.RecordBatch], path: Path) -> int:
    """Write a table's file; return how many rows.

    By Arrow: its writer takes half of the engine's time, and says of every column that it may
    be null. Files of one table must not differ in that, or readers that take the first
    file's word read nulls as empty texts.
    """
    schema = arrow_schema(table.columns)
    n_rows = 0
    with pq.ParquetWriter(
        path, schema, compression="zstd", compression_level=1, store_schema=False
    ) as writer:
        for batch in batches:
            if batch.num_rows:
                writer.write_batch(_filled(batch, schema))
            n_rows += batch.num_rows
    return n_rows


def _filled(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    names = set(batch.schema.names)
    columns = [
        batch[column.name].cast(column.type)
        if column.name in names
        else pa.nulls(batch.num_rows, column.type)
        for column in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


@contextlib.contextmanager
def open_stage(warehouse: Path, threads: int) -> Iterator[Stage]:
    """Open a workspace beside the tables; it is gone afterwards, however a build ends.

    Raises:
        BusyError: another process builds here.
    """
    warehouse.mkdir(parents=True, exist_ok=True)
    connection = _locked(warehouse)
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


def _locked(warehouse: Path) -> duckdb.DuckDBPyConnection:
    """Connect to a file that DuckDB locks against other processes, on every system."""
    lock = warehouse / "_build.duckdb"
    for is_last in (False, True):
        try:
            return duckdb.connect(str(lock))
        except duckdb.IOException as error:
            if "set lock" in str(error):
                words = f"{warehouse}: another process is building this warehouse"
                raise BusyError(words) from None
            if is_last:
                raise
            # Nothing is kept in it. A build that was killed may have left half of one.
            lock.unlink(missing_ok=True)
    raise AssertionError


def literal(path: Path | str) -> str:
    """Return a path as the inside of an SQL string."""
    return str(path).replace("'", "''")
