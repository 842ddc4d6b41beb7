"""Start, drive and end the lab from another process."""

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from censorlab.messages import (
    Acknowledgement,
    Command,
    Message,
    Ready,
    Server,
    ServerNames,
    decode,
    encode,
)
from censorlab.peers.site import DEFAULT_BODY_BYTES
from censorlab.rules import Rule
from probe.model.target import Targets

START_LIMIT_S: Final = 30.0
"""Two interpreters start and two dozen keys are made: 1 s when the machine is idle."""

ANSWER_LIMIT_S: Final = 10.0
"""Switching every door takes milliseconds."""

EXIT_LIMIT_S: Final = 5.0
"""After its input has closed the lab needs 0.2 s; then it is killed."""

_SHOWN_ERROR_BYTES: Final = 4000


class LabFailedError(RuntimeError):
    """The lab did not start, did not answer, or refused a command."""


class LabProcess:
    """The lab in a process of its own; a context manager.

    Leaves no process and no file behind, whether the block ends, raises, or is
    interrupted. The lab has its own session, so that Ctrl-C reaches only the
    driving process, which then ends it; should that process be killed, the lab
    sees its input close and ends by itself.

    ``one_address`` puts every place at 127.0.0.1 with a port of its own, and then
    no rule can drop a SYN. A system on which loopback has no other addresses, or
    on which the drop does not work, always gets that form.
    """

    def __init__(self, body_bytes: int = DEFAULT_BODY_BYTES, *, one_address: bool = False) -> None:
        self._options = ["--body-bytes", str(body_bytes), *["--one-address"] * one_address]
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes]
        self._errors: IO[bytes]
        self.ready: Ready
        self.targets: Targets
        self.targets_path: Path

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self._process = _start(self._options, self._errors)
            stack.callback(self._end)
            self.ready = self._read(Ready, START_LIMIT_S)
            self.targets_path = Path(self.ready.targets_path)
            # The lab takes it along, unless the lab is killed.
            stack.callback(shutil.rmtree, self.targets_path.parent, ignore_errors=True)
            self.targets = decode(self.targets_path.read_bytes(), Targets)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def proxy_url(self) -> str:
        """URL of the SOCKS5 proxy outside the censor."""
        return self.ready.proxy_url

    @property
    def pid(self) -> int:
        """The lab's process id."""
        return self._process.pid

    def apply(self, rules: Iterable[Rule]) -> None:
        """Put these rules in force instead of the former; returns when they are.

        Raises:
            LabFailedError: if the lab refuses or does not answer.
        """
        self._order(Command(rules=tuple(rules)))

    def add_servers(self, servers: Iterable[ServerNames]) -> tuple[Server, ...]:
        """Serve these names besides the topology's instead of any that were added before.

        A server that is named again keeps its address and connections.

        Raises:
            LabFailedError: if the lab refuses (a name that is no host name or is
                already served) or does not answer.
        """
        return self._order(Command(servers=tuple(servers))).servers

    def stop(self) -> None:
        """End the lab; also done on leaving the block."""
        self._stack.close()

    def _order(self, command: Command) -> Acknowledgement:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(command))
            self._process.stdin.flush()
        except OSError:  # Windows has no BrokenPipeError for it
            raise self._failure("the lab has ended") from None
        answer = self._read(Acknowledgement, ANSWER_LIMIT_S)
        if answer.error is not None:
            raise LabFailedError(answer.error)
        return answer

    def _read(self, message_type: type[Message], limit_s: float) -> Message:
        # A thread for each line is the portable wait with a limit, and none is
        # left over that would make a test's `os.fork` a warning.
        assert self._process.stdout is not None
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        readline = self._process.stdout.readline
        reader = threading.Thread(target=lambda: lines.put(readline()), daemon=True)
        reader.start()
        try:
            line = lines.get(timeout=limit_s)
            reader.join()
        except queue.Empty:
            raise self._failure(f"no answer from the lab in {limit_s:g} s") from None
        finally:
            if reader.is_alive():
                # No answer, or interrupted: the next order must not get this one's.
                self._process.kill()
        if not line:
            raise self._failure("the lab has ended")
        return decode(line, message_type)

    def _failure(self, what: str) -> LabFailedError:
        self._errors.seek(0)
        said = self._errors.read()[-_SHOWN_ERROR_BYTES:].decode(errors="replace").strip()
        return LabFailedError(f"{what}: {said}" if said else what)

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(OSError):
            # Said as well, for a process forked by a test holds the pipe open.
            process.stdin.write(encode(Command(stop=True)))
            process.stdin.close()
        try:
            process.wait(EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            process.stdout.close()


def _start(options: list[str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    # The lab must run the same code as its driver, installed or not, and find
    # its libraries before modules that are named alike on somebody's path.
    ours = (str(Path(one).resolve().parent.parent) for one in (__file__, msgspec.__file__))
    path = os.pathsep.join(filter(None, (*ours, os.environ.get("PYTHONPATH"))))
    creation_flags = 0
    if sys.platform == "win32":
        # What a session of its own is elsewhere: Ctrl-C does not reach it.
        creation_flags = subprocess.CREATE_NEW_PROCESS_GROUP
    return subprocess.Popen(  # noqa: S603 -- this interpreter, this package, no shell
        # -P: a module of the current directory must not stand for one of ours.
        [sys.executable, "-P", "-m", "censorlab.lab", *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
        creationflags=creation_flags,
    )
