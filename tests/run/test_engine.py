"""The engine under a written-down network: order, promise, retries, follow-ups.

TLS peers here are real TLS servers in memory; only the wire between is fake.
"""

import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.rrset
import pytest
import trio
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from facts import targets_of
from probe.model.observation import Observation
from probe.model.step import DnsLookup, Plan
from probe.model.target import Control, Endpoint, Resolver, Targets
from probe.model.vantage import Vantage
from probe.net.api import Datagram, ResolutionError, TcpInfo
from probe.plan.build import Options, build_plan
from probe.run.events import Event, Observed
from probe.run.session import RunResult, Settings, find_routes, run_check

AUTHORITY = trustme.CA()
RTT_S = 0.06

NAMES = ("web.example", "t.example")
ADDRESSES = {"web.example": "203.0.113.10", "t.example": "203.0.113.20"}
LITERALS = ("198.51.100.1", "198.51.101.1", "198.51.102.1")
CONTROLS = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
RESOLVER = "192.0.2.53"

CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
AUTHORITY.issue_cert(*NAMES, "good.example").configure_cert(CONTEXT)


@dataclass
class Wire:
    """What happens at an address: ok, silent, refused, or cut when a name is sent."""

    state: str = "ok"
    cut_name: bytes = b"\x00never"


@dataclass
class TlsPeer:
    """A TLS server in memory behind one connection."""

    wire: Wire
    log: list[str]
    address: str
    sent_bytes: int = 0
    received_bytes: int = 0
    first_arrival: float | None = None
    is_closed: bool = False
    is_cut: bool = False
    _in: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)
    _out: ssl.MemoryBIO = field(default_factory=ssl.MemoryBIO)

    def __post_init__(self) -> None:
        self._tls = CONTEXT.wrap_bio(self._in, self._out, server_side=True)
        self._is_open = False

    async def connect(self) -> None:
        if self.wire.state == "silent":
            await trio.sleep_forever()
        await trio.sleep(RTT_S)
        if self.wire.state == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.sent_bytes += len(data)
        if self.wire.cut_name in data:
            self.is_cut = True
        self._in.write(data)

    async def receive_some(self) -> bytes:
        await trio.sleep(RTT_S)
        if self.is_cut:
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        try:
            if not self._is_open:
                self._tls.do_handshake()
                self._is_open = True
            while request := self._tls.read(65536):
                if request.endswith(b"\r\n\r\n"):
                    self._tls.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except ssl.SSLWantReadError:
            pass
        data = self._out.read()
        if not data:
            await trio.sleep_forever()
        self.received_bytes += len(data)
        return data

    def tcp_info(self) -> TcpInfo | None:
        return None

    def close(self) -> None:
        self.is_closed = True


@dataclass
class DnsPeer:
    """Answers A for known names after one round trip."""

    wire: Wire
    _queries: list[bytes] = field(default_factory=list)

    async def send(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self._queries.append(data)

    async def receive(self) -> Datagram:
        await trio.sleep(RTT_S)
        if self.wire.state == "silent" or not self._queries:
            await trio.sleep_forever()
        query = dns.message.from_wire(self._queries.pop())
        answer = dns.message.make_response(query)
        name = query.question[0].name
        known = ADDRESSES.get(name.to_text().rstrip("."))
        if known and query.question[0].rdtype == 1:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "A", known))
        return Datagram(answer.to_wire(), 60)

    def close(self) -> None:
        pass


@dataclass
class World(fakes.FakeNetwork):
    """A network of peers; remembers every (address, port) that was opened, in order."""

    wires: dict[str, Wire] = field(default_factory=dict)
    touched: list[tuple[str, int]] = field(default_factory=list)
    peers: list[TlsPeer] = field(default_factory=list)
    after: Callable[["World"], None] = lambda _world: None

    def open_tcp(self, address: str, port: int) -> TlsPeer:  # type: ignore[override]
        self.touched.append((address, port))
        self.after(self)
        peer = TlsPeer(self.wires.get(address, Wire()), [], address)
        self.peers.append(peer)
        return peer

    def open_udp(self, address: str, port: int) -> DnsPeer:  # type: ignore[override]
        self.touched.append((address, port))
        return DnsPeer(self.wires.get(address, Wire()))

    async def getaddrinfo(self, hostname: str, family: int) -> tuple[str, ...]:
        await trio.sleep(RTT_S)
        if hostname not in ADDRESSES:
            raise ResolutionError("EAI_NONAME")
        return (ADDRESSES[hostname],)


def world_targets() -> Targets:
    """Two hosts to a page, three literal addresses, three controls, one resolver each way."""
    hosts = [
        Endpoint(address=name, port=443, probes=("dns", "tcp", "tls", "http")) for name in NAMES
    ]
    literals = [Endpoint(address=address, port=443, probes=("tcp",)) for address in LITERALS]
    controls = [
        Control(
            id=f"known_good/{n}",
            kind="known_good",
            operator=f"operator {n}",
            address=address,
            server_name="good.example",
        )
        for n, address in enumerate(CONTROLS)
    ]
    innocuous = Control(id="innocuous", kind="innocuous_name", server_name="plain.example")
    return targets_of(
        *hosts,
        *literals,
        controls=(*controls, innocuous),
        resolvers=(Resolver(id="udp", protocol="udp", address=RESOLVER, port=53),),
        trust_anchors=(AUTHORITY.cert_pem.bytes().decode(),),
    )


def run_in(world: World, folder: Path) -> tuple[RunResult, list[Event]]:
    """Run the whole session under a clock that jumps."""
    events: list[Event] = []
    wanted = Settings(
        targets=world_targets(),
        targets_sha256="ab" * 32,
        vantage=Vantage(),
        results=folder,
        options=Options(families=(4,), seed=1),
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


wires = st.builds(
    Wire,
    state=st.sampled_from(["ok", "silent", "refused"]),
    cut_name=st.sampled_from([b"\x00never", b"web.example", b"example"]),
)


@settings(max_examples=60, deadline=None)
@given(
    found=st.fixed_dictionaries(
        dict.fromkeys((*ADDRESSES.values(), *LITERALS, *CONTROLS, RESOLVER), wires)
    )
)
def test_nothing_is_opened_outside_the_plan(
    found: dict[str, Wire], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the network does, every socket goes to a place that the plan names."""
    world = World(wires=found)

    result, _ = run_in(world, tmp_path_factory.mktemp("run"))
    plan = build_plan(world_targets(), Options(families=(4,), seed=1))

    assert set(world.touched) <= promised(plan)
    assert all(peer.is_closed for peer in world.peers)
    assert {v.target_id for v in result.verdicts} == {"a/web"}
    assert result.is_usable or {v.state for v in result.verdicts} == {"insufficient"}


def test_controls_come_first(tmp_path: Path) -> None:
    """No target is touched before two operators have answered."""
    world = World()

    run_in(world, tmp_path)

    assert {address for address, _ in world.touched[:3]} == set(CONTROLS)


def test_without_controls_nothing_else_is_touched(tmp_path: Path) -> None:
    """On a dead line the targets and resolvers are not asked at all."""
    world = World(wires={address: Wire("silent") for address in CONTROLS})

    result, _ = run_in(world, tmp_path)

    assert {address for address, _ in world.touched} == set(CONTROLS)
    assert not result.is_usable
    assert {v.rule_id for v in result.verdicts} == {"controls.failed"}


def test_a_failing_address_is_tried_again_as_an_observation_of_its_own(tmp_path: Path) -> None:
    """A silent address gets two attempts, each recorded with its number."""
    world = World(wires={LITERALS[0]: Wire("silent")})

    result, _ = run_in(world, tmp_path)
    attempts = [o.attempt for o in result.observations if o.address == LITERALS[0]]

    assert attempts == [1, 2]


def test_a_cut_name_gets_its_contrast(tmp_path: Path) -> None:
    """A hello cut by its name is contrasted at the same address, and called blocked."""
    world = World(wires={ADDRESSES["web.example"]: Wire(cut_name=b"web.example")})

    result, _ = run_in(world, tmp_path)
    contrasts = [o for o in result.observations if o.role == "contrast"]

    assert {o.address for o in contrasts} == {ADDRESSES["web.example"]}
    assert {o.server_name for o in contrasts if o.step == "tls"} == {"plain.example"}
    assert [(v.state, v.mechanism, v.n_ok, v.n_total) for v in result.verdicts] == [
        ("blocked", "sni_rst", 4, 5)
    ]


def test_a_network_lost_on_the_way_blocks_nothing(tmp_path: Path) -> None:
    """Controls that no longer answer at the end explain every failure before."""

    def lose(world: World) -> None:
        if len(world.touched) > 4:
            world.wires.update({a: Wire("silent") for a in (*LITERALS, *ADDRESSES.values())})
            world.wires.update({a: Wire("silent") for a in CONTROLS})

    world = World(after=lose)

    result, _ = run_in(world, tmp_path)

    assert {v.state for v in result.verdicts} == {"insufficient"}
    assert max(o.attempt for o in result.observations if o.role == "control") == 2


def test_every_reported_observation_is_stored_before(tmp_path: Path) -> None:
    """The columns of each event are a line of the file, in the same order."""
    world = World()

    result, events = run_in(world, tmp_path)
    reported = [e.observation for e in events if isinstance(e, Observed)]

    assert tuple(reported) == result.observations
    assert isinstance(reported[0], Observation)


def test_a_family_without_route_is_left_out() -> None:
    """Where no control of a family has a route, the errno is reported for it."""

    class V4Only(World):
        def route_errno(self, address: str) -> str | None:
            return "ENETUNREACH" if ":" in address else None

    six = Control(
        id="known_good/six",
        kind="known_good",
        operator="six",
        address="2001:db8::1",
        server_name="good.example",
    )
    listed = targets_of(
        Endpoint(address="198.51.100.1", port=443, probes=("tcp",)),
        controls=(*world_targets().controls, six),
    )

    assert find_routes(V4Only(), listed, (4, 6)) == {4: None, 6: "ENETUNREACH"}
