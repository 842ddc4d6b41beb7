"""A WEB proxy's sessions: frames, streams to the MTProxy, and what waits for a client.

By PROTOCOL.md of telegramdesktop/tproxy-server (2026-08); nothing of the prober's is used.
"""

from contextlib import suppress
from typing import Final, Literal, NamedTuple

import trio

from censorlab.relay import Origin, connect

Carrier = Literal["https", "https-lanes", "websocket", "websocket-lanes"]

_OPEN, _DATA, _CLOSE, _WINDOW, _PONG = 1, 2, 3, 4, 6
HELLO: Final = bytes.fromhex("10 000000 00000001 01")
WELCOME: Final = bytes.fromhex("11 000000 00000000")
CHUNK_BYTES: Final = 64 * 1024
LEFT: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Profile(NamedTuple):
    """One secret with its dd, if it has one; how its sessions are carried, and where to."""

    secret: bytes
    carrier: Carrier
    backend: Origin


class ForbiddenError(Exception):
    """The client does what the protocol does not allow."""


class _Frame(NamedTuple):
    kind: int
    stream: int
    payload: bytes = b""

    def encoded(self) -> bytes:
        head = (self.kind << 24 | self.stream).to_bytes(4, "big")
        return head + len(self.payload).to_bytes(4, "big") + self.payload


def _frames(batch: bytes) -> list[_Frame]:
    frames: list[_Frame] = []
    while batch:
        size = int.from_bytes(batch[4:8], "big")
        if len(batch) < 8 + size or size > 1024 * 1024 or len(frames) == 4096:
            raise ForbiddenError
        frames.append(_Frame(batch[0], int.from_bytes(batch[1:4], "big"), batch[8 : 8 + size]))
        batch = batch[8 + size :]
    if not frames:
        raise ForbiddenError
    return frames


class Lane:
    """One order of requests up and down: a session's only one, or one of a stream."""

    def __init__(self) -> None:
        self.polled = trio.Lock()
        self.waiting = b""
        self.up = (0, b"")
        self.cursor = 0
        self.unacknowledged = b""


class Session:
    """A client's streams; each one connection to the MTProxy."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.is_attached: set[int] = set()
        self._streams: dict[int, trio.SocketStream] = {}
        self._ever: set[int] = set()
        self._changed = trio.Event()
        self._lanes: dict[int, Lane] = {}

    def lane(self, number: int) -> Lane:
        """Return a lane, new if need be."""
        return self._lanes.setdefault(number, Lane())

    def is_over(self, number: int) -> bool:
        """Tell whether a stream was, and is no more."""
        return number in self._ever and number not in self._streams

    async def apply(self, batch: bytes, lane: int) -> None:
        """Do what the client's frames say; ``lane`` is a stream's number, or 0 for all.

        Raises:
            ForbiddenError: nothing more is done then.
        """
        for each in _frames(batch):
            if lane and each.stream != lane:
                raise ForbiddenError
            await self._apply(each, self.lane(lane))
        self._changed.set()
        self._changed = trio.Event()

    async def _apply(self, each: _Frame, lane: Lane) -> None:
        match each:
            case _Frame(kind, 0, _):
                if kind != _PONG:
                    raise ForbiddenError
            case _Frame(kind, stream, b"") if kind == _OPEN and stream not in self._ever:
                self._ever.add(stream)
                try:
                    self._streams[stream] = await connect(self.profile.backend)
                except OSError:
                    lane.waiting += _Frame(_CLOSE, stream).encoded()
            case _Frame(kind, stream, payload) if stream in self._ever and kind != _OPEN:
                backend = self._streams.get(stream)
                if (kind, bool(payload)) not in {(_DATA, True), (_WINDOW, True), (_CLOSE, False)}:
                    raise ForbiddenError
                if backend is not None and kind == _DATA:
                    with suppress(*LEFT):
                        await backend.send_all(payload)
                    credit = len(payload).to_bytes(4, "big")
                    lane.waiting += _Frame(_WINDOW, stream, credit).encoded()
                elif backend is not None and kind == _CLOSE:
                    await self._streams.pop(stream).aclose()
            case _:
                raise ForbiddenError

    async def poll(self, number: int) -> bytes:
        """Return frames for the client once there are any, or none if the lane is over."""
        lane = self.lane(number)
        while not lane.waiting and not (number and self.is_over(number)):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wake, nursery.cancel_scope)
                for stream in list(self._streams):
                    if number in {0, stream}:
                        nursery.start_soon(self._fetch, stream, lane, nursery.cancel_scope)
        batch, lane.waiting = lane.waiting, b""
        return batch

    async def _wake(self, scope: trio.CancelScope) -> None:
        await self._changed.wait()
        scope.cancel()

    async def _fetch(self, stream: int, lane: Lane, scope: trio.CancelScope) -> None:
        data = b""
        with suppress(*LEFT):
            data = bytes(await self._streams[stream].receive_some(CHUNK_BYTES))
        if data:
            lane.waiting += _Frame(_DATA, stream, data).encoded()
        elif stream in self._streams:
            await self._streams.pop(stream).aclose()
            lane.waiting += _Frame(_CLOSE, stream).encoded()
        scope.cancel()

    async def close(self) -> None:
        """Cut all streams off."""
        for stream in self._streams.values():
            await trio.aclose_forcefully(stream)
        self._streams.clear()
