"""A world to run programs in: a client's and a server's side, and what lies between."""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self, TypeVar

import msgspec

from censorlab.packet.line import Line
from censorlab.packet.rules import PacketRule
from censorlab.world.messages import Change, Counts, Layout, Ready
from censorlab.world.tun import UnsupportedSystemError

CLIENT_ADDRESSES: Final = ("10.77.0.2", "fd77::2")

_START_LIMIT_S: Final = 15.0
"""An interpreter and two namespaces: 0.3 s when the machine is idle."""
_ANSWER_LIMIT_S: Final = 10.0
_EXIT_LIMIT_S: Final = 5.0
"""After its input has closed the middlebox needs milliseconds; then it is killed."""
_POLL_S: Final = 0.01
_TOOLS: Final = ("unshare", "nsenter", "ip")
_LISTEN: Final = "0A"
"""TCP_LISTEN in /proc/net/tcp."""

Message = TypeVar("Message", bound=msgspec.Struct)
Socket = tuple[Literal["tcp", "udp"], int]
"""Protocol and port that a server listens on."""


class WorldFailedError(RuntimeError):
    """The middlebox or a server ended or did not answer in time."""


class World:
    """Namespaces, middlebox and the programs in them; a context manager.

    Runs as root or, where unprivileged user namespaces and the TUN node are
    open to all, as anyone. Everything lives in one process namespace whose
    first process is the middlebox, which ends when this process does: the
    kernel then ends the programs, and frees namespaces and devices, whether
    the block ends, raises, is interrupted or killed. The host's devices, routes
    and rules are never touched, and no file is written.
    """

    def __init__(
        self,
        server_addresses: Iterable[str],
        *,
        client_addresses: Iterable[str] = CLIENT_ADDRESSES,
        resolvers: Iterable[str] = (),
    ) -> None:
        """Choose the addresses; any may be used, those of real services too.

        ``resolvers`` replace the name servers in the client's resolv.conf.
        """
        self._layout = Layout(
            client_addresses=tuple(client_addresses),
            server_addresses=tuple(server_addresses),
            resolvers=tuple(resolvers),
        )
        self._stack = ExitStack()
        self._received = b""
        self._servers: list[subprocess.Popen[bytes]] = []
        self._middlebox: subprocess.Popen[bytes]
        self._ready: Ready

    def __enter__(self) -> Self:
        """Start.

        Raises:
            UnsupportedSystemError: if this machine or user cannot have namespaces.
            WorldFailedError: if the middlebox does not start in time.
        """
        _check_system()
        with ExitStack() as stack:
            self._middlebox = subprocess.Popen(  # noqa: S603  fixed words
                _middlebox_words(needs_mounts=bool(self._layout.resolvers)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
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

    def apply(
        self, rules: Iterable[PacketRule] = (), line: Line | None = None, seed: int = 0
    ) -> Counts:
        """Put a new middlebox in the path; return the old one's counts.

        It knows no connection from before. Packets under way still arrive.
        """
        return self._change(Change(rules=tuple(rules), line=line or Line(), seed=seed))

    def counts(self) -> Counts:
        """Return the packets since the rules last changed."""
        return self._change(Change())

    def client_words(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs a command on the client's side."""
        return self._enter(self._ready.client_descriptor, words)

    def run_client(
        self, words: Sequence[str], *, timeout_s: float, given: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the client's side and return its output.

        Raises:
            subprocess.TimeoutExpired: if it has not ended in time.
        """
        with subprocess.Popen(  # noqa: S603  the caller's command
            self.client_words(words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as client:
            try:
                output, errors = client.communicate(given, timeout_s)
            finally:
                if client.poll() is None:
                    # nsenter(1) alone would leave the command behind.
                    os.killpg(client.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(words, client.returncode, output, errors)

    def start_server(
        self, words: Sequence[str], *, listens: Iterable[Socket], timeout_s: float = 10.0
    ) -> subprocess.Popen[bytes]:
        """Start a program on the server's side; return once it listens.

        It ends with the world.

        Raises:
            WorldFailedError: if it ends, or does not listen in time.
        """
        server = subprocess.Popen(  # noqa: S603  the caller's command
            self._enter(self._ready.server_descriptor, words), stdin=subprocess.DEVNULL
        )
        self._servers.append(server)
        missing = set(listens)
        deadline = time.monotonic() + timeout_s
        while missing := missing - self._listening():
            if server.poll() is not None:
                raise WorldFailedError(f"server ended with {server.returncode}: {words[0]}")
            if time.monotonic() > deadline:
                raise WorldFailedError(f"server does not listen on {sorted(missing)}")
            time.sleep(_POLL_S)
        return server

    def _listening(self) -> set[Socket]:
        """Return what listens in the server's namespace, which is the middlebox's own."""
        found: set[Socket] = set()
        for kind in ("tcp", "udp"):
            for version in ("", "6"):
                table = Path(f"/proc/{self._ready.pid}/net/{kind}{version}").read_text()
                for row in table.splitlines()[1:]:
                    _, local, _, state, *_ = row.split()
                    if kind == "udp" or state == _LISTEN:
                        found.add((kind, int(local.rpartition(":")[2], 16)))
        return found

    def _enter(self, descriptor: int, words: Sequence[str]) -> list[str]:
        process = f"/proc/{self._ready.pid}"
        options = [f"--net={process}/fd/{descriptor}", f"--pid={process}/ns/pid"]
        if os.geteuid() != 0:
            options += [f"--user={process}/ns/user", "--preserve-credentials"]
        if self._layout.resolvers:
            # Entering a mount namespace would change the working directory.
            options += [f"--mount={process}/ns/mnt", f"--wd={Path.cwd()}"]
        return ["nsenter", *options, "--", *words]

    def _change(self, change: Change) -> Counts:
        self._send(change)
        return self._receive(Counts, _ANSWER_LIMIT_S)

    def _send(self, message: msgspec.Struct) -> None:
        assert self._middlebox.stdin is not None
        try:
            self._middlebox.stdin.write(msgspec.json.encode(message) + b"\n")
        except BrokenPipeError as error:
            raise self._failure() from error

    def _receive(self, message_type: type[Message], limit_s: float) -> Message:
        assert self._middlebox.stdout is not None
        deadline = time.monotonic() + limit_s
        while b"\n" not in self._received:
            rest = max(0.0, deadline - time.monotonic())
            if not select.select([self._middlebox.stdout], [], [], rest)[0]:
                raise WorldFailedError(f"no answer from the middlebox in {limit_s} s")
            piece = os.read(self._middlebox.stdout.fileno(), 65536)
            if not piece:
                raise self._failure()
            self._received += piece
        line, _, self._received = self._received.partition(b"\n")
        return msgspec.json.decode(line, type=message_type)

    def _failure(self) -> Exception:
        """Return why the middlebox has ended."""
        assert self._middlebox.stderr is not None
        text = self._middlebox.stderr.read().decode(errors="replace").strip()
        # unshare(1) speaks only of what it was not allowed.
        if text.startswith("unshare:"):
            return UnsupportedSystemError(text)
        return WorldFailedError(f"the middlebox ended: {text}")

    def _end(self) -> None:
        """Close the middlebox's input, on which it and all programs end."""
        process = self._middlebox
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
        for server in self._servers:
            server.wait()  # the kernel has ended them with the first process


def _check_system() -> None:
    if sys.platform != "linux":
        raise UnsupportedSystemError("network namespaces need Linux")
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        raise UnsupportedSystemError(f"not installed: {', '.join(missing)}")


def _middlebox_words(*, needs_mounts: bool) -> list[str]:
    options = ["--net", "--pid", "--fork", "--kill-child"]
    if os.geteuid() != 0:
        options += ["--user", "--map-root-user"]
    if needs_mounts:
        options.append("--mount")
    return ["unshare", *options, "--", sys.executable, "-m", "censorlab.world.engine"]
