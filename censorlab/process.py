"""Start, drive and end the lab from another process."""

import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

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

_CHUNK_BYTES: Final = 65536
_SHOWN_ERROR_BYTES: Final = 4000


class LabFailedError(RuntimeError):
    """The lab did not start, did not answer, or refused a command."""


class LabProcess:
    """The lab in a process of its own; a context manager.

    Leaves no process and no file behind, whether the block ends, raises, or is
    interrupted. The lab has its own session, so that Ctrl-C reaches only the
    driving process, which then ends it; should that process be killed, the lab
    sees its input close and ends by itself.
    """

    def __init__(self, body_bytes: int = DEFAULT_BODY_BYTES) -> None:
        self._body_bytes = body_bytes
        self._stack = ExitStack()
        self._received = bytearray()
        self._process: subprocess.Popen[bytes]
        self._errors: IO[bytes]
        self.ready: Ready
        self.targets: Targets

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="censorlab-")))
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self.targets_path = folder / "targets.json"
            self._process = _start(self.targets_path, self._body_bytes, self._errors)
            stack.callback(self._end)
            self.ready = self._read(Ready, START_LIMIT_S)
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
        except BrokenPipeError:
            raise self._failure("the lab has ended") from None
        answer = self._read(Acknowledgement, ANSWER_LIMIT_S)
        if answer.error is not None:
            raise LabFailedError(answer.error)
        return answer

    def _read(self, message_type: type[Message], limit_s: float) -> Message:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise self._failure(f"no answer from the lab in {limit_s:g} s")
                chunk = os.read(descriptor, _CHUNK_BYTES)
                if not chunk:
                    raise self._failure("the lab has ended")
                self._received += chunk
        line, _, rest = bytes(self._received).partition(b"\n")
        self._received = bytearray(rest)
        return decode(line, message_type)

    def _failure(self, what: str) -> LabFailedError:
        self._errors.seek(0)
        said = self._errors.read()[-_SHOWN_ERROR_BYTES:].decode(errors="replace").strip()
        return LabFailedError(f"{what}: {said}" if said else what)

    def _end(self) -> None:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            process.stdout.close()


def _start(targets_path: Path, body_bytes: int, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    # The lab must run the same code as its driver, installed or not.
    root = str(Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(  # noqa: S603 -- this interpreter, this package, no shell
        [
            sys.executable,
            "-P",  # a module of the current directory must not stand for one of ours
            "-m",
            "censorlab.lab",
            "--targets",
            str(targets_path),
            "--body-bytes",
            str(body_bytes),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
