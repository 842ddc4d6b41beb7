"""Counts over a warehouse: exact, dense, and the same expression for three engines."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import ibis
import orjson
import pytest

import ooni_measurements as ooni
from analysis.query_grid import (
    COUNTRIES,
    dense,
    layer_counts,
    outcome_counts,
    span,
    state_counts,
)
from analysis.warehouse import build, open_tables
from analysis.warehouse.schema import TABLES, arrow_schema

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 5)


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ibis.Table]:
    """Two reports on the first of March, one of two measurements; one report on the fifth."""
    folder = tmp_path_factory.mktemp("grid")
    rows = [
        ooni.telegram() | {
            "measurement_start_time": f"2024-03-0{day} 10:0{n}:00", "report_id": report,
            "probe_cc": "IT",
        }
        for n, (day, report) in enumerate([(1, "a"), (1, "a"), (1, "b"), (5, "c")])
    ]  # fmt: skip
    (folder / "x.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    build([folder], folder / "w", threads=1)
    return open_tables(folder / "w")


def test_measurements_and_reports_are_counted_apart(tables: dict[str, ibis.Table]) -> None:
    """Three measurements of two reports are two probes at most."""
    counts = outcome_counts(tables["measurements"]).to_pyarrow().to_pylist()
    web = {row["date"]: row for row in counts if row["target_id"] == "telegram/web"}

    assert (web[FIRST]["n"], web[FIRST]["n_probes"]) == (3, 2)
    assert (web[LAST]["n"], web[LAST]["n_probes"]) == (1, 1)


def test_days_without_data_are_rows(tables: dict[str, ibis.Table]) -> None:
    """Each series has each day; what was not measured counts nothing."""
    measurements = tables["measurements"]
    assert span(measurements) == (FIRST, LAST)
    grid = dense(outcome_counts(measurements), FIRST, LAST).to_pyarrow().to_pylist()
    silent = [row for row in grid if FIRST < row["date"] < LAST]

    assert len(grid) == 5 * 2
    assert len(silent) == 3 * 2
    assert all(
        value == 0
        for row in silent
        for name, value in row.items()
        if name.startswith(("n", "members", "outcome", "failure"))
    )


def test_outcomes_add_up(tables: dict[str, ibis.Table]) -> None:
    """Every measurement has one outcome; countries are the sums of networks."""
    measurements = tables["measurements"]
    for by in (None, COUNTRIES):
        counts = outcome_counts(measurements, *([by] if by else [])).to_pyarrow().to_pylist()
        assert sum(row["n"] for row in counts) == measurements.count().execute()
        for row in counts:
            outcomes = sum(v for name, v in row.items() if name.startswith("outcome_"))
            assert outcomes == row["n"]


def test_steps_are_counted_by_class(tables: dict[str, ibis.Table]) -> None:
    """Every row of the target is in one class."""
    counts = layer_counts(tables["observations"]).to_pyarrow().to_pylist()
    assert sum(row["n"] for row in counts) == tables["observations"].count().execute()


def test_a_grid_of_ages_is_refused(tables: dict[str, ibis.Table]) -> None:
    """A wrong date does not make a grid of millions of cells."""
    with pytest.raises(ValueError, match="days"):
        dense(outcome_counts(tables["measurements"]), date(1900, 1, 1), LAST)


def test_an_empty_warehouse_has_no_span(tmp_path: Path) -> None:
    """Nothing was measured, so there is no first day."""
    build([], tmp_path)
    assert span(open_tables(tmp_path)["measurements"]) is None


EXPRESSIONS: dict[str, Callable[[ibis.Table], ibis.Table]] = {
    "measurements": lambda table: dense(outcome_counts(table), FIRST, LAST),
    "verdicts": lambda table: dense(state_counts(table), FIRST, LAST),
    "observations": layer_counts,
}


@pytest.mark.parametrize("dialect", ["duckdb", "pyspark", "clickhouse"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_compile_for_every_engine(name: str, dialect: str) -> None:
    """And use nothing that estimates: ClickHouse's ``uniq`` does."""
    schema = ibis.Schema.from_pyarrow(arrow_schema(TABLES[name].all_columns))
    expression = EXPRESSIONS[name](ibis.table(schema, name=name))
    sql = str(ibis.to_sql(expression, dialect=dialect)).lower()

    assert name in sql
    assert "uniq(" not in sql
    assert "approx" not in sql
