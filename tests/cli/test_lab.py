"""``reachwatch lab``: what it prints, writes, and how it ends."""

import csv
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from censorlab.matrix.run import Prober
from probe.cli import lab
from probe.cli.consent import ENVIRONMENT
from probe.cli.main import main

from .conftest import Command

LIAR = """
import json
verdicts = [
    {"target_id": target, "state": "blocked", "mechanism": "sni_rst", "n_ok": 0, "n_total": 2}
    for target in ("messenger/web", "messenger/dc_pool", "messenger/site")
]
print(json.dumps({"verdicts": verdicts}))
"""


def test_the_scenarios_are_listed(reachwatch: Command) -> None:
    """For people by group, for programs one JSON object a line, with all of the row."""
    people = reachwatch("lab", "list").stdout
    assert "benign:" in people
    assert "  sni_rst " in people
    rows = [
        orjson.loads(line)
        for line in reachwatch("lab", "list", "-f", "json").stdout.split("\n")
        if line
    ]
    by_name = {row["name"]: row for row in rows}
    assert by_name["sni_rst"]["truths"][0]["mechanism"] == "sni_rst"
    assert by_name["clean"]["is_benign"]
    assert not by_name["sni_rst"]["is_benign"]


def test_an_unknown_scenario_is_a_usage_error_with_a_suggestion(reachwatch: Command) -> None:
    done = reachwatch("lab", "run", "sni_rts", "--form", "loopback")
    assert done.returncode == 2
    assert "did you mean sni_rst" in done.stderr


@pytest.mark.parametrize("share", ["1.5", "-0.1", "x"])
def test_a_share_beyond_1_is_a_usage_error(reachwatch: Command, share: str) -> None:
    assert reachwatch("lab", "matrix", f"--loss={share}").returncode == 2


@pytest.mark.netns
def test_a_run_shows_truth_beside_verdict(reachwatch: Command, tmp_path: Path) -> None:
    """Namespaces lead nowhere, so the lab needs nobody's consent."""
    unasked = {**os.environ, ENVIRONMENT: "", "XDG_CONFIG_HOME": str(tmp_path)}
    done = reachwatch("lab", "run", "sni_drop", "clean", env=unasked)
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0
    assert "right  messenger/web: blocked sni_drop 0/2" in done.stdout
    assert "(arranged: blocked|likely_blocked sni_drop)" in done.stdout
    assert "WRONG" not in done.stdout


@pytest.mark.netns
def test_a_command_runs_behind_the_censor(reachwatch: Command) -> None:
    """Its output and its exit code are the command's own."""
    script = (
        "import os, socket\n"
        "address = socket.gethostbyname('web.messenger.test')\n"
        "socket.create_connection((address, 443), 5).close()\n"
        "print(address, os.environ['REACHWATCH_CONSENT'])\n"
        "raise SystemExit(9)\n"
    )
    words = ("lab", "up", "clean", "--form", "middlebox", "--", sys.executable, "-c", script)
    done = reachwatch(*words, env={**os.environ, ENVIRONMENT: ""})
    if "no namespaces here" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 9, done.stderr
    address, consent = done.stdout.split()
    assert address in ("149.154.165.120", "149.154.170.100")
    assert consent == "measure"


def test_the_matrix_is_printed_written_and_resumed(reachwatch: Command, tmp_path: Path) -> None:
    """On loopback, which every machine has; the second time nothing is measured."""
    words = ("lab", "matrix", "clean", "sni_rst", "--quick", "--form", "loopback")
    done = reachwatch(*words)
    assert done.returncode == 0, done.stderr
    assert "1 of 1" in done.stdout
    assert "called blocked although nobody blocks: 0 of 3" in done.stdout
    folder = tmp_path / "lab-matrix"
    rows = list(csv.DictReader((folder / "confusion.csv").read_text().splitlines()))
    assert {row["truth"] for row in rows} == {"sni_rst", "ok"}
    assert (folder / "confusion.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    outcomes = (folder / "outcomes.ndjson").read_bytes()
    again = reachwatch(*words)
    assert again.stdout == done.stdout
    assert (folder / "outcomes.ndjson").read_bytes() == outcomes


@pytest.mark.parametrize(("name", "code"), [("clean", 10), ("sni_rst", 10), ("blackout", 2)])
def test_exit_10_where_something_is_called_blocked_that_nobody_blocks(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    code: int,
) -> None:
    """A prober that calls everything blocked is found out, in a scenario of blocking too:
    there the data centres work."""

    def words(_targets: str, _results: str, _seed: int) -> Sequence[str]:
        return [sys.executable, "-c", LIAR]

    monkeypatch.setattr(lab, "_prober", lambda: Prober(words, "liar"))
    arguments = ["lab", "matrix", name, "--quick", "--form", "loopback", "-o", str(tmp_path)]
    assert main(arguments) == code
    if code == 10:
        said = capsys.readouterr()
        assert "called blocked, and nobody blocks" in said.err
        assert "called blocked although nobody blocks: 1 of 1" in said.out or name == "clean"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("print('no JSON')", "no verdicts"),
        ("raise SystemExit('broken')", "broken"),
        ("import json; print(json.dumps({'verdicts': 3}))", "no verdicts"),
    ],
)
def test_a_prober_without_any_verdict_fails_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    script: str,
    said: str,
) -> None:
    monkeypatch.setattr(
        lab, "_prober", lambda: Prober(lambda *_: [sys.executable, "-c", script], script)
    )
    assert (
        main(["lab", "matrix", "clean", "--quick", "--form", "loopback", "-o", str(tmp_path)]) == 3
    )
    out = capsys.readouterr().out
    assert "none" in out
    assert said in out
