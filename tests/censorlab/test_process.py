"""The lab ends with the process that drives it, however that ends."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from censorlab.process import LabFailedError, LabProcess
from censorlab.rules import Blackout, Throttle

DRIVER = """
import sys, time
from censorlab.process import LabProcess
with LabProcess() as lab:
    print(lab.pid, lab.targets_path.parent, flush=True)
    time.sleep(60)
"""

GONE_LIMIT_S = 10.0


def family_of(pid: int) -> list[int]:
    """A process and its children, as handles that see their end."""
    # Listed under the thread that started them, which need not be the main one.
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = [child for one in lists for child in one.read_text().split()]
    assert children, "the web process runs"
    return [os.pidfd_open(int(one)) for one in (pid, *children)]


def assert_gone(handles: list[int]) -> None:
    """Each has ended, or does within the limit."""
    for handle in handles:
        try:
            assert select.select([handle], [], [], GONE_LIMIT_S)[0]
        finally:
            os.close(handle)


def test_stop_leaves_nothing() -> None:
    """Neither process nor file after an orderly end, and a second stop is harmless."""
    with LabProcess() as lab:
        handles, folder = family_of(lab.pid), lab.targets_path.parent
        lab.stop()
        assert_gone(handles)
        assert not folder.exists()


def test_an_exception_leaves_nothing() -> None:
    """Neither after the block raises, under whatever rules."""
    with pytest.raises(ZeroDivisionError), LabProcess() as lab:
        handles, folder = family_of(lab.pid), lab.targets_path.parent
        lab.apply([Blackout()])
        raise ZeroDivisionError
    assert_gone(handles)
    assert not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_to_the_driver_leaves_nothing(number: signal.Signals) -> None:
    """Ctrl-C, an order to end, and a kill all end the lab, which takes its files along."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        assert driver.stdout is not None
        pid, folder = driver.stdout.readline().split()
        handles = family_of(int(pid))
        driver.send_signal(number)
        driver.wait(GONE_LIMIT_S)
    assert_gone(handles)
    assert not Path(folder).exists()


def test_a_fork_of_the_driver_does_not_keep_the_lab() -> None:
    """The lab ends with a killed driver whose forked child still holds the pipe to it."""
    fork = "    if os.fork() == 0: print(os.getpid(), flush=True); os.close(1)\n"
    code = "import os" + DRIVER.replace("    time.sleep", f"{fork}    time.sleep")
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        pid, folder = driver.stdout.readline().split()
        handles = family_of(int(pid))
        child = int(driver.stdout.readline())
        driver.kill()
        driver.wait(GONE_LIMIT_S)
        try:
            assert_gone(handles)
        finally:
            os.kill(child, signal.SIGKILL)
    assert not Path(folder).exists()


def test_a_refused_command_changes_nothing(lab: LabProcess) -> None:
    """A senseless rule is an error that names its place, and the lab goes on."""
    with pytest.raises(LabFailedError, match="rate_bytes_per_s"):
        lab.apply([Throttle(server_name="a.test", rate_bytes_per_s=0)])
    lab.apply([])


def test_a_dead_lab_is_an_error_not_a_wait() -> None:
    """If the lab is killed its web process ends too, and the driver hears of it."""
    with LabProcess() as lab:
        handles = family_of(lab.pid)
        os.kill(lab.pid, signal.SIGKILL)
        assert_gone(handles)
        with pytest.raises(LabFailedError, match="the lab has ended"):
            lab.apply([])


def test_a_silent_lab_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab that does not answer in time is killed: a late answer must not pass for the next."""
    monkeypatch.setattr("censorlab.process.ANSWER_LIMIT_S", 0.2)
    with LabProcess() as lab:
        handles, folder = family_of(lab.pid), lab.targets_path.parent
        os.kill(lab.pid, signal.SIGSTOP)
        with pytest.raises(LabFailedError, match=r"no answer from the lab in 0\.2 s"):
            lab.apply([Blackout()])
        assert_gone(handles)
        with pytest.raises(LabFailedError, match="the lab has ended"):
            lab.apply([])
    assert not folder.exists()
