"""Datasets of a few rows, without files: columns that are not given are null."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from analysis.dataset import Dataset
from analysis.warehouse.schema import TABLES, arrow_schema

FIRST = date(2030, 3, 1)

Row = dict[str, Any]


def day(number: int) -> date:
    return FIRST + timedelta(days=number)


def dataset_of(**tables: Iterable[Row]) -> Dataset:
    """Return a dataset of rows by table."""
    connection = duckdb.connect()
    for name, table in TABLES.items():
        schema = arrow_schema(table.all_columns)
        rows = pa.Table.from_pylist(list(tables.get(name, ())), schema=schema)
        connection.register("incoming", rows)
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM incoming")
        connection.unregister("incoming")
    engine = ibis.duckdb.from_connection(connection)
    return Dataset(**{name: engine.table(name) for name in TABLES})


def who(number: int, run: str, **columns: Any) -> Row:
    """Return what every row has: a day, a run and a network."""
    return {
        "date": day(number), "measurement_id": run, "source": "reachwatch", "probe_cc": "RU",
        "probe_asn": 64500, "lab": False, "service_id": "telegram",
        "target_id": "telegram/dc_pool",
    } | columns  # fmt: skip


def verdict(number: int, run: str, state: str = "ok", **columns: Any) -> Row:
    n_ok = 5 if state == "ok" else 0
    return who(number, run, state=state, tactic="none", n_ok=n_ok, n_total=5) | columns


def measured(number: int, run: str, n_ok: int, n_total: int, **columns: Any) -> Row:
    """Return a measurement of OONI's."""
    outcome = "ok" if n_ok == n_total else "partial" if n_ok else "failed"
    failed = {} if n_ok == n_total else {"failed_step": "tcp", "failure_class": "timeout"}
    row = who(number, run, source="ooni", run_id=run, n_ok=n_ok, n_total=n_total, outcome=outcome)
    return row | failed | columns


def step(number: int, run: str, member: str | None, **columns: Any) -> Row:
    """Return an observation: by default a connect of the direct way that passed in 20 ms."""
    row = who(number, run, member=member, role="test", tactic="none", step="tcp", t0=1.0, t=1.02)
    return row | columns
