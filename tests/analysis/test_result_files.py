"""Nothing readable is lost, and nothing unreadable goes without its place."""

import gzip
from pathlib import Path

import pytest

from analysis.result_files import Fault, NoResultsError, find, read_file
from analysis_results import write_history
from probe.model.codec import MAX_LINE_BYTES, Stored
from probe.model.observation import Observation
from probe.model.verdict import Verdict


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_history(folder)
    return folder


def load(path: Path) -> tuple[list[Stored[Observation] | Stored[Verdict]], list[Fault]]:
    """Return all rows under a path, and all faults."""
    faults: list[Fault] = []
    return [row for file in find(path) for row in read_file(file, faults)], faults


def first_of(results: Path) -> Path:
    return find(results)[0].path


def rewritten(path: Path, lines: list[bytes]) -> None:
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines()


def test_a_whole_history_is_read_without_a_fault(results: Path) -> None:
    """Every stored line comes back, in order of time."""
    rows, faults = load(results)
    starts = [row.run.measurement_start_time for row in rows]

    assert not faults
    assert len(rows) == sum(len(lines_of(file.path)) for file in find(results))
    assert starts == sorted(starts)


def test_one_file_is_read_alone(results: Path) -> None:
    """A path may be a file."""
    path = first_of(results)

    assert len(load(path)[0]) == len(lines_of(path))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "expected an object"),
        (b'{"state":"ok"}', "missing column"),
        (b" " * (MAX_LINE_BYTES + 1), "bytes"),
    ],
    ids=["json", "array", "columns", "bomb"],
)
def test_a_malformed_line_is_named_and_its_neighbours_read(
    results: Path, line: bytes, reason: str
) -> None:
    """File, line number and reason; the good line before it counts, and other files do."""
    whole = len(load(results)[0])
    path = first_of(results)
    good = lines_of(path)
    rewritten(path, [good[0], line])
    rows, (fault,) = load(results)

    assert (fault.path, fault.number) == (path, 2)
    assert reason in fault.reason
    assert len(rows) == whole - len(good) + 1


def test_a_cut_finished_file_is_a_fault_a_cut_part_is_not(results: Path) -> None:
    """The file of a killed run may end anywhere; a finished one may not."""
    path = first_of(results)
    data = path.read_bytes()
    path.write_bytes(data[:-4])
    assert [fault.path for fault in load(results)[1]] == [path]

    path.rename(path.with_name(f"{path.name}.part"))
    assert not load(results)[1]


def test_a_broken_part_is_still_a_fault(results: Path) -> None:
    """What is not merely cut is damage in any file."""
    path = first_of(results)
    path.write_bytes(b"\x1f\x8b" + b"\xff" * 100)
    path.rename(path.with_name(f"{path.name}.part"))

    assert "gzip" in load(results)[1][0].reason


def test_a_part_beside_its_finished_file_is_a_leftover(results: Path) -> None:
    """It is not read twice."""
    whole = len(load(results)[0])
    path = first_of(results)
    path.with_name(f"{path.name}.part").write_bytes(path.read_bytes())

    assert len(load(results)[0]) == whole


def test_other_files_are_left_alone(results: Path) -> None:
    """Notes among results are no results; named directly they are an error."""
    note = results / "notes.txt"
    note.write_text("hello")

    assert not load(results)[1]
    with pytest.raises(NoResultsError, match=r"notes\.txt"):
        find(note)
