"""What is reported is on disk, readable at once, complete when it is called complete."""

import os
import zlib
from pathlib import Path

import msgspec
import pytest

from facts import RUN, Scene
from probe.model.codec import decode_line
from probe.model.layout import OBSERVATIONS, VERDICTS, classify
from probe.model.lines import Damage, Line, read_lines
from probe.model.observation import Observation
from probe.store.redact import REDACTED, Redactor
from probe.store.writer import RecordWriter, StoreError

ROWS = Scene().controls(None, None).chain(("tcp", None), address="192.0.2.9").rows
PLAIN = Redactor([])


def writer(root: Path, redactor: Redactor = PLAIN) -> RecordWriter:
    return RecordWriter(root, RUN, OBSERVATIONS, redactor)


def read(path: Path) -> list[Observation]:
    """Read what can be read of a file."""
    with path.open("rb") as file:
        lines = [line for line in read_lines([file.read()]) if isinstance(line, Line)]
    return [decode_line(line.data, Observation).value for line in lines]


def test_each_line_is_readable_at_once(tmp_path: Path) -> None:
    """Before the file is finished, by anybody with a gzip decompressor."""
    with writer(tmp_path) as record:
        part = record.path.with_name(record.path.name + ".part")
        for count, row in enumerate(ROWS, 1):
            record.write(row)
            text = zlib.decompressobj(31).decompress(part.read_bytes())
            assert text.count(b"\n") == count
            assert read(part) == ROWS[:count]


def test_finishing_renames(tmp_path: Path) -> None:
    """The final name appears with the trailer, and the unfinished one goes."""
    with writer(tmp_path) as record:
        for row in ROWS:
            record.write(row)
        assert not record.path.exists()
        path = record.finish()

    assert [p.name for p in path.parent.iterdir()] == [path.name]
    with path.open("rb") as file:
        found = list(read_lines([file.read()]))
    assert not any(isinstance(line, Damage) for line in found)
    assert read(path) == ROWS


def test_an_error_leaves_what_was_written(tmp_path: Path) -> None:
    """Closed, unfinished, readable, and told apart by name."""
    with pytest.raises(KeyError), writer(tmp_path) as record:
        record.write(ROWS[0])
        raise KeyError

    (part,) = record.path.parent.iterdir()
    found = classify(part)
    assert found is not None
    assert found.is_part
    assert read(part) == ROWS[:1]


def test_the_written_columns_are_returned_scrubbed(tmp_path: Path) -> None:
    """What is shown to others is what is stored."""
    row = msgspec.structs.replace(ROWS[0], title="router.home.example")
    with writer(tmp_path, Redactor(["router.home.example"])) as record:
        columns = record.write(row)
        path = record.finish()

    assert columns["title"] == REDACTED
    assert read(path)[0].title == REDACTED
    assert b"router" not in zlib.decompress(path.read_bytes(), 31)


def test_gzip_says_nothing_about_the_host(tmp_path: Path) -> None:
    """No file name and no time in the header (RFC 1952 2.3)."""
    with writer(tmp_path) as record:
        head = record.finish().read_bytes()[:10]

    assert head[:4] == b"\x1f\x8b\x08\x00"
    assert head[4:8] == bytes(4)


def test_runs_of_one_minute_do_not_collide(tmp_path: Path) -> None:
    """Nor do the two kinds of one run."""
    other = msgspec.structs.replace(RUN, run_id="f" * 16)
    paths = set()
    for run, kind in ((RUN, OBSERVATIONS), (RUN, VERDICTS), (other, OBSERVATIONS)):
        with RecordWriter(tmp_path, run, kind, PLAIN) as record:
            paths.add(record.finish())

    assert len(paths) == 3
    assert {classify(path).kind for path in paths} == {OBSERVATIONS, VERDICTS}  # type: ignore[union-attr] # None fails the test


def test_the_same_run_is_not_written_twice_at_once(tmp_path: Path) -> None:
    """Two writers would mix their lines."""
    with writer(tmp_path), pytest.raises(StoreError, match="File exists"):
        writer(tmp_path)


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """The error names the path."""
    (tmp_path / "v1").write_text("a file in the way")

    with pytest.raises(StoreError, match=str(tmp_path)):
        writer(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk(tmp_path: Path) -> None:
    """A write that fails is an error of the store, at once."""
    with writer(tmp_path) as record, Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), record._file.fileno())
        with pytest.raises(StoreError, match="No space left"):
            record.write(ROWS[0])


@pytest.mark.skipif(os.name != "posix", reason="permissions as on POSIX")
def test_a_rename_that_fails(tmp_path: Path) -> None:
    """The unfinished file stays."""
    with writer(tmp_path) as record:
        record.write(ROWS[0])
        record.path.mkdir()
        with pytest.raises(StoreError, match=r"\.obs\.jsonl\.gz"):
            record.finish()
        assert read(record.path.with_name(record.path.name + ".part")) == ROWS[:1]


@pytest.mark.parametrize(
    ("name", "kind", "is_part"),
    [
        ("run-20261124T1200Z-0123456789abcdef.obs.jsonl.gz", OBSERVATIONS, False),
        ("run-20261124T1200Z-0123456789abcdef.verdict.jsonl.gz", VERDICTS, False),
        ("run-20261124T1200Z-0123456789abcdef.obs.jsonl.gz.part", OBSERVATIONS, True),
        ("run-20261124T1200Z-0123456789abcdef.obs.jsonl", OBSERVATIONS, False),
    ],
)
def test_results_are_known_by_name(name: str, kind: str, *, is_part: bool) -> None:
    """Both kinds, finished and not, compressed and not."""
    path = Path("v1") / "date=2026-11-24" / name
    assert classify(path) == (path, kind, is_part)


@pytest.mark.parametrize(
    "name", ["README.md", ".DS_Store", "x.jsonl.gz", "run.obs.jsonl.gz.bak", "run.obs.jsonl.gz~"]
)
def test_leftovers_are_no_results(name: str) -> None:
    """Editors, systems and people leave files anywhere."""
    assert classify(Path(name)) is None
