"""States and coverage: one expression for three engines, and nothing that estimates."""

from collections.abc import Callable

import ibis
import pytest

from analysis.query.coverage import coverage
from analysis.query.states import SERIES, among, day_states, series_totals, states
from analysis.warehouse.schema import TABLES, arrow_schema

KEYS = [dict.fromkeys(SERIES[:2], "x") | {"probe_asn": number} for number in (1, 2)]

EXPRESSIONS: dict[str, Callable[[ibis.Table, ibis.Table], ibis.Table]] = {
    "days": lambda *tables: day_states(among(states(*tables), KEYS)),
    "totals": lambda *tables: series_totals(states(*tables)),
    "coverage": coverage,
}


@pytest.mark.parametrize("dialect", ["duckdb", "pyspark", "clickhouse"])
@pytest.mark.parametrize("name", EXPRESSIONS)
def test_expressions_compile_for_every_engine(name: str, dialect: str) -> None:
    """And use nothing that estimates: ClickHouse's ``uniq`` does."""
    tables = [
        ibis.table(ibis.Schema.from_pyarrow(arrow_schema(TABLES[table].all_columns)), name=table)
        for table in ("verdicts", "measurements")
    ]
    sql = str(ibis.to_sql(EXPRESSIONS[name](*tables), dialect=dialect)).lower()

    assert "verdicts" in sql
    assert "measurements" in sql
    assert "uniq(" not in sql
    assert "approx" not in sql
