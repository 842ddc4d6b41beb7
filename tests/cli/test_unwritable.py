"""Places that cannot be written: results, and standard output."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import IO

import pytest
import trio

from censorlab.process import LabProcess
from censorlab.rules import SniRst
from censorlab.topology import SERVICE_PATTERN
from netns import ROOT
from probe.cli.output import StandardOutputError
from probe.cli.supervise import run_supervised
from probe.net.tls import TrustError
from probe.store.writer import StoreError
from probe.wire.mtproto.public_key import PublicKeyError

Command = Callable[..., subprocess.CompletedProcess[str]]

REACHWATCH = [sys.executable, "-m", "probe.cli.main"]

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


# Results ---------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
@needs_full
@pytest.mark.parametrize("place", ["/proc/nope", "/dev/full"])
def test_results_that_cannot_be_made(reachwatch: Command, place: str) -> None:
    """Bad input, in one line and one document; nothing was sent before."""
    done = reachwatch("check", "host.invalid", "--results", place, "-q", "-f", "json")

    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cannot write {place}/")
    document = json.loads(done.stdout)
    assert (document["type"], document["exit_code"]) == ("error", 3)
    assert document["errors"] == [line]


def in_tiny_tmpfs(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a mount namespace in which the folder has room for 8 kB."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("mount namespaces need Linux and unshare(1)")
    entering = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    mounting = [*entering, "sh", "-c", 'mount -t tmpfs -o size=8k tmpfs "$0" || exit 99; ' + script]
    if subprocess.run([*mounting[:-1], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow mount namespaces")
    done = subprocess.run(
        [*mounting, str(folder), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    if done.returncode == 99:
        pytest.skip("this machine does not allow mounting in a namespace")
    return done


def test_a_disk_that_fills_up(lab: LabProcess, tmp_path: Path) -> None:
    """The run ends as bad input, and what it stored until then is read."""
    script = """
        "$@"; code=$?
        "$1" -m probe.cli.main results export "$0" || exit 98
        exit $code
    """
    words = [*REACHWATCH, "check", str(lab.targets_path), "--results", str(tmp_path), "-q"]
    done = in_tiny_tmpfs(tmp_path, script, *words)

    assert done.returncode == 3
    said = done.stderr.splitlines()[0]
    assert said.startswith(f"cannot write {tmp_path}/")
    assert said.endswith("No space left on device")
    assert "Traceback" not in done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) > 3


def test_a_disk_that_fills_up_in_a_demo(tmp_path: Path) -> None:
    """As in a check, though the days of a demo run side by side."""
    pytest.importorskip("matplotlib")
    done = in_tiny_tmpfs(tmp_path, '"$@"', *REACHWATCH, "lab", "demo", "-o", str(tmp_path / "demo"))

    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"cannot write {tmp_path}/demo/results/")


# Standard output -------------------------------------------------------------


def writing_to(
    output: int | IO[bytes], *words: str, folder: Path, unbuffered: str = ""
) -> tuple[int, str]:
    """Run the command with that standard output; return its exit code and stderr."""
    done = subprocess.run(
        [*REACHWATCH, *words],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def pipe_that_nobody_reads() -> int:
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@needs_full
@pytest.mark.parametrize(
    "words",
    [
        ("check", "--help"),
        ("explain", "impaired"),
        ("check", "host.invalid", "-n", "-f", "json"),
        ("check", "--results", "/dev/full", "-q", "-f", "json"),
    ],
)
def test_a_full_standard_output(words: tuple[str, ...], tmp_path: Path) -> None:
    """Who asked for output and gets none is told, and not by a traceback."""
    with Path("/dev/full").open("wb") as full:
        code, said = writing_to(full, *words, folder=tmp_path)

    assert code == 3
    last = said.splitlines()[-1]
    assert last == "cannot write to standard output: No space left on device"
    assert "Traceback" not in said


@needs_full
@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_a_full_standard_output_of_a_run(lab: LabProcess, tmp_path: Path, form: str) -> None:
    """At the first event or at the last; what was measured until then is stored."""
    with Path("/dev/full").open("wb") as full:
        words = ("check", str(lab.targets_path), "-q", "-f", form)
        code, said = writing_to(full, *words, folder=tmp_path)

    assert code == 3
    assert said == "cannot write to standard output: No space left on device\n"
    # The first event precedes every measurement, the last one follows all.
    files = [path.suffix for path in (tmp_path / "results").rglob("*.obs.jsonl.gz*")]
    assert files == ([] if form == "ndjson" else [".gz"])


@pytest.mark.parametrize("words", [("check", "--help"), ("targets", "schema")])
def test_a_reader_who_went_away(words: tuple[str, ...], tmp_path: Path) -> None:
    """Its choice, not a failure."""
    writing = pipe_that_nobody_reads()
    try:
        assert writing_to(writing, *words, folder=tmp_path) == (0, "")
    finally:
        os.close(writing)


def test_a_reader_who_goes_during_a_run(
    lab: LabProcess, reachwatch: Command, tmp_path: Path
) -> None:
    """``check -f ndjson | head -1``: the run ends there, and what it stored is read."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    script = '"$@" -f ndjson -q | head -1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", script, "bash", *REACHWATCH, "check", str(lab.targets_path)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["type"] == "run_started"
    stored = reachwatch("results", "export")
    assert stored.returncode == 0
    assert stored.stdout


@pytest.mark.parametrize(("form", "unbuffered"), [("table", "1"), ("json", "")])
def test_a_known_code_outlives_the_reader(
    lab: LabProcess, tmp_path: Path, form: str, unbuffered: str
) -> None:
    """Scripts ask ``check | head -3`` for its code as well."""
    lab.apply((SniRst(server_name=SERVICE_PATTERN),))
    writing = pipe_that_nobody_reads()
    words = ("check", str(lab.targets_path), "-q", "-f", form, "--fail-on", "insufficient")
    try:
        code, said = writing_to(writing, *words, folder=tmp_path, unbuffered=unbuffered)
    finally:
        os.close(writing)

    assert (code, said) == (10, "")


@pytest.mark.skipif(os.name != "posix", reason="descriptors as on POSIX")
def test_a_standard_output_closed_from_the_start(tmp_path: Path) -> None:
    """Nothing is wanted, nothing fails."""
    words = ["sh", "-c", '"$@" >&-', "sh", *REACHWATCH, "targets", "schema"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Groups ----------------------------------------------------------------------


def raising(*errors: Exception) -> Callable[[], Awaitable[None]]:
    """Return work with tasks that raise at once, a nursery in a nursery."""

    async def fail(error: Exception) -> None:
        raise error

    async def work() -> None:
        async with trio.open_nursery() as outer, trio.open_nursery() as inner:
            outer.start_soon(fail, errors[0])
            for error in errors[1:]:
                inner.start_soon(fail, error)
            await trio.sleep_forever()

    return work


@pytest.mark.parametrize("kind", [StandardOutputError, StoreError, TrustError, PublicKeyError])
@pytest.mark.parametrize("count", [1, 3])
def test_an_announced_error_leaves_its_groups(kind: type[Exception], count: int) -> None:
    """However many tasks met it, and however deep."""
    with pytest.raises(kind, match="the disk is full"):
        run_supervised(raising(*[kind("the disk is full")] * count), "stopped")


def test_a_bug_stays_a_bug() -> None:
    """Beside announced errors too: its traceback must not be lost."""
    with pytest.raises(ExceptionGroup) as caught:
        run_supervised(raising(StoreError("full"), KeyError("bug")), "stopped")
    assert caught.group_contains(KeyError)
