"""What WEB proxies' frames travel in: requests over one connection, or a WebSocket's messages.

Sans-IO over h11 (RFC 9112) and wsproto (RFC 6455).
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import h11
import wsproto
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import ProtocolError

from probe.wire.web_proxy import MAX_BODY_BYTES

_USER_AGENT: Final = ("User-Agent", "Mozilla/5.0")
_MAX_HEAD_BYTES: Final = 64 * 1024


class CarrierError(ValueError):
    """The peer's bytes are not the protocol, or more than is read; without any of them."""


class RefusedUpgradeError(Exception):
    """The peer answered a WebSocket's request with ``status_code``, or a wrong subprotocol."""

    def __init__(self, status_code: int) -> None:
        super().__init__(status_code)
        self.status_code = status_code


class Response(NamedTuple):
    """``headers`` by name in small letters; of several, the last."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes


class Requests:
    """Requests over one connection, one after the other."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
        self._response: h11.Response | None = None
        self._body = b""

    @property
    def is_open(self) -> bool:
        """Whether another request can be sent: both sides are done and want to go on."""
        connection = self._connection
        return connection.our_state is h11.IDLE and not connection.trailing_data[0]

    def request(
        self, method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> bytes:
        """Return the next request's bytes."""
        base = [("Host", self._host), _USER_AGENT, ("Accept", "*/*")]
        if method != "GET":
            base.append(("Content-Length", str(len(body))))
        start = h11.Request(method=method, target=target, headers=[*base, *headers])
        events: list[h11.Event] = [start]
        if body:
            events.append(h11.Data(data=body))
        self._response, self._body = None, b""
        sent = (self._connection.send(event) or b"" for event in [*events, h11.EndOfMessage()])
        return b"".join(sent)

    def receive(self, data: bytes) -> Response | None:
        """Return the response once it is complete; ``b""`` is the peer's end.

        Raises:
            EOFError: the peer closed before that.
            CarrierError: the bytes are not HTTP/1.1, or the body is too long.
        """
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if event is h11.NEED_DATA or event is h11.PAUSED:
                    return None
                match event:
                    case h11.ConnectionClosed():
                        raise EOFError
                    case h11.Response():
                        self._response = event
                    case h11.Data(data=piece):
                        self._body += bytes(piece)
                        if len(self._body) > MAX_BODY_BYTES:
                            raise CarrierError("too long")
                    case h11.EndOfMessage():
                        return self._complete()
        except h11.RemoteProtocolError:
            # The end of the stream is no bytes: only its place can be wrong.
            raise (CarrierError("not HTTP") if data else EOFError) from None

    def _complete(self) -> Response:
        assert self._response is not None
        headers = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in self._response.headers
        }
        if self._connection.our_state is h11.DONE and self._connection.their_state is h11.DONE:
            self._connection.start_next_cycle()
        return Response(self._response.status_code, headers, self._body)


class WebSocket:
    """A client's WebSocket of binary messages."""

    def __init__(self, host: str, target: str, subprotocol: str) -> None:
        self._connection = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
        self._subprotocol = subprotocol
        self._message = b""
        self.is_accepted = False
        self.is_closed = False
        headers = [(b"Origin", f"https://{host}".encode("ascii")), (b"User-Agent", b"Mozilla/5.0")]
        self.request_bytes = self._connection.send(
            Request(host=host, target=target, subprotocols=[subprotocol], extra_headers=headers)
        )

    def message(self, data: bytes) -> bytes:
        """Return the bytes that carry a message."""
        return self._connection.send(BytesMessage(data=data))

    def closing(self) -> bytes:
        """Return the bytes that say good-bye."""
        self.is_closed = True
        return self._connection.send(CloseConnection(code=1000))

    def receive(self, data: bytes) -> tuple[list[bytes], bytes]:
        """Return whole messages, and what has to be sent at once; ``b""`` is the peer's end.

        Raises:
            EOFError: the peer closed before it accepted.
            RefusedUpgradeError: it did not accept.
            CarrierError: the bytes are no WebSocket, of text, or a message is too long.
        """
        try:
            self._connection.receive_data(data or None)
            return self._messages(ended=not data)
        except ProtocolError:
            if not data and not self.is_accepted:
                raise EOFError from None
            raise CarrierError("not a WebSocket") from None
        except UnicodeDecodeError:
            # wsproto 1.3 does not expect it of a subprotocol's name.
            raise CarrierError("not a WebSocket") from None

    def _messages(self, *, ended: bool) -> tuple[list[bytes], bytes]:
        whole: list[bytes] = []
        replies = b""
        for event in self._connection.events():
            match event:
                case AcceptConnection(subprotocol=chosen):
                    if chosen != self._subprotocol:
                        raise RefusedUpgradeError(101)
                    self.is_accepted = True
                case RejectConnection(status_code=status):
                    raise RefusedUpgradeError(status)
                case Ping():
                    replies += self._connection.send(event.response())
                case CloseConnection():
                    self.is_closed = True
                case TextMessage():
                    raise CarrierError("text")
                case BytesMessage(data=piece, message_finished=is_whole):
                    self._message += bytes(piece)
                    if len(self._message) > MAX_BODY_BYTES:
                        raise CarrierError("too long")
                    if is_whole:
                        whole.append(self._message)
                        self._message = b""
        if ended and not self.is_accepted:
            raise EOFError
        self.is_closed |= ended
        return whole, replies
