"""Packets as the bodies of POSTs and of their responses, one after the other.

The connection has to be kept open for a second one, as HTTP/1.1 does (RFC 9112
section 9.3). An error's code is the status; data centres say it in the body too.
"""

from typing import Final

from probe.wire.http1 import HttpError, HttpExchange
from probe.wire.mtproto.carrier import recognize
from probe.wire.mtproto.framing import MAX_FRAME_BYTES
from probe.wire.mtproto.messages import Rejected, TransportError, read_packet

PATH: Final = "/api"
"""Where data centres take POSTs; pages of Telegram's web client use /apiw1."""

_START_BYTES: Final = 16
_OK: Final = 200
_ERRORS: Final = range(400, 600)


class HttpPosts:
    """``host`` is the ``Host`` header, which data centres ignore."""

    def __init__(self, host: str, path: str = "") -> None:
        self._host = host
        self._path = path or PATH
        self._exchange: HttpExchange | None = None
        self._start = b""
        self._is_proven = False

    def send(self, packet: bytes) -> bytes:
        """Return the next POST; the response to the one before has to be complete."""
        self._exchange = HttpExchange(
            self._host,
            self._path,
            max_body_bytes=MAX_FRAME_BYTES,
            method="POST",
            headers=(("Content-Type", "application/octet-stream"),),
            body=packet,
        )
        return self._exchange.request_bytes

    def receive(self, data: bytes) -> bytes | Rejected | None:
        """See `Carrier`."""
        exchange = self._exchange
        assert exchange is not None
        self._start += data[: _START_BYTES - len(self._start)]
        try:
            exchange.receive(data)
        except HttpError:
            protocol = recognize(self._start, is_obfuscated=True)
            return Rejected("not_mtproto", protocol if protocol == "tls" else "no http")
        if not exchange.is_complete:
            return None
        if exchange.is_truncated:
            return Rejected("mtproto_frame_too_long")
        status = exchange.status_code or 0
        if status == _OK:
            self._is_proven = True
            return exchange.body
        # Any web server's page says 404 too: only a body in MTProto's own form shows who
        # refused, or that there is none from what has answered in MTProto before.
        if isinstance(read_packet(exchange.body), TransportError):
            return exchange.body
        if self._is_proven and not exchange.body and status in _ERRORS:
            return (-status).to_bytes(4, "little", signed=True)
        return Rejected("not_mtproto", f"http {status}")

    def due(self) -> bytes:
        """Nothing."""
        return b""
