"""The built-in Telegram list where controls answer and everything else is silent."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import netns

pytestmark = pytest.mark.netns

LIMIT_S = 15
LIMIT_BYTES = 400_000

# Runs inside the namespace: gives the controls' addresses to loopback, serves
# TLS there under an authority that the list trusts, and counts what left.
WORLD = Path(__file__).with_name("silent_world.py")


def test_silence_everywhere_is_found_in_time_and_budget(tmp_path: Path) -> None:
    """15 s and 400 kB are enough to say that the data centres are silent."""
    done = subprocess.run(
        netns.words(sys.executable, str(WORLD), str(LIMIT_S), setup=netns.SILENT_WORLD),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=netns.ENVIRONMENT,
        timeout=4 * LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    world = json.loads(done.stdout)
    verdicts = {v["target_id"]: v for v in world["run"]["verdicts"]}

    assert world["exit_code"] == 0
    assert world["wire_bytes"] <= LIMIT_BYTES
    assert verdicts["telegram/dc_pool"]["state"] == "likely_blocked"
    assert verdicts["telegram/dc_pool"]["mechanism"] == "ip_drop"
    assert {v["n_ok"] for v in verdicts.values()} == {0}
