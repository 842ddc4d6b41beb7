"""The seam: what steps may ask of a network. Fakes implement these protocols.

Addresses only, never names: a name would hide which address failed.
"""

from datetime import datetime
from typing import Literal, NamedTuple, Protocol

from probe.wire.proxy_links import ProxyLink


class TcpInfo(NamedTuple):
    """Kernel's view of one connection (Linux ``struct tcp_info``).

    ``bytes_acked`` counts the SYN as 1. ``retransmits`` counts the current
    unacknowledged segment's, ``total_retransmits`` the connection's.
    """

    rtt_s: float
    retransmits: int
    total_retransmits: int
    unacked: int
    bytes_acked: int
    bytes_received: int


class Datagram(NamedTuple):
    """A received datagram and the hop limit it arrived with, where known."""

    data: bytes
    ip_ttl: int | None


class IcmpError(NamedTuple):
    """An ICMP error (RFC 792, 4443) that a socket's packets were answered with.

    ``type`` and ``code`` are as received, so IPv4 and IPv6 number differently: a
    prohibition is 3/13 in ICMP and 1/1 in ICMPv6. ``origin`` is ``target`` if the
    error came from the network (/24, /48) that the socket speaks to, ``local`` if from this
    device itself (its firewall), else ``path``; a sender can be forged, so ``target`` is
    a claim. Who on the path it was is not kept: it
    may be a router of the volunteer's provider.
    """

    type: int
    code: int
    origin: Literal["target", "path", "local"]


class ProxyAddress(NamedTuple):
    """A proxy and the address of its host; lives in memory only, never in a result."""

    link: ProxyLink
    address: str

    def __repr__(self) -> str:
        """Show no place and no secret: an exception's text may be logged."""
        return f"ProxyAddress({self.link.kind})"


class TunnelRefusedError(Exception):
    """The proxy answered, and did not open the tunnel. ``detail`` has no address."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class ByteStream(Protocol):
    """An ordered stream of bytes; ``b""`` from `receive_some` is end of file."""

    async def send_all(self, data: bytes) -> None:
        """Send everything; raises OSError."""

    async def receive_some(self) -> bytes:
        """Receive at least one byte, or ``b""``; raises OSError."""


class TcpConnection(ByteStream, Protocol):
    """One TCP connection to one address, counted and inspectable.

    ``first_arrival`` is the clock when bytes first arrived since it was last
    set to None: the only place that sees bytes before TLS gathers a record.
    """

    sent_bytes: int
    received_bytes: int
    first_arrival: float | None

    async def connect(self) -> None:
        """Connect; raises OSError with errno."""

    def tcp_info(self) -> TcpInfo | None:
        """Return the kernel's view, None where the platform has none."""

    def icmp_error(self) -> IcmpError | None:
        """Return the first ICMP error that connecting was answered with.

        None if there was none, once connected, and where the platform cannot tell
        (all but Linux 5.11 and later).
        """

    def set_hop_limit(self, limit: int | None) -> None:
        """Let packets die after ``limit`` (1 to 255) routers; None: the system's default.

        For use between connecting and the first data. What Linux 6.18 was seen to do
        while a limit is set: each time-exceeded makes one send or receive raise
        EHOSTUNREACH, indistinguishable by errno from a host-unreachable and without
        an entry for `icmp_error`; the connection lives on, and the kernel goes on
        retransmitting. An error that comes while a call holds the socket is not
        raised, but the next retransmission's is. Bytes still unacknowledged when the
        limit is lifted are retransmitted all the way; an error that came before and
        was not raised yet still will be.

        Raises:
            OSError: the platform cannot, or the socket is closed.
        """

    def close(self) -> None:
        """Close at once; idempotent."""


class UdpSocket(Protocol):
    """A UDP socket connected to one address."""

    async def send(self, data: bytes) -> None:
        """Send one datagram; raises OSError."""

    async def receive(self) -> Datagram:
        """Receive one datagram; raises OSError (ICMP errors included)."""

    def icmp_error(self) -> IcmpError | None:
        """Return the first ICMP error that a datagram was answered with.

        None if there was none, and where the platform cannot tell (all but Linux).
        """

    def close(self) -> None:
        """Close at once; idempotent."""


class Clock(Protocol):
    """Time, as an argument."""

    def now(self) -> float:
        """Seconds on a monotonic clock with an arbitrary start."""

    def wall_clock(self) -> datetime:
        """UTC date and time, timezone-aware."""


class Network(Clock, Protocol):
    """Everything a step may do to the outside."""

    def open_tcp(self, address: str, port: int) -> TcpConnection:
        """Create an unconnected TCP socket for one address; raises OSError."""

    def open_udp(self, address: str, port: int) -> UdpSocket:
        """Create a UDP socket connected to one address; raises OSError."""

    async def getaddrinfo(self, hostname: str, family: int) -> tuple[str, ...]:
        """Ask the system resolver for addresses of family 4 or 6.

        Raises:
            ResolutionError: with getaddrinfo's error name.
        """

    async def open_tunnel(
        self, connection: TcpConnection, proxy: ProxyAddress, host: str, port: int
    ) -> None:
        """Ask the proxy behind a connection for a tunnel.

        Raises:
            TunnelRefusedError: the proxy said no, or spoke no proxy protocol.
            OSError: the connection broke.
        """

    def route_errno(self, address: str) -> str | None:
        """Return None if the host has a route there, else the errno's name.

        Sends nothing.
        """


class ResolutionError(Exception):
    """getaddrinfo failed; ``name`` is its error name such as ``EAI_NONAME``."""

    def __init__(self, name: str | None) -> None:
        super().__init__(name)
        self.name = name
