"""The web servers and DNS over HTTPS without aiohttp, where the extra ``lab`` is not installed.

What loopback's scenarios need of `censorlab.peers.web`, on h11 and trio, which the core has:
started, told and ended in the same way, and a process of its own too.
"""

import base64
import binascii
import os
import ssl
import sys
from functools import partial
from typing import Final
from urllib.parse import parse_qs, urlsplit

import h11
import trio

from censorlab.authority import AuthorityKeys, Certificates
from censorlab.door import BACKLOG
from censorlab.lines import Lines
from censorlab.messages import decode, encode
from censorlab.peers.site import DOH_PATH, SitePorts, SiteSettings, SiteZone, page
from censorlab.peers.zone import MalformedQueryError, Query, Zone

_CHUNK_BYTES: Final = 65536
_BODY_LIMIT_BYTES: Final = 65536
"""Of a DNS message."""

Reply = tuple[int, bytes, bytes]
"""Status, content type, body."""


class _StandardInput(trio.abc.ReceiveStream):
    """Standard input, read in a thread: no system's event loop knows every kind of pipe."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.to_thread.run_sync(
            os.read, sys.stdin.fileno(), max_bytes or _CHUNK_BYTES, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        """Leave it open: it is the process's."""


class _Site:
    def __init__(self, zone: Zone, body_bytes: int) -> None:
        self.zone = zone
        self._body_bytes = body_bytes

    def reply(self, request: h11.Request, body: bytes) -> Reply:
        parts = urlsplit(request.target.decode("ascii"))
        if parts.path != DOH_PATH:
            headers = dict(request.headers.raw_items())
            host = {name.lower(): value for name, value in headers.items()}.get(b"host", b"")
            name = host.decode("latin-1").partition(":")[0]
            return 200, b"text/html; charset=utf-8", page(name, self._body_bytes)
        if request.method != b"POST":
            encoded = parse_qs(parts.query).get("dns", [""])[0]
            try:
                body = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
            except (binascii.Error, ValueError):
                return 400, b"text/plain", b"not base64url"
        try:
            return 200, b"application/dns-message", Query(body).answer(self.zone)
        except MalformedQueryError:
            return 400, b"text/plain", b"not a DNS query"

    async def attend(self, context: ssl.SSLContext | None, stream: trio.SocketStream) -> None:
        """Answer one connection's requests until it closes or breaks."""
        talked: trio.abc.Stream = stream
        if context is not None:
            talked = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
        try:
            async with talked:
                await self._talk(talked)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            pass
        except (h11.RemoteProtocolError, UnicodeDecodeError):
            pass  # a client that does not speak HTTP

    async def _talk(self, stream: trio.abc.Stream) -> None:
        talk = h11.Connection(h11.SERVER)
        while talk.our_state is not h11.MUST_CLOSE:
            request, body = None, b""
            while True:
                event = talk.next_event()
                if event is h11.NEED_DATA:
                    talk.receive_data(bytes(await stream.receive_some(_CHUNK_BYTES)))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > _BODY_LIMIT_BYTES:
                        return
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:
                    return
            assert request is not None
            status, kind, answer = self.reply(request, body)
            headers = [(b"Content-Type", kind), (b"Content-Length", b"%d" % len(answer))]
            head = talk.send(h11.Response(status_code=status, headers=headers)) or b""
            sent = b"" if request.method == b"HEAD" else talk.send(h11.Data(data=answer)) or b""
            await stream.send_all(head + sent + (talk.send(h11.EndOfMessage()) or b""))
            if talk.our_state is h11.DONE and talk.their_state is h11.DONE:
                talk.start_next_cycle()


async def serve(settings: SiteSettings, lines: Lines) -> None:
    """Serve until standard input closes."""
    site = _Site(settings.zone, settings.body_bytes)
    trusted = _certificates(settings, settings.trusted)
    forged = _certificates(settings, settings.forger)
    async with trio.open_nursery() as nursery:

        async def listen(context: ssl.SSLContext | None) -> int:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(
                    trio.serve_tcp,
                    partial(site.attend, context),
                    0,
                    host="127.0.0.1",
                    backlog=BACKLOG,
                )
            )
            port: int = listeners[0].socket.getsockname()[1]
            return port

        ports = SitePorts(
            trusted=await listen(trusted.context),
            forger=await listen(forged.context),
            plain=await listen(None),
        )
        _say(ports)
        while (line := await lines.next()) is not None:
            site.zone = decode(line, SiteZone).zone
            for certificates in (trusted, forged):
                certificates.host(site.zone)
            _say(ports)
        nursery.cancel_scope.cancel()


def _certificates(settings: SiteSettings, keys: AuthorityKeys) -> Certificates:
    return Certificates(keys, settings.default_name, settings.zone, alpn=("http/1.1",))


def _say(ports: SitePorts) -> None:
    sys.stdout.buffer.write(encode(ports))
    sys.stdout.buffer.flush()


async def main() -> None:
    """Read settings, then serve."""
    lines = Lines(_StandardInput())
    first = await lines.next()
    if first is not None:
        await serve(decode(first, SiteSettings), lines)


if __name__ == "__main__":
    trio.run(main)
