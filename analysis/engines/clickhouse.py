"""ClickHouse: the same queries as SQL text, and a warehouse's files asked through chdb.

chdb is ClickHouse in this process, as DuckDB is; no server is asked. Who has a server takes the
text (`clickhouse_sql`) there. Ibis's own ClickHouse engine is for servers only, and would be one
more client to install; its compiler, which makes the text, is used here.
"""

import shutil
import tempfile
import weakref
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa
import sqlglot.expressions as sge
from ibis.backends.sql import SQLBackend
from ibis.backends.sql.compilers.clickhouse import ClickHouseCompiler
from ibis.backends.sql.datatypes import ClickHouseType

from analysis.engines.answers import frame, typed
from analysis.warehouse.manifest import Manifest, ManifestError, read_manifest
from analysis.warehouse.schema import TABLES, ColumnType, Table, arrow_schema

SETTINGS: Final = {
    # What a left join does not find is null, not 0 or an empty text.
    "join_use_nulls": "1",
    # The least of nothing is null, not 1970.
    "aggregate_functions_null_for_empty": "1",
    # A day before 1970 or after 2149 stays that day when it is cut down to its week.
    "enable_extended_results_for_datetime_functions": "1",
    "date_time_overflow_behavior": "'throw'",
    "session_timezone": "'UTC'",
}
"""What makes ClickHouse answer as SQL says; each query brings them along."""


class _Types(ClickHouseType):  # type: ignore[misc]  # Ibis ships no types
    @classmethod
    def _from_ibis_Date(cls, _: dt.Date) -> sge.DataType:  # noqa: N802 - Ibis's names
        # Its Date begins in 1970 and ends in 2149; others are silently moved there.
        return sge.DataType(this=sge.DataType.Type.DATE32)


class _Compiler(ClickHouseCompiler):  # type: ignore[misc]
    """Ibis's, where that one would estimate or leave the range of days."""

    __slots__ = ()
    type_mapper = _Types

    def visit_NonNullLiteral(  # noqa: N802 - Ibis's names
        self, op: ops.Literal, *, value: Any, dtype: dt.DataType
    ) -> Any:
        if dtype.is_date():
            return self.f.toDate32(value.isoformat())
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_Cast(self, op: ops.Cast, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        if op.arg.dtype.is_floating() and to.is_integer():
            # It would cut off where DuckDB rounds.
            return self._whole(self.f.roundBankers(arg), to)
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_Floor(self, op: ops.Floor, *, arg: Any) -> Any:  # noqa: N802
        return self._whole(self.f.floor(arg), op.dtype)

    def visit_Ceil(self, op: ops.Ceil, *, arg: Any) -> Any:  # noqa: N802
        return self._whole(self.f.ceil(arg), op.dtype)

    def _whole(self, arg: Any, to: dt.DataType) -> Any:
        """Cast what is whole. A plain cast would fail at an infinity that lies under a null."""
        return self.f.accurateCastOrNull(arg, _Types.to_string(to.copy(nullable=False)))

    def visit_Date(self, _: ops.Date, *, arg: Any) -> Any:  # noqa: N802
        return self.f.toDate32(arg)

    def visit_CountDistinct(self, _: ops.CountDistinct, *, arg: Any, where: Any) -> Any:  # noqa: N802
        return self.agg.uniqExact(arg, where=where)


class _Chdb(SQLBackend):  # type: ignore[misc]
    """What Ibis needs of an engine to compile for it and to fetch its answers."""

    name = "clickhouse"
    compiler = _Compiler()

    def __init__(self, connection: Any = None) -> None:
        super().__init__()
        self.con = connection

    @property
    def version(self) -> str:
        return str(self.con.query("SELECT version()", "TSV")).strip()

    def list_tables(self, **_: Any) -> list[str]:
        return list(TABLES)

    def compile(self, expr: ibis.Expr, /, **kwargs: Any) -> str:
        settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
        return f"{super().compile(expr, **kwargs)} SETTINGS {settings}"

    def to_pyarrow(self, expr: ibis.Expr, /, **kwargs: Any) -> Any:
        return expr.__pyarrow_result__(self._answer(expr, **kwargs))

    def execute(self, expr: ibis.Expr, /, **kwargs: Any) -> Any:
        return expr.__pandas_result__(frame(self._answer(expr, **kwargs), expr.as_table()))

    def _answer(self, expr: ibis.Expr, **kwargs: Any) -> pa.Table:
        table = expr.as_table()
        sql = self.compile(table, **kwargs)
        try:
            answer = self.con.query(sql, "ArrowStream")
        except Exception:
            # What it had written would stand before the next answer.
            self.con.query("SELECT 1", "ArrowStream")
            raise
        return typed(pa.ipc.open_stream(answer.bytes()).read_all(), table)

    def _register_in_memory_table(self, _: ops.InMemoryTable) -> None:
        raise NotImplementedError("tables of this process are not sent to ClickHouse")

    def create_table(self, *_: Any, **__: Any) -> ibis.Table:
        raise NotImplementedError("a warehouse is read, not written")

    def _get_schema_using_query(self, query: str) -> ibis.Schema:
        raise NotImplementedError("the schema is that of docs/tables.md")


_numbers = count(1)


def open_clickhouse(folder: Path) -> dict[str, ibis.Table]:
    """Return each table of a warehouse by its name, asked through chdb.

    As `analysis.warehouse.open_tables`: only files that the manifest lists are read, and a table
    without files has no rows.

    Raises:
        ModuleNotFoundError: the extra ``clickhouse`` is not installed.
        ManifestError: there is no warehouse, or its manifest cannot be read.
    """
    chdb: Any = import_module("chdb")  # an extra, whose functions have no types
    manifest = read_manifest(folder)
    if manifest is None:
        raise ManifestError(f"{folder}: no warehouse here (manifest.json is missing)")
    # One engine serves the process; names and settings are each connection's own.
    connection = chdb.connect(":memory:")
    engine = _Chdb(connection)
    database = f"reachwatch_{next(_numbers)}"
    # ClickHouse cannot be told that a character of a path is meant as it stands.
    plain = Path(tempfile.mkdtemp(prefix="reachwatch-"))
    (plain / "w").symlink_to(folder.absolute(), target_is_directory=True)
    weakref.finalize(engine, _close, connection, database, plain)
    for statement in (
        f"CREATE DATABASE {database} ENGINE = Memory",
        f"USE {database}",
        "SET max_query_size = 1000000000",
        *(
            f"CREATE VIEW {table.name} AS {_rows(table, manifest, plain / 'w')}"
            for table in TABLES.values()
        ),
    ):
        connection.query(statement)
    return {
        name: ops.DatabaseTable(name, schema=_schema(table), source=engine).to_expr()
        for name, table in TABLES.items()
    }


def clickhouse_sql(expression: ibis.Table) -> str:
    """Return a query as text for a ClickHouse server that has the tables under their names.

    The expression may be one over any engine's tables. The text is what chdb is asked.
    """
    return _Chdb().compile(expression.unbind(), pretty=True)


def _close(connection: Any, database: str, plain: Path) -> None:
    connection.query(f"DROP DATABASE {database}")
    connection.close()
    shutil.rmtree(plain, ignore_errors=True)


_TYPES: Final[dict[ColumnType, str]] = {
    "VARCHAR": "String",
    "BIGINT": "Int64",
    "INTEGER": "Int32",
    "DOUBLE": "Float64",
    "BOOLEAN": "Bool",
    "TIMESTAMP": "DateTime64(6, 'UTC')",
    "DATE": "Date32",
}


def _rows(table: Table, manifest: Manifest, root: Path) -> str:
    """Return SQL of a table's rows. Types are said: of a column of nulls they cannot be seen."""
    inside = [f"`{column.name}` Nullable({_TYPES[column.type]})" for column in table.columns]
    folders = [f"`{column.name}` {_TYPES[column.type]}" for column in table.partitions]
    structure = ", ".join([*inside, *folders]).replace("'", "''")
    names = ",".join(path.relative_to(root).as_posix() for path in manifest.paths(root, table.name))
    if not names:
        return f"SELECT * FROM null('{structure}')"  # noqa: S608
    # A pattern of which every file is one branch: there is no other way to list files.
    return (
        f"SELECT * FROM file('{root}/{{{names}}}', Parquet, '{structure}') "  # noqa: S608
        "SETTINGS use_hive_partitioning = 1, glob_expansion_max_elements = 1000000000"
    )


def _schema(table: Table) -> ibis.Schema:
    return ibis.Schema.from_pyarrow(arrow_schema(table.all_columns))
