"""``reachwatch watch``: each run is heard when it ends, and a signal ends the wait."""

import argparse
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from censorlab.process import LabProcess
from probe.cli import check
from probe.cli.main import main


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_is_printed_before_the_wait_and_a_signal_ends_that(
    lab: LabProcess, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    """To a pipe too: whoever reads it would else wait hours, or never hear of it."""
    words = ["watch", str(lab.targets_path), "--every", "15m", "--results", str(tmp_path)]
    with subprocess.Popen(
        [sys.executable, "-m", "probe.cli.main", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        # The last line of a table, and then the line on the wait itself.
        next(line for line in running.stdout if "results show" in line)
        next(line for line in running.stderr if "next run in" in line)
        running.send_signal(number)
        # Before the wait has begun the system's own way to end is as good.
        assert running.wait(30) in {code, -number}


@pytest.mark.parametrize(("code", "runs"), [(0, 2), (5, 2), (10, 2), (11, 2), (3, 1)])
def test_findings_and_a_dead_line_end_no_watch(
    code: int, runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are what one watches for; bad input ends it. The last run's code is the command's."""
    done = []

    def run(_: argparse.Namespace) -> int:
        done.append(code)
        return code

    async def no_pause(_: float) -> None:
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(check, "check_command", run)
    monkeypatch.setattr(trio, "sleep", no_pause)

    assert main(["watch", "--runs", "2"]) == code
    assert len(done) == runs
