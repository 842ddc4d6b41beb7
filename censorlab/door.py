"""A listening TCP socket that can be open, refuse SYNs, or drop them for real.

Opening and refusing works on every system (`Door`). Dropping needs no root on
Linux (`DroppingDoor`): a listener whose accept queue is full discards further
SYNs, so a client sees what a null route shows it, SYN retransmissions included.
The queue is made one place long (``listen(0)``) and filled by a connection of
our own. Other systems answer a full queue otherwise (Windows with RST).
"""

import errno
import socket
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from typing import Final

import trio

from censorlab.rules import ConnectAction, Place

BACKLOG: Final = 1024
"""Of every open listener: a burst must not overflow it, or the kernel drops a
SYN and the prober would record a slow network that is really the lab's."""

_FILL_LIMIT_S: Final = 0.1
"""A loopback handshake takes microseconds; one that does not end has met a queue
that a client filled first."""

_FILL_ATTEMPTS: Final = 10
"""One suffices, but for clients that connect at the same moment."""

_BIND_ATTEMPTS: Final = 20
"""Each fails only if another process holds the same ephemeral port."""

_TCP_INFO_QUEUE: Final = struct.Struct("=24x2I")
"""Of a listener's TCP_INFO: ``tcpi_unacked`` is the length of the accept queue,
``tcpi_sacked`` its limit (Linux ``tcp_get_info``)."""

_RESET_ON_CLOSE: Final = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER of zero seconds: ``close`` sends RST and leaves no TIME_WAIT."""

Attend = Callable[[trio.SocketStream], Awaitable[None]]


class CannotDropError(RuntimeError):
    """This door cannot drop SYNs."""


class QueueNotFilledError(CannotDropError):
    """The kernel would still accept a SYN that is to be dropped."""


class PortsTakenError(RuntimeError):
    """No port is free on all the addresses of an endpoint."""


def reset(stream: trio.SocketStream) -> None:
    """Close a connection with RST, at once."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    stream.socket.close()


def _bound_to(address: str, port: int) -> socket.socket:
    one = socket.socket()
    try:
        if sys.platform != "win32":
            # There it would let two listeners share a port; here it only lets
            # a port be bound again whose connections have not all ended.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
    except BaseException:
        one.close()
        raise
    return one


def bind_together(addresses: tuple[str, ...]) -> list[socket.socket]:
    """Bind TCP sockets on all addresses to one free port.

    Raises:
        PortsTakenError: after `_BIND_ATTEMPTS` ports, each taken somewhere.
        OSError: if this system does not have one of the addresses.
    """
    for _ in range(_BIND_ATTEMPTS):
        with socket.socket() as scout:
            scout.bind((addresses[0], 0))
            port = scout.getsockname()[1]
        # Bound by number, not as port 0: only then does the kernel keep the
        # port for a socket that stops listening.
        with ExitStack() as opened:
            try:
                bound = [opened.enter_context(_bound_to(one, port)) for one in addresses]
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                opened.pop_all()
                return bound
    raise PortsTakenError(f"no port free on all of {', '.join(addresses)}")


def can_drop_syns(address: str) -> bool:
    """Whether doors at a loopback address can drop SYNs on this system, by trying it."""
    if sys.platform != "linux":
        return False
    fillers: list[socket.socket] = []
    try:
        (listener,) = bind_together((address,))
        with listener:
            listener.listen(0)
            _fill_queue(listener, fillers)
    except (OSError, QueueNotFilledError):
        return False
    finally:
        for filler in fillers:
            filler.close()
    return True


def _fill_queue(listener: socket.socket, fillers: list[socket.socket]) -> None:
    # A client that connects at this very moment may take the only place: it
    # sees an open connection and silence, and the queue is full all the same.
    for _ in range(_FILL_ATTEMPTS):
        if _is_full(listener):
            return
        with suppress(TimeoutError):
            filler = socket.create_connection(listener.getsockname(), _FILL_LIMIT_S)
            filler.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            fillers.append(filler)
    if not _is_full(listener):
        raise QueueNotFilledError(f"{listener.getsockname()} still accepts")


def _is_full(listener: socket.socket) -> bool:
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_QUEUE.size)
    queued, limit = _TCP_INFO_QUEUE.unpack(info)
    # The limit must be exceeded, not reached: a queue of limit 0 holds one.
    return bool(queued > limit)


class Door:
    """One place's listener, open or refusing; refuses until it is switched."""

    def __init__(self, place: Place, bound: socket.socket, attend: Attend) -> None:
        self.place = place
        self.state: ConnectAction = "refuse"
        self._bound = bound
        self._attend = attend
        self._opened = trio.Event()
        self._parked = trio.Event()
        self._accepting = trio.CancelScope()
        self._serving = trio.CancelScope()
        self._closed = trio.Event()

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept and attend whenever open, until cancelled or closed; then close.

        It has started once it can be switched.
        """
        try:
            with self._serving:
                await self._attend_all(task_status)
        finally:
            self._stop_dropping()
            self._bound.close()
            self._closed.set()

    async def close(self) -> None:
        """End `serve` and every connection; nothing listens any more on return."""
        self._serving.cancel()
        await self._closed.wait()

    async def _attend_all(self, task_status: trio.TaskStatus[None]) -> None:
        async with trio.open_nursery() as connections:
            task_status.started()
            while True:
                await self._opened.wait()
                listener = trio.socket.from_stdlib_socket(self._bound)
                with self._accepting:
                    while True:
                        client, _ = await listener.accept()
                        connections.start_soon(self._attend_one, client)
                self._accepting = trio.CancelScope()
                self._parked.set()

    async def switch(self, state: ConnectAction) -> None:
        """Return once the kernel treats SYNs as ordered. Needs `serve` to have started.

        Connections that were waiting to be accepted are reset; those already
        attended are left alone.

        Raises:
            CannotDropError: if SYNs cannot be dropped here; the door then refuses.
        """
        if state == self.state:
            return
        if self.state == "open":
            # Wait for the accepting task to stop: one that is already being
            # woken would accept the connection that is to fill the queue.
            self._opened, self._parked = trio.Event(), trio.Event()
            self._accepting.cancel()
            await self._parked.wait()
        self._stop_dropping()
        if self.state != "refuse":
            self._stop_listening()
        self.state = "refuse"
        if state == "open":
            self._bound.listen(BACKLOG)
            self._opened.set()
        elif state == "drop":
            self._start_dropping()
        self.state = state

    def _stop_listening(self) -> None:
        # Only a closed listener refuses on every system. Bound again at once,
        # the port stays ours, but for the moment in between.
        address, port = self._bound.getsockname()
        self._bound.close()
        self._bound = _bound_to(address, port)

    def _start_dropping(self) -> None:
        raise CannotDropError(f"SYNs to {self.place.address} cannot be dropped here")

    def _stop_dropping(self) -> None:
        """Undo what `_start_dropping` did, if it did."""

    async def _attend_one(self, client: trio.socket.SocketType) -> None:
        async with trio.SocketStream(client) as stream:
            try:
                await self._attend(stream)
            except trio.BrokenResourceError:
                return  # the client reset the connection: its right at any time


class DroppingDoor(Door):
    """A door that can also drop SYNs, on Linux.

    The same bound socket serves all three states (``shutdown`` returns a Linux
    listener to "bound", ``listen`` brings it back), so nobody can take its port
    and no TIME_WAIT stands in the way of a switch.
    """

    def __init__(self, place: Place, bound: socket.socket, attend: Attend) -> None:
        super().__init__(place, bound, attend)
        self._fillers: list[socket.socket] = []

    def _stop_listening(self) -> None:
        self._bound.shutdown(socket.SHUT_RDWR)

    def _start_dropping(self) -> None:
        self._bound.listen(0)
        try:
            _fill_queue(self._bound, self._fillers)
        except QueueNotFilledError:
            self._stop_dropping()
            self._stop_listening()
            raise

    def _stop_dropping(self) -> None:
        for filler in self._fillers:
            filler.close()
        self._fillers.clear()
