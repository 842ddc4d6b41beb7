"""MTProto over HTTP: one packet to a POST (h11), or a stream in a WebSocket (wsproto).

A data centre takes any ``Host``. A transport error is the response's status, and its body
as well: some clients look there.
"""

from typing import Final, Literal

import h11
import wsproto
from mtproto.transport.packets.base_packet import BasePacket
from mtproto.transport.packets.error_packet import ErrorPacket
from mtproto.transport.packets.message_packet import MessagePacket
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from censorlab.servers.data_centre_answers import NOT_FOUND, Centre
from censorlab.servers.data_centre_framing import Framed, RefusedError

METHODS: Final = frozenset((b"POST", b"GET ", b"HEAD", b"OPTI"))
"""First bytes by which HTTP is known; no other transport may begin so."""

_POST_PATHS: Final = frozenset((b"/api", b"/api_test"))
_BROWSER_PATHS: Final = frozenset((b"/apiw", b"/apiw1", b"/apiw_test", b"/apiw1_test"))
"""With permission for scripts of other sites."""
_SOCKET_PATHS: Final = frozenset(("/apiws", "/apiws_test", "/apiws_premium"))
_PERMISSION: Final = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Methods", "POST, OPTIONS"),
    ("Access-Control-Allow-Headers", "origin, content-type"),
    ("Access-Control-Max-Age", "1728000"),
)
_SUBPROTOCOL: Final = "binary"
_MAX_BODY_BYTES: Final = 1 << 20
_TEXT_REFUSED: Final = 1003
"""A WebSocket's close code for a kind of data (RFC 6455 section 7.4.1)."""


class Posts:
    """A connection of HTTP/1.1, kept alive; bytes in, bytes out."""

    def __init__(self, centre: Centre) -> None:
        self.is_over = False
        self._centre = centre
        self._http = h11.Connection(h11.SERVER)
        self._request: h11.Request | None = None
        self._body = b""

    def receive(self, data: bytes, now: float, server_nonce: bytes) -> bytes:
        """Return the responses to what these bytes complete; ``now`` is Unix time.

        Raises:
            RefusedError: if they are no HTTP, or too many.
        """
        sent = b""
        try:
            self._http.receive_data(data)
            while not isinstance(event := self._http.next_event(), type):
                match event:
                    case h11.Request():
                        self._request, self._body = event, b""
                    case h11.Data():
                        self._body += event.data
                    case h11.EndOfMessage():
                        sent += self._respond(now, server_nonce)
                if len(self._body) > _MAX_BODY_BYTES:
                    raise RefusedError
        except h11.ProtocolError as error:
            raise RefusedError from error
        return sent

    def _respond(self, now: float, server_nonce: bytes) -> bytes:
        assert self._request is not None
        path = self._request.target.partition(b"?")[0]
        method = self._request.method
        permission = _PERMISSION if path in _BROWSER_PATHS else ()
        if method == b"OPTIONS" and permission:
            return self._response(200, b"", permission)
        if method != b"POST" or path not in _POST_PATHS | _BROWSER_PATHS:
            return self._response(404, b"", ())
        answer = self._answer(now, server_nonce)
        status = answer.error_code if isinstance(answer, ErrorPacket) else 200
        return self._response(status, answer.write(), permission)

    def _answer(self, now: float, server_nonce: bytes) -> BasePacket:
        try:
            packet = MessagePacket.parse(self._body)
        except Exception:  # noqa: BLE001  the library raises many kinds on bytes it cannot parse
            return ErrorPacket(NOT_FOUND)
        return self._centre.answer(packet, now, server_nonce)

    def _response(self, status: int, body: bytes, more: tuple[tuple[str, str], ...]) -> bytes:
        assert self._request is not None
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *more,
        ]
        sent = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        if self._request.method != b"HEAD":
            sent += self._http.send(h11.Data(data=body)) or b""
        sent += self._http.send(h11.EndOfMessage()) or b""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        else:
            self.is_over = True
        return sent


class WebSocket:
    """A WebSocket (RFC 6455) with a stream of MTProto in it; bytes in, bytes out."""

    def __init__(self, centre: Centre, number: int | None) -> None:
        self.is_over = False
        self._inner = Framed(centre, number, only_obfuscated=True)
        self._socket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)

    def receive(self, data: bytes, now: float, server_nonce: bytes) -> bytes:
        """Return what answers these bytes; ``now`` is Unix time.

        Raises:
            RefusedError: if they cannot be understood.
        """
        try:
            self._socket.receive_data(data)
            return b"".join(
                [self._turn(event, now, server_nonce) for event in self._socket.events()]
            )
        except RemoteProtocolError as error:
            if self._socket.state is not ConnectionState.CONNECTING:
                raise RefusedError from error
            # A page, asked for as browsers do.
            self.is_over = True
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        except LocalProtocolError as error:
            raise RefusedError from error

    def _turn(self, event: wsproto.events.Event, now: float, server_nonce: bytes) -> bytes:
        match event:
            case Request():
                return self._open(event)
            case BytesMessage():
                answer = self._inner.receive(bytes(event.data), now, server_nonce)
                return self._socket.send(BytesMessage(data=answer)) if answer else b""
            case Ping():
                return self._socket.send(event.response())
            case TextMessage():
                self.is_over = True
                return self._socket.send(CloseConnection(code=_TEXT_REFUSED))
            case CloseConnection():
                self.is_over = True
                return self._socket.send(event.response())
        return b""

    def _open(self, request: Request) -> bytes:
        status: Literal[400, 404] | None = None
        if request.target.partition("?")[0] not in _SOCKET_PATHS:
            status = 404
        elif _SUBPROTOCOL not in request.subprotocols:
            status = 400
        if status is None:
            return self._socket.send(AcceptConnection(subprotocol=_SUBPROTOCOL))
        self.is_over = True
        return self._socket.send(RejectConnection(status_code=status))
