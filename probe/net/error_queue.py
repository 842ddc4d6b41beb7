"""ICMP errors: which one a socket's packets were answered with, without privileges.

errno merges them: a forged port-unreachable looks like a reset (ECONNREFUSED), a
prohibition like a missing route. Linux keeps type, code and sender in the socket's
error queue (ip(7), IP_RECVERR; RFC 3542 names the idea for IPv6), for TCP while
connecting since 5.11. Other systems have no such queue; there nothing is known.
"""

import socket
import struct
import sys
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Protocol

from probe.net.api import IcmpError

# Linux numbers; the socket module has no names for them.
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_RECVERR: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, _IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, _IPV6_RECVERR),
}

# ``struct sock_extended_err``: errno u32, origin u8, type u8, code u8, padding u8,
# information u32, data u32; then the offender's sockaddr, whose family u16 comes
# first and whose address is at 4 (IPv4) or 8 (IPv6).
_ERROR: Final = struct.Struct("=IBBBBII")
_ORIGINS: Final = frozenset({2, 3})
"""SO_EE_ORIGIN_ICMP, _ICMP6; the others are this host's own (1) or no errors."""

_ANCILLARY_BYTES: Final = 256
"""The error and its sender take 64; the hop limit that UDP sockets ask for, 24."""

IPV4_BYTES: Final = 4

_MAX_QUEUED: Final = 64
"""Entries taken at once: more is a flood, and the rest is raised by the next call."""

Ancillary = tuple[int, int, bytes]


class HasErrorQueue(Protocol):
    """A socket of the standard library or of trio."""

    @property
    def family(self) -> socket.AddressFamily:
        """As `socket.socket.family`."""

    @property
    def type(self) -> socket.SocketKind:
        """As `socket.socket.type`."""

    def fileno(self) -> int:
        """As `socket.socket.fileno`."""

    def setsockopt(self, level: int, option: int, value: int, /) -> None:
        """As `socket.socket.setsockopt` with a number."""


def queue_icmp_errors(sock: HasErrorQueue, *, wanted: bool) -> None:
    """Ask for ICMP errors to be queued, or for no more; the latter empties the queue.

    Without effect where there is no such queue.
    """
    if sys.platform != "linux":
        return
    try:
        sock.setsockopt(*_RECVERR[sock.family], int(wanted))
    except OSError:
        # A kernel that only looks like Linux. The errno is still a fact.
        return


def read_icmp_error(sock: HasErrorQueue, peer: str) -> IcmpError | None:
    """Empty a socket's error queue and return the first ICMP error in it, or None.

    ``peer`` is the address that the socket speaks to. Never waits.
    """
    if sys.platform != "linux":
        return None
    found: IcmpError | None = None
    try:
        # A descriptor of its own: trio's recvmsg would wait for an empty queue to
        # fill, and trio shows no other way to the socket.
        with socket.fromfd(sock.fileno(), sock.family, sock.type) as queue:
            own = str(queue.getsockname()[0]).split("%")[0]
            for _ in range(_MAX_QUEUED):
                _, ancillary, _, _ = queue.recvmsg(
                    0, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT
                )
                found = found or parse_icmp_error(ancillary, peer, own)
    except OSError:
        # Empty; or closed, where nothing is left to be known.
        return found
    return found


def parse_icmp_error(ancillary: Iterable[Ancillary], peer: str, own: str = "") -> IcmpError | None:
    """Return what one entry of an error queue says, None if it is no ICMP error.

    ``own`` is this device's address on the connection: its own firewall speaks from it.
    """
    for level, kind, value in ancillary:
        if (level, kind) not in _RECVERR.values() or len(value) < _ERROR.size:
            continue
        _, origin, icmp_type, code, *_ = _ERROR.unpack_from(value)
        if origin in _ORIGINS:
            offender = _offender(value[_ERROR.size :])
            # A router in the address's own network is the operator's border.
            if _network(offender) == _network(ip_address(peer).packed):
                return IcmpError(icmp_type, code, "target")
            is_own = bool(own) and offender == ip_address(own).packed
            return IcmpError(icmp_type, code, "local" if is_own else "path")
    return None


def _network(packed: bytes) -> bytes:
    """Return the /24 or /48 of a packed address."""
    return packed[: 3 if len(packed) == IPV4_BYTES else 6]


def _offender(sockaddr: bytes) -> bytes:
    """Return the packed address in a ``sockaddr``; empty if it holds none."""
    family = int.from_bytes(sockaddr[:2], sys.byteorder)
    if family == socket.AF_INET:
        return sockaddr[4:8]
    if family == socket.AF_INET6:
        return sockaddr[8:24]
    return b""
