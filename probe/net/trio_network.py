"""The real network and clock, on trio."""

import socket
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import trio

# python-socks reaches a proxy by itself unless given something to go through;
# we connect (and observe) first and hand the connected socket in.
from python_socks import ProxyError, ProxyType
from python_socks.async_.trio import Proxy as SocksProxy

from probe.model.failure import errno_name
from probe.net.api import (
    Datagram,
    IcmpError,
    ProxyAddress,
    ResolutionError,
    TcpConnection,
    TcpInfo,
    TunnelRefusedError,
    UdpSocket,
)
from probe.net.error_queue import queue_icmp_errors, read_icmp_error
from probe.net.tcp_info import read_tcp_info

_RECEIVE_BYTES: Final = 17 * 1024
"""One read: a TLS record (16 KiB) costs one wake-up, and of a page that is read only in
part not much more is taken than wanted."""

_DATAGRAM_BYTES: Final = 65536

_HTTP: Final = b"HTTP/1."
_HEAD_BYTES: Final = 65536
"""Of a proxy's reply to CONNECT."""

_RESOLVER_THREADS: Final = 16
"""getaddrinfo blocks a thread for up to 10 s when DNS is dead; twice the names of
the default list that need it at once, small enough for a phone."""

# Linux numbers; the names are missing from the socket module of 3.11 to 3.13.
_IP_RECVTTL: Final = 12
_IPV6_RECVHOPLIMIT: Final = 51
_IP_TTL: Final = 2
_IPV6_HOPLIMIT: Final = 52


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class TrioTcpConnection:
    """A TCP connection on a trio socket."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = trio.socket.socket(_family(address), socket.SOCK_STREAM)
        self._peer = (address, port)
        self.sent_bytes = 0
        self.received_bytes = 0
        self.first_arrival: float | None = None
        self._icmp_error: IcmpError | None = None
        self._default_hop_limit: int | None = None
        # Measured handshakes are single small writes: Nagle would only add delay. A hello
        # that is cut into two would wait with the second for the first to be acknowledged.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def connect(self) -> None:
        """Connect; raises OSError."""
        queue_icmp_errors(self._socket, wanted=True)
        await self._socket.connect(self._peer)
        if self._default_hop_limit is None:
            # On an established connection Linux would raise every ICMP error, those
            # included that TCP must survive (RFC 1122 section 4.2.3.9).
            queue_icmp_errors(self._socket, wanted=False)

    async def send_all(self, data: bytes) -> None:
        """Send everything; raises OSError."""
        view = memoryview(data)
        while view:
            sent = await self._socket.send(view)
            self.sent_bytes += sent
            view = view[sent:]

    async def receive_some(self) -> bytes:
        """Receive some bytes, ``b""`` at end of file; raises OSError."""
        data = await self._socket.recv(_RECEIVE_BYTES)
        if self.first_arrival is None:
            self.first_arrival = trio.current_time()
        self.received_bytes += len(data)
        return data

    def tcp_info(self) -> TcpInfo | None:
        """Return the kernel's view of the connection."""
        return read_tcp_info(self._socket)

    def icmp_error(self) -> IcmpError | None:
        """Return the first ICMP error that connecting was answered with."""
        if self._icmp_error is None:
            self._icmp_error = read_icmp_error(self._socket, self._peer[0])
        return self._icmp_error

    def set_hop_limit(self, limit: int | None) -> None:
        """Let packets die after so many routers; None restores the default; raises OSError."""
        if self._socket.family == socket.AF_INET6:
            option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS)
        else:
            option = (socket.IPPROTO_IP, socket.IP_TTL)
        if limit is None:
            if self._default_hop_limit is not None:
                self._socket.setsockopt(*option, self._default_hop_limit)
                self._default_hop_limit = None
                queue_icmp_errors(self._socket, wanted=False)
            return
        # Remembered and not asked for by -1, which only Linux knows for IPv4.
        before = self._socket.getsockopt(*option)
        self._socket.setsockopt(*option, limit)
        if self._default_hop_limit is None:
            self._default_hop_limit = before
        queue_icmp_errors(self._socket, wanted=True)

    def close(self) -> None:
        """Close at once."""
        self._socket.close()

    @property
    def trio_socket(self) -> trio.socket.SocketType:
        """The socket itself, for a library that must drive it."""
        return self._socket


class TrioUdpSocket:
    """A connected UDP socket that keeps each datagram's hop limit, and ICMP errors."""

    def __init__(self, address: str, port: int) -> None:
        self._socket = trio.socket.socket(_family(address), socket.SOCK_DGRAM)
        if sys.platform == "linux":
            if _family(address) == socket.AF_INET:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVHOPLIMIT, 1)
        queue_icmp_errors(self._socket, wanted=True)
        self._icmp_error: IcmpError | None = None
        self._peer = (address, port)
        self._is_connected = False

    async def send(self, data: bytes) -> None:
        """Send one datagram; raises OSError."""
        if not self._is_connected:
            # Connected, so that the kernel drops strangers' datagrams and
            # reports ICMP errors, which an unconnected socket hides.
            await self._socket.connect(self._peer)
            self._is_connected = True
        try:
            await self._socket.send(data)
        except OSError:
            self.icmp_error()
            raise

    async def receive(self) -> Datagram:
        """Receive one datagram; raises OSError."""
        try:
            return await self._receive()
        except OSError:
            # A socket with something in its error queue is readable for epoll(7) for
            # ever: left there, it would make the next receive a busy loop.
            self.icmp_error()
            raise

    async def _receive(self) -> Datagram:
        if sys.platform != "linux":
            return Datagram(await self._socket.recv(_DATAGRAM_BYTES), None)
        data, ancillary, _flags, _peer = await self._socket.recvmsg(_DATAGRAM_BYTES, 64)
        for level, kind, value in ancillary:
            if (level, kind) in {
                (socket.IPPROTO_IP, _IP_TTL),
                (socket.IPPROTO_IPV6, _IPV6_HOPLIMIT),
            }:
                return Datagram(data, int.from_bytes(value[:4], sys.byteorder) & 0xFF)
        return Datagram(data, None)

    def icmp_error(self) -> IcmpError | None:
        """Return the first ICMP error that a datagram was answered with."""
        found = read_icmp_error(self._socket, self._peer[0])
        if self._icmp_error is None:
            self._icmp_error = found
        return self._icmp_error

    def close(self) -> None:
        """Close at once."""
        self._socket.close()


class _Through:
    """Stands where python-socks expects an outer proxy: yields our own socket."""

    def __init__(self, connected: "_Heard") -> None:
        self._connected = connected

    async def connect(self, **_destination: object) -> "_Heard":
        return self._connected


class _Heard:
    """Our socket as python-socks uses it, and what the proxy said on it.

    The library reads an HTTP reply once, whatever has come by then, and has one kind of
    error for everything that SOCKS5 refuses without a code.
    """

    def __init__(self, connected: trio.socket.SocketType, *, is_http: bool) -> None:
        self._connected = connected
        self._is_http = is_http
        self._said = b""

    async def send(self, data: bytes) -> int:
        return await self._connected.send(data)

    async def recv(self, count: int) -> bytes:
        data = await self._connected.recv(count)
        self._said += data
        if not self._is_http:
            return data
        while data and self._is_unfinished_head():
            if len(self._said) > _HEAD_BYTES:
                raise TunnelRefusedError("endless_reply")
            data = await self._connected.recv(_RECEIVE_BYTES)
            self._said += data
        if self._is_unfinished_head():
            raise TunnelRefusedError("unfinished_reply")
        return self._said

    def close(self) -> None:
        self._connected.close()

    def _is_unfinished_head(self) -> bool:
        """Tell whether more is to be read: of a head that opens the tunnel, all of it."""
        line, end, _ = self._said.partition(b"\n")
        if not end:
            start = line[: len(_HTTP)]
            return bool(line) and start == _HTTP[: len(start)]
        opens = line.startswith(_HTTP) and line.split()[1:2] == [b"200"]
        return opens and b"\r\n\r\n" not in self._said and b"\n\n" not in self._said

    def refusal(self) -> str:
        """Return what is known of a refusal without a code (RFC 1928 section 3, RFC 1929)."""
        if not self._is_http and self._said[:2] == b"\x05\xff":
            return "no_method"
        if not self._is_http and self._said[:3] == b"\x05\x02\x01" and self._said[3:4] > b"\0":
            return "credentials_refused"
        return "no_reply_code"


class TrioNetwork:
    """Sockets, system resolver and time of this host."""

    def __init__(self, wall_clock: Callable[[], datetime] | None = None) -> None:
        self._wall_clock = wall_clock
        self._limiter = trio.CapacityLimiter(_RESOLVER_THREADS)

    def now(self) -> float:
        """Return trio's monotonic time in seconds."""
        return trio.current_time()

    def wall_clock(self) -> datetime:
        """Return the UTC time (a scripted one in a lab's simulated calendar)."""
        if self._wall_clock is not None:
            return self._wall_clock()
        return datetime.fromtimestamp(time.time(), UTC)

    def open_tcp(self, address: str, port: int) -> TcpConnection:
        """Create an unconnected TCP socket; raises OSError."""
        return TrioTcpConnection(address, port)

    def open_udp(self, address: str, port: int) -> UdpSocket:
        """Create a UDP socket; raises OSError."""
        return TrioUdpSocket(address, port)

    async def getaddrinfo(self, hostname: str, family: int) -> tuple[str, ...]:
        """Ask the system resolver in a thread; raises ResolutionError."""
        wanted = socket.AF_INET6 if family == 6 else socket.AF_INET

        def resolve() -> tuple[str, ...]:
            found = socket.getaddrinfo(hostname, None, wanted, socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(entry[4][0]).split("%")[0] for entry in found))

        try:
            return await trio.to_thread.run_sync(
                resolve, abandon_on_cancel=True, limiter=self._limiter
            )
        except socket.gaierror as error:
            raise ResolutionError(_gai_name(error.errno)) from None
        except UnicodeError:
            raise ResolutionError("EAI_NONAME") from None

    async def open_tunnel(
        self, connection: TcpConnection, proxy: ProxyAddress, host: str, port: int
    ) -> None:
        """Speak SOCKS5 or HTTP CONNECT over a connection to the proxy."""
        assert isinstance(connection, TrioTcpConnection)
        kind = ProxyType.SOCKS5 if proxy.link.kind == "socks5" else ProxyType.HTTP
        heard = _Heard(connection.trio_socket, is_http=kind is ProxyType.HTTP)
        client = SocksProxy(
            kind,
            proxy.address,
            proxy.link.port,
            proxy.link.username,
            proxy.link.password,
            forward=_Through(heard),  # type: ignore[arg-type] # duck-typed seam
        )
        try:
            # The step's own scope is the deadline; the library's is out of the way.
            await client.connect(host, port, timeout=3600)
        except ProxyError as error:
            code = error.error_code
            detail = heard.refusal() if code is None else f"reply_{code}"
            raise TunnelRefusedError(detail) from None

    def route_errno(self, address: str) -> str | None:
        """Tell whether there is a route, by connecting a UDP socket (sends nothing)."""
        try:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as probe_socket:
                probe_socket.connect((address, 443))
        except OSError as error:
            return errno_name(error.errno) or "OSError"
        return None


def _gai_name(code: int | None) -> str | None:
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY", "EAI_AGAIN", "EAI_FAIL"):
        if code is not None and getattr(socket, name, None) == code:
            return name
    return None
