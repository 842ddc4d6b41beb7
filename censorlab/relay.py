"""The censor on a TCP path of the loopback lab: reads openings, passes bytes on or does not.

It carries chunks, which the kernels at both ends have already acknowledged.
Clients speak first in every protocol of the lab, so the path to the origin is
opened with their first bytes. What the censor does not recognise passes: like
most, it fails open.
"""

import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import trio

from censorlab.addresses import packed
from censorlab.decide import PASS, Paced, Treatment, on_place, on_reply
from censorlab.door import reset
from censorlab.memory import Contact, Memory
from censorlab.opening.first_bytes import OTHER, Opening, Seen
from censorlab.opening.tls import ApplicationDataCounter
from censorlab.rules import FirstRecordOnly, FirstSegmentOnly

_CHUNK_BYTES: Final = 65536

_TCP_INFO_BYTES: Final = 160
_DATA_SEGS_IN: Final = 152
"""Where struct tcp_info (linux/tcp.h, since 4.6) counts segments with data received."""

Judge = Callable[[Seen], Treatment]


class Origin(NamedTuple):
    """Where the true server listens, behind the censor."""

    address: str
    port: int


async def connect(origin: Origin) -> trio.SocketStream:
    """Connect to one of the lab's own servers (loopback, so it never waits)."""
    raw = trio.socket.socket()
    try:
        await raw.connect((origin.address, origin.port))
    except BaseException:
        raw.close()
        raise
    return trio.SocketStream(raw)


class Gate:
    """Before any server: swallows all from clients that may connect but not speak.

    ``memory`` gives what is in force when a connection opens.
    """

    def __init__(
        self,
        memory: Callable[[], Memory],
        attend: Callable[[trio.SocketStream], Awaitable[None]],
    ) -> None:
        self._memory = memory
        self._attend = attend

    async def attend(self, client: trio.SocketStream) -> None:
        """Let a connection through, or keep it silent until the client leaves.

        Raises:
            trio.BrokenResourceError: if the client resets it.
        """
        memory, contact = self._memory(), _contact(client)
        passage = on_place(memory.rules, contact.server, contact.port, "client_data", up=True)
        if passage.action == "drop" or memory.is_blocked(contact, trio.current_time()):
            await _drain(client)
        else:
            await self._attend(client)


class Relay:
    """Attends the connections to one origin under the rules then in force.

    ``interceptor`` is the forger that an intercepted connection ends at.
    """

    def __init__(self, memory: Callable[[], Memory], origin: Origin, interceptor: Origin) -> None:
        self._memory = memory
        self._origin = origin
        self._interceptor = interceptor

    async def attend(self, client: trio.SocketStream) -> None:
        """Judge one connection and carry it to its end.

        Raises:
            trio.BrokenResourceError: if the client resets it before it is judged.
        """
        memory, contact = self._memory(), _contact(client)

        def judge(seen: Seen) -> Treatment:
            return memory.judge(contact, seen, trio.current_time())

        first_record_only = any(isinstance(rule, FirstRecordOnly) for rule in memory.rules)
        opening = Opening(first_record_only=first_record_only)
        reassembles = not any(isinstance(rule, FirstSegmentOnly) for rule in memory.rules)
        seen = await _read_opening(client, opening, reassembles=reassembles)
        if not opening.data:
            return
        treatment = PASS if seen is None else judge(seen)
        match treatment.action:
            case "reset_both" | "reset_client" | "reset_server":
                reset(client)
            case "drop" | "drop_reply":
                await _drain(client)
            case "page":
                await client.send_all(treatment.page.encode())
                await client.send_eof()
                await _drain(client)
            case "pass":
                origin = self._interceptor if treatment.is_intercepted else self._origin
                async with await connect(origin) as server:
                    path = _Tunnel(client, server, treatment)
                    if seen is None:
                        path.watch(opening, judge)
                    await path.run(bytes(opening.data))


def _contact(client: trio.SocketStream) -> Contact:
    address, port = client.socket.getsockname()[:2]
    try:
        peer = client.socket.getpeername()[0]
    except OSError as error:  # it has been reset while it waited to be accepted
        raise trio.BrokenResourceError("the client has left") from error
    return Contact(packed(peer), packed(address), port)


def _segments(client: trio.SocketStream) -> int:
    """Return in how many segments the client's data came; 1 where the kernel does not say.

    A client says its hello in one write, which on loopback is one segment, and waits; so
    two of them are a hello that was cut, whichever way the kernel handed it over.
    """
    if sys.platform != "linux":
        return 1
    state = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    assert isinstance(state, bytes)
    return int.from_bytes(state[_DATA_SEGS_IN:][:4], sys.byteorder) or 1


async def _read_opening(
    client: trio.SocketStream, opening: Opening, *, reassembles: bool
) -> Seen | None:
    """Read on while only the client can go on; None: not known yet, or never."""
    while chunk := await client.receive_some(_CHUNK_BYTES):
        seen = opening.feed(chunk)
        if not reassembles:
            is_split = seen is not None and seen.protocol == "tls" and _segments(client) > 1
            return OTHER if is_split or seen is None else seen
        if seen is not None or not opening.is_half_said:
            return seen
    return None


async def _drain(client: trio.SocketStream) -> None:
    while await client.receive_some(_CHUNK_BYTES):
        pass


async def tunnel(client: trio.SocketStream, server: trio.SocketStream) -> None:
    """Carry bytes both ways until both sides have ended or one has broken.

    A server's reset becomes a reset of the client; a client's ends the tunnel.
    """
    await _Tunnel(client, server, PASS).run(b"")


class _Tunnel:
    def __init__(
        self, client: trio.SocketStream, server: trio.SocketStream, treatment: Treatment
    ) -> None:
        self._client = client
        self._server = server
        self._treatment = treatment
        self._records: ApplicationDataCounter | None = None
        if treatment.records is not None:
            self._records = ApplicationDataCounter(treatment.records)
        self._watched: tuple[Opening, Judge] | None = None
        self._frozen = trio.Event()
        self._up = trio.CancelScope()
        self._up_ended = trio.Event()

    def watch(self, opening: Opening, judge: Judge) -> None:
        """Go on reading the opening while it is carried; it is neither TLS nor HTTP."""
        self._watched = opening, judge

    async def run(self, opening: bytes) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._upstream, opening, nursery.cancel_scope)
            nursery.start_soon(self._downstream, nursery.cancel_scope)

    async def _upstream(self, opening: bytes, scope: trio.CancelScope) -> None:
        try:
            with self._up:
                await self._server.send_all(self._passing(opening))
                while chunk := await self._client.receive_some(_CHUNK_BYTES):
                    self._look(chunk)
                    if not self._frozen.is_set():
                        await self._server.send_all(self._passing(chunk))
                if self._frozen.is_set():
                    scope.cancel()
                else:
                    await self._server.send_eof()
        except trio.BrokenResourceError:
            scope.cancel()
        self._up_ended.set()

    def _look(self, chunk: bytes) -> None:
        if self._watched is None:
            return
        opening, judge = self._watched
        seen = opening.feed(chunk)
        if seen is not None:
            self._watched = None
            # TLS and HTTP show themselves at once, so only silence can follow.
            if judge(seen).action == "drop":
                self._frozen.set()

    def _passing(self, chunk: bytes) -> bytes:
        """Return what passes of a client's chunk; freeze if that is not all."""
        end = self._records.feed(chunk) if self._records is not None else None
        if end is None:
            return chunk
        self._frozen.set()
        return chunk[:end]

    async def _downstream(self, scope: trio.CancelScope) -> None:
        state = Paced()
        limit = self._treatment.truncate_at
        while True:
            try:
                chunk = await self._server.receive_some(_CHUNK_BYTES)
            except trio.BrokenResourceError:
                if not self._frozen.is_set():
                    reset(self._client)
                    scope.cancel()
                return
            if self._frozen.is_set():
                return
            try:
                if limit is not None:
                    chunk = chunk[: limit - state.passed_bytes]
                if not chunk:
                    await self._client.send_eof()
                    return
                while chunk:
                    release = on_reply(self._treatment, state, len(chunk), trio.current_time())
                    if release is None:
                        self._frozen.set()
                        return
                    await trio.sleep_until(release.at)
                    if self._frozen.is_set():
                        return
                    await self._client.send_all(chunk[: release.n_bytes])
                    chunk, state = chunk[release.n_bytes :], release.state
                if state.passed_bytes == limit:
                    await self._close_both()
                    scope.cancel()
                    return
            except trio.BrokenResourceError:
                scope.cancel()
                return

    async def _close_both(self) -> None:
        """Close in the server's name and reset the server; the client may go on talking."""
        await self._client.send_eof()
        self._up.cancel()
        await self._up_ended.wait()
        reset(self._server)
        await _drain(self._client)
