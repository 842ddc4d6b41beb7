"""Whatever ends a lab, nothing of it stays, and the host is as it was."""

import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.netns

MARK = "REACHWATCH_TEST_MARK"
ENDS_WITHIN_S = 10.0
HOST_COMMANDS = (
    "ip -o link show",
    "ip -o addr show",
    "ip route show table all",
    "ip -6 route show table all",
    "ip rule show",
    "ip netns list",
    "nft list ruleset",
    "iptables-save",
    "cat /proc/mounts",
    "cat /etc/resolv.conf",
    "ls -A /run /dev/shm",
)


def host() -> list[str]:
    """What a lab might have touched; commands that are not installed say so each time."""
    shown = []
    for words in HOST_COMMANDS:
        done = subprocess.run(["sh", "-c", words], capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if not line.startswith(("#", ":"))]
        shown.append(f"{words}: {lines}")
    return shown


def marked(mark: str) -> list[str]:
    """Processes of the lab, wherever they have gone: they inherit the environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


class Lab:
    """A ``lab`` command in a process of its own, with temporary files of its own."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.mark = uuid.uuid4().hex
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "probe.cli.main", "lab", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, MARK: self.mark, "TMPDIR": str(self.temporary)},
        )

    def wait_for(self, text: str) -> None:
        assert self.process.stderr is not None
        said = b""
        while text.encode() not in said:
            assert select.select([self.process.stderr], [], [], 60)[0], said
            piece = os.read(self.process.stderr.fileno(), 4096)
            assert piece, said
            said += piece

    def wait_for_processes(self) -> None:
        deadline = time.monotonic() + 60
        while len(marked(self.mark)) < 6:
            assert time.monotonic() < deadline
            select.select([], [], [], 0.05)

    def ends(self) -> int:
        """Wait until every process has gone, and check that no file stays."""
        _, errors = self.process.communicate(timeout=60)
        deadline = time.monotonic() + ENDS_WITHIN_S
        while left := marked(self.mark):
            assert time.monotonic() < deadline, left
            select.select([], [], [], 0.05)
        assert list(self.temporary.iterdir()) == []
        if b"no namespaces here" in errors:
            pytest.skip(errors.decode())
        return self.process.returncode


@pytest.fixture
def unchanged_host() -> Iterator[None]:
    before = host()
    yield
    assert host() == before


@pytest.mark.usefixtures("unchanged_host")
@pytest.mark.parametrize(("words", "code"), [(["true"], 0), (["sh", "-c", "exit 7"], 7)])
def test_after_success_and_failure(tmp_path: Path, words: list[str], code: int) -> None:
    assert Lab(tmp_path, "up", "captive_portal", "--", *words).ends() == code


@pytest.mark.usefixtures("unchanged_host")
@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        (signal.SIGTERM, 143),
        (signal.SIGKILL, -signal.SIGKILL),
    ],
)
@pytest.mark.parametrize("form", ["middlebox", "loopback"])
def test_after_a_signal(tmp_path: Path, number: signal.Signals, code: int, form: str) -> None:
    """Every peer is running when the signal comes; SIGKILL leaves no chance to tidy up."""
    lab = Lab(tmp_path, "up", "sni_rst", "--form", form)
    lab.wait_for("until interrupted")
    lab.process.send_signal(number)
    assert lab.ends() == code


@pytest.mark.usefixtures("unchanged_host")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_after_a_sweep_is_stopped(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Several cells are under way, and none is waited for."""
    lab = Lab(tmp_path, "matrix", "--quick", "-j", "3", "-o", str(tmp_path / "matrix"))
    lab.wait_for_processes()
    start = time.monotonic()
    lab.process.send_signal(number)
    assert lab.ends() == code
    assert time.monotonic() - start < ENDS_WITHIN_S
