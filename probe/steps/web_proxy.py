"""Through a WEB proxy: page, session and one stream, over as few connections as it takes.

The wire's facts are in `probe.wire.web_proxy`. Applications run the page's script in a
browser; this does what the script of tproxy-server does, and nothing of what a page says
besides.
"""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Literal

import trio

from probe.model import failure as failures
from probe.net.api import ByteStream
from probe.net.tls import CertificateError, HandshakeError, TlsStream
from probe.wire.proxy_links import ProxyLink
from probe.wire.web_proxy import (
    HELLO,
    STREAM,
    Carrier,
    FrameError,
    FrameType,
    base_of,
    bootstrap_token,
    capability,
    carrier_of,
    frame,
    has_marks,
    is_token,
    is_welcome,
    subprotocol,
    take,
)
from probe.wire.web_proxy_http import (
    CarrierError,
    RefusedUpgradeError,
    Requests,
    Response,
    WebSocket,
)

UNKNOWN: Final = failures.UNKNOWN_PREFIX
NO_BRIDGE: Final = f"{UNKNOWN}web_no_bridge"
"""The site shows its public face to our capability."""
UNKNOWN_BRIDGE: Final = f"{UNKNOWN}web_unknown_bridge"
"""A proxy's page, whose token is not where this looks, or whose script does other things."""
REFUSED: Final = f"{UNKNOWN}web_refused"
"""The proxy's page came, and what follows on it is refused; the detail has the status."""
WRONG_FRAMES: Final = f"{UNKNOWN}web_wrong_frames"

Dial = Callable[[], Awaitable[ByteStream]]
"""Connect to the site and shake hands; raises `WebProxyError` and OSError."""

_RETRIES: Final = 2
"""Of a request that the proxy asks to send again soon (503), before it counts as refused."""
_RETRY_S: Final = 1.0
"""What proxies say in Retry-After, if not that it may be at once."""
_LEAVE_S: Final = 1.0
_SERVER_ERRORS: Final = 500
_OCTETS: Final = ("Content-Type", "application/octet-stream")


class WebProxyError(Exception):
    """The site did not do what a WEB proxy does; nothing here names it."""

    def __init__(
        self, phase: Literal["tls", "web", "secret"], failure: str, detail: str | None = None
    ) -> None:
        super().__init__(failure)
        self.phase: Literal["tls", "web", "secret"] = phase
        self.failure = failure
        self.detail = detail


async def shake_hands(stream: TlsStream) -> None:
    """Shake hands with the site.

    Raises:
        WebProxyError: its certificate is not good for the name, or it speaks no TLS.
    """
    try:
        await stream.handshake()
    except CertificateError as error:
        # OpenSSL's words for it may hold the host's name.
        detail = f"verify_code_{error.code}"
        raise WebProxyError("tls", failures.from_verify_code(error.code), detail) from None
    except HandshakeError as error:
        raise WebProxyError("tls", failures.SSL_FAILED_HANDSHAKE, error.reason[:60]) from None
    except EOFError:
        raise WebProxyError("tls", failures.EOF) from None


class WebProxy:
    """One stream to the MTProxy behind a site, once it is open; a `ByteStream`.

    Requests go over one connection as long as the site keeps it, one after the other: who
    asks and waits for the answer has no use for the two that browsers hold.

    Everything raises WebProxyError, and OSError.
    """

    def __init__(self, link: ProxyLink, stream: ByteStream, dial: Dial) -> None:
        """``stream`` is the first connection to the site, ``dial`` makes the others."""
        self._link = link
        self._base = base_of(link.path)
        self._dial = dial
        self._stream: ByteStream = stream
        self._requests: Requests | None = Requests(link.host)
        self._socket: WebSocket | None = None
        self._token = ""
        self._carrier: Carrier = "https"
        self._cursor = "0"
        self._sequences: Counter[int] = Counter()
        self._is_opened = False
        self._is_closed = False
        self._waiting = b""

    async def open(self) -> None:
        """Get the page and a session, and the WebSocket if the proxy wants one."""
        bootstrap = await self._bootstrap()
        headers = [("Authorization", f"Bearer {bootstrap}"), _OCTETS]
        response = await self._patiently("POST", "api/v1/session", headers, HELLO)
        self._token = response.headers.get("x-session-token", "")
        carrier = carrier_of(response.headers.get("x-carrier-mode", ""))
        if response.status_code != 200:
            raise WebProxyError("web", REFUSED, f"status_{response.status_code}")
        if not is_token(self._token) or carrier is None or not is_welcome(response.body):
            raise WebProxyError("web", UNKNOWN_BRIDGE, "session")
        self._carrier = carrier
        self._cursor = _cursor(response)
        if carrier in {"websocket", "websocket-lanes"}:
            await self._upgrade()

    async def send_all(self, data: bytes) -> None:
        """Send bytes to the MTProxy."""
        batch = frame(FrameType.DATA, STREAM, data)
        if not self._is_opened:
            batch = frame(FrameType.OPEN, STREAM) + batch
            self._is_opened = True
        await self._send_frames(batch, STREAM)

    async def receive_some(self) -> bytes:
        """Receive bytes from the MTProxy, ``b""`` when it or the proxy ends the stream."""
        while not self._waiting and not self._is_closed:
            for batch in await self._receive_batches():
                try:
                    taken = take(batch)
                except FrameError:
                    raise WebProxyError("web", WRONG_FRAMES) from None
                self._waiting += taken.data
                self._is_closed |= taken.is_closed
                if taken.replies:
                    await self._send_frames(taken.replies, 0)
        data, self._waiting = self._waiting, b""
        return data

    async def leave(self) -> None:
        """End the session, so that the proxy need not keep it for minutes; never raises."""
        if not self._token:
            return
        with suppress(WebProxyError, OSError), trio.move_on_after(_LEAVE_S):
            if self._socket is not None:
                if not self._socket.is_closed:
                    await self._stream.send_all(self._socket.closing())
                if self._carrier == "websocket":
                    return
            await self._request("DELETE", "api/v1/session", self._bearer())

    async def _bootstrap(self) -> str:
        word = capability(self._link.host, self._link.path, self._link.secret)
        page = await self._request("GET", f"?bridge={word}", ())
        status = f"status_{page.status_code}"
        if page.status_code >= _SERVER_ERRORS:
            raise WebProxyError("web", REFUSED, status)
        token = bootstrap_token(page.body, word) if page.status_code == 200 else None
        if token is None:
            if has_marks(page.body):
                raise WebProxyError("web", UNKNOWN_BRIDGE, "page")
            raise WebProxyError("secret", NO_BRIDGE, status)
        return token

    async def _upgrade(self) -> None:
        if self._requests is None or not self._requests.is_open:
            self._stream = await self._dial()
        self._requests = None
        target = f"{self._base}api/v1/ws"
        protocol = subprotocol(self._carrier, self._token)
        self._socket = WebSocket(self._link.host, target, protocol)
        await self._stream.send_all(self._socket.request_bytes)
        while not self._socket.is_accepted:
            # Nothing is meant for a stream that is not open yet.
            await self._receive_messages(self._socket)

    async def _send_frames(self, batch: bytes, lane: int) -> None:
        if self._socket is not None:
            await self._stream.send_all(self._socket.message(batch))
            return
        self._sequences[self._lane(lane)] += 1
        number = str(self._sequences[self._lane(lane)])
        headers = [*self._bearer(lane), _OCTETS, ("X-Up-Seq", number)]
        response = await self._patiently("POST", "api/v1/up", headers, batch)
        if response.status_code != 204 or response.headers.get("x-up-ack") != number:
            raise WebProxyError("web", REFUSED, f"status_{response.status_code}")

    async def _receive_batches(self) -> list[bytes]:
        if self._socket is not None:
            messages = await self._receive_messages(self._socket)
            self._is_closed |= self._socket.is_closed
            return messages
        headers = [*self._bearer(STREAM), ("X-Down-Cursor", self._cursor)]
        response = await self._patiently("POST", "api/v1/down", headers)
        self._is_closed |= response.headers.get("x-lane-closed") == "1"
        if response.status_code == 204:
            return []
        if response.status_code != 200:
            raise WebProxyError("web", REFUSED, f"status_{response.status_code}")
        self._cursor = _cursor(response)
        return [response.body]

    async def _receive_messages(self, socket: WebSocket) -> list[bytes]:
        try:
            messages, replies = socket.receive(await self._receive())
        except RefusedUpgradeError as error:
            raise WebProxyError("web", REFUSED, f"status_{error.status_code}") from None
        except CarrierError:
            raise WebProxyError("web", failures.HTTP_REQUEST_FAILED) from None
        except EOFError:
            raise WebProxyError("web", failures.EOF) from None
        if replies:
            await self._stream.send_all(replies)
        return messages

    def _bearer(self, lane: int | None = None) -> list[tuple[str, str]]:
        headers = [("Authorization", f"Bearer {self._token}")]
        if lane is not None and self._carrier == "https-lanes":
            headers.append(("X-Lane-ID", str(lane)))
        return headers

    def _lane(self, lane: int) -> int:
        return lane if self._carrier == "https-lanes" else 0

    async def _patiently(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> Response:
        """Send a request, and the same again where the proxy asks for that."""
        for _ in range(_RETRIES):
            response = await self._request(method, target, headers, body)
            if response.status_code != 503:
                return response
            said = response.headers.get("retry-after", "")
            await trio.sleep(0 if said == "0" else _RETRY_S)
        return await self._request(method, target, headers, body)

    async def _request(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]] | tuple[()],
        body: bytes = b"",
    ) -> Response:
        if self._requests is None or not self._requests.is_open:
            self._stream = await self._dial()
            self._requests = Requests(self._link.host)
        # Asked for by the protocol of everything but the page.
        origin = [] if method == "GET" else [("Origin", f"https://{self._link.host}")]
        sent = self._requests.request(method, self._base + target, [*origin, *headers], body)
        await self._stream.send_all(sent)
        try:
            while (response := self._requests.receive(await self._receive())) is None:
                pass
        except CarrierError:
            raise WebProxyError("web", failures.HTTP_REQUEST_FAILED) from None
        except EOFError:
            raise WebProxyError("web", failures.EOF) from None
        return response

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive_some()
        except HandshakeError as error:
            # An alert, or a record that somebody changed on the way.
            detail = error.reason[:60]
            raise WebProxyError("web", failures.HTTP_REQUEST_FAILED, detail) from None


def _cursor(response: Response) -> str:
    """Return where the next poll goes on: a number of at most 64 bits, sent back as it came."""
    cursor = response.headers.get("x-down-cursor", "")
    if not re.fullmatch("[0-9]{1,20}", cursor):
        raise WebProxyError("web", UNKNOWN_BRIDGE, "cursor")
    return cursor
