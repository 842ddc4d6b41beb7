"""The tutorials: every block is run in its order, and prints what the page shows."""

import contextlib
import io
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from probe.cli.main import main

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("REACHWATCH_DATA", ROOT.parent / "shared" / "data")) / "daily"
DEMO = ROOT / "demo"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield Block(found[1], found[2])


def run(page: str) -> None:
    """Run Python blocks in one namespace; a text block after one is what it prints."""
    namespace: dict[str, object] = {}
    said = ""
    for block in blocks(page):
        if block.language == "python":
            heard = io.StringIO()
            with contextlib.redirect_stdout(heard):
                exec(compile(block.text, page, "exec"), namespace)
            said = heard.getvalue()
        elif block.language == "text":
            assert trimmed(block.text) in trimmed(said)
        else:
            said = in_shell(block.text)


def trimmed(text: str) -> str:
    """Lines without their spacing: how wide a column is, is the library's choice."""
    return "\n".join(" ".join(line.split()) for line in text.strip("\n").splitlines())


def in_shell(text: str) -> str:
    """Run commands as printed, here instead of in a process each; return all they say.

    ``# exits N`` below a command is how it ends.
    """
    heard = io.BytesIO()
    said = io.TextIOWrapper(heard, encoding="utf-8", write_through=True)
    for found in re.finditer(r"^(?!#)reachwatch (.+)\n(?:# exits ([0-9]+)\n)?", text, re.MULTILINE):
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(shlex.split(found[1]))
        assert code == int(found[2] or 0), (found[1], heard.getvalue().decode())
    assert text.count("reachwatch ") >= text.count("\n") - text.count("# exits "), "other commands"
    return heard.getvalue().decode()


@pytest.mark.skipif(not DATA.is_dir(), reason="the real daily series are not here")
def test_the_tutorial_on_real_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers on the page are those of the data."""
    shutil.copytree(DATA, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    run("tutorial-daily-series.md")

    assert (tmp_path / "russia.svg").stat().st_size > 10_000


@pytest.mark.skipif(not (DEMO / "results").is_dir(), reason="no demo here: run `make demo` first")
def test_the_tutorial_on_the_labs_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands and blocks, on the demo's own results."""
    shutil.copytree(DEMO, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    run("tutorial-lab-history.md")

    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert len(list((tmp_path / "charts").glob("*.svg"))) >= 7


@pytest.mark.parametrize("page", ["tutorial-first-check.md", "how-to-run-on-a-router.md"])
def test_pages_for_people(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run as printed, on loopback, and say what the page shows."""
    monkeypatch.chdir(tmp_path)
    run(page)
