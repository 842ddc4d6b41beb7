"""Spark: a warehouse's files asked on a cluster, or on this machine.

Needs the extra ``spark`` and Java 17 or newer.
"""

import contextlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import pyarrow as pa
from ibis.backends.sql.compilers.pyspark import PySparkCompiler

from analysis.engines.answers import frame, typed
from analysis.warehouse.manifest import Manifest, ManifestError, read_manifest
from analysis.warehouse.schema import TABLES, Table, arrow_schema

with warnings.catch_warnings():
    # Spark warns of pandas 3, through which nothing goes here. It does so again where it loads
    # its aids for testing, which it does on its own.
    warnings.simplefilter("ignore", FutureWarning)
    import pyspark.testing
    from ibis.backends.pyspark import Backend
    from ibis.backends.pyspark.datatypes import PySparkType
    from pyspark import SparkContext
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import lit
    from pyspark.sql.types import StructType

    Backend.register_options()


class _Compiler(PySparkCompiler):  # type: ignore[misc]  # Ibis ships no types
    """Ibis's, where that one knows no function of Spark's or would cut off a number."""

    __slots__ = ()
    SIMPLE_OPS = {ops.BitOr: "bit_or"}  # noqa: RUF012 - Ibis's way to say it

    def visit_Cast(self, op: ops.Cast, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        if op.arg.dtype.is_floating() and to.is_integer():
            return self.cast(self.f.rint(arg), to)  # as DuckDB rounds
        return super().visit_Cast(op, arg=arg, to=to)


class _Spark(Backend):  # type: ignore[misc]
    """Ibis's, but answers come in Arrow: in pandas an integer beside a null is a float."""

    compiler = _Compiler()

    def to_pyarrow(self, expr: ibis.Expr, /, **kwargs: Any) -> Any:
        return expr.__pyarrow_result__(self._answer(expr, **kwargs))

    def execute(self, expr: ibis.Expr, /, **kwargs: Any) -> Any:
        return expr.__pandas_result__(frame(self._answer(expr, **kwargs), expr.as_table()))

    def _answer(self, expr: ibis.Expr, **kwargs: Any) -> pa.Table:
        table = expr.as_table()
        self._run_pre_execute_hooks(table)
        return typed(self._session.sql(self.compile(table, **kwargs)).toArrow(), table)


_numbers = count(1)


def open_spark(
    folder: Path, session: SparkSession, *, place: str | None = None
) -> dict[str, ibis.Table]:
    """Return each table of a warehouse by its name, asked through a session of Spark's.

    As `analysis.warehouse.open_tables`: only files that the manifest lists are read, and a table
    without files has no rows. The session's time zone becomes UTC. ``place`` is where the
    cluster's workers find the folder, where that is not where this process does
    (``s3a://bucket/warehouse``).

    Raises:
        ManifestError: there is no warehouse, or its manifest cannot be read.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise ManifestError(f"{folder}: no warehouse here (manifest.json is missing)")
    engine = _Spark()
    engine.do_connect(session)
    # As Hadoop writes it: characters stand as they are, none as %20.
    root = place or f"file:{folder.absolute().as_posix()}"
    # Views are the session's: two warehouses in one must not share names.
    number = next(_numbers)
    found = {}
    for name, table in TABLES.items():
        view = f"reachwatch_{number}_{name}"
        _rows(session, table, manifest, root.rstrip("/")).createTempView(view)
        found[name] = engine.table(view)
    return found


def _rows(session: SparkSession, table: Table, manifest: Manifest, root: str) -> Any:
    schema = _schema(table)
    # Spark takes paths for patterns: what would be one is said to stand for itself.
    plain = _PATTERN.sub(r"\\\g<0>", root)
    paths = [f"{plain}/{path.as_posix()}" for path in manifest.paths(Path(), table.name)]
    if not paths:
        # Spark makes a table of Python's rows, be there none, by starting Python on a worker.
        columns = (lit(None).cast(field.dataType).alias(field.name) for field in schema.fields)
        return session.range(0).select(*columns)
    # Types are said: the folders' names hold none, and a column of nulls shows none.
    reader = session.read.schema(schema).option("basePath", f"{root}/{table.name}")
    return reader.parquet(*paths)


_PATTERN: Final = re.compile(r"[\\{}\[\]*?]")


def _schema(table: Table) -> StructType:
    columns = ibis.Schema.from_pyarrow(arrow_schema(table.all_columns))
    found: StructType = PySparkType.from_ibis(columns.as_struct())
    return found


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@contextlib.contextmanager
def local_spark(
    master: str = "local[*]", settings: Mapping[str, str] = _NOTHING
) -> Iterator[SparkSession]:
    """Run Spark on this machine: ``local[N]``, or ``local-cluster[workers, cores, megabytes]``.

    It listens on the loopback interface only, and leaves neither files nor processes behind.
    For a cluster make a session of your own.

    Raises:
        RuntimeError: a session runs in this process already.
    """
    if SparkContext._active_spark_context is not None:  # noqa: SLF001 - there is no public word
        raise RuntimeError("Spark runs in this process already")
    home = Path(tempfile.mkdtemp(prefix="reachwatch-spark-"))
    # Workers write beside the program, so it gets a place of its own to be beside.
    for name in ("bin", "jars"):
        (home / name).symlink_to(Path(pyspark.__file__).parent / name)
    (home / "conf").mkdir()
    (home / "conf" / "log4j2.properties").write_text(_NO_LOG)
    own = {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
    }
    before = _variables()
    os.environ.update(own)
    try:
        builder = SparkSession.builder.master(master)
        for name, value in {**_LOCAL, **settings}.items():
            builder = builder.config(name, value)
        session = (
            builder.config("spark.local.dir", str(home / "spill"))
            .config("spark.sql.warehouse.dir", str(home / "tables"))
            .getOrCreate()
        )
        try:
            yield session
        finally:
            session.stop()
            _end_java()
    finally:
        for name in _variables():
            del os.environ[name]
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


_NO_LOG: Final = """\
rootLogger.level = off
rootLogger.appenderRef.none.ref = none
appender.none.type = Null
appender.none.name = none
"""

_LOCAL: Final = {
    "spark.app.name": "reachwatch",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.log.level": "OFF",
    "spark.sql.catalogImplementation": "in-memory",
    # 200 parts, of which most are empty, are for a cluster.
    "spark.sql.shuffle.partitions": "4",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def _variables() -> dict[str, str]:
    """Return Spark's variables. It sets some itself, which name what is gone afterwards."""
    return {name: value for name, value in os.environ.items() if name.startswith("SPARK_")}


def _end_java() -> None:
    """End what Spark keeps running for a next session, which would find its files gone."""
    gateway = SparkContext._gateway  # noqa: SLF001 - as above
    SparkContext._gateway = SparkContext._jvm = None  # noqa: SLF001
    assert gateway is not None
    gateway.shutdown()
    # Java ends with its input.
    gateway.proc.stdin.close()
    gateway.proc.wait(60)
