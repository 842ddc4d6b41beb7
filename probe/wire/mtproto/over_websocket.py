"""An obfuscated stream in the binary messages of a WebSocket (RFC 6455), sans-IO.

Messages are pieces of the stream, cut anywhere. A packet waits until the server has
opened the WebSocket with the subprotocol that data centres insist on.
"""

from typing import Final

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    RejectConnection,
    Request,
)
from wsproto.utilities import ProtocolError

from probe.wire.mtproto.carrier import Stream, obfuscated, recognize
from probe.wire.mtproto.framing import Random
from probe.wire.mtproto.messages import Rejected

PATH: Final = "/apiws"
SUBPROTOCOL: Final = "binary"

MAX_IDLE_FRAMES: Final = 64
"""Frames without a byte for us, such as pings: a server that sends more is at something
else than answering."""

_START_BYTES: Final = 16


class WebSocket:
    """``host`` is the ``Host`` header. No extension is offered, so none is taken."""

    def __init__(self, host: str, path: str = "", *, dc_id: int, random: Random) -> None:
        self._stream: Stream = obfuscated("padded", dc_id=dc_id, random=random)
        self._connection = WSConnection(ConnectionType.CLIENT)
        # A plain, common request: without a User-Agent it would be marked.
        self._opening = self._connection.send(
            Request(
                host=host,
                target=path or PATH,
                subprotocols=[SUBPROTOCOL],
                extra_headers=[(b"User-Agent", b"Mozilla/5.0")],
            )
        )
        self._start = b""
        self._is_open = False
        self._unsent = b""
        self._pong = b""
        self._idle_frames = 0
        self._ended: Rejected | None = None

    def send(self, packet: bytes) -> bytes:
        """Return the request for a WebSocket, later the packet itself."""
        self._unsent += self._stream.send(packet)
        opening, self._opening = self._opening, b""
        return opening + self.due()

    def due(self) -> bytes:
        """Return what waited for the WebSocket, and the answer to a ping."""
        sent, self._pong = self._pong, b""
        if self._is_open and self._unsent and self._ended is None:
            sent += self._connection.send(BytesMessage(data=self._unsent))
            self._unsent = b""
        return sent

    def receive(self, data: bytes) -> bytes | Rejected | None:
        """See `Carrier`."""
        if self._ended is not None:
            return self._ended
        if not data:
            raise EOFError
        self._start += data[: _START_BYTES - len(self._start)]
        pieces = bytearray()
        self._ended = self._take_all(data, pieces)
        # What came before the end counts first.
        found = self._stream.receive(bytes(pieces)) if pieces else None
        return self._ended if found is None else found

    def _take_all(self, data: bytes, pieces: bytearray) -> Rejected | None:
        """Add the stream's bytes to ``pieces``; return why no more can follow, if so."""
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                if ended := self._take(event, pieces):
                    return ended
        except (ProtocolError, UnicodeError) as error:
            return self._broken(error)
        return None

    def _take(self, event: Event, pieces: bytearray) -> Rejected | None:
        match event:
            case AcceptConnection(subprotocol=subprotocol):
                if subprotocol != SUBPROTOCOL:
                    return Rejected("mtproto_websocket_wrong_subprotocol", "none")
                self._is_open = True
            case RejectConnection(status_code=status):
                return Rejected("mtproto_websocket_refused", f"http {status}")
            case CloseConnection(code=code):
                # For a frame that breaks the rules the library makes this event up.
                if self._connection.state is ConnectionState.OPEN:
                    return Rejected("mtproto_websocket_broken", "frame")
                return Rejected("mtproto_websocket_closed", f"close {int(code)}")
            case BytesMessage(data=piece) if piece:
                self._idle_frames = 0
                pieces += piece
            case BytesMessage() | Ping() | Pong():
                self._idle_frames += 1
                if self._idle_frames > MAX_IDLE_FRAMES:
                    return Rejected("mtproto_websocket_broken", "idle")
                # Only the last ping has to be answered (RFC 6455 section 5.5.3).
                if isinstance(event, Ping):
                    self._pong = self._connection.send(event.response())
            case _:
                return Rejected("mtproto_websocket_broken", "text")
        return None

    def _broken(self, error: Exception) -> Rejected:
        if self._is_open:
            return Rejected("mtproto_websocket_broken", "frame")
        protocol = recognize(self._start, is_obfuscated=True)
        if protocol != "http":
            return Rejected("not_mtproto", protocol or "no http")
        if "subprotocol" in str(error):
            return Rejected("mtproto_websocket_wrong_subprotocol", "another")
        return Rejected("mtproto_websocket_broken", "opening")
