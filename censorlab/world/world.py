"""A world to run programs in: sides with kernels of their own, and what lies between."""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self, TypeVar

import msgspec

from censorlab.commands import run_command
from censorlab.engines import check_packets
from censorlab.packet.line import Line
from censorlab.rules import Rule
from censorlab.world.messages import (
    Change,
    Counts,
    Done,
    Layout,
    Link,
    Middle,
    Order,
    Orders,
    Ready,
)
from censorlab.world.namespaces import FOLDER
from censorlab.world.system import UnsupportedSystemError

CLIENT_ADDRESSES: Final = ("10.77.0.2", "fd77::2")

_START_LIMIT_S: Final = 30.0
"""An interpreter and a few namespaces: 0.5 s when the machine is idle."""
_ANSWER_LIMIT_S: Final = 15.0
_EXIT_LIMIT_S: Final = 5.0
"""After its input has closed the middle needs milliseconds; then it is killed."""
_POLL_S: Final = 0.01
_TOOLS: Final = ("unshare", "nsenter", "ip", "mount")
_LISTEN: Final = "0A"
"""TCP_LISTEN in /proc/net/tcp."""

Message = TypeVar("Message", bound=msgspec.Struct)
Socket = tuple[Literal["tcp", "udp"], int]
"""Protocol and port that a program listens on."""


class WorldFailedError(RuntimeError):
    """The middle or a program ended or did not answer in time."""


class Started(NamedTuple):
    """A program in a world: its process, its command, and the file of what it says."""

    process: subprocess.Popen[bytes]
    name: str
    said: Path

    def last_words(self) -> str:
        """Return the end of what the program has said."""
        return self.said.read_text(errors="replace")[-2000:].strip()

    def listening(self) -> set[Socket]:
        """Return what listens in the program's network namespace."""
        found: set[Socket] = set()
        for kind in ("tcp", "udp"):
            for version in ("", "6"):
                try:
                    table = Path(f"/proc/{self.process.pid}/net/{kind}{version}").read_text()
                except OSError:  # it has ended
                    return found
                for row in table.splitlines()[1:]:
                    _, local, _, state, *_ = row.split()
                    if kind == "udp" or state == _LISTEN:
                        found.add((kind, int(local.rpartition(":")[2], 16)))
        return found


class _Namespaces:
    """The sides and the programs on them; a context manager.

    Runs as root or, where unprivileged user namespaces are open to all, as
    anyone. Everything lives in one process namespace whose first process is the
    middle, which ends when this process does: the kernel then ends the programs,
    and frees namespaces, devices and files, whether the block ends, raises, is
    interrupted or killed. The host's devices, routes, rules and files are never
    touched.
    """

    _middle_kind: Middle

    def __init__(
        self,
        sides: Mapping[str, Iterable[str]],
        *,
        nameservers: Iterable[str] = (),
        link: Link | None = None,
    ) -> None:
        """Choose the sides: the client, the server, others; each with its addresses.

        Any address may be used, those of real services too. ``nameservers``
        replace the name servers in resolv.conf. ``link`` None: whichever works.
        """
        self._layout = Layout(
            sides={name: tuple(addresses) for name, addresses in sides.items()},
            middle=self._middle_kind,
            nameservers=tuple(nameservers),
            link=link,
        )
        self._stack = ExitStack()
        self._received = b""
        self._programs: list[subprocess.Popen[bytes]] = []
        self._middle: subprocess.Popen[bytes]
        self._ready: Ready

    def __enter__(self) -> Self:
        """Start.

        Raises:
            UnsupportedSystemError: if this machine or user cannot have namespaces.
            WorldFailedError: if the middle does not start in time.
        """
        _check_system()
        with ExitStack() as stack:
            self._middle = subprocess.Popen(  # noqa: S603  fixed words
                _middle_words(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                env=environment_of_programs(),
                start_new_session=True,
            )
            stack.callback(self._end)
            self._send(self._layout)
            self._ready = self._receive(Ready, _START_LIMIT_S)
            if self._ready.error is not None:
                raise UnsupportedSystemError(self._ready.error)
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
    def link(self) -> Link:
        """What the sides' packets come through."""
        return self._ready.link

    @property
    def middle_pid(self) -> int:
        """Process id of the middle."""
        return self._ready.pid

    def write(self, name: str, content: bytes) -> str:
        """Put a file below the world's folder; return its path for programs there."""
        path = self._outside(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return f"{FOLDER}/{name}"

    def read(self, name: str) -> bytes:
        """Return a file below the world's folder."""
        return self._outside(name).read_bytes()

    def names(self, folder: str) -> list[str]:
        """Return the names of the files anywhere below a folder of the world's."""
        root = self._outside("")
        return sorted(
            str(path.relative_to(root)) for path in (root / folder).rglob("*") if path.is_file()
        )

    def _outside(self, name: str) -> Path:
        return Path(f"/proc/{self._ready.pid}/root{FOLDER}", name)

    def words(self, side: str, words: Sequence[str]) -> list[str]:
        """Return the command that runs a command on a side."""
        process = f"/proc/{self._ready.pid}"
        options = [
            f"--net={process}/fd/{self._ready.descriptors[side]}",
            f"--pid={process}/ns/pid",
            f"--mount={process}/ns/mnt",
            # Entering a mount namespace changes the working directory.
            f"--wd={Path.cwd()}",
        ]
        if os.geteuid() != 0:
            options += [f"--user={process}/ns/user", "--preserve-credentials"]
        return ["nsenter", *options, "--", *words]

    def run(
        self,
        side: str,
        words: Sequence[str],
        *,
        timeout_s: float,
        given: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a side and return its output.

        Raises:
            subprocess.TimeoutExpired: if it has not ended in time; it is killed.
        """
        return run_command(
            self.words(side, words),
            timeout_s=timeout_s,
            given=given,
            environment=environment_of_programs() | dict(environment or {}),
        )

    def start(
        self,
        side: str,
        words: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
    ) -> Started:
        """Start a program on a side. It ends with the world."""
        said = self._outside(f"said-{len(self._programs)}")
        with said.open("wb") as output:
            program = subprocess.Popen(  # noqa: S603  the caller's command
                self.words(side, words),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment_of_programs() | dict(environment or {}),
                start_new_session=True,
            )
        self._programs.append(program)
        return Started(program, words[0], said)

    def await_listening(
        self, started: Started, listens: Iterable[Socket], timeout_s: float = 30.0
    ) -> None:
        """Return once a program's side listens on these.

        Raises:
            WorldFailedError: if the program ends, or does not listen in time; with
                what it said.
        """
        missing = set(listens)
        deadline = time.monotonic() + timeout_s
        while missing := missing - started.listening():
            if started.process.poll() is not None:
                raise WorldFailedError(f"{started.name} ended: {started.last_words()}")
            if time.monotonic() > deadline:
                lacking = f"{started.name} does not listen on {sorted(missing)}"
                raise WorldFailedError(f"{lacking}: {started.last_words()}")
            time.sleep(_POLL_S)

    def _send(self, message: msgspec.Struct) -> None:
        assert self._middle.stdin is not None
        try:
            self._middle.stdin.write(msgspec.json.encode(message) + b"\n")
        except BrokenPipeError as error:
            raise self._failure() from error

    def _receive(self, message_type: type[Message], limit_s: float) -> Message:
        assert self._middle.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._received:
            rest = max(0.0, deadline - time.monotonic())
            if not select.select([self._middle.stdout], [], [], rest)[0]:
                raise WorldFailedError(f"no answer from the middle in {limit_s} s")
            piece = os.read(self._middle.stdout.fileno(), 65536)
            if not piece:
                raise self._failure()
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return msgspec.json.decode(line, type=message_type)

    def _failure(self) -> Exception:
        """Return why the middle has ended."""
        assert self._middle.stderr is not None
        text = self._middle.stderr.read().decode(errors="replace").strip()
        # unshare(1) speaks only of what it was not allowed.
        if text.startswith("unshare:"):
            return UnsupportedSystemError(text)
        return WorldFailedError(f"the middle ended: {text}")

    def _end(self) -> None:
        """Close the middle's input, on which it and all programs end."""
        process = self._middle
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.close()
        try:
            process.wait(_EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()  # unshare(1) takes its child with it
            process.wait()
        process.stdout.close()
        process.stderr.close()
        for program in self._programs:
            program.wait()  # the kernel has ended them with the first process


class World(_Namespaces):
    """A world whose sides are joined by the packet engine."""

    _middle_kind = "middlebox"

    def apply(self, rules: Iterable[Rule] = (), line: Line | None = None, seed: int = 0) -> Counts:
        """Put a new middlebox in the path; return the old one's counts.

        It knows no connection from before. Packets under way still arrive.

        Raises:
            NeedsStreamError: for a rule that packets cannot express.
        """
        chosen = tuple(rules)
        check_packets(chosen)
        return self._change(Change(rules=chosen, line=line or Line(), seed=seed))

    def counts(self) -> Counts:
        """Return the packets since the rules last changed."""
        return self._change(Change())

    def _change(self, change: Change) -> Counts:
        self._send(change)
        return self._receive(Counts, _ANSWER_LIMIT_S)


class RouterWorld(_Namespaces):
    """A world whose sides are joined by a Linux router, without our packet engine."""

    _middle_kind = "router"

    def apply(self, orders: Iterable[Order]) -> None:
        """Carry commands out at the router, one after the other.

        Raises:
            UnsupportedSystemError: if the kernel or a tool refuses one.
        """
        self._send(Orders(orders=tuple(orders)))
        done = self._receive(Done, _ANSWER_LIMIT_S)
        if done.error is not None:
            raise UnsupportedSystemError(done.error)


def _check_system() -> None:
    if sys.platform != "linux":
        raise UnsupportedSystemError("network namespaces need Linux")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise UnsupportedSystemError(f"not installed: {', '.join(missing)}")


def environment_of_programs() -> dict[str, str]:
    """Return the environment in a world: this code, and no temporary file outside it."""
    root = str(Path(__file__).resolve().parent.parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, "TMPDIR": FOLDER, "PYTHONDONTWRITEBYTECODE": "1"}


def _middle_words() -> list[str]:
    options = ["--net", "--pid", "--mount", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        options += ["--user", "--map-root-user"]
    return ["unshare", *options, "--", sys.executable, "-m", "censorlab.world.middle"]
