"""The error queue: what is read of it, what never leaves it, and that it is left empty."""

import socket
import struct
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import loopback
from loopback import closed_port, hold, tcp_peer
from probe.net.api import IcmpError
from probe.net.error_queue import parse_icmp_error, queue_icmp_errors, read_icmp_error
from probe.net.trio_network import TrioNetwork, TrioTcpConnection, TrioUdpSocket
from probe.wire.addresses import network_of

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has an error queue")

IP_RECVERR = (socket.IPPROTO_IP, 11)
IPV6_RECVERR = (socket.IPPROTO_IPV6, 25)
Address = IPv4Address | IPv6Address


def entry(offender: Address, icmp_type: int, code: int, origin: int) -> tuple[int, int, bytes]:
    """Return the control message of a queued error, as Linux lays it out."""
    error = struct.pack("=IBBBBII", 113, origin, icmp_type, code, 0, 0, 0)
    if offender.version == 4:
        return (*IP_RECVERR, error + struct.pack("=HH4s8x", socket.AF_INET, 0, offender.packed))
    sockaddr = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, offender.packed, 0)
    return (*IPV6_RECVERR, error + sockaddr)


octets = st.integers(0, 255)
addresses = st.ip_addresses()


@given(addresses, addresses, octets, octets, st.sampled_from([2, 3]))
def test_who_answered_is_reduced_to_whose_network_it_is_in(
    peer: Address, other: Address, icmp_type: int, code: int, origin: int
) -> None:
    """Type and code as they came; of the sender only whether it is of the peer's network."""
    mine = parse_icmp_error([entry(peer, icmp_type, code, origin)], str(peer))
    others = parse_icmp_error([entry(other, icmp_type, code, origin)], str(peer))

    assert mine == IcmpError(icmp_type, code, "target")
    is_beside = network_of(str(other)) == network_of(str(peer))
    assert others == IcmpError(icmp_type, code, "target" if is_beside else "path")


@given(addresses, st.data())
def test_a_router_in_the_peers_network_is_its_operators_border(
    peer: Address, data: st.DataObject
) -> None:
    """Any address of the same /24 (/48); the next network is another's."""
    host_bits = 8 if peer.version == 4 else 80
    within = data.draw(st.integers(0, 2**host_bits - 1))
    base = int(peer) >> host_bits << host_bits
    border = type(peer)(base | within)
    beyond = type(peer)((base | within) ^ (1 << host_bits))

    found = [parse_icmp_error([entry(a, 3, 13, 2)], str(peer), "") for a in (border, beyond)]
    assert found == [IcmpError(3, 13, "target"), IcmpError(3, 13, "path")]


@given(addresses, addresses)
def test_this_devices_own_firewall_speaks_from_its_own_address(peer: Address, own: Address) -> None:
    """Unless it is in one network with the peer, where the two are not told apart."""
    found = parse_icmp_error([entry(own, 3, 13, 2)], str(peer), str(own))
    is_beside = network_of(str(own)) == network_of(str(peer))
    assert found == IcmpError(3, 13, "target" if is_beside else "local")


@given(addresses, octets, octets, st.sampled_from([0, 1, 4, 5, 255]))
def test_other_entries_are_no_icmp_errors(
    peer: Address, icmp_type: int, code: int, origin: int
) -> None:
    """The host's own errors and time stamps come through the same queue."""
    assert parse_icmp_error([entry(peer, icmp_type, code, origin)], str(peer)) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0, 41, 1]), st.sampled_from([11, 25, 2]), st.binary(max_size=64)
        ),
        max_size=4,
    ),
    addresses,
)
def test_anything_may_be_in_a_control_message(
    ancillary: list[tuple[int, int, bytes]], peer: Address
) -> None:
    """Cut short or strange: nothing, or an error by nobody in particular."""
    found = parse_icmp_error(ancillary, str(peer))

    assert found is None or (found.type <= 255 and found.code <= 255)


def test_an_error_without_a_sender_is_of_the_path() -> None:
    """That it was the target would have to be shown."""
    level, kind, value = entry(ip_address("192.0.2.1"), 3, 13, 2)

    assert parse_icmp_error([(level, kind, value[:16])], "192.0.2.1") == IcmpError(3, 13, "path")


def test_a_closed_socket_has_no_error() -> None:
    """A step may ask late."""
    sock = socket.socket()
    sock.close()

    queue_icmp_errors(sock, wanted=True)
    assert read_icmp_error(sock, loopback.ADDRESS) is None


@LINUX_ONLY
@pytest.mark.anyio
async def test_an_error_that_was_raised_is_kept_and_the_queue_empty() -> None:
    """What is left in the queue would make the socket readable for ever: a busy loop."""
    udp = TrioNetwork().open_udp(loopback.ADDRESS, closed_port())
    assert isinstance(udp, TrioUdpSocket)
    try:
        await udp.send(b"abc")
        with pytest.raises(ConnectionRefusedError):
            await udp.receive()
        with trio.move_on_after(0.05) as scope:
            await trio.lowlevel.wait_readable(udp._socket)
        assert scope.cancelled_caught
        assert [udp.icmp_error() for _ in range(2)] == [IcmpError(3, 3, "target")] * 2
    finally:
        udp.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_an_error_that_sending_raises_is_kept_too() -> None:
    """Whichever call comes next hears of it."""
    udp = TrioNetwork().open_udp(loopback.ADDRESS, closed_port())
    try:
        await udp.send(b"abc")
        with pytest.raises(ConnectionRefusedError):
            await udp.send(b"abc")
        assert udp.icmp_error() == IcmpError(3, 3, "target")
    finally:
        udp.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_a_flood_of_errors_leaves_the_first() -> None:
    """More errors than are read at once: the step ends on the first, at no great cost."""
    port = closed_port()
    udp = TrioNetwork().open_udp(loopback.ADDRESS, port)
    assert isinstance(udp, TrioUdpSocket)
    try:
        await udp.send(b"abc")
        with socket.fromfd(udp._socket.fileno(), socket.AF_INET, socket.SOCK_DGRAM) as twin:
            for _ in range(200):
                try:
                    twin.send(b"abc")
                except ConnectionRefusedError:
                    continue
        assert udp.icmp_error() == IcmpError(3, 3, "target")
    finally:
        udp.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_a_refused_connect_has_no_icmp_error() -> None:
    """A reset is not one."""
    connection = TrioNetwork().open_tcp(loopback.ADDRESS, closed_port())
    try:
        with pytest.raises(ConnectionRefusedError):
            await connection.connect()
        assert connection.icmp_error() is None
    finally:
        connection.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_errors_are_asked_for_while_connecting_and_under_a_hop_limit_only() -> None:
    """An established connection survives soft errors (RFC 1122) unless they are wanted."""
    async with tcp_peer(hold) as port:
        connection = TrioTcpConnection(loopback.ADDRESS, port)
        option = connection.trio_socket.getsockopt
        try:
            await connection.connect()
            default = option(socket.IPPROTO_IP, socket.IP_TTL)
            assert option(*IP_RECVERR) == 0
            for limit in (3, 255):
                connection.set_hop_limit(limit)
                assert (option(socket.IPPROTO_IP, socket.IP_TTL), option(*IP_RECVERR)) == (limit, 1)
            for _ in range(2):
                connection.set_hop_limit(None)
                assert option(socket.IPPROTO_IP, socket.IP_TTL) == default
                assert option(*IP_RECVERR) == 0
            with pytest.raises(OSError, match="Invalid argument"):
                connection.set_hop_limit(256)
            assert option(*IP_RECVERR) == 0
        finally:
            connection.close()


@LINUX_ONLY
@pytest.mark.anyio
async def test_a_hop_limit_of_ipv6() -> None:
    """The other family has options of its own."""
    try:
        connection = TrioTcpConnection("::1", 9)
    except OSError:
        pytest.skip("no IPv6")
    option = connection.trio_socket.getsockopt
    hops = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
    try:
        default = option(*hops)
        connection.set_hop_limit(7)
        assert (option(*hops), option(*IPV6_RECVERR)) == (7, 1)
        connection.set_hop_limit(None)
        assert (option(*hops), option(*IPV6_RECVERR)) == (default, 0)
    finally:
        connection.close()
