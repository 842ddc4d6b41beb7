"""The lab's WEB proxy gives itself away to nobody who cannot say what its clients say.

That it is one is what telethon-webproxy 0.1.6 says in tests/cli/test_web_proxies.py, and what
tdjson 1.8.69 said by hand.
"""

import hashlib
import hmac
import re
import ssl
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trustme

import loopback
from censorlab.peers.web_proxy import WebProxy
from censorlab.peers.web_proxy_session import Carrier, Profile
from censorlab.relay import Origin
from loopback import ADDRESS, hold, tcp_peer

HOST = "proxy.example.com"
SECRET = bytes(range(16))
WORD = "MHLEY5PmW1GWqJkSrlmJpvJUiLhBH_QKy6yKg8a0JPk"
HELLO = bytes.fromhex("100000000000000101")
OPEN = bytes.fromhex("0100000100000000")
TOKEN = "A" * 43
ORIGIN = f"Origin: https://{HOST}\r\n"


class Site:
    """Asks the proxy over one connection after the other."""

    def __init__(self, port: int, context: ssl.SSLContext, proxy: WebProxy) -> None:
        self._port = port
        self._context = context
        self.proxy = proxy

    async def ask(self, line: str, headers: str = "", body: bytes = b"") -> tuple[int, str]:
        """Return the status, and the rest of the response."""
        stream = await trio.open_ssl_over_tcp_stream(
            ADDRESS, self._port, ssl_context=self._context, https_compatible=True
        )
        kind = "Content-Type: application/octet-stream\r\n" if body else ""
        head = f"{line} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n{kind}{headers}"
        async with stream:
            await stream.send_all(f"{head}Connection: close\r\n\r\n".encode() + body)
            answer = b""
            with trio.fail_after(10):
                while piece := await stream.receive_some():
                    answer += piece
        return int(answer[9:12]), answer[12:].decode("latin-1")

    async def session(self) -> str:
        _, page = await self.ask(f"GET /?bridge={WORD}")
        (bootstrap,) = re.findall(r'"bootstrap": "([\w-]{43})"', page)
        status, said = await self.ask("POST /api/v1/session", bearer(bootstrap), HELLO)
        assert status == 200
        assert said.endswith("\r\n\r\n\x11" + "\0" * 7)
        # It is good for one.
        assert (await self.ask("POST /api/v1/session", bearer(bootstrap), HELLO))[0] == 404
        return re.findall(r"(?i)x-session-token: ([\w-]{43})", said)[0]


def bearer(token: str) -> str:
    return f"{ORIGIN}Authorization: Bearer {token}\r\n"


@asynccontextmanager
async def site(carrier: Carrier = "https") -> AsyncIterator[Site]:
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.check_hostname = False
    async with tcp_peer(hold) as behind:
        proxy = WebProxy(HOST, [Profile(SECRET, carrier, Origin(ADDRESS, behind))])
        served = loopback.server_context(authority, HOST, "127.0.0.1")
        async with tcp_peer(loopback.tls(served, proxy.attend)) as port:
            yield Site(port, context, proxy)
            await proxy.aclose()


def test_the_word_is_the_published_one() -> None:
    digest = hmac.new(SECRET, f"tdesktop-web-proxy-bridge-v1\n{HOST}".encode(), hashlib.sha256)
    assert urlsafe_b64encode(digest.digest()).decode().rstrip("=") == WORD


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("line", "headers", "body"),
    [
        ("GET /", "", b""),
        (f"GET /?bridge={WORD[:-1]}A", "", b""),
        (f"GET /?bridge={WORD}&x=1", "", b""),
        (f"GET /path/?bridge={WORD}", "", b""),
        ("POST /api/v1/session", "", HELLO),
        ("POST /api/v1/session", bearer(TOKEN), HELLO),
        ("DELETE /api/v1/session", bearer(TOKEN), b""),
        ("POST /api/v1/down", bearer(TOKEN), b""),
        ("GET /api/v1/ws", f"Sec-WebSocket-Protocol: tproxy-v1.{TOKEN}\r\n", b""),
    ],
)
async def test_strangers_see_a_site(line: str, headers: str, body: bytes) -> None:
    async with site() as at:
        status, said = await at.ask(line, headers, body)
        assert at.proxy.sessions_total == 0
    assert status == (200 if line.startswith("GET /?") or line == "GET /" else 404)
    assert "<title>" in said
    assert "bootstrap" not in said


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("X-Up-Seq: 2\r\n", OPEN),
        ("X-Up-Seq: 1\r\n", OPEN[:-1]),
        ("X-Up-Seq: 1\r\n", OPEN + OPEN),
        ("X-Up-Seq: 1\r\n", HELLO),
        ("X-Up-Seq: 1\r\n", bytes.fromhex("020000010000000141")),
        ("X-Up-Seq: 1\r\nX-Lane-ID: 1\r\n", OPEN),
    ],
    ids=["number", "cut", "twice", "hello", "data first", "lane"],
)
async def test_a_client_that_breaks_the_rules_loses_its_session(headers: str, body: bytes) -> None:
    async with site() as at:
        token = await at.session()
        assert (await at.ask("POST /api/v1/up", bearer(token) + headers, body))[0] == 404
        assert at.proxy.sessions_left == 0


@pytest.mark.anyio
async def test_the_same_again_is_acknowledged_once_more() -> None:
    async with site() as at:
        token = await at.session()
        for _ in range(2):
            asked = await at.ask("POST /api/v1/up", f"{bearer(token)}X-Up-Seq: 1\r\n", OPEN)
            assert asked[0] == 204
            assert re.search("(?i)x-up-ack: 1\r\n", asked[1])
        assert (await at.ask("DELETE /api/v1/session", bearer(token)))[0] == 204
