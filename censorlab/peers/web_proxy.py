"""A WEB proxy: a website that carries MTProxies' streams for who knows a hidden address of it.

By PROTOCOL.md and BASE_PATH.md of telegramdesktop/tproxy-server (2026-08), as strict as that
server. Nothing of the prober's is used, so that both cannot be wrong alike. Run as a program
it serves one port for others' clients to be checked against; in a test `WebProxy.attend`
does. Behind it stands an MTProxy: what the streams hold is not looked at.

Simpler than the original in what a handshake does not reach: no limits, no expiry, no credit
counted for what goes to the client, and a poll does not take over from an older one.
"""

import base64
import hashlib
import hmac
import json
import os
import re
import ssl
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import h11
import trio
import wsproto
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request

from censorlab.peers.web_proxy_session import (
    CHUNK_BYTES,
    HELLO,
    LEFT,
    WELCOME,
    Carrier,
    ForbiddenError,
    Profile,
    Session,
)
from censorlab.relay import Origin

Client = trio.SSLStream[trio.SocketStream]

CARRIERS: Final[tuple[Carrier, ...]] = ("https", "https-lanes", "websocket", "websocket-lanes")
_LONG_POLL_S: Final = 25.0
_MAX_BODY_BYTES: Final = 2 * 1024 * 1024
_SITE: Final = b"<!doctype html><title>A garden diary</title><p>The beans are up.</p>"
_MISSING: Final = b"<!doctype html><title>Not found</title>"


class _Asked(NamedTuple):
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    def number(self, name: str) -> int:
        text = self.headers.get(name, "")
        if not re.fullmatch("0|[1-9][0-9]{0,18}", text):
            raise ForbiddenError
        return int(text)


class _Said(NamedTuple):
    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class WebProxy:
    """A site of the name ``host``, and below ``path`` of it the proxies of its profiles.

    Whoever does not know what to say gets the site, or its page for what is missing. Not
    ``lasting``, its connections end after one response each. The next ``busy`` requests for
    a session or up are put off (503).
    """

    def __init__(
        self, host: str, profiles: Sequence[Profile], path: str = "", *, lasting: bool = True
    ) -> None:
        self._host = host
        self._lasting = lasting
        self.busy = 0
        self._base = f"/{path}/" if path else "/"
        context = f"tdesktop-web-proxy-bridge-v1\n{host}"
        if path:
            context = f"tdesktop-web-proxy-bridge-v2\n{host}\n{path}"
        self._profiles = {
            _text(hmac.new(each.secret, context.encode(), hashlib.sha256).digest()): each
            for each in profiles
        }
        self._bootstraps: dict[str, Profile] = {}
        self._sessions: dict[str, Session] = {}
        self.sessions_total = 0

    @property
    def sessions_left(self) -> int:
        """How many sessions nobody has ended."""
        return len(self._sessions)

    async def aclose(self) -> None:
        """Cut off what nobody has ended."""
        for session in self._sessions.values():
            await session.close()

    async def attend(self, client: Client) -> None:
        """Serve one client until either side leaves."""
        connection = h11.Connection(h11.SERVER)
        with suppress(h11.RemoteProtocolError, wsproto.utilities.ProtocolError, *LEFT):
            while asked := await _receive(client, connection):
                session = self._of_socket(asked)
                if session is not None:
                    await self._carry(client, session, asked, connection.trailing_data[0])
                    return
                said = await self._answer(asked)
                headers = [*said.headers, ("Content-Length", str(len(said.body)))]
                if said.status == 204:
                    headers = list(said.headers)
                if not self._lasting:
                    headers.append(("Connection", "close"))
                events = (
                    h11.Response(status_code=said.status, headers=headers),
                    h11.Data(data=said.body),
                    h11.EndOfMessage(),
                )
                await client.send_all(b"".join(connection.send(each) or b"" for each in events))
                if connection.our_state is not h11.DONE:
                    return
                connection.start_next_cycle()

    async def _answer(self, asked: _Asked) -> _Said:
        if asked.method == "GET":
            return self._page(asked)
        try:
            return await self._serve(asked)
        except ForbiddenError:
            return _Said(404, _MISSING)

    def _page(self, asked: _Asked) -> _Said:
        path, _, query = asked.target.partition("?")
        profile = self._profiles.get(query.removeprefix("bridge="))
        if path == self._base and profile and asked.headers["host"] == self._host:
            token = _text(os.urandom(32))
            self._bootstraps[token] = profile
            start = {
                "relayBase": f"https://{self._host}{self._base}",
                "bootstrap": token,
                "carrierMode": profile.carrier,
            }
            page = f'<script nonce="{_text(os.urandom(18))}">run({json.dumps(start)})</script>'
            return _Said(200, page.encode(), (("Cache-Control", "no-store"),))
        return _Said(200, _SITE) if path == "/" else _Said(404, _MISSING)

    async def _serve(self, asked: _Asked) -> _Said:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        ours = f"https://{self._host}"
        # Browsers always say which page asks; telethon-webproxy 0.1.6 does not, and the
        # original stopped insisting.
        is_ours = asked.headers.get("origin", ours) == ours
        if not is_ours or asked.headers["host"] != self._host or "cookie" in asked.headers:
            raise ForbiddenError
        kind = asked.headers.get("content-type") or None
        if kind != ("application/octet-stream" if asked.body else None):
            raise ForbiddenError
        name = asked.target.removeprefix(self._base)
        if self.busy and name in {"api/v1/session", "api/v1/up"}:
            self.busy -= 1
            return _Said(503, headers=(("Retry-After", "0"),))
        if (asked.method, name) == ("POST", "api/v1/session") and token in self._bootstraps:
            if asked.body != HELLO:
                raise ForbiddenError
            return self._welcome(self._bootstraps.pop(token))
        session = self._sessions.get(token)
        if session is None or not session.profile.carrier.startswith("https"):
            if session is not None and (asked.method, name) == ("DELETE", "api/v1/session"):
                return await self._end(token)
            raise ForbiddenError
        match asked.method, name:
            case "DELETE", "api/v1/session":
                return await self._end(token)
            case "POST", "api/v1/up":
                try:
                    return await _up(session, asked)
                except ForbiddenError:
                    await self._end(token)
                    raise
            case "POST", "api/v1/down":
                return await _down(session, asked)
        raise ForbiddenError

    def _welcome(self, profile: Profile) -> _Said:
        token = _text(os.urandom(32))
        self._sessions[token] = Session(profile)
        self.sessions_total += 1
        headers = {
            "X-Session-Token": token,
            "X-Down-Cursor": "0",
            "X-Carrier-Mode": profile.carrier,
            "Content-Type": "application/octet-stream",
        }
        return _Said(200, WELCOME, tuple(headers.items()))

    async def _end(self, token: str) -> _Said:
        await self._sessions.pop(token).close()
        return _Said(204)

    def _of_socket(self, asked: _Asked) -> Session | None:
        """Return the session for which a WebSocket is asked."""
        found = _SOCKET.fullmatch(asked.headers.get("sec-websocket-protocol", ""))
        if not found or asked.target != f"{self._base}api/v1/ws":
            return None
        session = self._sessions.get(found["token"])
        lane = int(found["lane"] or 0)
        wanted = "websocket-lanes" if lane else "websocket"
        if session is None or session.profile.carrier != wanted or lane in session.is_attached:
            return None
        session.is_attached.add(lane)
        return session

    async def _carry(self, client: Client, session: Session, asked: _Asked, rest: bytes) -> None:
        """Carry frames in a WebSocket's messages until it or its lane is over."""
        protocol = asked.headers["sec-websocket-protocol"]
        found = _SOCKET.fullmatch(protocol)
        assert found
        lane = int(found["lane"] or 0)
        socket = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
        headers = [(name.encode(), value.encode()) for name, value in asked.headers.items()]
        socket.initiate_upgrade_connection(headers, asked.target)
        socket.receive_data(rest)
        assert any(isinstance(event, Request) for event in socket.events())
        await client.send_all(socket.send(AcceptConnection(subprotocol=protocol)))
        writing = trio.Lock()

        async def send(event: wsproto.events.Event) -> None:
            async with writing:
                await client.send_all(socket.send(event))

        async def downwards(scope: trio.CancelScope) -> None:
            with suppress(*LEFT):
                while batch := await session.poll(lane):
                    await send(BytesMessage(data=batch))
                await send(CloseConnection(code=1000))
            scope.cancel()

        async def upwards(scope: trio.CancelScope) -> None:
            with suppress(ForbiddenError, wsproto.utilities.ProtocolError, *LEFT):
                message = b""
                while data := bytes(await client.receive_some(CHUNK_BYTES)):
                    socket.receive_data(data)
                    for event in socket.events():
                        if isinstance(event, Ping):
                            await send(event.response())
                            continue
                        if not isinstance(event, BytesMessage):
                            raise ForbiddenError
                        message += bytes(event.data)
                        if event.message_finished:
                            await session.apply(message, lane)
                            message = b""
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(downwards, nursery.cancel_scope)
            nursery.start_soon(upwards, nursery.cancel_scope)
        if not lane:
            self._sessions = {key: each for key, each in self._sessions.items() if each != session}
            await session.close()


_SOCKET: Final = re.compile(
    r"tproxy-(?:v1\.(?=[^.]*\Z)|lane-v1\.)(?P<token>[\w-]{43})(?:\.(?P<lane>[1-9][0-9]{0,7}))?"
)


async def _up(session: Session, asked: _Asked) -> _Said:
    number, sequence = _lane_of(session, asked), asked.number("x-up-seq")
    lane = session.lane(number)
    if (sequence, asked.body) != lane.up:
        if sequence != lane.up[0] + 1:
            raise ForbiddenError
        await session.apply(asked.body, number)
        lane.up = (sequence, asked.body)
    return _Said(204, headers=(("X-Up-Ack", str(sequence)),))


async def _down(session: Session, asked: _Asked) -> _Said:
    number, cursor = _lane_of(session, asked), asked.number("x-down-cursor")
    lane = session.lane(number)
    async with lane.polled:
        if not (lane.unacknowledged and cursor == lane.cursor - 1):
            if cursor != lane.cursor:
                raise ForbiddenError
            lane.unacknowledged = b""
            with trio.move_on_after(_LONG_POLL_S):
                lane.unacknowledged = await session.poll(number)
            lane.cursor += bool(lane.unacknowledged)
        headers = [("X-Down-Cursor", str(lane.cursor))]
        if lane.unacknowledged:
            return _Said(200, lane.unacknowledged, tuple(headers))
        if number and session.is_over(number):
            headers.append(("X-Lane-Closed", "1"))
        return _Said(204, headers=tuple(headers))


def _lane_of(session: Session, asked: _Asked) -> int:
    if session.profile.carrier == "https-lanes":
        return asked.number("x-lane-id")
    if "x-lane-id" in asked.headers:
        raise ForbiddenError
    return 0


async def _receive(client: Client, connection: h11.Connection) -> _Asked | None:
    """Return the next request, None if the client leaves."""
    request: h11.Request | None = None
    body = b""
    while True:
        event = connection.next_event()
        match event:
            case h11.Request():
                request = event
            case h11.Data(data=piece):
                body += bytes(piece)
                if len(body) > _MAX_BODY_BYTES:
                    return None
            case h11.EndOfMessage():
                assert request
                headers = {
                    name.decode(): value.decode("latin-1") for name, value in request.headers
                }
                return _Asked(request.method.decode(), request.target.decode(), headers, body)
            case h11.ConnectionClosed():
                return None
            case _:
                connection.receive_data(bytes(await client.receive_some(CHUNK_BYTES)))


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


async def _main(*words: str) -> None:
    """Serve an address, port, host, path and certificate's file (PEM, with its key).

    Then profiles, as ``carrier,secret in hexadecimal,backend's address,its port``.
    """
    address, port, host, path, certificate, *profiles = words
    chosen = []
    for text in profiles:
        carrier, secret, backend, backend_port = text.split(",")
        known = next(each for each in CARRIERS if each == carrier)
        chosen.append(Profile(bytes.fromhex(secret), known, Origin(backend, int(backend_port))))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    proxy = WebProxy(host, chosen, path)
    await trio.serve_ssl_over_tcp(
        proxy.attend, int(port), context, host=address, https_compatible=True
    )


if __name__ == "__main__":
    trio.run(_main, *sys.argv[1:])
