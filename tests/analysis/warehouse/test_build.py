"""What goes in comes out once, whatever the order, and a killed build leaves no trace."""

import gzip
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ooni_measurements as ooni
from analysis.result_files import NoResultsError
from analysis.warehouse import Built, build, open_tables, partitions
from analysis.warehouse.builder import WaysError
from analysis.warehouse.manifest import ManifestError, read_manifest
from analysis.warehouse.stage import BusyError, open_stage
from analysis_results import write_history
from facts import RUN, Scene
from probe.model.codec import encode_line


def lines(*measurements: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps(one) + b"\n" for one in measurements)


def day(number: int, report: str = "r") -> dict[str, Any]:
    """A measurement on one day of March."""
    return ooni.telegram() | {
        "measurement_start_time": f"2024-03-{number:02} 10:00:07",
        "report_id": f"{report}{number}",
    }


def of_april(number: int) -> dict[str, Any]:
    return day(number) | {"measurement_start_time": f"2024-04-{number:02} 10:00:07"}


def rows(folder: Path, table: str, without: tuple[str, ...] = ()) -> list[str]:
    """Return a table's rows in an order of their own."""
    found = open_tables(folder)[table].drop(*without).to_pyarrow().to_pylist()
    return sorted(map(repr, found))


def all_rows(folder: Path, without: tuple[str, ...] = ()) -> list[list[str]]:
    names = ("observations", "measurements", "verdicts", "daily")
    return [rows(folder, name, () if name == "daily" else without) for name in names]


def parquet(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.parquet")}


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Our results, OONI's in every packing, and daily counts."""
    folder = tmp_path / "in"
    write_history(folder / "results")
    for path in sorted((folder / "results").rglob("*.gz"))[4:]:
        path.unlink()
    (folder / "a.jsonl").write_bytes(lines(day(1), day(2)))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines(day(3), *ooni.one_of_each())))
    (folder / "c.jsonl.zst").write_bytes(pa.compress(lines(day(4)), "zstd", asbytes=True))
    (folder / "d.json").write_bytes(orjson.dumps(day(5), option=orjson.OPT_INDENT_2))
    (folder / "e.json").write_bytes(orjson.dumps([day(6), day(7)], option=orjson.OPT_INDENT_2))
    (folder / "ooni-data-ir.csv").write_text(
        ",ok,dns,http,tls,error,date,total\n3,521,182,189,90,56,2021-01-01,982\n"
    )
    (folder / "tor.csv").write_text(
        ",date,country,users,lower,upper,frac\n0,2021-01-01,ir,35889,563.0,23278.0,86\n"
    )
    return folder


def test_every_packing_is_read(sources: Path, tmp_path: Path) -> None:
    """Lines, gzip, zstd, one document over many lines, and a list of them."""
    built = build([sources], tmp_path / "w")
    found = open_tables(tmp_path / "w")["measurements"].to_pyarrow().to_pylist()

    assert not built.faults
    assert {row["date"] for row in found if row["source"] == "ooni"} >= {
        date(2024, 3, number) for number in range(1, 8)
    }
    assert len(rows(tmp_path / "w", "daily")) == 6 + 4


def test_a_second_build_does_nothing(sources: Path, tmp_path: Path) -> None:
    """Not a byte changes, and no file is read again."""
    build([sources], tmp_path / "w")
    before = parquet(tmp_path / "w")
    again = build([sources], tmp_path / "w")

    assert not again.imported
    assert not again.partitions
    assert parquet(tmp_path / "w") == before


def test_a_moved_or_touched_file_is_not_imported_again(sources: Path, tmp_path: Path) -> None:
    """The content decides, not the name or the time."""
    build([sources], tmp_path / "w")
    before = all_rows(tmp_path / "w")
    (sources / "a.jsonl").rename(sources / "moved.jsonl")
    (sources / "b.jsonl.gz").touch()
    again = build([sources], tmp_path / "w")

    assert not again.imported
    assert all_rows(tmp_path / "w") == before


def test_file_by_file_gives_what_all_at_once_gives(sources: Path, tmp_path: Path) -> None:
    """Incremental, in any order; late data change their own partitions only."""
    build([sources], tmp_path / "once")
    for path in sorted(sources.rglob("*.*"), reverse=True):
        if path.is_file():
            build([path], tmp_path / "w")

    assert all_rows(tmp_path / "w") == all_rows(tmp_path / "once")


def test_late_data_touch_their_partitions_only(tmp_path: Path) -> None:
    """A file with one more measurement of a month leaves the other months as they are."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_bytes(lines(day(1), day(2), of_april(3)))
    build([source], tmp_path / "w")
    before = parquet(tmp_path / "w")
    (source / "late.jsonl").write_bytes(lines(day(2, "late")))
    built = build([source], tmp_path / "w")
    after = parquet(tmp_path / "w")

    assert built.partitions == [
        "measurements/source=ooni/month=2024-03",
        "observations/source=ooni/month=2024-03",
    ]
    assert all("month=2024-03" in str(path) for path in before.keys() ^ after.keys())
    assert len(rows(tmp_path / "w", "measurements")) == 2 * 4


def test_late_data_of_a_large_month_are_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is written again, until its files are too many; what repeats is left out."""
    monkeypatch.setattr(partitions, "_SMALL_BYTES", 0)
    monkeypatch.setattr(partitions, "_MAX_FILES", 3)
    seen: set[Path] = set()
    for number in range(1, 4):
        (tmp_path / f"{number}.jsonl").write_bytes(lines(day(number), day(1)))
        build([tmp_path / f"{number}.jsonl"], tmp_path / "w")
        assert seen <= parquet(tmp_path / "w").keys()
        seen = set(parquet(tmp_path / "w"))
    build([tmp_path / "1.jsonl", tmp_path / "2.jsonl", tmp_path / "3.jsonl"], tmp_path / "once")

    assert len(seen) == 2 * 3
    assert all_rows(tmp_path / "w") == all_rows(tmp_path / "once")
    (tmp_path / "4.jsonl").write_bytes(lines(day(4)))
    build([tmp_path / "4.jsonl"], tmp_path / "w")
    assert len(parquet(tmp_path / "w")) == 2


def test_a_changed_file_replaces_its_rows(tmp_path: Path) -> None:
    """What the file no longer holds goes, and a month that nothing is left of goes too."""
    source = tmp_path / "a.jsonl"
    source.write_bytes(lines(of_april(1), day(2)))
    build([source], tmp_path / "w")
    source.write_bytes(lines(day(2), day(3)))
    build([source], tmp_path / "w")
    build([source], tmp_path / "fresh")

    assert all_rows(tmp_path / "w") == all_rows(tmp_path / "fresh")
    assert not list((tmp_path / "w").glob("*/*/month=2024-04/*"))


def test_the_same_measurement_in_two_files_is_one(tmp_path: Path) -> None:
    """Within a file, within a build, and from build to build."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_bytes(lines(day(1), day(1)))
    (source / "b.jsonl").write_bytes(lines(day(1), day(2)))
    build([source], tmp_path / "w")
    (source / "c.jsonl").write_bytes(lines(day(2), day(3)))
    build([source], tmp_path / "w")
    (tmp_path / "plain.jsonl").write_bytes(lines(day(1), day(2), day(3)))
    build([tmp_path / "plain.jsonl"], tmp_path / "plain")

    without = ("source_file",)
    assert all_rows(tmp_path / "w", without) == all_rows(tmp_path / "plain", without)


@pytest.mark.parametrize("together", [True, False])
def test_what_a_changed_file_had_in_common_stays(tmp_path: Path, *, together: bool) -> None:
    """A measurement that another file has too is still measured when the first file changes."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_bytes(lines(day(1), day(2), of_april(3)))
    if not together:
        build([source], tmp_path / "w")
    (source / "b.jsonl").write_bytes(lines(day(2), of_april(3), of_april(4)))
    build([source], tmp_path / "w")
    (source / "a.jsonl").write_bytes(lines(day(1)))
    build([source], tmp_path / "w")
    build([source], tmp_path / "fresh")

    assert all_rows(tmp_path / "w") == all_rows(tmp_path / "fresh")


def test_a_finished_run_replaces_its_unfinished_file(tmp_path: Path) -> None:
    """A part that was imported while the run went on does not count beside the whole."""
    scene = Scene()
    observation = scene.rows or [_tcp()]
    part = tmp_path / "in" / "run-1.obs.jsonl.part"
    part.parent.mkdir()
    part.write_bytes(encode_line(RUN, observation[0]))
    build([part.parent], tmp_path / "w")
    whole = part.with_name("run-1.obs.jsonl")
    whole.write_bytes(encode_line(RUN, observation[0]) * 2)
    part.unlink()
    build([part.parent], tmp_path / "w")

    assert len(rows(tmp_path / "w", "observations")) == 2
    assert len(rows(tmp_path / "w", "measurements")) == 1


def _tcp() -> Any:
    from probe.model.observation import Observation

    return Observation(
        observation_id="o00001", chain_id="c00001", step="tcp", role="test", service_id="a",
        target_id="a/web", combination_rule="all_of", control_id=None,
        endpoint_id="192.0.2.1:443", member="m", t0=0.0, t=0.1, failure="connection_refused",
        address="192.0.2.1", port=443, ip_version=4,
    )  # fmt: skip


def test_a_killed_build_leaves_the_tables_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers see the old tables; the next build removes what was left behind."""
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jsonl").write_bytes(lines(day(1), day(2)))
    build([source], tmp_path / "w")
    before, files = all_rows(tmp_path / "w"), parquet(tmp_path / "w")
    (source / "late.jsonl").write_bytes(lines(day(2, "late")))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("analysis.warehouse.builder.write_manifest", killed)
        build([source], tmp_path / "w")
    assert all_rows(tmp_path / "w") == before
    assert parquet(tmp_path / "w").keys() > files.keys()

    (source / "late.jsonl").unlink()
    build([source], tmp_path / "w")
    assert parquet(tmp_path / "w") == files


def test_two_builds_at_once_are_refused(tmp_path: Path) -> None:
    """The second says that the first is at work. Within a process there is no lock."""
    script = (
        "import sys; from pathlib import Path; from analysis.warehouse import build\n"
        "from analysis.warehouse.stage import BusyError\n"
        "try: build([], Path(sys.argv[1]))\n"
        "except BusyError: sys.exit(7)"
    )
    import subprocess
    import sys

    root = Path(partitions.__file__).parents[2]
    with open_stage(tmp_path / "w", 1):
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "w")], cwd=root, check=False
        )
    assert done.returncode == 7
    assert BusyError.__doc__


def test_every_file_of_a_table_has_the_same_schema(sources: Path, tmp_path: Path) -> None:
    """Readers that go by the first file are right about all, nulls included."""
    build([sources], tmp_path / "w")
    for table in ("observations", "measurements", "verdicts", "daily"):
        schemas = [pq.read_schema(p) for p in sorted((tmp_path / "w" / table).rglob("*.parquet"))]
        assert len({str(schema) for schema in schemas}) == 1
        assert all(field.nullable for field in schemas[0])


def test_other_readers_see_the_same(sources: Path, tmp_path: Path) -> None:
    """DuckDB by file names, and Arrow (which pandas reads by), count as our own views do."""
    build([sources], tmp_path / "w")
    for table in ("observations", "measurements", "verdicts"):
        n = len(rows(tmp_path / "w", table))
        pattern = tmp_path / "w" / table / "*" / "*" / "*.parquet"
        assert duckdb.sql(f"SELECT count(*) FROM '{pattern}'").fetchall() == [(n,)]
        assert pq.read_table(tmp_path / "w" / table).num_rows == n


def test_manifest_says_what_was_imported_and_not_from_where(sources: Path, tmp_path: Path) -> None:
    """Names, sizes and hashes of files; no path of the machine."""
    build([sources], tmp_path / "w")
    manifest = read_manifest(tmp_path / "w")

    assert manifest is not None
    assert {"a.jsonl", "ooni-data-ir.csv"} <= {entry.name for entry in manifest.files.values()}
    assert str(tmp_path) not in (tmp_path / "w" / "manifest.json").read_text()


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": 9}', b'{"partitions":{"../x":[]}}']
)
def test_a_damaged_manifest_is_named(tmp_path: Path, damage: bytes) -> None:
    """Nothing is rebuilt over tables that are not understood."""
    (tmp_path / "manifest.json").write_bytes(damage)
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        build([], tmp_path)


def test_unknown_files_are_refused_if_named(tmp_path: Path) -> None:
    """In a directory they are no sources."""
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(NoResultsError, match=r"notes\.txt"):
        build([tmp_path / "notes.txt"], tmp_path / "w")
    assert build([tmp_path], tmp_path / "w").imported == []


def test_a_warehouse_within_its_sources_is_not_its_own_source(tmp_path: Path) -> None:
    """manifest.json is JSON too."""
    (tmp_path / "a.jsonl").write_bytes(lines(day(1)))
    build([tmp_path], tmp_path / "w")

    assert not build([tmp_path], tmp_path / "w").faults


def test_ways_around_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    """And a warehouse is of one kind or the other."""
    import msgspec

    real = msgspec.structs.replace(RUN, lab=False)
    direct = _tcp()
    way = msgspec.structs.replace(direct, tactic="socks5", proxy_id="proxy-1")
    (tmp_path / "run.obs.jsonl").write_bytes(encode_line(real, direct) + encode_line(real, way))
    build([tmp_path], tmp_path / "w")
    build([tmp_path], tmp_path / "all", with_ways=True)

    assert len(rows(tmp_path / "w", "observations")) == 1
    assert len(rows(tmp_path / "all", "observations")) == 2
    with pytest.raises(WaysError):
        build([tmp_path], tmp_path / "w", with_ways=True)


def test_lists_of_events_are_handed_on(tmp_path: Path) -> None:
    """They are for charts; as measurements they would be faults."""
    (tmp_path / "events-ru.json").write_bytes(b"[]")
    built = build([tmp_path], tmp_path / "w")

    assert [path.name for path in built.events] == ["events-ru.json"]
    assert not built.faults


def test_progress_ends_at_its_total(sources: Path, tmp_path: Path) -> None:
    """A bar that never fills is no bar."""
    heard: list[tuple[int, int, str]] = []
    built: Built = build([sources], tmp_path / "w", heard.append)
    done, total, _ = heard[-1]

    assert built.imported
    assert done == total > 0
    assert [step[0] for step in heard] == sorted(step[0] for step in heard)
    shutil.rmtree(tmp_path / "w")


def test_measurements_without_a_report_are_runs_of_their_own(tmp_path: Path) -> None:
    """Wherever they stand, and whether they come together or not: who counts as a probe."""
    paths = []
    for number in range(1, 4):
        one = day(number) | {"report_id": ""}
        paths.append(tmp_path / f"{number}.jsonl")
        paths[-1].write_bytes(lines(one))
        build(paths[-1:], tmp_path / "w")
    build(reversed(paths), tmp_path / "once")

    assert all_rows(tmp_path / "w") == all_rows(tmp_path / "once")
    found = open_tables(tmp_path / "w")["measurements"].select("run_id").to_pyarrow().to_pylist()
    assert len({row["run_id"] for row in found}) == 3


def test_of_two_counts_of_a_day_the_larger_stays(tmp_path: Path) -> None:
    """Whole, in any order: a table that was fetched early counts part of its last day."""
    header = "date,ok,dns,http,tls,error,total\n"
    counts = {"a": "2021-01-01,5,1,0,0,9,6\n", "b": "2021-01-01,9,0,1,2,3,12\n"}
    for order in ("ab", "ba"):
        for name in order:
            path = tmp_path / order / f"{name}-ru.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(header + counts[name])
            build([path], tmp_path / f"w{order}")
        found = open_tables(tmp_path / f"w{order}")["daily"].to_pyarrow().to_pylist()
        assert {row["metric"]: row["value"] for row in found} == {
            "ok": 9, "dns": 0, "http": 1, "tls": 2, "error": 3, "total": 12,
        }  # fmt: skip


@pytest.mark.parametrize("damage", [None, b"", b"PAR1 and no more", b"x" * 4000])
def test_tables_that_are_damaged_are_named(tmp_path: Path, damage: bytes | None) -> None:
    """Gone, empty, cut or something else: no other error, and before anything is asked."""
    (tmp_path / "a.jsonl").write_bytes(lines(day(1)))
    build([tmp_path / "a.jsonl"], tmp_path / "w")
    (path,) = (tmp_path / "w").glob("measurements/*/*/*.parquet")
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(ManifestError, match=path.name):
        open_tables(tmp_path / "w")

    (tmp_path / "b.jsonl").write_bytes(lines(day(2)))
    with pytest.raises(OSError, match=path.name):
        build([tmp_path / "b.jsonl"], tmp_path / "w")


def test_a_lock_that_is_damaged_does_not_lock(tmp_path: Path) -> None:
    """A build killed at its start may leave half of the file, in which nothing is kept."""
    (tmp_path / "a.jsonl").write_bytes(lines(day(1)))
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "_build.duckdb").write_bytes(b"half of it" * 100)

    assert build([tmp_path / "a.jsonl"], tmp_path / "w").n_measurements == 1
