"""``check --lab``, the page on CI with every block run as printed, and the GitHub action."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from probe.cli import check_lab
from probe.cli.errors import CommandError
from probe.cli.formats.wanted import FORMATS
from probe.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to-use-in-ci.md").read_text(encoding="utf-8")
ACTION = ROOT / "action.yml"

Command = Callable[..., subprocess.CompletedProcess[str]]


def test_a_scenario_is_checked_on_loopback(reachwatch: Command, tmp_path: Path) -> None:
    """The block is found, in every format, and marked as simulated; nothing is withheld."""
    done = reachwatch(
        *("check", "--lab", "sni_rst", "--fail-on", "likely_blocked", "-q"),
        *("-f", "json", "--format", "junit=j.xml", "--format", "json=x.json"),
    )

    assert (done.returncode, done.stderr) == (10, "")
    document = json.loads(done.stdout)
    assert {one["lab"] for one in document["verdicts"]} == {True}
    assert {one["network_type"] for one in document["verdicts"]} == {"lab"}
    assert document == json.loads((tmp_path / "x.json").read_text())
    (failure,) = ET.parse(tmp_path / "j.xml").iter("failure")
    assert failure.attrib["type"] == "sni_rst"


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("sni_rts", 2, "did you mean sni_rst"),
        ("sni_drop", 3, "loopback cannot have it"),
    ],
)
def test_a_scenario_that_cannot_be_had(
    name: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--lab", name]) == code
    assert said in capsys.readouterr().err


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the lab's driver or a process of the lab misses it."""
    monkeypatch.setitem(sys.modules, "censorlab.process", None)

    with pytest.raises(CommandError, match=r"needs the extra 'lab' \(censorlab.process") as raised:
        check_lab.scenario_up("clean").__enter__()

    assert raised.value.exit_code == 3
    monkeypatch.undo()
    from censorlab.process import LabFailedError, LabProcess

    def fails(_self: LabProcess) -> LabProcess:
        raise LabFailedError("the lab has ended: ModuleNotFoundError: No module named 'aiohttp'")

    monkeypatch.setattr(LabProcess, "__enter__", fails)
    with pytest.raises(CommandError, match="aiohttp is missing"):
        check_lab.scenario_up("clean").__enter__()


# The page ---------------------------------------------------------------------

BLOCKS = [
    (found[1], found[2])
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
]


def bash(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with this interpreter's ``reachwatch``."""
    bin_folder = folder / ".bin"
    bin_folder.mkdir(exist_ok=True)
    program = bin_folder / "reachwatch"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m probe.cli.main "$@"\n')
    program.chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_command_of_the_page_runs_as_printed(tmp_path: Path) -> None:
    """A line `# exits N` below a command says how it ends; files shown are made first."""
    for name, text in re.findall(
        r"^`([\w.-]+)`:\n\n```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
    ):
        (tmp_path / name).write_text(text)
    script = "".join(text for language, text in BLOCKS if language == "sh")
    checked, n = re.subn(
        r"^# exits (\d+)$",
        r'code=$?; test $code = \1 || { echo "exit $code, not \1"; exit 99; }',
        script,
        flags=re.MULTILINE,
    )
    assert n >= 3

    done = bash(checked, tmp_path, TEXTFILES=str(tmp_path))

    assert done.returncode == 0, done.stdout
    assert ET.parse(tmp_path / "reachwatch.xml").getroot().tag == "testsuites"
    assert (tmp_path / "reachwatch.prom").read_text().startswith("# HELP ")


def test_the_page_lists_formats_and_metrics_as_they_are(tmp_path: Path) -> None:
    for name in FORMATS:
        assert f"| `{name}` |" in PAGE
    from probe.cli.formats.prometheus import as_prometheus

    from .reports import report, verdict

    written = re.findall(
        r"^# TYPE (\w+)", as_prometheus(report([verdict("a/web", "ok")])), re.MULTILINE
    )
    assert re.findall(r"^\| `(reachwatch_\w+)`", PAGE, re.MULTILINE) == written


# The action -------------------------------------------------------------------


def loaded(text: str) -> Any:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML")
    return yaml.safe_load(text)


def test_the_action_is_a_composite_one() -> None:
    """As GitHub documents the file: its keys, described inputs, and a shell for each run."""
    action = loaded(ACTION.read_text(encoding="utf-8"))

    assert set(action) == {"name", "description", "inputs", "outputs", "runs"}
    assert set(action["runs"]) == {"using", "steps"}
    assert action["runs"]["using"] == "composite"
    for given in action["inputs"].values():
        assert set(given) <= {"description", "required", "default"}
        assert given["description"]
    for one in action["outputs"].values():
        assert set(one) == {"description", "value"}
    for step in action["runs"]["steps"]:
        # Nothing of others: no tag that may move, and nothing that uploads.
        assert set(step) <= {"name", "id", "shell", "env", "run", "working-directory"}
        assert step["shell"] == "bash"
        # An input inside a script would be run as one.
        assert "${{" not in step["run"]


def test_the_action_asks_for_what_its_inputs_say(tmp_path: Path) -> None:
    """Words are split as lines, never run; the exit code is the step's, and an output."""
    steps = loaded(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    (step,) = [one for one in steps if one.get("id") == "check"]
    fake = tmp_path / "reachwatch-action" / "bin"
    fake.mkdir(parents=True)
    (fake / "reachwatch").write_text('#!/bin/sh\nprintf "<%s>" "$@" > said\nexit 10\n')
    (fake / "reachwatch").chmod(0o755)
    output = tmp_path / "output"
    given = {
        "TARGETS": "telegram\n  https://example.org/$(touch run)  \n",
        "FAIL_ON": "likely_blocked",
        "EXPECT": "",
        "LAB": "",
        "FORMATS": "junit=a file.xml\n\njson=x.json",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(output),
    }
    assert set(step["env"]) == set(given) - {"RUNNER_TEMP", "GITHUB_OUTPUT"}

    done = bash(f"set -eo pipefail\n{step['run']}", tmp_path, **given)

    assert done.returncode == 10, done.stdout
    words = re.findall("<(.*?)>", (tmp_path / "said").read_text(), re.DOTALL)
    assert words[:4] == ["check", "--quiet", "--yes", "--format=github"]
    assert words[4:-3] == ["--fail-on=likely_blocked", "--format=junit=a file.xml",
                           "--format=json=x.json"]  # fmt: skip
    assert words[-3:] == ["--", "telegram", "https://example.org/$(touch run)"]
    assert not (tmp_path / "run").exists()
    assert output.read_text() == "exit-code=10\n"


def test_the_pages_workflows_are_of_their_form() -> None:
    """GitHub's and GitLab's files parse, use this action's inputs and no unpinned action."""
    github, gitlab = (loaded(text) for language, text in BLOCKS if language == "yaml")
    inputs = loaded(ACTION.read_text(encoding="utf-8"))["inputs"]
    steps = [step for job in github["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if "reachwatch" in step.get("uses", "")]

    assert ours
    assert all(set(step["with"]) <= set(inputs) for step in ours)
    assert gitlab["reachability"]["artifacts"]["reports"]["junit"] == "reachwatch.xml"
