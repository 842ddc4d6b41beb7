"""The observer must not become the censor: how many at once, how close together."""

import itertools
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from probe.model.target import Endpoint
from probe.run.limits import (
    FAST_BYTES_PER_S,
    FAST_TRANSFERS,
    HANDSHAKES_PER_NETWORK,
    NETWORK_GAP_S,
    PENDING_CONNECT_S,
    TRANSFERS,
    Limits,
    Pacer,
)
from probe.wire.addresses import network_of
from run.world import (
    ADDRESSES,
    TlsPeer,
    Wire,
    World,
    most_at_once,
    most_within,
    run_in,
    world_targets,
)

CROWD = 64
PLACE = "203.0.113.77"
MAX_STARTS = 3
"""Of one name in one second. Field reports of policing begin at four."""


@given(st.lists(st.floats(0, 3), min_size=1, max_size=20))
def test_a_pacer_spaces_whoever_comes(delays: list[float]) -> None:
    """However they come, no two go on within the gap."""
    times: list[float] = []

    async def come(pacer: Pacer, delay: float) -> None:
        await trio.sleep(delay)
        await pacer.wait_turn()
        times.append(trio.current_time())

    async def scene() -> None:
        pacer = Pacer(0.25)
        async with trio.open_nursery() as nursery:
            for delay in delays:
                nursery.start_soon(come, pacer, delay)

    fakes.play(scene)

    assert len(times) == len(delays)
    assert all(b - a > 0.25 - 1e-9 for a, b in itertools.pairwise(times))


HANDSHAKES = st.lists(
    st.tuples(
        st.sampled_from(["192.0.2.0/24", "2001:db8::/48"]),
        st.sampled_from(["a.example", "b.example", "c.example"]),
        st.floats(0, 4),
        st.floats(0, 2),
    ),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(HANDSHAKES)
def test_turns_bound_what_a_network_sees(wanted: list[tuple[str, str, float, float]]) -> None:
    """Two hellos at once, gaps between starts and hellos, however long connects take.

    Connects that hang together may be answered together: a middlebox counts the hellos.
    """
    starts: list[tuple[str, str, float]] = []
    named: list[tuple[str, str, float]] = []
    hellos: list[tuple[str, float, float]] = []

    async def one(limits: Limits, network: str, name: str, connect_s: float, hold_s: float) -> None:
        async with limits.handshake(network, name) as turn:
            starts.append((network, name, trio.current_time()))
            async with turn.lent_when_silent():
                await trio.sleep(connect_s)
            await turn.take()
            await limits.hello(network, name)
            began = trio.current_time()
            named.append((network, name, began))
            await trio.sleep(hold_s)
            hellos.append((network, began, trio.current_time()))

    async def scene() -> None:
        limits = Limits()
        async with trio.open_nursery() as nursery:
            for each in wanted:
                nursery.start_soon(one, limits, *each)

    fakes.play(scene)

    assert len(hellos) == len(wanted)
    for network in {network for network, *_ in wanted}:
        spans = [(start, end) for where, start, end in hellos if where == network]
        assert most_at_once(spans) <= HANDSHAKES_PER_NETWORK
        for events in (starts, named):
            times = [at for where, _, at in events if where == network]
            assert most_within(times, NETWORK_GAP_S - 1e-9) <= 1
            for name in {name for _, name, *_ in wanted}:
                own = [at for where, what, at in events if (where, what) == (network, name)]
                assert most_within(own, 1.0) <= MAX_STARTS


def test_a_silent_connect_does_not_hold_up_its_network() -> None:
    """Two hosts that never answer give their turns to a third after a while."""

    async def silent(limits: Limits) -> None:
        async with limits.handshake("192.0.2.0/24", "a.example") as turn, turn.lent_when_silent():
            await trio.sleep_forever()

    async def scene() -> float:
        limits = Limits()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(HANDSHAKES_PER_NETWORK):
                nursery.start_soon(silent, limits)
            await trio.testing.wait_all_tasks_blocked()
            async with limits.handshake("192.0.2.0/24", "b.example"):
                waited = trio.current_time() - began
            nursery.cancel_scope.cancel()
        return waited

    assert PENDING_CONNECT_S <= fakes.play(scene) < 2 * PENDING_CONNECT_S


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([], TRANSFERS),
        ([FAST_BYTES_PER_S / 2], TRANSFERS),
        ([FAST_BYTES_PER_S, 1.0], FAST_TRANSFERS),
    ],
)
def test_pages_at_once_follow_the_line(rates: list[float], expected: int) -> None:
    """One fast page of a control shows that the line is; a slow one may be the host's."""

    async def scene() -> float:
        limits = Limits()
        for rate in rates:
            limits.allow_transfers(rate)
        return limits.transfers.total_tokens

    assert fakes.play(scene) == expected


# -- the same through the whole engine ---------------------------------------------------


def hello_spans(peers: list[TlsPeer]) -> list[tuple[float, float]]:
    """From the hello to the end of each connection that carried one."""
    return [(p.hello_at, p.closed_at) for p in peers if p.hello_at and p.closed_at]


CROWD_WIRES = st.builds(
    Wire,
    state=st.sampled_from(["ok", "ok", "ok", "silent", "refused"]),
    cut=st.sampled_from([b"\x00never", b"many.example", b"n1", b"example"]),
    swallowed=st.sampled_from([b"\x00never", b"many.example", b"n2", b"example"]),
    swallowed_version=st.sampled_from([None, None, 0x0304]),
    connect_s=st.lists(st.sampled_from([0.06, 0.3, 0.7, 1.06, 3.06]), min_size=1, max_size=5).map(
        tuple
    ),
    lost=st.integers(0, 5),
    page_bytes=st.sampled_from([2, 30_000]),
)


@settings(max_examples=12, deadline=None)
@given(wire=CROWD_WIRES, names=st.sampled_from([1, 2, CROWD]), is_page=st.booleans())
def test_a_crowd_behind_one_address_is_never_a_burst(
    *, wire: Wire, names: int, is_page: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """64 targets: two hellos at a time in a network, three of a name in a second.

    Whatever fails there, and whatever follows: contrasts and repeats count alike.
    """
    endpoints = [
        Endpoint(
            address=PLACE,
            port=443 if is_page else 1000 + n,
            probes=("tcp", "tls", "http") if is_page else ("tcp", "tls"),
            server_name=f"n{n % names}.many.example",
            path=f"/{n}",
            group=f"g{n}",
        )
        for n in range(CROWD)
    ]
    world = World(wires={PLACE: wire})

    run_in(world, tmp_path_factory.mktemp("run"), world_targets(*endpoints))

    for network in {network_of(peer.address) for peer in world.peers}:
        own = [p for p in world.peers if network_of(p.address) == network]
        assert most_at_once(hello_spans(own)) <= HANDSHAKES_PER_NETWORK
        for name in {p.server_name for p in own if p.server_name}:
            hellos = [p.hello_at for p in own if p.server_name == name and p.hello_at]
            assert most_within(hellos, 1.0) <= MAX_STARTS
    assert len(world.at(PLACE)) >= CROWD


def test_neighbours_share_their_network_s_turns(tmp_path: Path) -> None:
    """Hosts of one /24 are one place to a middlebox, whatever they are called."""
    first = ADDRESSES["web.example"]
    beside = [first.rsplit(".", 1)[0] + f".{n}" for n in range(100, 130)]
    endpoints = [
        Endpoint(address=a, port=443, probes=("tcp", "tls"), server_name=f"n{n}.many.example")
        for n, a in enumerate(beside)
    ]
    world = World()

    run_in(world, tmp_path, world_targets(*endpoints))

    assert len(world.at(*beside)) == len(beside)
    assert most_at_once(hello_spans(world.at(*beside))) <= HANDSHAKES_PER_NETWORK
    hellos = [start for start, _ in hello_spans(world.at(*beside))]
    assert most_within(hellos, NETWORK_GAP_S - 1e-9) <= 1


def test_pages_are_fetched_a_few_at_once(tmp_path: Path) -> None:
    """On a line of which nothing is known yet, three."""
    addresses = [f"203.0.{n}.1" for n in range(1, 13)]
    endpoints = [
        Endpoint(address=a, port=443, probes=("tcp", "tls", "http"), server_name="a.many.example")
        for a in addresses
    ]
    slow = {a: Wire(page_bytes=2000, seconds_per_page=1.0) for a in addresses}
    world = World(wires=slow)

    result, _ = run_in(world, tmp_path, world_targets(*endpoints))
    pages = [(o.t - 1.0, o.t) for o in result.observations if o.step == "http"]

    assert len(pages) == len(addresses)
    assert most_at_once(pages) == TRANSFERS
