"""ClickHouse, in this process as chdb, answers what DuckDB answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.dataset import Dataset
from analysis.engines.clickhouse import clickhouse_sql, open_clickhouse
from analysis.query.grid import span, totals, with_share
from analysis.warehouse import open_tables
from analysis.warehouse.manifest import ManifestError
from odd_warehouse import write_empty, write_imported, write_odd, write_one
from queries import FILTERS, QUERIES, difference, rows

pytest.importorskip("chdb", reason="the extra `clickhouse` is not installed")

Both = tuple[Dataset, Dataset]
WAREHOUSES: dict[str, Callable[[Path], None]] = {
    "odd": write_odd, "one row": write_one, "empty": write_empty, "imported": write_imported,
}  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Both]:
    """Each warehouse on DuckDB and on ClickHouse; all are open at the same time."""
    found = {}
    for name, write in WAREHOUSES.items():
        folder = tmp_path_factory.mktemp("warehouse") / f"{name} {{a,b}} *'é[1]?"
        write(folder)
        found[name] = Dataset(**open_tables(folder)), Dataset(**open_clickhouse(folder))
    return found


def assert_same(query: str, ours: Dataset, theirs: Dataset) -> None:
    for one, other in zip(QUERIES[query](ours), QUERIES[query](theirs), strict=True):
        assert difference(rows(one), rows(other)) is None


@pytest.mark.parametrize("warehouse", ["odd", "one row", "imported"])
@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_those_of_duckdb(both: dict[str, Both], query: str, warehouse: str) -> None:
    """To the last integer, with its type; shares to 1e-9."""
    assert_same(query, *both[warehouse])


@pytest.mark.parametrize("query", ["judged.judged", "grid.span", "found.held", "grid.with_share"])
def test_an_empty_warehouse_has_typed_tables(both: dict[str, Both], query: str) -> None:
    """No file tells the types; nothing has no first day, not one in 1970."""
    assert_same(query, *both["empty"])
    assert span(both["empty"][1].verdicts) is None


@pytest.mark.parametrize("given", FILTERS.values(), ids=FILTERS)
def test_filters_are_those_of_duckdb(both: dict[str, Both], given: dict[str, Any]) -> None:
    """Days before 1970 and names with quotes in a condition, too."""
    ours, theirs = (dataset.where(**given) for dataset in both["odd"])
    assert_same("grid.cells", ours, theirs)
    assert_same("ways.way_counts", ours, theirs)


@pytest.mark.parametrize("name", ["observations", "measurements", "verdicts", "daily"])
def test_every_column_is_read_as_duckdb_reads_it(both: dict[str, Both], name: Any) -> None:
    """Text, bounds of numbers, times and far days pass through; a leftover file is not read."""
    ours, theirs = (dataset.to_arrow(name) for dataset in both["odd"])
    assert ours.schema == theirs.schema
    assert difference(rows(ours), rows(theirs)) is None


def test_pandas_frames_are_those_of_duckdb(both: dict[str, Both]) -> None:
    """Views take frames from `execute`: integers beside nulls must not become floats."""
    frames = [
        with_share(totals(dataset.judged)).order_by("source", "probe_asn", "target_id").execute()
        for dataset in both["one row"]
    ]
    assert frames[0].equals(frames[1])
    assert list(frames[0].dtypes) == list(frames[1].dtypes)


def test_a_failed_query_does_not_spoil_the_next(both: dict[str, Both]) -> None:
    """Of one of chdb's formats that is so."""
    ours, theirs = both["odd"]
    failing = theirs.verdicts.select(x=theirs.verdicts.probe_asn % theirs.verdicts.n_ok)
    with pytest.raises(Exception, match="Division by zero"):
        failing.to_pyarrow()
    assert_same("ways.way_counts", ours, theirs)


def test_the_text_for_a_server_names_plain_tables(both: dict[str, Both]) -> None:
    """And brings along what makes the server answer as SQL says."""
    for dataset in both["odd"]:
        sql = clickhouse_sql(totals(dataset.judged))
        assert 'FROM "verdicts"' in sql
        assert "join_use_nulls = 1" in sql


def test_no_warehouse_is_an_error(tmp_path: Path) -> None:
    """An empty folder is not an empty warehouse."""
    with pytest.raises(ManifestError, match="no warehouse"):
        open_clickhouse(tmp_path)
