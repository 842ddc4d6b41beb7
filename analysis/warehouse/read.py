"""A warehouse -> Ibis tables in the embedded engine."""

import os
import tempfile
from pathlib import Path
from typing import Final

import duckdb
import ibis

from analysis.warehouse.manifest import ManifestError, read_manifest
from analysis.warehouse.schema import TABLES, Table, empty_select
from analysis.warehouse.stage import MEMORY, literal

_MAGIC: Final = b"PAR1"


def open_tables(folder: Path, *, threads: int | None = None) -> dict[str, ibis.Table]:
    """Return each table by its name; one without files has no rows.

    Only files that the manifest lists are read, so a build that goes on meanwhile is not
    half seen.

    Raises:
        ManifestError: there is no warehouse, or its manifest or a file of it cannot be read.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ManifestError(f"{folder}: no warehouse here (manifest.json is missing)")
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{MEMORY}'")
    # By default it would spill into the working directory.
    spill = Path(tempfile.gettempdir()) / "reachwatch-spill"
    connection.execute(f"SET temp_directory = '{literal(spill)}'")
    if threads:
        connection.execute(f"SET threads = {threads}")
    for table in TABLES.values():
        paths = manifest.paths(folder, table.name)
        for path in paths:
            _check(path)
        try:
            connection.execute(f"CREATE VIEW {table.name} AS {_rows(table, paths)}").fetchall()
        except duckdb.Error as error:
            raise ManifestError(f"{folder}: {first_line(error)}") from error
    engine = ibis.duckdb.from_connection(connection)
    return {name: engine.table(name) for name in TABLES}


def _check(path: Path) -> None:
    """Look whether a file is there and whole at its ends, before minutes of work over it."""
    try:
        with path.open("rb") as file:
            begin = file.read(len(_MAGIC))
            file.seek(-len(_MAGIC), os.SEEK_END)
            if begin == file.read() == _MAGIC:
                return
            words = "no Parquet file"
    except OSError as error:
        words = error.strerror or type(error).__name__
    raise ManifestError(f"{path}: {words}; the manifest lists it: build these tables again")


def first_line(error: Exception) -> str:
    """Return what the engine says is wrong, without the query."""
    return str(error).split("\n", 1)[0]


def _rows(table: Table, paths: list[Path]) -> str:
    if not paths:
        return empty_select(table)
    files = ", ".join(f"'{literal(path)}'" for path in paths)
    hive = ", ".join(f"'{column.name}': {column.type}" for column in table.partitions)
    columns = ", ".join(f'"{column.name}"' for column in table.all_columns)
    return (
        f"SELECT {columns} FROM read_parquet([{files}], hive_partitioning = true, "  # noqa: S608
        f"hive_types = {{{hive}}})"
    )
