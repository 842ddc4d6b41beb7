"""``results import`` keeps what is good, names what is bad, and repeats itself exactly."""

import argparse
import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ooni_measurements as ooni
from analysis.result_files import Fault, find, read_file
from probe.cli.errors import CommandError
from probe.cli.import_options import add_import_parser
from probe.cli.import_results import import_command
from probe.model.verdict import Verdict
from probe.verdict.judge import judge


def run(results: Path, *files: Path) -> int:
    parser = argparse.ArgumentParser()
    add_import_parser(parser.add_subparsers())
    words = ["import", "--from", "ooni", "--results", str(results), *map(str, files)]
    return import_command(parser.parse_args(words))


def lines_of(path: Path, *documents: Any) -> Path:
    path.write_bytes(b"".join(orjson.dumps(document) + b"\n" for document in documents))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def stored(folder: Path) -> list[Any]:
    """Read everything back with the reader of our own results."""
    faults: list[Fault] = []
    rows = [row for file in find(folder) for row in read_file(file, faults)]
    assert not faults
    return rows


def test_one_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line a measurement, a closing count, two files a measurement."""
    path = lines_of(tmp_path / "all.jsonl", *ooni.one_of_each())

    assert run(tmp_path / "results", path) == 0
    *lines, closing = capsys.readouterr().out.splitlines()
    assert [line[:35] for line in lines] == ["2024-02-12T20:33:00Z  IT  AS64500  "] * 5
    assert "telegram/dc_pool=ok: reachable, 5/5 work" in lines[1]
    assert closing == "5 imported, 0 bad, 0 skipped"
    assert len(contents(tmp_path / "results")) == 10


def test_stored_facts_judged_again_give_the_stored_verdicts(tmp_path: Path) -> None:
    """Imports are results like any other."""
    path = lines_of(tmp_path / "all.jsonl", *ooni.one_of_each())
    run(tmp_path / "results", path)
    by_run: dict[str, tuple[list[Any], list[Any]]] = {}
    for row in stored(tmp_path / "results"):
        facts, judged = by_run.setdefault(row.run.run_id, ([], []))
        (judged if isinstance(row.value, Verdict) else facts).append(row.value)

    assert len(by_run) == 5
    for facts, judged in by_run.values():
        assert judge(facts) == judged


def test_importing_again_changes_no_byte(tmp_path: Path) -> None:
    """Nor does another form of the same file."""
    path = lines_of(tmp_path / "all.jsonl", *ooni.one_of_each())
    packed = tmp_path / "all.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    run(tmp_path / "results", path)
    before = contents(tmp_path / "results")
    run(tmp_path / "results", path)
    run(tmp_path / "results", packed, path)

    assert contents(tmp_path / "results") == before


def test_what_a_killed_import_left_is_written_over(tmp_path: Path) -> None:
    path = lines_of(tmp_path / "one.json", ooni.page())
    run(tmp_path / "results", path)
    before = contents(tmp_path / "results")
    for name in before:
        (tmp_path / "results" / f"{name}.part").write_bytes(b"half")
    run(tmp_path / "results", path)

    assert contents(tmp_path / "results") == before


def test_bad_records_are_named_and_the_others_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, line and JSON path of each; exit 3; other tests are skipped by name."""
    path = tmp_path / "mixed.jsonl"
    bad = ooni.page() | {"probe_cc": "\x1b[31m"}
    good = orjson.dumps(ooni.telegram())
    path.write_bytes(
        b"\n".join([good, b"{", orjson.dumps(bad), orjson.dumps(ooni.measurement("ndt")), good])
    )
    code = run(tmp_path / "results", path, tmp_path / "none.json")
    said = capsys.readouterr()

    assert code == 3
    assert [line.partition(": ")[0] for line in said.err.splitlines()] == [
        f"{path}:2",
        f"{path}:3",
        f"{tmp_path / 'none.json'}:1",
    ]
    assert "$.probe_cc" in said.err
    assert "\x1b" not in said.err
    assert said.out.splitlines()[-1] == "2 imported, 3 bad, 1 skipped: ndt (1)"


def test_a_measurement_of_nothing_is_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = lines_of(tmp_path / "empty.json", ooni.measurement("telegram"))

    assert run(tmp_path / "results", path) == 3
    assert "nothing was measured" in capsys.readouterr().err


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    path = lines_of(tmp_path / "one.json", ooni.page())
    (tmp_path / "results").write_text("a file")

    with pytest.raises(CommandError) as caught:
        run(tmp_path / "results", path)
    assert caught.value.exit_code == 3


def test_real_measurements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are imported, twice the same."""
    files = ooni.all_real()

    assert run(tmp_path / "results", *files) == 0
    before = contents(tmp_path / "results")
    assert run(tmp_path / "results", *files) == 0
    assert contents(tmp_path / "results") == before
    assert capsys.readouterr().out.splitlines()[-1] == f"{len(files)} imported, 0 bad, 0 skipped"
    assert stored(tmp_path / "results")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_damaged_files_never_crash(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    """Whatever happens to bytes on the way: a count, and a named place if any was bad."""
    whole = b"".join(orjson.dumps(document) + b"\n" for document in ooni.one_of_each())
    if data.draw(st.booleans()):
        whole = gzip.compress(whole)
    at = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(max_size=20))
    keep = data.draw(st.sampled_from([0, len(junk), len(whole)]))
    path = tmp_path / "damaged"
    path.write_bytes(whole[:at] + junk + whole[at + keep :])
    code = run(tmp_path / "results", path)
    said = capsys.readouterr()

    assert code == (3 if said.err else 0)
    assert all(line.startswith(f"{path}:") for line in said.err.splitlines())
    assert " imported, " in said.out.splitlines()[-1]
