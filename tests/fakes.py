"""A network that is written down: rows of (address, delay, outcome) under a fake clock.

Nothing here opens a socket; time passes only in `play`, and there at once.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

import trio
import trio.testing

from probe.model.observation import Role
from probe.model.step import Owner
from probe.net.api import (
    Datagram,
    IcmpError,
    ProxyAddress,
    ResolutionError,
    TcpInfo,
    TunnelRefusedError,
)
from probe.net.tls import TrustStores
from probe.steps.context import Context, Run

Result = TypeVar("Result")

SILENCE = None
"""Outcome of a connect that nobody answers."""

CONNECTED = 0
"""Outcome of a connect that succeeds; any other number is an errno."""


@dataclass(frozen=True)
class Arrival:
    """What arrives so long after the last send: bytes, an errno, or a reply to what was sent."""

    delay_s: float
    what: bytes | int | Callable[[bytes], bytes]
    ip_ttl: int | None = 64


@dataclass(frozen=True)
class Row:
    """One address: how long a connect takes, how it ends, and what comes after a send.

    ``tcp_info`` may depend on what the connection has sent, and when. ``icmp_error``
    goes with an errno, of the connect or of an arrival.
    """

    address: str
    delay_s: float = 0.0
    outcome: int | None = CONNECTED
    arrivals: tuple[Arrival, ...] = ()
    tcp_info: "TcpInfo | Callable[[FakeTcpConnection], TcpInfo] | None" = None
    refusal: str | None = None
    icmp_error: IcmpError | None = None


@dataclass
class _FakeSocket:
    row: Row
    is_closed: bool = False
    sent: bytes = b""
    sent_at: float = 0.0
    sent_times: list[float] = field(default_factory=list)
    left: list[Arrival] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = list(self.row.arrivals)

    def close(self) -> None:
        self.is_closed = True

    def note_sent(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent += data
        self.sent_at = trio.current_time()
        self.sent_times.append(self.sent_at)

    def icmp_error(self) -> IcmpError | None:
        assert not self.is_closed
        return self.row.icmp_error

    async def next_arrival(self) -> tuple[bytes, int | None]:
        assert not self.is_closed
        if not self.left:
            await trio.sleep_forever()
        arrival = self.left.pop(0)
        await trio.sleep_until(self.sent_at + arrival.delay_s)
        if isinstance(arrival.what, int):
            raise OSError(arrival.what, "written down")
        data = arrival.what if isinstance(arrival.what, bytes) else arrival.what(self.sent)
        return data, arrival.ip_ttl


@dataclass
class FakeTcpConnection(_FakeSocket):
    """Implements `probe.net.api.TcpConnection`."""

    sent_bytes: int = 0
    received_bytes: int = 0
    first_arrival: float | None = None
    hop_limits: list[int | None] = field(default_factory=list)

    async def connect(self) -> None:
        await trio.sleep(self.row.delay_s)
        if self.row.outcome is SILENCE:
            await trio.sleep_forever()
        if self.row.outcome:
            raise OSError(self.row.outcome, "written down")

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.note_sent(data)
        self.sent_bytes += len(data)

    async def receive_some(self) -> bytes:
        data, _ = await self.next_arrival()
        if self.first_arrival is None:
            self.first_arrival = trio.current_time()
        self.received_bytes += len(data)
        return data

    def tcp_info(self) -> TcpInfo | None:
        known = self.row.tcp_info
        return known if known is None or isinstance(known, TcpInfo) else known(self)

    def set_hop_limit(self, limit: int | None) -> None:
        assert not self.is_closed
        self.hop_limits.append(limit)


@dataclass
class FakeUdpSocket(_FakeSocket):
    """Implements `probe.net.api.UdpSocket`."""

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.note_sent(data)

    async def receive(self) -> Datagram:
        return Datagram(*await self.next_arrival())


@dataclass
class FakeNetwork:
    """Implements `probe.net.api.Network`.

    ``names`` maps (host name, family) to a delay and to addresses or a
    getaddrinfo error's name.
    """

    rows: Sequence[Row] = ()
    names: Mapping[tuple[str, int], tuple[float, tuple[str, ...] | str]] = field(
        default_factory=dict
    )
    opened: list[_FakeSocket] = field(default_factory=list)

    def now(self) -> float:
        return trio.current_time()

    def wall_clock(self) -> datetime:
        return datetime(2026, 11, 24, 12, 0, 30, tzinfo=UTC)

    def row_of(self, address: str) -> Row:
        return next(row for row in self.rows if row.address == address)

    def open_tcp(self, address: str, port: int) -> FakeTcpConnection:
        connection = FakeTcpConnection(self.row_of(address))
        self.opened.append(connection)
        return connection

    def open_udp(self, address: str, port: int) -> FakeUdpSocket:
        udp = FakeUdpSocket(self.row_of(address))
        self.opened.append(udp)
        return udp

    async def getaddrinfo(self, hostname: str, family: int) -> tuple[str, ...]:
        delay_s, outcome = self.names[hostname, family]
        await trio.sleep(delay_s)
        if isinstance(outcome, str):
            raise ResolutionError(outcome)
        return outcome

    async def open_tunnel(
        self, connection: FakeTcpConnection, proxy: ProxyAddress, host: str, port: int
    ) -> None:
        await connection.send_all(f"{host}:{port}".encode())
        if connection.row.refusal is not None:
            raise TunnelRefusedError(connection.row.refusal)
        await connection.receive_some()

    def route_errno(self, address: str) -> str | None:
        return None


def play(scene: Callable[[], Awaitable[Result]]) -> Result:
    """Run a scene under a clock that jumps to the next event: seconds cost nothing."""

    async def act() -> Result:
        return await scene()

    return trio.run(act, clock=trio.testing.MockClock(autojump_threshold=0))


OWNER = Owner(
    endpoint_id="a.example:443",
    member="a.example",
    service_id="a",
    target_id="a/web",
    combination_rule="all_of",
)


def context_of(
    network: object,
    *,
    address: str | None = None,
    port: int | None = None,
    owner: Owner = OWNER,
    role: Role = "test",
    trust: TrustStores | None = None,
    proxy_id: str | None = None,
) -> Context:
    """Build the context of one attempt, as the run would, at the network's current time."""
    numbers = iter(range(1, 1000))
    run = Run(
        network=network,  # type: ignore[arg-type] # fake and real implement one protocol
        trust=trust or TrustStores(),
        started=network.now(),  # type: ignore[attr-defined] # as above
        next_id=lambda: f"o{next(numbers):05d}",
        lag_since=lambda _start: 0.0,
    )
    return Context(
        run=run,
        chain_id="c00001",
        role=role,
        owner=owner,
        attempt=1,
        port=port,
        address=address,
        proxy_id=proxy_id,
        tactic="none" if proxy_id is None else "socks5",
    )
