"""Sockets of the real network: counted, inspectable, and closed."""

import errno
import socket
import sys

import pytest
import trio

import loopback
from loopback import closed_port, hold, reset, tcp_peer, udp_peer
from probe.net.api import ResolutionError, TcpConnection
from probe.net.trio_network import TrioNetwork

pytestmark = pytest.mark.anyio

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="Linux interface")


def forget(connection: TcpConnection) -> None:
    connection.first_arrival = None


async def echo(client: trio.SocketStream) -> None:
    async for data in client:
        await client.send_all(data)


async def test_bytes_are_counted_and_timed() -> None:
    """Sent and received bytes, and the clock at the first arrival since it was cleared."""
    network = TrioNetwork()
    async with tcp_peer(echo) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            for _ in range(2):
                forget(connection)
                before = network.now()
                await connection.send_all(b"hello")
                assert await connection.receive_some() == b"hello"
                first = connection.first_arrival
                assert first is not None
                assert before <= first <= network.now()
            assert (connection.sent_bytes, connection.received_bytes) == (10, 10)
        finally:
            connection.close()


@LINUX_ONLY
async def test_tcp_info_sees_the_connection() -> None:
    """A round trip was measured, and acknowledged and received bytes are the stream's."""
    async with tcp_peer(echo) as port:
        connection = TrioNetwork().open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            fresh = connection.tcp_info()
            await connection.send_all(b"x" * 1000)
            await connection.receive_some()
            used = connection.tcp_info()
        finally:
            connection.close()

    assert fresh is not None
    assert used is not None
    assert (fresh.bytes_acked, fresh.bytes_received) == (1, 0)
    assert (used.bytes_acked, used.bytes_received) == (1001, 1000)
    assert 0 < used.rtt_s < 1
    assert (used.retransmits, used.total_retransmits, used.unacked) == (0, 0, 0)


@LINUX_ONLY
async def test_tcp_info_of_a_closed_socket_is_unknown() -> None:
    """Not an error: a step may ask late."""
    connection = TrioNetwork().open_tcp(loopback.ADDRESS, 9)
    connection.close()
    assert connection.tcp_info() is None


async def test_a_closed_port_refuses() -> None:
    """The errno is the kernel's."""
    connection = TrioNetwork().open_tcp(loopback.ADDRESS, closed_port())
    try:
        with pytest.raises(ConnectionRefusedError) as caught:
            await connection.connect()
    finally:
        connection.close()
    assert caught.value.errno == errno.ECONNREFUSED


async def test_a_reset_is_raised_and_an_end_is_not() -> None:
    """An end of file is data of length nothing; a reset is an error."""
    network = TrioNetwork()
    async with tcp_peer(reset) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            await connection.send_all(b"x")
            with pytest.raises(ConnectionResetError):
                await connection.receive_some()
        finally:
            connection.close()
    async with tcp_peer(loopback.after_hello(b"")) as port:
        connection = network.open_tcp(loopback.ADDRESS, port)
        try:
            await connection.connect()
            await connection.send_all(b"x")
            assert await connection.receive_some() == b""
        finally:
            connection.close()


async def test_closing_twice_is_closing() -> None:
    """Also for a socket that never connected."""
    network = TrioNetwork()
    for one in (network.open_tcp(loopback.ADDRESS, 9), network.open_udp(loopback.ADDRESS, 9)):
        one.close()
        one.close()


async def test_datagrams_keep_their_hop_limit() -> None:
    """Loopback does not count hops: the kernel's initial value arrives."""
    async with udp_peer(lambda query: ((0.0, query[::-1]), (0.0, b"again"))) as port:
        udp = TrioNetwork().open_udp(loopback.ADDRESS, port)
        try:
            await udp.send(b"abc")
            first, second = await udp.receive(), await udp.receive()
        finally:
            udp.close()

    assert (first.data, second.data) == (b"cba", b"again")
    if sys.platform == "linux":
        assert first.ip_ttl == 64


@LINUX_ONLY
async def test_datagrams_over_ipv6_keep_their_hop_limit() -> None:
    """The other family has an option of its own."""
    try:
        peer = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        await peer.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 on loopback")
    with peer:
        udp = TrioNetwork().open_udp("::1", peer.getsockname()[1])
        try:
            await udp.send(b"abc")
            _, client = await peer.recvfrom(10)
            await peer.sendto(b"x", client)
            assert (await udp.receive()).ip_ttl == 64
        finally:
            udp.close()


async def test_strangers_are_not_heard() -> None:
    """The socket is connected: a datagram from elsewhere does not answer."""
    with trio.socket.socket(type=socket.SOCK_DGRAM) as peer:
        await peer.bind((loopback.ADDRESS, 0))
        udp = TrioNetwork().open_udp(loopback.ADDRESS, peer.getsockname()[1])
        try:
            await udp.send(b"abc")
            _, client = await peer.recvfrom(10)
            with trio.socket.socket(type=socket.SOCK_DGRAM) as stranger:
                await stranger.sendto(b"forged", client)
            await peer.sendto(b"true", client)
            assert (await udp.receive()).data == b"true"
        finally:
            udp.close()


@LINUX_ONLY
async def test_a_closed_port_is_heard_over_udp() -> None:
    """ICMP port unreachable reaches a connected socket as ECONNREFUSED."""
    udp = TrioNetwork().open_udp(loopback.ADDRESS, closed_port())
    try:
        await udp.send(b"abc")
        with pytest.raises(ConnectionRefusedError):
            await udp.receive()
    finally:
        udp.close()


async def test_the_system_resolver_knows_this_host() -> None:
    """No packet is needed for it."""
    assert await TrioNetwork().getaddrinfo("localhost", 4) == ("127.0.0.1",)


async def test_a_name_that_cannot_be_asked() -> None:
    """A label that is too long is no name, as the resolver would say."""
    with pytest.raises(ResolutionError) as caught:
        await TrioNetwork().getaddrinfo("x" * 64 + ".example", 4)
    assert caught.value.name == "EAI_NONAME"


async def test_clocks() -> None:
    """Monotonic time is trio's; the wall clock is in UTC."""
    network = TrioNetwork()
    assert network.now() <= trio.current_time()
    assert network.wall_clock().tzinfo is not None


async def test_a_route_to_loopback_exists_and_nothing_is_sent() -> None:
    """Asking the routing table sends nothing, so nobody needs to listen."""
    with trio.socket.socket(type=socket.SOCK_DGRAM) as peer:
        await peer.bind((loopback.ADDRESS, 0))
        assert TrioNetwork().route_errno(loopback.ADDRESS) is None
        with trio.move_on_after(0.05) as scope:
            await peer.recvfrom(1)
    assert scope.cancelled_caught


async def test_a_cancelled_connect_leaves_a_socket_that_closes() -> None:
    """A deadline in the middle of anything leaves nothing open."""
    async with tcp_peer(hold) as port:
        connection = TrioNetwork().open_tcp(loopback.ADDRESS, port)
        try:
            with trio.CancelScope() as scope:
                scope.cancel()
                await connection.connect()
        finally:
            connection.close()
    assert scope.cancelled_caught
