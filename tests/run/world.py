"""A network of peers in memory: TLS servers are real, the wire between is written down.

It remembers what was opened, when, and what each connection said first.
"""

import errno
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.rrset
import msgspec
import trio
import trustme

import fakes
from censorlab.opening.tls import HelloReader, MalformedHelloError
from facts import targets_of
from probe.model.step import DnsLookup, Plan
from probe.model.target import Control, Endpoint, Resolver, Service, Targets
from probe.model.vantage import Vantage
from probe.net.api import Datagram, IcmpError, ResolutionError, TcpInfo, TunnelRefusedError
from probe.plan.build import Options
from probe.run.events import Event
from probe.run.session import RunResult, Settings, run_check

AUTHORITY = trustme.CA()
RTT_S = 0.06

NAMES = ("web.example", "t.example")
ADDRESSES = {"web.example": "203.0.115.10", "t.example": "203.0.114.20"}
LITERALS = ("198.51.100.1", "198.51.101.1", "198.51.102.1")
NEIGHBOURS = ("198.51.100.2", "198.51.101.2", "198.51.102.2")
CONTROLS = ("192.0.2.1", "192.0.3.2", "192.0.4.3")
RESOLVER = "192.0.5.53"
INNOCUOUS = "plain.example"

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.issue_cert(*NAMES, "*.many.example", "good.example").configure_cert(CONTEXT)

NEVER = b"\x00never"


@dataclass
class Wire:
    """What happens at an address.

    ``state``: ok, silent or refused. ``cut``: bytes that a reset from the path meets;
    ``swallowed``: bytes that nobody so much as acknowledges, and ``swallowed_version``
    the same for hellos (0x0304 is TLS 1.3). ``connect_s``: how long a connect takes,
    one after the other if there are several; ``lost``: so many connects are never
    answered before one is. ``seconds_per_page``: how long a page of ``page_bytes`` takes to come.
    """

    state: str = "ok"
    cut: bytes = NEVER
    swallowed: bytes = NEVER
    swallowed_version: int | None = None
    connect_s: tuple[float, ...] = (RTT_S,)
    lost: int = 0
    page_bytes: int = 2
    seconds_per_page: float = 0.0


@dataclass
class TlsPeer:
    """A TLS server in memory behind one connection. Times are the fake clock's."""

    world: "World"
    wire: Wire
    address: str
    port: int
    opened_at: float
    hello_at: float | None = None
    server_name: str | None = None
    version: int | None = None
    closed_at: float | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    first_arrival: float | None = None
    is_cut: bool = False
    is_swallowed: bool = False
    hop_limit: int | None = None
    _in: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    _out: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    def __post_init__(self) -> None:
        self._tls = CONTEXT.wrap_bio(self._in, self._out, server_side=True)
        self._is_open = False
        self._is_plain = False

    async def connect(self) -> None:
        if self.wire.lost:
            self.wire.lost -= 1
            await trio.sleep_forever()
        if self.wire.state == "silent":
            await trio.sleep_forever()
        before = len(self.world.at(self.address)) - 1
        await trio.sleep(self.wire.connect_s[before % len(self.wire.connect_s)])
        if self.wire.state == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        assert self.closed_at is None
        if not self.sent_bytes:
            self._note_first(data)
        self.sent_bytes += len(data)
        self.is_cut |= self.wire.cut in data
        self.is_swallowed |= self.wire.swallowed in data
        self._in.write(data)

    def _note_first(self, data: bytes) -> None:
        hello = None
        if data[0] == 0x16:
            with suppress(MalformedHelloError):  # random bytes may begin so
                hello = HelloReader().feed(data)
        self._is_plain = data.startswith(b"GET ")
        if hello is not None:
            self.hello_at = trio.current_time()
            self.server_name = hello.server_name
            self.version = hello.version
            self.is_swallowed |= hello.version == self.wire.swallowed_version

    async def receive_some(self) -> bytes:
        await trio.sleep(RTT_S)
        if self.is_swallowed:
            await trio.sleep_forever()
        if self.is_cut:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if self._is_plain:
            data = self._page() if self._in.read() else b""
        else:
            await self._shake_or_answer()
            data = self._out.read()
        if not data:
            await trio.sleep_forever()
        if self.first_arrival is None:
            self.first_arrival = trio.current_time()
        self.received_bytes += len(data)
        return data

    def _page(self) -> bytes:
        body = b"k" * self.wire.page_bytes
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    async def _shake_or_answer(self) -> None:
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while request := self._tls.read(65536):
                if request.endswith(b"\r\n\r\n"):
                    self.first_arrival = trio.current_time()
                    await trio.sleep(self.wire.seconds_per_page)
                    self._tls.write(self._page())
        except (ssl.SSLWantReadError, ssl.SSLError):
            pass  # an alert, if it is one, is in the buffer

    def tcp_info(self) -> TcpInfo | None:
        """Say what Linux would: a swallowed hello is sent again at 0.3, 0.9, 2.1 … s."""
        resent = 0
        if self.is_swallowed and self.hello_at is not None:
            waited = trio.current_time() - self.hello_at
            resent = sum(waited >= 0.3 * (2**n - 1) for n in range(1, 8))
        is_lost = self.is_swallowed or self.is_cut
        return TcpInfo(
            rtt_s=RTT_S,
            retransmits=resent,
            total_retransmits=resent,
            unacked=int(is_lost),
            bytes_acked=1 if is_lost else 1 + self.sent_bytes,
            bytes_received=self.received_bytes,
        )

    def icmp_error(self) -> IcmpError | None:
        return None

    def set_hop_limit(self, limit: int | None) -> None:
        self.hop_limit = limit
        if limit is not None and limit < 5:
            self.is_swallowed = True

    def close(self) -> None:
        if self.closed_at is None:
            self.closed_at = trio.current_time()


@dataclass
class DnsPeer:
    """Answers A for known names after one round trip, and nothing but DNS."""

    wire: Wire
    is_resolver: bool
    _queries: list[bytes] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._queries.append(data)

    async def receive(self) -> Datagram:
        await trio.sleep(RTT_S)
        if self.wire.state == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "port unreachable")
        if self.wire.state == "silent" or not self._queries or not self.is_resolver:
            await trio.sleep_forever()
        query = dns.message.from_wire(self._queries.pop())
        answer = dns.message.make_response(query)
        name = query.question[0].name
        known = ADDRESSES.get(name.to_text().rstrip("."))
        if known and query.question[0].rdtype == 1:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", known))
        return Datagram(answer.to_wire(), 60)

    def icmp_error(self) -> IcmpError | None:
        return None

    def close(self) -> None:
        pass


@dataclass
class World(fakes.FakeNetwork):
    """A network of peers; remembers every (address, port) that was opened, in order.

    ``on_open`` is told of each, and may change the wires; ``is_bad`` is its note that it has.
    """

    wires: dict[str, Wire] = field(default_factory=dict)
    touched: list[tuple[str, int]] = field(default_factory=list)
    peers: list[TlsPeer] = field(default_factory=list)
    on_open: Callable[["World"], None] = lambda _world: None
    is_bad: bool = False

    def open_tcp(self, address: str, port: int) -> TlsPeer:  # type: ignore[override]
        self.touched.append((address, port))
        self.on_open(self)
        wire = self.wires.setdefault(address, Wire())
        peer = TlsPeer(self, wire, address, port, trio.current_time())
        self.peers.append(peer)
        return peer

    def open_udp(self, address: str, port: int) -> DnsPeer:  # type: ignore[override]
        self.touched.append((address, port))
        return DnsPeer(self.wires.get(address, Wire()), address == RESOLVER)

    async def getaddrinfo(self, hostname: str, family: int) -> tuple[str, ...]:
        await trio.sleep(RTT_S)
        if hostname not in ADDRESSES:
            raise ResolutionError("EAI_NONAME")
        return (ADDRESSES[hostname],)

    async def open_tunnel(self, *_: Any) -> None:
        """Every proxy here refuses."""
        await trio.sleep(RTT_S)
        raise TunnelRefusedError("reply_5")

    def at(self, *addresses: str) -> list[TlsPeer]:
        """Return the connections to some addresses, in order of opening."""
        return [peer for peer in self.peers if peer.address in addresses]


def known_good(path: str = "") -> list[Control]:
    """Three hosts of three operators in three networks."""
    return [
        Control(
            id=f"known_good/{n}",
            kind="known_good",
            operator=f"operator {n}",
            address=address,
            server_name="good.example",
            path=path,
        )
        for n, address in enumerate(CONTROLS)
    ]


def world_targets(*endpoints: Endpoint, path: str = "") -> Targets:
    """Two hosts to a page, three literal addresses (or what is given), controls, a resolver.

    The literals' next addresses are the service's too. ``path`` is of controls' pages.
    """
    hosts = [
        Endpoint(address=name, port=443, probes=("dns", "tcp", "tls", "http")) for name in NAMES
    ]
    literals = [Endpoint(address=address, port=443, probes=("tcp",)) for address in LITERALS]
    innocuous = Control(id="innocuous", kind="innocuous_name", server_name=INNOCUOUS)
    listed = targets_of(
        *(endpoints or (*hosts, *literals)),
        controls=(*known_good(path), innocuous),
        resolvers=(Resolver(id="udp", protocol="udp", address=RESOLVER, port=53),),
        trust_anchors=(AUTHORITY.cert_pem.bytes().decode(),),
    )
    owner = Service(id="a", name="A", category_code="COMT", address_ranges=("198.51.0.0/16",))
    return msgspec.structs.replace(listed, services=(owner,))


def options(**rest: Any) -> Options:
    """Return the options of every run here: IPv4, and one order."""
    return Options(**({"families": (4,), "seed": 1} | rest))


def run_in(
    world: World, folder: Path, targets: Targets | None = None, **rest: Any
) -> tuple[RunResult, list[Event]]:
    """Run the whole session under a clock that jumps."""
    events: list[Event] = []
    wanted = Settings(
        targets=targets or world_targets(),
        targets_sha256="ab" * 32,
        vantage=Vantage(),
        results=folder,
        options=options(**rest),
    )
    return fakes.play(lambda: run_check(wanted, world, events.append)), events


def promised(plan: Plan) -> set[tuple[str, int]]:
    """Every (address, port) that a plan may open, DNS answers included."""
    places: set[tuple[str, int]] = set()
    for chain in (*plan.controls, *plan.lookups, *plan.chains, *plan.follow_ups):
        if chain.address is not None:
            places.add((chain.address, chain.port))
        elif chain.hostname is not None:
            places.add((ADDRESSES[chain.hostname], chain.port))
        for step in chain.steps:
            if isinstance(step, DnsLookup) and step.resolver.address:
                places.add((step.resolver.address, step.resolver.port))
    return places


def most_at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Return how many spans of time overlap at most; ends are not part of them."""
    edges = sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans])
    now = most = 0
    for _, change in edges:
        now += change
        most = max(most, now)
    return most


def most_within(times: Sequence[float], window_s: float) -> int:
    """Return how many times fall into one window at most; its end is not part of it."""
    return max((sum(t <= u < t + window_s for u in times) for t in times), default=0)
