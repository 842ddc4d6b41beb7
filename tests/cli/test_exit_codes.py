"""How ``check`` ends: every code of docs/exit-codes.md, and which one where several hold."""

import json
import os
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
import trio.testing

from probe.cli import check as check_module
from probe.cli import errors
from probe.cli.main import main
from probe.model.verdict import STATES, State
from probe.store.writer import StoreError

from .reports import TARGETS, finished, run_of, verdict

PAGE = Path(__file__).parents[2] / "docs" / "exit-codes.md"

Run = Callable[..., Awaitable[Any]]


def ending_with(pool: State, web: State, *, is_usable: bool = True) -> Run:
    """A run with these states."""
    run: Run = run_of(
        finished([verdict("a/pool", pool), verdict("a/web", web)], is_usable=is_usable)
    )
    return run


def stopped_by(number: signal.Signals) -> Run:
    """A run that a signal meets."""

    async def run(*_: object) -> None:
        await trio.testing.wait_all_tasks_blocked()  # until signals are listened for
        os.kill(os.getpid(), number)
        await trio.sleep_forever()

    return run


def raising(error: Exception) -> Run:
    async def run(*_: object) -> None:
        raise error

    return run


class Case(NamedTuple):
    """What is asked, what the run does, and how the command has to end."""

    words: str
    run: Run
    code: int


GOOD = ending_with("ok", "ok")
BLOCKED = ending_with("ok", "likely_blocked")
DEAD_LINE = ending_with("insufficient", "insufficient", is_usable=False)
CASES = [
    Case("", GOOD, 0),
    Case("", BLOCKED, 0),
    Case("--fail-on blocked", BLOCKED, 0),
    Case("--fail-on likely_blocked", BLOCKED, 10),
    Case("--fail-on likely_blocked --expect ok.json", GOOD, 0),
    Case("--expect ok.json", BLOCKED, 11),
    Case("--expect blocked.json", BLOCKED, 0),
    Case("--expect blocked.json", GOOD, 11),
    Case("--expect mechanism.json", BLOCKED, 11),
    # A state is as bad as it is, expected or not.
    Case("--expect blocked.json --fail-on likely_blocked", BLOCKED, 10),
    # What differs from what is expected says more than that something is bad.
    Case("--expect ok.json --fail-on likely_blocked", BLOCKED, 11),
    # Without a line nothing is known of any target.
    Case("", DEAD_LINE, 5),
    Case("--fail-on insufficient", DEAD_LINE, 5),
    Case("--expect ok.json --fail-on insufficient", DEAD_LINE, 5),
    Case("--fail-on insufficient", ending_with("ok", "insufficient"), 10),
    Case("--expect ok.json", ending_with("ok", "insufficient"), 11),
    Case("--fail-on unknown_state", GOOD, 2),
    Case("--format yaml", GOOD, 2),
    Case("--format junit=", GOOD, 2),
    Case("--format json --format csv", GOOD, 2),
    Case("--format table=x.txt", GOOD, 2),
    Case("--format json=x --format csv=./x", GOOD, 2),
    Case("--format md --dry-run", GOOD, 2),
    Case("--lab clean", GOOD, 2),
    Case("--expect nowhere.json", GOOD, 3),
    Case("--expect unknown.json", BLOCKED, 3),
    Case("--format junit=nowhere/x.xml", GOOD, 3),
    Case("--format junit=.", GOOD, 3),
    Case("--results list.json", raising(StoreError("cannot write")), 3),
    # The files that a run writes fail late: whatever it found, it is not where it should be.
    Case("--fail-on likely_blocked --format csv=/dev/full", BLOCKED, 3),
    Case("--format csv=/dev/full", DEAD_LINE, 3),
    Case("--fail-on likely_blocked --expect ok.json", stopped_by(signal.SIGINT), 130),
    Case("--fail-on likely_blocked --expect ok.json", stopped_by(signal.SIGTERM), 143),
]
FILES = {
    "list.json": TARGETS,
    "ok.json": {"a/web": "ok"},
    "blocked.json": {"a/web": ["blocked", "likely_blocked"]},
    "mechanism.json": {"a/web": {"state": "likely_blocked", "mechanism": "sni_drop"}},
    "unknown.json": {"a/wbe": "ok"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, document in FILES.items():
        (tmp_path / name).write_text(json.dumps(document))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.words} -> {case.code}")
def test_how_it_ends(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ending, and no unfinished file after it."""
    if "/dev/full" in case.words and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    monkeypatch.setattr(check_module, "run_check", case.run)

    assert main(["check", "list.json", "-q", *case.words.split()]) == case.code
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("limit", [state for state in STATES if state != "ok"])
def test_fail_on_follows_the_order_of_the_page(
    limit: State, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A state as bad as the limit or worse, in the order that the page gives, exits 10."""
    sentence = PAGE.read_text(encoding="utf-8").partition("from better to worse:")[2]
    order = ["ok", *re.findall(r"`(\w+)`", sentence.partition(".")[0])]
    assert sorted(order) == sorted(STATES)

    for state in STATES:
        monkeypatch.setattr(check_module, "run_check", ending_with("ok", state))
        is_as_bad = order.index(state) >= order.index(limit)
        code = main(["check", "list.json", "-q", "--fail-on", limit])
        assert code == (10 if is_as_bad else 0), (state, limit)


def test_a_bug_of_ours_is_not_hidden(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves as an exception, which the interpreter ends with 1; and says what it is."""
    monkeypatch.setattr(check_module, "run_check", raising(RuntimeError("oops")))

    with pytest.RaisesGroup(RuntimeError, flatten_subgroups=True):
        main(["check", "list.json", "-q"])


def test_the_page_has_every_code_that_exists() -> None:
    """And none twice; a code without a row would be a surprise to a script."""
    rows = re.findall(r"^\| ([\d, ]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    listed = [int(code) for row in rows for code in row.split(",")]
    exist = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}

    assert len(listed) == len(set(listed))
    assert exist <= set(listed)


def test_json_on_standard_output_is_one_document_whatever_happens(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a file fails late too: the run's document, and the rest on stderr."""
    monkeypatch.setattr(check_module, "run_check", BLOCKED)
    words = ["check", "list.json", "-q", "-f", "json"]
    for more, kind in (
        (["--expect", "ok.json"], "run_finished"),
        (["--expect", "unknown.json"], "error"),
        (["--format", "csv"], "error"),
        (["--format", "csv=/nowhere/x"], "error"),
    ):
        main([*words, *more])
        said = capsys.readouterr()
        assert json.loads(said.out)["type"] == kind
        assert said.err
