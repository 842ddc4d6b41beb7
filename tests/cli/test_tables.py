"""``reachwatch tables``: files in, Parquet out, and what could not be read is said."""

import gzip
import json
from pathlib import Path

import duckdb

import ooni_measurements as ooni
from cli.conftest import Command


def measurements(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "ooni.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_measurements_become_tables(reachwatch: Command, tmp_path: Path) -> None:
    """A second run knows the file already; the tables are any reader's."""
    good = json.dumps(ooni.telegram())
    source = measurements(tmp_path, good)

    first = reachwatch("tables", str(source), "-o", "tables")
    second = reachwatch("tables", str(source), "-o", "tables")

    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout.startswith("1 files imported, 0 known already: 1 measurements")
    assert second.stdout.startswith("0 files imported, 1 known already")
    files = str(tmp_path / "tables" / "measurements" / "**" / "*.parquet")
    ((n,),) = duckdb.sql(f"select count(*) from '{files}'").fetchall()
    assert n >= 1


def test_a_bad_line_is_named_and_costs_only_itself(reachwatch: Command, tmp_path: Path) -> None:
    """File and line on standard error, exit 3, the rest imported."""
    good = json.dumps(ooni.telegram())
    source = measurements(tmp_path, good, '{"measurement_start_time": "2022-', good)

    done = reachwatch("tables", str(source), "-o", "tables")

    assert done.returncode == 3
    assert "ooni.jsonl.gz:2: " in done.stderr
    assert done.stdout.startswith("1 files imported")
    assert "0 measurements" not in done.stdout


def test_no_such_source(reachwatch: Command) -> None:
    """A clear line, and no folder half made."""
    done = reachwatch("tables", "nowhere.jsonl", "-o", "tables")

    assert done.returncode == 3
    assert "nowhere.jsonl" in done.stderr
    assert "Traceback" not in done.stderr
