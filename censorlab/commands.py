"""Running commands so that nothing of them outlives its time, or this process's will."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager


class StoppedError(RuntimeError):
    """No command may run now: whoever waits for this thread wants to end."""


class _Running:
    """The commands of all threads, so that an interrupt of one can end them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[str]] = set()
        self._is_stopping = False

    def start(
        self, words: Sequence[str], environment: Mapping[str, str] | None
    ) -> subprocess.Popen[str]:
        with self._lock:
            if self._is_stopping:
                raise StoppedError
            process = subprocess.Popen(  # noqa: S603  the caller's command
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
                start_new_session=True,
            )
            self._processes.add(process)
            return process

    def end(self, process: subprocess.Popen[str]) -> None:
        with self._lock:
            self._processes.discard(process)
            _kill(process)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        with self._lock:
            self._is_stopping = True
            for process in self._processes:
                _kill(process)
        try:
            yield
        finally:
            with self._lock:
                self._is_stopping = False


_RUNNING = _Running()


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        # The command alone, such as nsenter(1), would leave its own behind.
        os.killpg(process.pid, signal.SIGKILL)


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
        StoppedError: within a block of `commands_stopped`.
    """
    with _RUNNING.start(words, environment) as process:
        try:
            output, errors = process.communicate(given, timeout_s)
        finally:
            _RUNNING.end(process)
    return subprocess.CompletedProcess(words, process.returncode, output, errors)


def commands_stopped() -> AbstractContextManager[None]:
    """Kill the commands of all threads, and let none start until the block ends."""
    return _RUNNING.stopped()
