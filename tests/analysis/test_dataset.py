"""A dataset: loaded, narrowed, handed over and taken back without a change."""

import gc
import pkgutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import ibis
import orjson
import pytest

import analysis as rw
import ooni_measurements as ooni
from analysis.dataset import TableName
from analysis.query.grid import cells
from analysis.warehouse.manifest import ManifestError
from analysis.warehouse.schema import TABLES, arrow_schema
from analysis_results import write_history

NAMES: tuple[TableName, ...] = ("observations", "measurements", "verdicts", "daily")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history of ours, and two measurements of OONI's in two countries."""
    root = tmp_path_factory.mktemp("dataset")
    write_history(root / "results", mixed=True)
    rows = [
        ooni.telegram()
        | {"probe_cc": cc, "probe_asn": asn, "measurement_start_time": "2030-03-02 10:00:00"}
        for cc, asn in (("IT", "AS30722"), ("RU", "AS8402"))
    ]
    (root / "ooni.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return root


@pytest.fixture(scope="module")
def dataset(folder: Path) -> rw.Dataset:
    return rw.load(folder)


def records(table: ibis.Table) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    return sorted(rows, key=str)


def test_both_sources_are_one_table(dataset: rw.Dataset) -> None:
    """Our verdicts and OONI's measurements; ours are not counted twice as measurements."""
    found = records(dataset.judged)

    assert {row["source"] for row in found} == {"reachwatch", "ooni"}
    direct = [row for row in records(dataset.verdicts) if row["tactic"] == "none"]
    ours = [row for row in found if row["source"] == "reachwatch"]
    assert len(ours) == len(direct)
    assert {row["state"] for row in found if row["source"] == "ooni"} <= {"ok", "impaired"}


@pytest.mark.parametrize(
    ("wanted", "countries"),
    [
        ({"country": "ru"}, {"RU"}),
        ({"country": ["RU", "IT"]}, {"RU", "IT"}),
        ({"asn": 30722}, {"IT"}),
        ({"source": "ooni", "last": "2030-03-02"}, {"RU", "IT"}),
        ({"source": "ooni", "first": date(2030, 3, 3)}, set()),
    ],
)
def test_a_selection_keeps_what_was_asked(
    dataset: rw.Dataset, wanted: dict[str, Any], countries: set[str]
) -> None:
    """In every table alike, and it says what it was asked."""
    chosen = dataset.where(**wanted)

    assert {row["probe_cc"] for row in records(chosen.judged)} == countries
    assert {row["probe_cc"] for row in records(chosen.observations)} == countries
    assert len(chosen.selection) == len(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_types_are_those_documented(dataset: rw.Dataset, name: TableName) -> None:
    """Arrow has the schema of docs/tables.md; pandas and DuckDB hold the same values."""
    arrow = dataset.to_arrow(name)
    frame = dataset.to_pandas(name)
    counted = dataset.to_duckdb().execute(f"SELECT count(*) FROM {name}").fetchall()

    assert arrow.schema.equals(arrow_schema(TABLES[name].all_columns))
    assert list(frame.columns) == arrow.column_names
    assert counted == [(arrow.num_rows,)] == [(len(frame),)]


@pytest.mark.parametrize("name", ["verdicts", "measurements", "observations"])
def test_a_frame_is_a_dataset_again(dataset: rw.Dataset, name: TableName) -> None:
    """Pandas, Arrow and DuckDB go out and come back with the same rows."""
    wanted = records(dataset.table(name))
    relation = dataset.to_duckdb().sql(f"SELECT * FROM {name}")

    for form in (dataset.to_pandas(name), dataset.to_arrow(name), relation, dataset.table(name)):
        assert records(rw.as_dataset(form).table(name)) == wanted


def test_polars_goes_out_and_comes_back(dataset: rw.Dataset) -> None:
    """Where polars is installed."""
    pytest.importorskip("polars", reason="polars is not installed")
    again = rw.as_dataset(dataset.to_polars("verdicts"))

    assert records(again.verdicts) == records(dataset.verdicts)


def test_a_frame_without_networks_can_be_counted(dataset: rw.Dataset) -> None:
    """What tells series apart has a value where a frame has no such column."""
    frame = dataset.to_pandas("verdicts")[["date", "target_id", "state", "tactic"]]
    rows = records(cells(rw.as_dataset(frame).judged))

    assert sum(row["n"] for row in rows) == int((frame["tactic"] == "none").sum())
    assert {(row["probe_cc"], row["probe_asn"]) for row in rows} == {("ZZ", 0)}


def test_a_frame_of_something_else_is_named(dataset: rw.Dataset) -> None:
    """The error says which columns the tables have."""
    with pytest.raises(TypeError, match="verdicts has date, state"):
        rw.as_dataset(dataset.to_pandas("daily")[["value"]])
    with pytest.raises(TypeError, match="int"):
        rw.as_dataset(7)


def test_a_warehouse_is_loaded_as_it_was_built(folder: Path, tmp_path: Path) -> None:
    """The same rows as from the files; with ways only if it holds them."""
    from analysis.warehouse import build

    build([folder], tmp_path / "w")

    assert records(rw.load(tmp_path / "w").judged) == records(rw.load(folder).judged)
    with pytest.raises(ManifestError, match="without ways"):
        rw.load(tmp_path / "w", with_ways=True)
    with pytest.raises(ManifestError, match="read alone"):
        rw.load([folder, tmp_path / "w"])


def test_nothing_is_an_error(tmp_path: Path) -> None:
    """An empty folder and a missing one are named."""
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(rw.NoResultsError, match=str(path)):
            rw.load(path)


def test_a_dataset_leaves_nothing_behind(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warehouse of loaded files goes with the dataset."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dataset = rw.load(folder)
    assert list(tmp_path.glob("reachwatch-*/manifest.json"))

    del dataset
    gc.collect()
    assert not list(tmp_path.glob("reachwatch-*/manifest.json"))


def test_every_name_offered_is_there() -> None:
    """None is hidden by a module of that name; the package alone imports no chart library."""
    modules = {module.name for module in pkgutil.iter_modules(rw.__path__)}
    assert modules.isdisjoint(rw.__all__)
    for name in rw.__all__:
        assert getattr(rw, name) is not None
    code = (
        "import sys, analysis, analysis.cli; "
        "print([n for n in ('matplotlib', 'pandas', 'ibis', 'duckdb') if n in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_columns_of_the_callers_own_do_no_harm(dataset: rw.Dataset) -> None:
    """What was joined to a frame elsewhere may be of any type; a bad column of ours is named."""
    frame = dataset.to_pandas("verdicts")
    mine = frame.assign(mine=[{"a": 1}, [2]] + [None] * (len(frame) - 2))

    assert rw.as_dataset(mine).verdicts.count().execute() == len(frame)
    with pytest.raises(TypeError, match="probe_asn"):
        rw.as_dataset(frame.assign(probe_asn="AS8402"))
