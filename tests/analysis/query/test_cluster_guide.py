"""docs/how-to-use-a-cluster.md: its blocks for ClickHouse run. Those for Spark: test_spark.py."""

from pathlib import Path
from typing import Any

import pytest

from analysis.engines.answers import typed
from analysis.engines.clickhouse import clickhouse_sql
from analysis.query.grid import totals, with_share
from analysis.query.judged import judged
from analysis.warehouse import open_tables
from odd_warehouse import write_odd
from queries import difference, guide_blocks, rows

chdb: Any = pytest.importorskip("chdb", reason="the extra `clickhouse` is not installed")


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_odd(tmp_path / "warehouse", rows=20)
    return tmp_path / "warehouse"


def test_blocks_for_this_process_run(warehouse: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As they stand, in a folder with a warehouse."""
    blocks = guide_blocks("python", spark=False)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
        assert "probe_cc" in capsys.readouterr().out


def test_a_server_answers_the_text_over_tables_loaded_as_described(warehouse: Path) -> None:
    """The folders' columns are there, and nulls are nulls."""
    # The odd one has files that no build wrote; loading by a pattern would take them.
    for path in warehouse.glob("**/part-*00000003.parquet"):
        path.unlink()
    [block] = guide_blocks("sql", spark=False)
    server = chdb.connect(":memory:")
    server.query("CREATE DATABASE guide")
    server.query("USE guide")
    for name in ("verdicts", "measurements"):
        server.query(block.replace("verdicts", name).replace("warehouse/", f"{warehouse}/"))
    tables = open_tables(warehouse)
    expression = with_share(totals(judged(tables["verdicts"], tables["measurements"])))
    answer = server.query(clickhouse_sql(expression), "ArrowTable")
    server.query("DROP DATABASE guide")
    server.close()

    assert difference(rows(expression), rows(typed(answer, expression))) is None
