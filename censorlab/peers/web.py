"""The web servers and DNS over HTTPS (RFC 8484), in an aiohttp process of their own.

Started as ``python -m censorlab.peers.web``: reads its settings as one JSON line,
then perhaps further zones, answers each line with its ports, serves until standard
input closes. The prober's loop never shares a process with it: on a shared loop a burst of
connections overflows the queue and looks like a slow network.
"""

import asyncio
import base64
import binascii
import os
import socket
import ssl
import sys
import threading
from typing import Final

from aiohttp import web

from censorlab.authority import AuthorityKeys, Certificates
from censorlab.messages import decode, encode
from censorlab.peers.site import DOH_PATH, SitePorts, SiteSettings, SiteZone, page
from censorlab.peers.zone import MalformedQueryError, Query, Zone

BACKLOG: Final = 1024
"""Set explicitly: aiohttp's 128 overflows at the connection rates of a test."""

_SHUTDOWN_LIMIT_S: Final = 0.1
"""Nobody waits for the end of a page when the lab is over."""

_LINE_LIMIT_BYTES: Final = 2**20
"""Of a line of settings: a few hundred names at their longest."""

_MESSAGE_TYPE: Final = "application/dns-message"


class _Handlers:
    def __init__(self, zone: Zone, body_bytes: int) -> None:
        self.zone = zone
        self._body_bytes = body_bytes

    async def page(self, request: web.Request) -> web.Response:
        host = request.host.partition(":")[0]
        return web.Response(
            body=page(host, self._body_bytes), content_type="text/html", charset="utf-8"
        )

    async def resolve(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            wire = await request.read()
        else:
            encoded = request.query.get("dns", "")
            try:
                wire = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            except (binascii.Error, ValueError):
                raise web.HTTPBadRequest(text="not base64url") from None
        try:
            answer = Query(wire).answer(self.zone)
        except MalformedQueryError:
            raise web.HTTPBadRequest(text="not a DNS query") from None
        return web.Response(body=answer, content_type=_MESSAGE_TYPE)


async def serve(settings: SiteSettings) -> None:
    """Serve until standard input closes."""
    handlers = _Handlers(settings.zone, settings.body_bytes)
    app = web.Application()
    app.router.add_route("GET", DOH_PATH, handlers.resolve)
    app.router.add_route("POST", DOH_PATH, handlers.resolve)
    app.router.add_route("GET", "/{path:.*}", handlers.page)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_LIMIT_S)
    await runner.setup()
    try:
        trusted = _certificates(settings, settings.trusted)
        forged = _certificates(settings, settings.forger)
        ports = SitePorts(
            trusted=await _listen(runner, trusted.context),
            forger=await _listen(runner, forged.context),
            plain=await _listen(runner, None),
        )
        _say(ports)
        reader = asyncio.StreamReader(limit=_LINE_LIMIT_BYTES)
        feeding = threading.Thread(
            target=_feed, args=(reader, asyncio.get_running_loop()), daemon=True
        )
        feeding.start()
        while line := await reader.readline():
            handlers.zone = decode(line, SiteZone).zone
            for certificates in (trusted, forged):
                certificates.host(handlers.zone)
            _say(ports)
    finally:
        await runner.cleanup()


def _feed(reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
    # In a thread: no system's event loop knows every kind of pipe.
    while chunk := os.read(sys.stdin.fileno(), _LINE_LIMIT_BYTES):
        loop.call_soon_threadsafe(reader.feed_data, chunk)
    loop.call_soon_threadsafe(reader.feed_eof)


def _certificates(settings: SiteSettings, keys: AuthorityKeys) -> Certificates:
    return Certificates(keys, settings.default_name, settings.zone, alpn=("http/1.1",))


def _say(ports: SitePorts) -> None:
    sys.stdout.buffer.write(encode(ports))
    sys.stdout.buffer.flush()


async def _listen(runner: web.AppRunner, context: ssl.SSLContext | None) -> int:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    await web.SockSite(runner, listener, ssl_context=context, backlog=BACKLOG).start()
    return port


if __name__ == "__main__":
    asyncio.run(serve(decode(sys.stdin.buffer.readline(), SiteSettings)))
