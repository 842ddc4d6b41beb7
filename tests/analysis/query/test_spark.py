"""Spark answers what DuckDB answers: a master, two workers and their executors, for real."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analysis.dataset import Dataset
from analysis.query.grid import span, totals, with_share
from analysis.views import view
from analysis.warehouse import open_tables
from analysis.warehouse.manifest import ManifestError
from odd_warehouse import write_empty, write_imported, write_odd, write_one
from queries import FILTERS, QUERIES, difference, guide_blocks, rows

pytest.importorskip("pyspark", reason="the extra `spark` is not installed")
if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
    pytest.skip("Spark needs Java, of which there is none", allow_module_level=True)

from analysis.engines.spark import local_spark, open_spark

Both = tuple[Dataset, Dataset]

WAREHOUSES: dict[str, Callable[[Path], None]] = {
    "odd": write_odd, "one row": write_one, "empty": write_empty, "imported": write_imported,
}  # fmt: skip

_QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""For a minute's work, Java's thorough compiler takes more than it gives."""


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A cluster, of which neither files nor processes nor variables are left behind."""
    settings = {
        "spark.driver.extraJavaOptions": _QUICK,
        "spark.executor.extraJavaOptions": _QUICK,
        "spark.sql.shuffle.partitions": "2",
        # The first job waits for both workers, however busy the machine is.
        "spark.scheduler.minRegisteredResourcesRatio": "1",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "120s",
    }
    variables, here = spark_variables(), set(Path().iterdir())
    scratch = tmp_path_factory.mktemp("scratch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(scratch))
        with local_spark("local-cluster[2,1,1024]", settings) as session:
            yield session
    assert spark_variables() == variables
    assert not {path.name for path in set(Path().iterdir()) - here} & _SPARKS_OWN
    assert not list(scratch.glob("reachwatch-spark-*"))
    assert not [pid for pid in _processes_below(os.getpid()) if "java" in _name(pid)]


def spark_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if "SPARK" in name}


_SPARKS_OWN = {"spark-warehouse", "metastore_db", "derby.log", "artifacts", "work"}


@pytest.fixture(scope="module")
def both(session: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Both]:
    """Each warehouse on DuckDB and on Spark; all are open in one session."""
    found = {}
    for name, write in WAREHOUSES.items():
        folder = tmp_path_factory.mktemp("warehouse") / f"{name} {{a,b}} *'é[1]?"
        write(folder)
        found[name] = Dataset(**open_tables(folder)), Dataset(**open_spark(folder, session))
    return found


def assert_same(query: str, ours: Dataset, theirs: Dataset) -> None:
    for one, other in zip(QUERIES[query](ours), QUERIES[query](theirs), strict=True):
        assert difference(rows(one), rows(other)) is None


def test_it_is_a_cluster(session: Any) -> None:
    """Two executors besides the driver, in processes of their own."""
    assert session.range(0, 10, 1, 4).selectExpr("sum(id)").collect() == [(45,)]
    status = session.sparkContext._jsc.sc().getExecutorMemoryStatus()
    assert session.sparkContext.master == "local-cluster[2,1,1024]"
    assert status.size() == 3


@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_those_of_duckdb(both: dict[str, Both], query: str) -> None:
    """To the last integer, with its type; shares to 1e-9."""
    assert_same(query, *both["odd"])


@pytest.mark.parametrize("warehouse", ["one row", "empty", "imported"])
@pytest.mark.parametrize("query", ["grid.span", "grid.layer_counts", "ways.way_counts"])
def test_little_and_nothing_is_answered_alike(
    both: dict[str, Both], query: str, warehouse: str
) -> None:
    """Tables without files are typed and empty."""
    assert_same(query, *both[warehouse])


@pytest.mark.parametrize("given", FILTERS.values(), ids=FILTERS)
def test_filters_are_those_of_duckdb(both: dict[str, Both], given: dict[str, Any]) -> None:
    """Days before 1970 and names with quotes in a condition, too."""
    ours, theirs = (dataset.where(**given) for dataset in both["odd"])
    assert_same("grid.probe_counts", ours, theirs)


@pytest.mark.parametrize("name", ["observations", "measurements", "verdicts", "daily"])
def test_every_column_is_read_as_duckdb_reads_it(both: dict[str, Both], name: Any) -> None:
    """Text, bounds of numbers, times and far days pass through; a leftover file is not read."""
    ours, theirs = (dataset.to_arrow(name) for dataset in both["odd"])
    assert ours.schema == theirs.schema
    assert difference(rows(ours), rows(theirs)) is None


def test_pandas_frames_are_those_of_duckdb(both: dict[str, Both]) -> None:
    """Views take frames from `execute`: integers beside nulls must not become floats."""
    frames = [with_share(totals(dataset.judged)).execute() for dataset in both["one row"]]
    assert frames[0].equals(frames[1])
    assert list(frames[0].dtypes) == list(frames[1].dtypes)


def test_workers_may_find_the_folder_elsewhere(session: Any, tmp_path: Path) -> None:
    """The manifest is read here, the tables there."""
    write_one(tmp_path / "here")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    shutil.rmtree(tmp_path / "here" / "verdicts")
    tables = open_spark(tmp_path / "here", session, place=f"file:{tmp_path}/there/")
    assert span(tables["verdicts"]) is not None


def test_the_guides_blocks_run(
    session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """As they stand but for the address of the warehouse, in the one session of this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "analysis.engines.spark.local_spark", lambda _: contextlib.nullcontext(session)
    )
    write_one(tmp_path / "warehouse")
    blocks = guide_blocks("python", spark=True)
    assert len(blocks) == 2
    for block in blocks:
        exec(block.replace("s3a://bucket", f"file:{tmp_path}"), {})
        assert "probe_cc" in capsys.readouterr().out


VIEWS = ("heatmap", "timeline", "coverage")


@pytest.mark.parametrize("kind", VIEWS)
def test_charts_are_those_of_duckdb(both: dict[str, Both], kind: str) -> None:
    """Numbers, words and picture: a view asks whatever engine holds the tables."""
    drawn = [view(kind, dataset) for dataset in both["imported"]]
    tables = [rows(pa.Table.from_pandas(one.table)) for one in drawn]
    assert difference(*tables) is None
    assert drawn[0].caption == drawn[1].caption
    assert drawn[0].alt == drawn[1].alt


def test_no_warehouse_is_an_error(session: Any, tmp_path: Path) -> None:
    """An empty folder is not an empty warehouse."""
    with pytest.raises(ManifestError, match="no warehouse"):
        open_spark(tmp_path, session)


@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="/proc lists sockets on Linux")
def test_ports_are_on_loopback_only(session: Any) -> None:
    """Nothing of Spark's can be reached from another machine."""
    sockets = {
        str(link.readlink())
        for pid in _processes_below(os.getpid())
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    listening = "0A"
    places = [
        line[1].split(":")[0]
        for line in lines
        if line[3] == listening and f"socket:[{line[9]}]" in sockets
    ]
    # All of 127.0.0.0/8, as the kernel of a little-endian machine writes it (tests of other
    # rooms may hold some of it in this process), mapped into IPv6 or not; and ::1.
    local = "00000000000000000000000001000000"
    assert len(places) >= 3, "the master and both workers listen"
    assert all(place.endswith("7F") or place == local for place in places)


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


def _processes_below(pid: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                yield int(folder.name)
                yield from _processes_below(int(folder.name))
