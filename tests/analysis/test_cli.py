"""``report`` and ``plot`` as commands: exit codes, words on stderr, never a traceback."""

import argparse
import io
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.cli import (
    EXIT_BAD_INPUT,
    EXIT_OK,
    EXIT_USAGE,
    MAX_FAULTS_SHOWN,
    configure_plot,
    configure_report,
    plot_command,
    report_command,
)
from analysis.progress import ProgressLine
from analysis.result_files import find
from analysis.warehouse import build
from analysis_results import write_history


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_history(folder)
    return folder


def report(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    configure_report(parser)
    return report_command(parser.parse_args([str(argument) for argument in arguments]))


def plot(*arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    configure_plot(parser)
    return plot_command(parser.parse_args([str(argument) for argument in arguments]))


def test_a_whole_history_exits_0_in_silence(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Report and chart are written; nothing is printed."""
    page, chart = tmp_path / "out.html", tmp_path / "out.svg"

    assert report(results, "-o", page) == EXIT_OK
    assert plot("timeline", results, "-o", chart) == EXIT_OK
    assert page.stat().st_size < 500_000
    assert chart.exists()
    assert capsys.readouterr() == ("", "")


def test_damage_exits_3_and_the_report_is_made_all_the_same(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each place is on stderr and in the page; at most so many, then a count."""
    files = find(results)
    for number, file in enumerate(files[1:]):
        file.path.write_bytes(f"not JSON {number}\n".encode() * 3)
    page = tmp_path / "out.html"

    assert report(results, "-o", page) == EXIT_BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{files[1].path}:1: ")
    assert len(lines) == MAX_FAULTS_SHOWN + 1
    assert lines[-1] == f"{3 * len(files[1:])} records could not be read"
    assert "Damaged input" in page.read_text()


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_nothing_readable_exits_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """One line that names the path; no page is written."""
    (tmp_path / "empty").mkdir()
    page = tmp_path / "out.html"

    assert report(tmp_path / name, "-o", page) == EXIT_BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert name in line
    assert not page.exists()


def test_an_output_that_cannot_be_written_exits_3(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The path and why."""
    page = tmp_path / "nowhere" / "out.html"

    assert report(results, "-o", page) == EXIT_BAD_INPUT
    assert str(page) in capsys.readouterr().err


def test_a_failed_command_leaves_what_stood_there(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page is replaced whole or not at all, and nothing lies beside it."""
    page = tmp_path / "out.html"
    page.write_text("older")

    def interrupted(self: Path, data: bytes) -> int:
        with self.open("wb") as half:
            half.write(data[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report(results, "-o", page)
    assert page.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.html", "results"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--from", "2030-03-02", "--to", "2030-03-01"], "ends before it begins"),
        (["--compare", "AS8402"], "give --network"),
        (["--compare", "nonsense"], "--compare 'nonsense': expected a period"),
    ],
)
def test_options_that_contradict_exit_2_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    """What is wrong is in the command, so its words come first."""
    assert report(tmp_path / "missing", "-o", tmp_path / "out.html", *options) == EXIT_USAGE
    assert words in capsys.readouterr().err


def test_a_selection_of_nothing_exits_3(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A page about nothing would pass for one that found nothing."""
    page = tmp_path / "out.html"

    assert report(results, "-o", page, "--target", "typo") == EXIT_BAD_INPUT
    assert "nothing of the data is selected" in capsys.readouterr().err
    assert not page.exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("all", "a.svg"), "expected a folder"),
        (("all", "file"), "file: File exists"),
        (("timeline", "x.svg"), "it is a directory"),
    ],
)
def test_an_output_of_the_wrong_kind_is_named(
    results: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    typed: tuple[str, str],
    words: str,
) -> None:
    """All charts need a folder, and one chart a file."""
    (tmp_path / "x.svg").mkdir()
    (tmp_path / "file").touch()

    kind, name = typed
    assert plot(kind, results, "-o", tmp_path / name) == EXIT_BAD_INPUT
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert "Errno" not in line


def test_the_progress_line_fits_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrapped line would stay behind when it is removed."""
    monkeypatch.setenv("COLUMNS", "60")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    line = ProgressLine(stream)

    line.show(0.5, "x" * 200)
    assert len(stream.getvalue().removeprefix("\r")) < 60


def test_bad_events_exit_3(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file and the place in it."""
    events = tmp_path / "events.json"
    events.write_text('[{"date": "soon", "label": "x"}]')

    assert plot("timeline", results, "-o", tmp_path / "x.svg", "--events", events) == EXIT_BAD_INPUT
    assert "events.json: $[0].date" in capsys.readouterr().err


def test_declaring_the_commands_loads_no_library() -> None:
    """Importing the commands leaves out everything that makes starting slow."""
    slow = ("ibis", "duckdb", "pandas", "matplotlib", "jinja2")
    code = f"import sys, analysis.cli; print([m for m in {slow} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_table_damaged_in_its_middle_is_named(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wherever the bytes are wrong: a chart, or a sentence and exit 3; no traceback."""
    build([results], tmp_path / "w")
    (path,) = (tmp_path / "w" / "verdicts").rglob("*.parquet")
    whole = path.read_bytes()
    codes = []
    for start in range(8, len(whole) - 8, max(len(whole) // 12, 1)):
        damaged = bytearray(whole)
        damaged[start : start + 64] = b"\xa5" * len(damaged[start : start + 64])
        path.write_bytes(damaged)
        codes.append(plot("timeline", tmp_path / "w", "-o", tmp_path / "x.svg"))

    assert set(codes) <= {0, 3}
    assert 3 in codes
    assert "Traceback" not in capsys.readouterr().err
