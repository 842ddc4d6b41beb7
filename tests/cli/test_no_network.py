"""On a machine without Internet the command says exactly that, soon."""

import json
import subprocess
from pathlib import Path

import pytest

import netns

pytestmark = pytest.mark.netns

LIMIT_S = 15


@pytest.mark.parametrize("setup", ["", "ip link set lo up", netns.SILENT_WORLD])
def test_no_network_is_not_enough_data(tmp_path: Path, setup: str) -> None:
    """No device, loopback only, or a line on which all is silent: exit 5, nothing blocked."""
    done = subprocess.run(
        netns.command("check", "--format", "json", setup=setup),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=netns.ENVIRONMENT,
        timeout=LIMIT_S,
        check=False,
    )
    document = json.loads(done.stdout)

    assert done.returncode == 5
    assert "not enough data" in done.stderr
    assert {v["state"] for v in document["verdicts"]} == {"insufficient"}
    assert document["answers"]["how"] == "Not enough data."
    assert document["answers"]["what_works"] == "Not enough data."
