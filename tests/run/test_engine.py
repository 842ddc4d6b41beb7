"""The engine under a written-down network: order, promise, retries, follow-ups."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakes
from facts import targets_of
from probe.model.observation import FollowUp, Observation
from probe.model.step import Plan
from probe.model.target import Control, Endpoint, Targets
from probe.net.tls import TrustStores
from probe.plan.build import build_plan, trust_anchors
from probe.plan.follow_ups import Asked
from probe.run.engine import Engine
from probe.run.events import Observed
from probe.run.session import find_routes
from probe.steps.dns_lookup import HOLD_OPEN_S
from run.world import (
    ADDRESSES,
    CONTROLS,
    INNOCUOUS,
    LITERALS,
    NEIGHBOURS,
    NEVER,
    RESOLVER,
    Wire,
    World,
    known_good,
    options,
    promised,
    run_in,
    world_targets,
)

WEB = ADDRESSES["web.example"]

wires = st.builds(
    Wire,
    state=st.sampled_from(["ok", "silent", "refused"]),
    cut=st.sampled_from([NEVER, b"web.example", b"example"]),
    swallowed=st.sampled_from([NEVER, b"t.example", b"plain"]),
    swallowed_version=st.sampled_from([None, 0x0304]),
    lost=st.integers(0, 1),
)
PLACES = (*ADDRESSES.values(), *LITERALS, *NEIGHBOURS, *CONTROLS, RESOLVER)


@settings(max_examples=40, deadline=None)
@given(
    found=st.fixed_dictionaries(dict.fromkeys(PLACES, wires)),
    asked=st.frozensets(st.sampled_from(["locate", "throttling"])),
)
def test_nothing_is_opened_outside_the_plan(
    found: dict[str, Wire], asked: frozenset[Asked], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the network does, every socket goes to a place that the plan names."""
    world = World(wires=found)

    result, _ = run_in(world, tmp_path_factory.mktemp("run"), asked=asked)
    plan = build_plan(world_targets(), options(asked=asked))

    assert set(world.touched) <= promised(plan)
    assert all(peer.closed_at is not None for peer in world.peers)
    assert {v.target_id for v in result.verdicts} == {"a/web"}
    assert result.is_usable or {v.state for v in result.verdicts} == {"insufficient"}


def follow_ups(result: Any) -> set[FollowUp]:
    """Return what followed, controls' own checks left out."""
    return {o.follow_up for o in result.observations if o.follow_up and o.role == "contrast"}


def test_a_silent_address_has_its_separating_probes(tmp_path: Path) -> None:
    """Another port, UDP, and the operator's next address; each once, at the promised place."""
    world = World(wires={LITERALS[0]: Wire("silent")})

    result, _ = run_in(world, tmp_path)
    plan = build_plan(world_targets(), options())

    assert follow_ups(result) == {"other_port", "udp_twin", "neighbour"}
    assert set(world.touched) <= promised(plan)
    for place in ((LITERALS[0], 80), (NEIGHBOURS[0], 443)):
        assert world.touched.count(place) == 1


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
    attempts = [
        o.attempt
        for o in result.observations
        if o.address == LITERALS[0] and o.role == "test" and o.follow_up is None
    ]

    assert attempts == [1, 2]


def test_a_second_connect_goes_out_while_the_first_is_silent(tmp_path: Path) -> None:
    """A lost SYN costs two seconds, not the whole of the first attempt's time."""
    world = World(wires={LITERALS[0]: Wire(lost=1)})

    result, _ = run_in(world, tmp_path)
    first, second = world.at(LITERALS[0])[:2]
    rows = {
        o.attempt: o for o in result.observations if o.address == LITERALS[0] and not o.follow_up
    }

    assert first.closed_at is not None
    assert second.opened_at < first.closed_at
    assert (rows[1].failure, rows[2].failure) == ("generic_timeout_error", None)
    assert [v.state for v in result.verdicts] == ["ok"]


def test_on_a_slow_line_nothing_is_hedged(tmp_path: Path) -> None:
    """Where controls take seconds to connect, two of them are no silence."""
    slow = {address: Wire(connect_s=(1.5,)) for address in CONTROLS}
    world = World(wires={**slow, LITERALS[0]: Wire("silent")})

    run_in(world, tmp_path)
    own = [p for p in world.at(LITERALS[0]) if p.port == 443]
    beside = [p for p in world.at(LITERALS[0]) if p.port == 80]

    assert own[0].closed_at is not None
    assert own[1].opened_at >= own[0].closed_at
    assert beside[0].opened_at >= own[0].closed_at


def test_a_cut_name_gets_its_contrast(tmp_path: Path) -> None:
    """A hello cut by its name is contrasted at the same address and at another host's."""
    cut = {address: Wire(cut=b"web.example") for address in (WEB, *CONTROLS)}
    world = World(wires=cut)

    result, _ = run_in(world, tmp_path)
    contrasts = [o for o in result.observations if o.role == "contrast" and o.step == "tls"]
    names = {(o.follow_up, o.server_name) for o in contrasts}
    away = {"name_elsewhere", "harmless_elsewhere"}

    assert {o.address for o in contrasts if o.follow_up not in away} == {WEB}
    # Nothing under the innocuous name is as short as the endpoint's own.
    assert {("other_name", INNOCUOUS), ("second_hello", "web.example")} <= names
    assert {("name_elsewhere", "web.example"), ("harmless_elsewhere", INNOCUOUS)} <= names
    assert [(v.state, v.mechanism, v.n_ok, v.n_total) for v in result.verdicts] == [
        ("blocked", "sni_rst", 4, 5)
    ]


def test_a_host_that_is_spared_for_names_is_no_control_any_more(tmp_path: Path) -> None:
    """Its address may be closed to us for it: neither beats nor the second round go there."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path)
    (spared,) = {o.address for o in result.observations if o.follow_up == "name_elsewhere"}
    later = [
        o
        for o in result.observations
        if o.role == "control" and (o.attempt == 2 or o.follow_up == "heartbeat")
    ]

    assert spared in CONTROLS
    assert later
    assert spared not in {o.address for o in later}


def test_a_control_that_never_answered_is_no_measure_of_the_line(tmp_path: Path) -> None:
    """Its silence says nothing new: no beat goes there."""
    world = World(wires={CONTROLS[0]: Wire("silent"), LITERALS[0]: Wire("silent")})

    result, _ = run_in(world, tmp_path)
    beats = {o.address for o in result.observations if o.follow_up == "heartbeat"}

    assert beats == {CONTROLS[1]}


def test_where_few_controls_answered_the_spared_one_is_asked_again(tmp_path: Path) -> None:
    """Two operators are needed to say that the line lasted."""
    world = World(wires={CONTROLS[0]: Wire("silent"), LITERALS[0]: Wire("silent")})

    result, _ = run_in(world, tmp_path)
    again = {
        o.address
        for o in result.observations
        if o.role == "control" and o.step == "tls" and o.attempt == 2 and o.failure is None
    }

    assert again == set(CONTROLS[1:])


def two_operators() -> Targets:
    """Of two operators none can be spared."""
    listed = world_targets()
    others = tuple(c for c in listed.controls if c.address != CONTROLS[2])
    return msgspec.structs.replace(listed, controls=others)


def test_names_go_to_a_control_after_its_last_word(tmp_path: Path) -> None:
    """Where no host can be spared: the second round of controls has ended by then."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path, two_operators())
    elsewhere = [o for o in result.observations if o.follow_up == "name_elsewhere"]
    again = [
        o
        for o in result.observations
        if o.role == "control" and o.follow_up is None and o.attempt == 2
    ]

    assert elsewhere
    assert again
    assert min(o.t0 for o in elsewhere) >= max(o.t for o in again)


def test_without_failures_there_is_no_second_round(tmp_path: Path) -> None:
    """Nothing has to be explained, and nothing follows."""
    result, _ = run_in(World(), tmp_path)

    assert {o.attempt for o in result.observations if o.follow_up is None} == {1}
    assert follow_ups(result) == set()


def test_a_hello_that_only_newer_clients_lose_is_tried_in_other_forms(tmp_path: Path) -> None:
    """The second form passes beside it; the plain one is tried again all the same."""
    world = World(wires={WEB: Wire(swallowed_version=0x0304)})

    result, _ = run_in(world, tmp_path)
    rows = [o for o in result.observations if o.address == WEB and o.step == "tls"]
    passed = {o.follow_up for o in rows if o.failure is None}
    plain = [o.attempt for o in rows if o.follow_up is None]

    assert passed == {"second_hello"}
    assert sorted(plain) == [1, 2]


def test_a_second_form_that_is_silent_too_is_the_second_attempt(tmp_path: Path) -> None:
    """The name is swallowed in any form: it is not sent a third time."""
    world = World(wires={WEB: Wire(swallowed=b"web.example")})

    result, _ = run_in(world, tmp_path)
    rows = [o for o in result.observations if o.server_name == "web.example" and o.address == WEB]

    assert {(o.follow_up, o.attempt) for o in rows} == {(None, 1), ("second_hello", 1)}
    assert {o.failure for o in rows} == {"generic_timeout_error"}


def test_an_answer_starts_chains_before_the_window_closes(tmp_path: Path) -> None:
    """The socket stays open for a second answer; nobody waits for that."""
    world = World()
    world.getaddrinfo = _no_answer  # type: ignore[method-assign]

    result, _ = run_in(world, tmp_path)
    asked = [o for o in result.observations if o.step == "dns" and o.resolver_id == "udp"]
    started = {o.hostname: o.t0 for o in result.observations if o.step == "tcp" and o.hostname}
    answered = {o.hostname: o for o in asked if o.hostname in ADDRESSES}

    assert set(started) == set(answered) == set(ADDRESSES)
    for hostname, row in answered.items():
        assert row.t - row.t0 >= HOLD_OPEN_S
        assert started[hostname or ""] < row.t - HOLD_OPEN_S / 2


@pytest.mark.parametrize("address", ["192.168.1.1", "127.0.0.1", "203.0.113.10"])
def test_an_answer_that_cannot_be_the_service_is_not_connected_to(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a router or neighbour of the volunteer's; the lookup is recorded all the same."""
    monkeypatch.setitem(ADDRESSES, "web.example", address)
    world = World()

    result, _ = run_in(world, tmp_path)
    answers = {a for o in result.observations for a in o.accepted_addresses()}

    assert address in answers
    assert address not in {place for place, _ in world.touched}


async def _no_answer(hostname: str, family: int) -> tuple[str, ...]:
    await fakes.trio.sleep_forever()
    raise AssertionError


def played(world: World, plan: Plan) -> list[Observation]:
    """Carry out a plan of our own making."""

    async def emit(row: Observation, done: int, total: int) -> None:
        assert done <= total

    trust = TrustStores(trust_anchors(world_targets()))

    async def scene() -> list[Observation]:
        return await Engine(plan, world, trust, (), emit, {4: None}).run()

    return fakes.play(scene)


def test_beyond_the_byte_cap_nothing_follows() -> None:
    """What was promised is measured once; no retry, no separating probe."""
    wires = {address: Wire(cut=b"example") for address in ADDRESSES.values()}
    plan = build_plan(world_targets(), options())
    poor = msgspec.structs.replace(plan, budget=msgspec.structs.replace(plan.budget, max_bytes=0))

    rows = played(World(wires=wires), poor)
    tests = [o for o in rows if o.role == "test" and o.follow_up is None]

    assert {o.server_name for o in tests if o.step == "tls"} == {"web.example", "t.example"}
    assert {o.attempt for o in tests} == {1}
    assert {o.follow_up for o in rows} <= {None, "heartbeat"}
    # The same world with the usual cap.
    assert "other_name" in {o.follow_up for o in played(World(wires=wires), plan)}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((), set()), (("locate",), {"hop"}), (("residual",), {"residual"})],
)
def test_what_disturbs_is_done_only_if_asked(
    asked: tuple[Asked, ...], expected: set[FollowUp], tmp_path: Path
) -> None:
    """Hellos that die on their way, and a harmless name after a forbidden one: at the end."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path, asked=frozenset(asked))
    found = follow_ups(result) & {"hop", "residual"}
    rows = [o for o in result.observations if o.follow_up in {"hop", "residual"}]
    others = [o for o in result.observations if o not in rows and o.follow_up != "heartbeat"]

    assert found == expected
    assert all(row.t0 >= max(o.t for o in others) for row in rows)


def test_the_hop_that_answers_ends_the_search(tmp_path: Path) -> None:
    """Hellos die one hop further each time; whoever cuts one sits before that hop."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path, asked=frozenset({"locate"}))
    hellos = [
        (o.hop_limit, o.failure)
        for o in result.observations
        if o.follow_up == "hop" and o.step == "tls"
    ]

    assert [limit for limit, _ in hellos] == list(range(1, len(hellos) + 1))
    assert hellos[-1][1] == "connection_reset"
    assert {failure for _, failure in hellos[:-1]} == {"generic_timeout_error"}


def test_a_bad_minute_is_waited_out_and_measured_again(tmp_path: Path) -> None:
    """What fails while beats fail is tried once more than promised, and then it works."""
    lost = {address: Wire(lost=1) for address in CONTROLS[:2]}

    def lose(world: World) -> None:
        if (LITERALS[0], 443) in world.touched and not world.is_bad:
            world.is_bad = True
            world.wires.update(lost)
            world.wires[LITERALS[0]] = Wire(lost=2)

    world = World(on_open=lose)

    result, _ = run_in(world, tmp_path)
    own = [o for o in result.observations if o.address == LITERALS[0] and not o.follow_up]
    beats = [o for o in result.observations if o.follow_up == "heartbeat"]

    assert [o.failure for o in beats if o.failure]
    assert [(o.attempt, o.failure) for o in own] == [
        (1, "generic_timeout_error"),
        (2, "generic_timeout_error"),
        (3, None),
    ]


def test_a_network_lost_on_the_way_blocks_nothing(tmp_path: Path) -> None:
    """Controls that no longer answer at the end explain every failure before.

    Repeats are bounded: a line that stays bad is a bad line.
    """
    own = (*LITERALS, *ADDRESSES.values())

    def lose(world: World) -> None:
        if len(world.touched) > 4:
            world.wires.update({a: Wire("silent") for a in (*own, *CONTROLS)})

    world = World(on_open=lose)

    result, _ = run_in(world, tmp_path)
    controls = [o for o in result.observations if o.role == "control" and o.follow_up is None]
    attempts = [o.attempt for o in result.observations if o.address in own and o.role == "test"]

    assert {v.state for v in result.verdicts} == {"insufficient"}
    assert max(o.attempt for o in controls) == 2
    assert max(attempts) <= 4


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
        controls=(*known_good(), six),
    )

    assert find_routes(V4Only(), listed, (4, 6)) == {4: None, 6: "ENETUNREACH"}
