"""One GET over HTTP/3 (RFC 9114) on a QUIC connection; the framing is aioquic's.

Imports aioquic: import it late, as `quic_client`.
"""

from typing import Final

import pylsqpack
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import HandshakeCompleted, QuicEvent, StreamDataReceived, StreamReset

from probe.model import failure as failures
from probe.steps.quic_client import Connection
from probe.steps.quic_line import QuicError

NO_ERROR: Final = 0x100
"""H3_NO_ERROR (RFC 9114 section 8.1)."""

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of headers as sent, interim responses included; public servers send 0.5 to 4 kB."""

_PIECE_BYTES: Final = 4096
"""Fed at a time, so that a long body behind the headers does not count as headers."""


class _Http3(H3Connection):
    """Without a dynamic table (RFC 9204 section 3.2) and without pushes.

    With them one received byte can stand for 4 kB of headers, or for a page that
    nobody asked for.
    """

    def _init_connection(self) -> None:
        self._max_table_capacity = self._blocked_streams = 0
        self._decoder = pylsqpack.Decoder(0, 0)
        self._max_push_id = None
        super()._init_connection()


class Http3Exchange:
    """GET ``path`` of ``authority`` as soon as the handshake is finished; see `receive`."""

    def __init__(self, quic: Connection, authority: str, path: str, max_body_bytes: int) -> None:
        self._quic = quic
        self._authority = authority
        self._path = path
        self._max_body_bytes = max_body_bytes
        self._http: _Http3 | None = None
        self._stream: int | None = None
        self._head_bytes = 0
        self.status_code: int | None = None
        self.body = b""
        self.is_truncated = False

    def receive(self, event: QuicEvent) -> bool:
        """Take one event of the connection; return whether the response is complete.

        Raises:
            QuicError: what comes is no response.
        """
        if isinstance(event, HandshakeCompleted):
            self._ask()
        if self._http is None:
            return False
        if isinstance(event, StreamReset) and event.stream_id == self._stream:
            raise QuicError(failures.EOF, f"stream_reset {event.error_code:#x}")
        if not isinstance(event, StreamDataReceived):
            self._give(event)
            return False
        for start in range(0, len(event.data) or 1, _PIECE_BYTES):
            piece = event.data[start : start + _PIECE_BYTES]
            is_last = start + _PIECE_BYTES >= len(event.data)
            self._give(
                StreamDataReceived(
                    data=piece,
                    end_stream=event.end_stream and is_last,
                    stream_id=event.stream_id,
                )
            )
            if event.stream_id == self._stream and self._is_over(piece):
                return True
        if event.stream_id != self._stream or not event.end_stream:
            return False
        if self.status_code is None:
            raise QuicError(failures.EOF, "no response")
        return True

    def _ask(self) -> None:
        self._http = _Http3(self._quic)
        self._stream = self._quic.get_next_available_stream_id()
        # As over HTTP/1.1: an unusual User-Agent is itself a mark.
        headers = {
            ":method": "GET",
            ":scheme": "https",
            ":authority": self._authority,
            ":path": self._path,
            "user-agent": "Mozilla/5.0",
            "accept": "*/*",
        }
        self._http.send_headers(
            self._stream,
            [(name.encode(), value.encode()) for name, value in headers.items()],
            end_stream=True,
        )

    def _give(self, event: QuicEvent) -> None:
        assert self._http is not None
        try:
            happened = self._http.handle_event(event)
        except Exception as error:  # noqa: BLE001 - bytes are anybody's, the library is not ours
            raise QuicError(failures.HTTP_REQUEST_FAILED, type(error).__name__) from None
        end = self._quic.end()
        if self._quic.was_ended_here and end is not None:
            raise QuicError(failures.HTTP_REQUEST_FAILED, f"protocol_error {end.error_code:#x}")
        for one in happened:
            self._note(one)

    def _note(self, event: H3Event) -> None:
        if isinstance(event, HeadersReceived) and event.stream_id == self._stream:
            status = dict(event.headers).get(b":status", b"")
            if self.status_code is None and status.isdigit() and 200 <= int(status) <= 999:
                self.status_code = int(status)
        elif isinstance(event, DataReceived) and event.stream_id == self._stream:
            self.body += event.data

    def _is_over(self, piece: bytes) -> bool:
        """Tell whether enough of the body has come; counts the headers."""
        if self.status_code is None:
            self._head_bytes += len(piece)
            if self._head_bytes > MAX_HEAD_BYTES:
                raise QuicError(
                    failures.HTTP_REQUEST_FAILED, f"headers of more than {MAX_HEAD_BYTES} bytes"
                )
        self.is_truncated = len(self.body) > self._max_body_bytes
        self.body = self.body[: self._max_body_bytes]
        return self.is_truncated
