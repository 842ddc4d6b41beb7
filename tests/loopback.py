"""Real peers on loopback, each in the test that needs it, gone when it ends."""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
import trustme

Attend = Callable[[trio.SocketStream], Awaitable[None]]

ADDRESS = "127.0.0.1"


@asynccontextmanager
async def tcp_peer(attend: Attend) -> AsyncIterator[int]:
    """Serve ``attend`` on a port of loopback; every stream is closed on leaving."""
    (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS)
    port = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, attend, [listener])
        yield port
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def udp_peer(
    answer: Callable[[bytes], tuple[tuple[float, bytes], ...]],
) -> AsyncIterator[int]:
    """Answer every datagram with (delay, datagram) pairs."""
    with trio.socket.socket(type=socket.SOCK_DGRAM) as udp:
        await udp.bind((ADDRESS, 0))

        async def serve() -> None:
            while True:
                query, client = await udp.recvfrom(65535)
                start = trio.current_time()
                for delay_s, reply in answer(query):
                    await trio.sleep_until(start + delay_s)
                    await udp.sendto(reply, client)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield udp.getsockname()[1]
            nursery.cancel_scope.cancel()


def closed_port() -> int:
    """Return a port of loopback on which nobody listens, TCP and UDP alike."""
    with socket.socket() as tcp:
        tcp.bind((ADDRESS, 0))
        return int(tcp.getsockname()[1])


def server_context(
    authority: trustme.CA, *names: str, alpn: tuple[str, ...] = (), **issue: object
) -> ssl.SSLContext:
    """Return a server's TLS configuration with a certificate for the names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    authority.issue_cert(*names, **issue).configure_cert(context)  # type: ignore[arg-type] # trustme's own keywords
    return context


def tls(
    context: ssl.SSLContext, attend: Callable[[trio.SSLStream[trio.SocketStream]], Awaitable[None]]
) -> Attend:
    """Shake hands, then attend; a client that breaks off is the test's business."""

    async def shake_hands(client: trio.SocketStream) -> None:
        stream = trio.SSLStream(client, context, server_side=True, https_compatible=True)
        try:
            await stream.do_handshake()
            await attend(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    return shake_hands


async def hold(stream: trio.abc.ReceiveStream) -> None:
    """Read and say nothing until the client leaves."""
    while await stream.receive_some():
        pass


def after_hello(reply: bytes) -> Attend:
    """Read something, answer with fixed bytes, and close."""

    async def attend(client: trio.SocketStream) -> None:
        await client.receive_some()
        if reply:
            await client.send_all(reply)

    return attend


async def reset(client: trio.SocketStream) -> None:
    """Read something and reset the connection."""
    await client.receive_some()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


def alert(number: int) -> bytes:
    """Return a fatal TLS alert (RFC 8446 section 6)."""
    return bytes((21, 3, 3, 0, 2, 2, number))
