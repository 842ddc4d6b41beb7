"""``reachwatch doctor``: what it says of this machine."""

import json
import subprocess
from pathlib import Path

import pytest

import netns
from probe.cli.main import main


def test_without_a_route_it_says_so_and_ends_with_5() -> None:
    """One document; a problem for each version of IP."""
    done = subprocess.run(
        netns.command("doctor", "-f", "json"),
        capture_output=True,
        text=True,
        check=False,
        env=netns.ENVIRONMENT,
    )
    levels = {one["what"]: one["level"] for one in json.loads(done.stdout)["findings"]}

    assert done.returncode == 5
    assert (levels["IPv4"], levels["IPv6"]) == ("problem", "problem")


@pytest.mark.parametrize(
    ("name", "level"), [("new/folder", "ok"), ("a file", "problem"), ("a file/below", "problem")]
)
def test_results_that_cannot_be_written_are_a_problem(
    name: str, level: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in the place of the folder, or above it, too."""
    (tmp_path / "a file").touch()
    main(["doctor", "-f", "json", "--results", str(tmp_path / name)])
    findings = json.loads(capsys.readouterr().out)["findings"]

    assert [one["level"] for one in findings if one["what"] == "results"] == [level]


def test_an_extra_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("probe.cli.doctor.find_spec", lambda _: None)
    main(["doctor", "--ascii"])
    said = capsys.readouterr().out

    for extra in ("quic", "fingerprint", "analysis", "lab", "yaml"):
        assert f"pip install 'reachwatch[{extra}]'" in said
