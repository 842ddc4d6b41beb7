"""Tries through WEB proxies: the lab's, which others' clients take for one, and what is none."""

import os
from contextlib import AsyncExitStack
from typing import Self

import pytest
import trio
import trustme

import loopback
from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.peers.mtproxy import MtProxy
from censorlab.peers.web_proxy import CARRIERS, WebProxy
from censorlab.peers.web_proxy_session import Carrier, Profile
from censorlab.relay import Origin
from censorlab.servers.data_centre import RefusedError, Session
from loopback import ADDRESS, after_hello, hold, reset, tcp_peer
from probe.net.tls import TrustStores
from probe.net.trio_network import TrioNetwork
from probe.steps.proxy_try import Terms, Try, try_proxy
from probe.wire.proxy_links import ProxyLink

HOST = "proxy.example.com"
SECRET = b"0123456789abcdef"
DD = b"\xdd" + SECRET
WRONG = b"X" * 16
UNKNOWN = "unknown_failure: "
SILENT_S = 1.0
AUTHORITY = trustme.CA()
TRUST = TrustStores({"lab": [AUTHORITY.cert_pem.bytes().decode()]})


async def data_centre(client: trio.SocketStream) -> None:
    """The lab's, in the frames of PyPI's mtproto."""
    session = Session()
    try:
        async for data in client:
            now = TrioNetwork().wall_clock().timestamp()
            await client.send_all(session.receive(bytes(data), now, b"s" * 16))
    except (RefusedError, trio.BrokenResourceError):
        return


async def once(client: trio.SocketStream) -> None:
    """Answer the first question only."""
    session = Session()
    data = bytes(await client.receive_some())
    await client.send_all(session.receive(data, 1_800_000_000.0, b"s" * 16))
    await hold(client)


async def try_at(
    port: int,
    *,
    secret: bytes = SECRET,
    path: str = "",
    dc_id: int = 2,
    timeout_s: float = 5.0,
    trust_key: str = "lab",
) -> Try:
    link = ProxyLink("web", HOST, port, secret=secret, domain=HOST, path=path)
    terms = Terms(("", 0), dc_id, timeout_s, os.urandom, TRUST, trust_key)
    return await try_proxy(TrioNetwork(), link, ADDRESS, terms)


class Place:
    """The lab's WEB proxy before an MTProxy before a data centre, all on loopback."""

    def __init__(
        self,
        carrier: Carrier = "https",
        *,
        secret: bytes = SECRET,
        path: str = "",
        upstream: loopback.Attend = data_centre,
        name: str = HOST,
        lasting: bool = True,
        backend: bool = True,
    ) -> None:
        self._carrier = carrier
        self._secret = secret
        self._path = path
        self._upstream = upstream
        self._name = name
        self._lasting = lasting
        self._backend = backend
        self._stack = AsyncExitStack()
        self.port = 0

    async def __aenter__(self) -> Self:
        enter = self._stack.enter_async_context
        beyond = Origin(ADDRESS, await enter(tcp_peer(self._upstream)))
        mtproxy = Origin(ADDRESS, await enter(tcp_peer(MtProxy(SECRET, {2: beyond}).attend)))
        if not self._backend:
            mtproxy = Origin(ADDRESS, loopback.closed_port())
        profile = Profile(self._secret, self._carrier, mtproxy)
        self.proxy = WebProxy(HOST, [profile], self._path, lasting=self._lasting)
        context = loopback.server_context(AUTHORITY, self._name)
        self.port = await enter(tcp_peer(loopback.tls(context, self.proxy.attend)))
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._stack.aclose()
        await self.proxy.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("secret", [SECRET, DD], ids=["plain", "dd"])
@pytest.mark.parametrize("path", ["", "Some-path/of_2"], ids=["root", "path"])
@pytest.mark.parametrize("lasting", [True, False], ids=["kept", "closed"])
async def test_a_web_proxy_that_works(
    carrier: Carrier, secret: bytes, path: str, *, lasting: bool
) -> None:
    """Over every carrier, on one connection or on one for each request; two answers."""
    async with Place(carrier, secret=secret, path=path, lasting=lasting) as place:
        found = await try_at(place.port, secret=secret, path=path)
        sessions = place.proxy.sessions_total
        with trio.fail_after(5):
            while place.proxy.sessions_left:
                await trio.lowlevel.checkpoint()

    assert (found.phase, found.failure, found.detail) == (None, None, None)
    assert found.answer_s is not None
    assert 0 < found.answer_s < 5
    assert found.clock_offset_s is not None
    assert abs(found.clock_offset_s) <= 2
    assert len(found.nonces) == 2
    assert sessions == 1


@pytest.mark.anyio
@pytest.mark.parametrize("carrier", CARRIERS)
async def test_where_it_ends_behind_the_session(carrier: Carrier) -> None:
    """The same words for every carrier: what is behind it does not know of them."""
    async with Place(carrier) as place:
        centre = await try_at(place.port, dc_id=4)
    async with Place(carrier, backend=False) as place:
        backend = await try_at(place.port)
    async with Place(carrier, upstream=once) as place:
        dropped = await try_at(place.port, timeout_s=SILENT_S)

    assert (centre.phase, centre.failure, centre.detail) == ("dc", "eof_error", None)
    assert (backend.phase, backend.failure, backend.detail) == ("dc", "eof_error", None)
    assert (dropped.phase, dropped.failure) == ("mtproto", "generic_timeout_error")
    assert dropped.detail == "after 1 answer"


@pytest.mark.anyio
async def test_who_does_not_know_the_secret_is_shown_the_site() -> None:
    async with Place(path="here") as place:
        for secret, path in ((WRONG, "here"), (DD, "here"), (SECRET, "")):
            found = await try_at(place.port, secret=secret, path=path)
            assert (found.phase, found.failure) == ("secret", f"{UNKNOWN}web_no_bridge")
        assert place.proxy.sessions_total == 0


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "trust_key", "failure", "detail"),
    [
        ("other.example", "lab", "ssl_invalid_hostname", "verify_code_62"),
        (HOST, "public", "ssl_unknown_authority", "verify_code_20"),
    ],
)
async def test_a_certificate_that_is_not_good_ends_it(
    name: str, trust_key: str, failure: str, detail: str
) -> None:
    """Before anything derived from the secret is sent; and the detail names nobody."""
    async with Place(name=name) as place:
        found = await try_at(place.port, trust_key=trust_key)
        assert place.proxy.sessions_total == 0

    assert (found.phase, found.failure, found.detail) == ("tls", failure, detail)


@pytest.mark.anyio
async def test_a_request_that_is_put_off_is_sent_again() -> None:
    async with Place() as place:
        place.proxy.busy = 2
        found = await try_at(place.port)
    assert found.failure is None


@pytest.mark.anyio
async def test_a_proxy_without_room_says_so() -> None:
    async with Place() as place:
        place.proxy.busy = 99
        found = await try_at(place.port)
    assert (found.phase, found.failure, found.detail) == (
        "web",
        f"{UNKNOWN}web_refused",
        "status_503",
    )


def page(status: str, body: bytes = b"<title>A garden diary</title>") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


TOKEN = "A" * 43
BRIDGE = page("200 OK", f'bootstrap="{TOKEN}"'.encode())
SESSION = (
    "HTTP/1.1 200 OK\r\nX-Session-Token: {token}\r\nX-Down-Cursor: {cursor}\r\n"
    "X-Carrier-Mode: {carrier}\r\nContent-Length: 8\r\n\r\n"
)


def session(token: str = TOKEN, cursor: str = "0", carrier: str = "https") -> bytes:
    head = SESSION.format(token=token, cursor=cursor, carrier=carrier).encode("latin-1")
    return head + bytes.fromhex("1100000000000000")


def answers(*replies: bytes) -> loopback.Attend:
    """A site that says the next of these to each request, whatever it is, and then leaves."""

    async def attend(stream: trio.SSLStream[trio.SocketStream]) -> None:
        for reply in replies:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = bytes(await stream.receive_some(65536))
                if not piece:
                    return
                data += piece
            length = data.partition(b"\r\n\r\n")[2]
            wanted = data.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await receive_exactly(stream, int(wanted or b"0") - len(length))
            await stream.send_all(reply)

    async def forgiving(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await attend(stream)
        except ClientLeftError:
            return

    return loopback.tls(loopback.server_context(AUTHORITY, HOST), forgiving)


ACK = b"HTTP/1.1 204 No Content\r\nX-Up-Ack: {}\r\n\r\n".replace(b"{}", b"1")
OUTCOMES: dict[str, tuple[loopback.Attend, tuple[str, str, str | None]]] = {
    "no TLS": (
        after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        ("tls", "ssl_failed_handshake", "WRONG_VERSION_NUMBER"),
    ),
    "hello closed on": (after_hello(b""), ("tls", "eof_error", None)),
    "hello cut off": (reset, ("tls", "connection_reset", "ECONNRESET")),
    "hello dropped": (hold, ("tls", "generic_timeout_error", None)),
    "not HTTP": (answers(b"SSH-2.0-OpenSSH\r\n\r\n"), ("web", "http_request_failed", None)),
    "leaves": (answers(b""), ("web", "eof_error", None)),
    "a site": (answers(page("200 OK")), ("secret", f"{UNKNOWN}web_no_bridge", "status_200")),
    "no page": (answers(page("404 No")), ("secret", f"{UNKNOWN}web_no_bridge", "status_404")),
    "moved": (answers(page("302 No")), ("secret", f"{UNKNOWN}web_no_bridge", "status_302")),
    "down": (answers(page("502 No")), ("web", f"{UNKNOWN}web_refused", "status_502")),
    "another script": (
        answers(page("200 OK", b"<script>TelegramWebProxy.go()</script>")),
        ("web", f"{UNKNOWN}web_unknown_bridge", "page"),
    ),
    "no session": (
        answers(BRIDGE, page("404 No")),
        ("web", f"{UNKNOWN}web_refused", "status_404"),
    ),
    "a session of something": (
        answers(BRIDGE, page("200 OK")),
        ("web", f"{UNKNOWN}web_unknown_bridge", "session"),
    ),
    "a carrier of the future": (
        answers(BRIDGE, session(carrier="http3")),
        ("web", f"{UNKNOWN}web_unknown_bridge", "session"),
    ),
    "a cursor that is none": (
        answers(BRIDGE, session(cursor="\xff")),
        ("web", f"{UNKNOWN}web_unknown_bridge", "cursor"),
    ),
    "no WebSocket": (
        answers(BRIDGE, session(carrier="websocket"), page("404 No")),
        ("web", f"{UNKNOWN}web_refused", "status_404"),
    ),
    "another number": (
        answers(BRIDGE, session(), ACK.replace(b"1\r\n\r", b"2\r\n\r")),
        ("web", f"{UNKNOWN}web_refused", "status_204"),
    ),
    "frames that are none": (
        answers(
            BRIDGE,
            session(),
            ACK,
            b"HTTP/1.1 200 OK\r\nX-Down-Cursor: 1\r\nContent-Length: 3\r\n\r\nabc",
        ),
        ("web", f"{UNKNOWN}web_wrong_frames", None),
    ),
    "leaves at the poll": (answers(BRIDGE, session(), ACK, b""), ("web", "eof_error", None)),
}


@pytest.mark.anyio
@pytest.mark.parametrize("name", OUTCOMES)
async def test_how_it_can_end(name: str) -> None:
    attend, outcome = OUTCOMES[name]
    async with tcp_peer(attend) as port:
        found = await try_at(port, timeout_s=SILENT_S if attend is hold else 5.0)
    assert (found.phase, found.failure, found.detail) == outcome
    assert found.answer_s is None
