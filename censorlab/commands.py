"""Running a command so that nothing of it outlives its time."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence


def run_command(
    words: Sequence[str],
    *,
    timeout_s: float,
    given: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command in a session of its own and return its output.

    Raises:
        subprocess.TimeoutExpired: if it has not ended in time; all of it is killed.
    """
    with subprocess.Popen(  # noqa: S603  the caller's command
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(given, timeout_s)
        finally:
            if process.poll() is None:
                # The command alone, such as nsenter(1), would leave its own behind.
                os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)
