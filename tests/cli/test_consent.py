"""Consent: asked once, never assumed, and taken back."""

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

import netns
from probe.cli.consent import MAX_LINES
from probe.cli.main import main


@pytest.fixture(autouse=True)
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person with an empty settings folder, who granted nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("REACHWATCH_CONSENT", raising=False)
    return tmp_path


def ask(folder: Path, answers: str) -> tuple[int, str]:
    """Check a place on a terminal, where no network is; return the code and what was said."""
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        netns.command("check", "203.0.113.7", "--quiet", "--results", str(folder / "results")),
        stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answers.encode())
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:
        pass  # Linux ends a terminal whose other side is closed with an error.
    os.close(ours)
    return running.wait(), said.decode()


def without_terminal(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        netns.command("check", "203.0.113.7", "--quiet", *words),
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, **env},
    )  # fmt: skip


def test_a_yes_is_asked_for_once_in_few_lines(person: Path) -> None:
    """Then it measures (here: finds no network), and does not ask again."""
    code, said = ask(person, "y\n")
    again, said_again = ask(person, "")

    assert (code, again) == (5, 5)
    assert "[y/N/l]" in said
    assert len(said[: said.index("[y/N/l]")].splitlines()) <= MAX_LINES
    assert "[y/N/l]" not in said_again


@pytest.mark.parametrize("answer", ["\n", "n\n", "ja\n", "\x04"])
def test_anything_else_is_no(person: Path, answer: str) -> None:
    """Nothing is measured or written, and the next run asks again."""
    code, said = ask(person, answer)

    assert code == 4
    assert "nothing was measured" in said
    assert not list(person.rglob("*"))


def test_the_hosts_are_one_key_away(person: Path) -> None:
    """Listed before the answer."""
    code, said = ask(person, "l\nn\n")

    assert code == 4
    assert "203.0.113.7" in said


def test_without_a_terminal_nothing_is_assumed(person: Path) -> None:
    """Exit 4 and nothing on disk; a machine format gets its one document."""
    done = without_terminal("--format", "json")

    assert done.returncode == 4
    assert json.loads(done.stdout)["exit_code"] == 4
    assert "consent grant measure" in done.stderr
    assert not list(person.rglob("*"))


def test_yes_is_for_one_run(person: Path) -> None:
    """Also the variable is for its process only."""
    results = str(person / "results")
    assert without_terminal("--yes", "--results", results).returncode == 5
    assert without_terminal("--results", results, REACHWATCH_CONSENT="measure").returncode == 5
    assert without_terminal().returncode == 4
    assert without_terminal(REACHWATCH_CONSENT="all").returncode == 3


def test_a_grant_is_shown_and_revoked(person: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Publishing is a grant of its own; the file is the person's alone."""
    assert main(["consent", "grant", "measure"]) == 0
    (file,) = person.rglob("*.json")
    assert main(["consent", "show"]) == 0
    shown = capsys.readouterr().out

    assert file.stat().st_mode & 0o077 == 0
    assert "measure  granted on" in shown
    assert "publish  not granted" in shown
    assert main(["consent", "revoke"]) == 0
    assert main(["consent", "show"]) == 0
    assert "measure  not granted" in capsys.readouterr().out
    assert without_terminal().returncode == 4


@pytest.mark.parametrize(
    "text", ["", "{}x", '{"measure": true}', '{"measure": "2026-13-01"}', "[]"]
)
def test_a_damaged_file_grants_nothing(person: Path, text: str) -> None:
    """It is named, and revoking all writes it anew."""
    file = person / "reachwatch" / "consent.json"
    file.parent.mkdir()
    file.write_text(text)

    assert main(["consent", "show"]) == 3
    assert without_terminal().returncode == 3
    assert main(["consent", "revoke"]) == 0
    assert main(["consent", "show"]) == 0


def test_a_dry_run_needs_no_consent(person: Path) -> None:
    """It contacts nobody."""
    assert without_terminal("--dry-run").returncode == 0


def test_a_proxy_on_this_machine_is_a_way_out_of_it(person: Path) -> None:
    """What it is given it carries to Telegram, so it is no loopback that needs no consent."""
    assert main(["proxies", "socks5://127.0.0.1:9"]) == 4
    assert not list(person.rglob("*"))
