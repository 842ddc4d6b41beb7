"""A tunnel through a proxy: opened, refused, or not a proxy at all."""

import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import pytest
import trio
import trio.testing

import loopback
from loopback import ADDRESS, after_hello, closed_port, reset, tcp_peer
from probe.net.api import ProxyAddress, TcpConnection, TunnelRefusedError
from probe.net.trio_network import TrioNetwork
from probe.wire.proxy_links import ProxyLink

pytestmark = pytest.mark.anyio

CREDENTIALS = ("user", "secret password")


async def receive(client: trio.SocketStream, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = await client.receive_some(count - len(data))
        if not chunk:
            raise trio.BrokenResourceError
        data += chunk
    return data


async def socks5(client: trio.SocketStream, *, code: int, seen: list[bytes]) -> None:
    """A SOCKS5 server (RFC 1928, 1929) that gives the same answer to every request."""
    _, count = await receive(client, 2)
    methods = await receive(client, count)
    if 2 in methods:
        await client.send_all(b"\x05\x02")
        _, length = await receive(client, 2)
        user = await receive(client, length)
        password = await receive(client, (await receive(client, 1))[0])
        good = (user.decode(), password.decode()) == CREDENTIALS
        await client.send_all(b"\x01\x00" if good else b"\x01\x01")
    else:
        await client.send_all(b"\x05\x00")
    _, _, _, kind = await receive(client, 4)
    length = {1: 4, 4: 16}.get(kind) or (await receive(client, 1))[0]
    seen.append(await receive(client, length))
    await receive(client, 2)
    await client.send_all(bytes((5, code, 0, 1, 0, 0, 0, 0, 0, 0)))
    await client.send_all(b"from beyond")
    await loopback.hold(client)


async def http_connect(client: trio.SocketStream, *, status: bytes, seen: list[bytes]) -> None:
    request = b""
    while b"\r\n\r\n" not in request:
        request += await client.receive_some()
    seen.append(request)
    await client.send_all(b"HTTP/1.1 " + status + b"\r\n\r\n")
    await loopback.hold(client)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[TcpConnection]:
    connection = TrioNetwork().open_tcp(ADDRESS, port)
    try:
        await connection.connect()
        yield connection
    finally:
        connection.close()


def proxy_at(
    port: int, kind: str = "socks5", credentials: tuple[str, str] | tuple[None, None] = (None, None)
) -> ProxyAddress:
    return ProxyAddress(ProxyLink(kind, ADDRESS, port, *credentials), ADDRESS)


async def refusal(
    attend: loopback.Attend,
    kind: str = "socks5",
    credentials: tuple[str, str] | tuple[None, None] = (None, None),
) -> str:
    """Return the detail with which the tunnel is refused."""
    async with tcp_peer(attend) as port, connected(port) as connection:
        with trio.fail_after(5), pytest.raises(TunnelRefusedError) as caught:
            await TrioNetwork().open_tunnel(
                connection, proxy_at(port, kind, credentials), "www.example.org", 443
            )
    return caught.value.detail


@pytest.mark.parametrize(
    ("host", "as_sent"),
    [
        ("www.example.org", b"www.example.org"),
        ("192.0.2.1", bytes((192, 0, 2, 1))),
        ("2001:db8::1", bytes.fromhex("20010db8000000000000000000000001")),
    ],
)
async def test_a_tunnel_is_the_connection(host: str, as_sent: bytes) -> None:
    """A name goes to the proxy as a name; what follows the reply stays in the stream."""
    seen: list[bytes] = []
    async with (
        tcp_peer(partial(socks5, code=0, seen=seen)) as port,
        connected(port) as connection,
    ):
        await TrioNetwork().open_tunnel(connection, proxy_at(port), host, 443)
        assert await connection.receive_some() == b"from beyond"
    assert seen == [as_sent]


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 7, 8])
async def test_a_refusal_keeps_its_code(code: int) -> None:
    """Each reply code of RFC 1928."""
    assert await refusal(partial(socks5, code=code, seen=[])) == f"reply_{code}"


async def test_a_code_that_nobody_defined() -> None:
    """Something refused, and no more is known."""
    assert await refusal(partial(socks5, code=99, seen=[])) == "no_reply_code"


async def test_credentials() -> None:
    """Right ones open, wrong ones do not (RFC 1929)."""
    seen: list[bytes] = []
    attend = partial(socks5, code=0, seen=seen)
    async with tcp_peer(attend) as port, connected(port) as connection:
        await TrioNetwork().open_tunnel(
            connection, proxy_at(port, credentials=CREDENTIALS), "www.example.org", 443
        )
    assert seen
    detail = await refusal(attend, credentials=("user", "wrong"))
    assert detail == "credentials_refused"


async def test_a_proxy_that_wants_credentials() -> None:
    """No method that we offered (RFC 1928 section 3)."""
    assert await refusal(after_hello(b"\x05\xff")) == "no_method"


@pytest.mark.parametrize(
    "attend",
    [after_hello(b""), after_hello(b"HTTP/1.1 400 Bad Request\r\n\r\n"), after_hello(b"\x05\xff")],
    ids=["close", "http", "no acceptable method"],
)
async def test_what_is_no_proxy_refuses(attend: loopback.Attend) -> None:
    """A peer that speaks no SOCKS5 opens no tunnel."""
    detail = await refusal(attend)
    assert detail
    assert ADDRESS not in detail


async def test_a_connection_that_breaks_is_an_os_error() -> None:
    """A reset during negotiation is the network's doing, not a refusal."""
    async with tcp_peer(reset) as port, connected(port) as connection:
        with pytest.raises(OSError, match=r"reset|Broken pipe"):
            await TrioNetwork().open_tunnel(connection, proxy_at(port), "www.example.org", 443)


async def test_a_silent_proxy_is_waited_for_until_cancelled() -> None:
    """The deadline is the step's; cancelling leaves nothing open."""
    async with tcp_peer(loopback.hold) as port, connected(port) as connection:
        with trio.move_on_after(0.1) as scope:
            await TrioNetwork().open_tunnel(connection, proxy_at(port), "www.example.org", 443)
    assert scope.cancelled_caught


async def test_http_connect() -> None:
    """The authority form of the request (RFC 9110 9.3.6), and a status that refuses."""
    seen: list[bytes] = []
    attend = partial(http_connect, status=b"200 OK", seen=seen)
    async with tcp_peer(attend) as port, connected(port) as connection:
        await TrioNetwork().open_tunnel(
            connection, proxy_at(port, "http_connect"), "www.example.org", 443
        )
    assert seen[0].startswith(b"CONNECT www.example.org:443 HTTP/1.1\r\n")
    refused = partial(http_connect, status=b"407 Proxy Authentication Required", seen=[])
    assert await refusal(refused, "http_connect") == "reply_407"


async def test_the_whole_head_of_an_http_reply_is_the_proxys() -> None:
    """However it is cut, none of it is left for what follows."""

    async def piecemeal(client: trio.SocketStream) -> None:
        await client.receive_some()
        for piece in (b"HT", b"TP/1.1 200 Connection est", b"ablished\r\nVia: x\r", b"\n\r\n"):
            await client.send_all(piece)
            await trio.testing.wait_all_tasks_blocked(0.02)
        await client.receive_some()
        await client.send_all(b"from beyond")
        await loopback.hold(client)

    async with tcp_peer(piecemeal) as port, connected(port) as connection:
        proxy = proxy_at(port, "http_connect")
        await TrioNetwork().open_tunnel(connection, proxy, "www.example.org", 443)
        await connection.send_all(b"asked")
        assert await connection.receive_some() == b"from beyond"


async def endless(client: trio.SocketStream) -> None:
    await client.receive_some()
    await client.send_all(b"HTTP/1.1 200 OK\r\n")
    with suppress(trio.BrokenResourceError):
        while True:
            await client.send_all(b"X-A: " + b"a" * 60_000)


@pytest.mark.parametrize(
    ("attend", "detail"),
    [
        (endless, "endless_reply"),
        (after_hello(b"HTTP/1.1 200 OK\r\nVia: x\r\n"), "unfinished_reply"),
        (after_hello(b"HTTP/1.1 403 No\r\n"), "reply_403"),
        (after_hello(b"HTTP"), "unfinished_reply"),
        (after_hello(b"HTTP/1.1 \xff 200\r\n"), "no_reply_code"),
        (after_hello(b"SSH-2.0-x\r\n"), "no_reply_code"),
        (after_hello(b""), "no_reply_code"),
    ],
)
async def test_an_http_reply_that_opens_nothing(attend: loopback.Attend, detail: str) -> None:
    assert await refusal(attend, "http_connect") == detail


@pytest.fixture
def microsocks() -> Iterator[int]:
    """Start microsocks and return its port, or skip."""
    program = shutil.which("microsocks")
    if program is None:
        pytest.skip("microsocks is not installed")
    port = closed_port()
    command = [program, "-i", ADDRESS, "-p", str(port)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None:
                with socket.socket() as knock:
                    if knock.connect_ex((ADDRESS, port)) == 0:
                        break
            yield port
        finally:
            process.kill()


async def test_microsocks(microsocks: int) -> None:
    """A proxy of other authors opens a tunnel to a peer, and refuses one to a closed port."""
    proxy = proxy_at(microsocks)
    async with tcp_peer(after_hello(b"pong")) as peer, connected(microsocks) as connection:
        await TrioNetwork().open_tunnel(connection, proxy, ADDRESS, peer)
        await connection.send_all(b"ping")
        assert await connection.receive_some() == b"pong"
    async with connected(microsocks) as connection:
        with pytest.raises(TunnelRefusedError, match="reply_5"):
            await TrioNetwork().open_tunnel(connection, proxy, ADDRESS, closed_port())
