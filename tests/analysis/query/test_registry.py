"""What engines are compared by is complete, and compiles without estimates."""

import ibis
import ibis.expr.operations as ops
import pytest

from analysis.dataset import Dataset
from analysis.engines.clickhouse import clickhouse_sql
from analysis.warehouse.schema import TABLES, arrow_schema
from queries import QUERIES, public_queries


def test_every_public_query_is_compared() -> None:
    """A query that is not in the list would be one that no test compares between engines."""
    assert set(public_queries()) == set(QUERIES)


RUN_THEIR_OWN = {"grid.span", "found.held"}

NOT_ALIKE = (
    ops.ApproxCountDistinct, ops.ApproxMedian, ops.ApproxQuantile, ops.ApproxMultiQuantile,
    ops.Median, ops.Quantile, ops.MultiQuantile, ops.Arbitrary, ops.First, ops.Last, ops.Mode,
    ops.Round, ops.InMemoryTable,
)  # fmt: skip
"""What engines estimate, choose or round each in its own way, or cannot be sent."""


@pytest.mark.parametrize("name", sorted(QUERIES.keys() - RUN_THEIR_OWN))
def test_queries_have_exact_parts_only(name: str) -> None:
    """Small data hide an estimate: each engine's is exact there."""
    tables = {
        name: ibis.table(ibis.Schema.from_pyarrow(arrow_schema(table.all_columns)), name=name)
        for name, table in TABLES.items()
    }
    for expression in QUERIES[name](Dataset(**tables)):
        assert not expression.op().find(NOT_ALIKE)
        assert "uniq(" not in clickhouse_sql(expression)
