"""A run killed at any instant loses nothing that it reported."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from censorlab.process import LabProcess


@pytest.mark.parametrize("seed", range(20))
def test_what_was_reported_is_readable_after_sigkill(
    lab: LabProcess, tmp_path: Path, seed: int
) -> None:
    """Every observation on the progress stream is found by ``results export`` afterwards."""
    # The stream itself is the clock: the instant is after some line of the run.
    instant = random.Random(seed).randint(1, 40)
    process = subprocess.Popen(
        [sys.executable, "-m", "probe.cli.main", "check", str(lab.targets_path), "-f", "ndjson"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    lines: list[bytes] = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if len(lines) == instant:
                process.kill()
    reported = {
        document["observation_id"]
        for line in lines
        if line.endswith(b"\n") and (document := json.loads(line))["type"] == "observation"
    }

    exported = subprocess.run(
        [sys.executable, "-m", "probe.cli.main", "results", "export"],
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    readable = {json.loads(line)["observation_id"] for line in exported.stdout.splitlines()}

    assert exported.returncode == 0, exported.stderr
    assert len(lines) >= instant
    assert reported <= readable
