"""Counts over a warehouse: exact, dense, and nothing lost between two of them."""

from datetime import date
from pathlib import Path

import orjson
import pytest

import ooni_measurements as ooni
from analysis.dataset import Dataset
from analysis.query.grid import (
    cells,
    dense,
    layer_counts,
    pattern_counts,
    probe_counts,
    span,
    totals,
    with_share,
)
from analysis.query.judged import COUNTRIES, NETWORKS
from analysis.warehouse import build, open_tables
from odd_warehouse import write_odd

FIRST, LAST = date(2024, 3, 1), date(2024, 3, 5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
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
    return Dataset(**open_tables(folder / "w"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("odd")
    write_odd(folder, rows=60)
    return Dataset(**open_tables(folder))


def test_measurements_and_reports_are_counted_apart(dataset: Dataset) -> None:
    """Three measurements of two reports are two probes at most."""
    counts = cells(dataset.judged).to_pyarrow().to_pylist()
    web = {row["date"]: row for row in counts if row["target_id"] == "telegram/web"}

    assert (web[FIRST]["n"], web[FIRST]["n_probes"]) == (3, 2)
    assert (web[LAST]["n"], web[LAST]["n_probes"]) == (1, 1)


def test_days_without_data_are_rows(dataset: Dataset) -> None:
    """Each series has each day; what was not measured counts nothing."""
    assert span(dataset.measurements) == (FIRST, LAST)
    grid = dense(cells(dataset.judged), FIRST, LAST).to_pyarrow().to_pylist()
    silent = [row for row in grid if FIRST < row["date"] < LAST]

    assert len(grid) == 5 * 2
    assert len(silent) == 3 * 2
    counts = {name for name in grid[0] if name not in {"date", *NETWORKS}}
    assert all(row[name] == 0 for row in silent for name in counts)


@pytest.mark.parametrize("by", [NETWORKS, COUNTRIES, ()])
def test_nothing_is_lost(odd: Dataset, by: tuple[str, ...]) -> None:
    """Every row is in one cell and of one state; patterns are those of what fails."""
    counts = cells(odd.judged, by).to_pyarrow().to_pylist()
    assert sum(row["n"] for row in counts) == odd.judged.count().execute()
    for row in counts:
        states = sum(value for name, value in row.items() if name.startswith("state_"))
        undecided = row["state_down"] + row["state_insufficient"]
        assert states == row["n"] == row["decided"] + undecided
        assert 1 <= row["n_probes"] <= row["n"]
        assert 0 <= row["failing"] <= row["decided"]
    failing = sum(row["failing"] for row in counts)
    patterns = pattern_counts(odd.judged, by).to_pyarrow().to_pylist()
    probes = probe_counts(odd.judged, by).to_pyarrow().to_pylist()
    assert sum(row["n"] for row in patterns) == failing
    assert sum(row["failing"] * row["n_probes"] for row in probes) == failing


def test_a_share_of_nothing_is_null(odd: Dataset) -> None:
    """Not 0, which would be a sound network, and not a failure of the query."""
    rows = with_share(totals(odd.judged, ("state",))).to_pyarrow().to_pylist()
    shares = {row["state"]: row["share"] for row in rows}
    assert shares["down"] is shares["insufficient"] is None
    assert (shares["ok"], shares["blocked"]) == (0.0, 1.0)


def test_steps_are_counted_by_class(dataset: Dataset) -> None:
    """Every row of the target is in one class."""
    counts = layer_counts(dataset.observations).to_pyarrow().to_pylist()
    assert sum(row["n"] for row in counts) == dataset.observations.count().execute()


def test_a_grid_of_ages_is_refused(dataset: Dataset) -> None:
    """A wrong date does not make a grid of millions of cells."""
    with pytest.raises(ValueError, match="days"):
        dense(cells(dataset.judged), date(1900, 1, 1), LAST)


def test_an_empty_warehouse_has_no_span(tmp_path: Path) -> None:
    """Nothing was measured, so there is no first day."""
    build([], tmp_path)
    assert span(open_tables(tmp_path)["measurements"]) is None
