"""One lab for all command tests of a session, and the command as a user runs it."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from censorlab.process import LabProcess

ROOT = Path(__file__).resolve().parent.parent.parent

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def session_lab() -> Iterator[LabProcess]:
    with LabProcess() as lab:
        yield lab


@pytest.fixture
def lab(session_lab: LabProcess) -> Iterator[LabProcess]:
    """The lab without any rule, before and after."""
    session_lab.apply(())
    yield session_lab
    session_lab.apply(())


@pytest.fixture
def reachwatch(tmp_path: Path) -> Command:
    """Run the command in an empty directory; 60 s is a hang, not a limit."""

    def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "probe.cli.main", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
            check=False,
            **options,  # type: ignore[call-overload]
        )

    return run
