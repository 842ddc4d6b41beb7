"""Ways around in a run: only on request, only where the direct way fails, within the promise."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe.model.target import Endpoint, Targets
from probe.model.verdict import Verdict
from probe.plan.build import build_plan
from probe.run.session import RunResult
from run.test_engine import PLACES, wires
from run.world import ADDRESSES, Wire, World, options, promised, run_in, world_targets

WEB = ADDRESSES["web.example"]


def of_ways(result: RunResult) -> dict[str, Verdict]:
    return {v.tactic: v for v in result.verdicts if v.tactic != "none"}


def test_a_name_that_is_cut_passes_in_pieces(tmp_path: Path) -> None:
    """A filter that looks at one packet or record at a time does not see a split name."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path, ways=True)

    found = of_ways(result)
    for tactic in ("segment_split", "record_split"):
        assert (found[tactic].state, found[tactic].n_ok, found[tactic].n_total) == ("ok", 1, 1)
    assert (found["tls12"].n_ok, found["tls12"].failed_members) == (0, ("web.example",))


def test_ways_are_tried_only_if_asked(tmp_path: Path) -> None:
    """Some laws punish them, and those who watch may notice."""
    result, _ = run_in(World(wires={WEB: Wire(cut=b"web.example")}), tmp_path)

    assert {o.tactic for o in result.observations} == {"none"}


def test_where_the_direct_way_works_no_other_is_tried(tmp_path: Path) -> None:
    """There is nothing to get around."""
    result, _ = run_in(World(), tmp_path, ways=True)

    assert {o.tactic for o in result.observations} == {"none"}
    assert of_ways(result) == {}


def test_a_way_begins_after_the_direct_ways_last_word(tmp_path: Path) -> None:
    """A filter that learns from a trick may punish what comes after it."""
    world = World(wires={WEB: Wire(cut=b"web.example")})

    result, _ = run_in(world, tmp_path, ways=True)

    direct = [o for o in result.observations if o.tactic == "none" and o.role == "test"]
    around = [o for o in result.observations if o.tactic != "none"]
    assert around
    assert max(o.t for o in direct) <= min(o.t0 for o in around)


def test_a_dead_line_says_nothing_about_ways(tmp_path: Path) -> None:
    """Without controls that work there is no verdict on any of them."""
    world = World(wires=dict.fromkeys(PLACES, Wire("silent")))

    result, _ = run_in(world, tmp_path, ways=True)

    assert of_ways(result) == {}
    assert {o.tactic for o in result.observations} == {"none"}


def with_ways_of_all_kinds() -> Targets:
    """A host that speaks everything, and a data centre of a service with discovery."""
    listed = world_targets(
        Endpoint(address="web.example", port=443, probes=("dns", "tcp", "tls", "http", "ech")),
        Endpoint(address="198.51.100.1", port=443, probes=("tcp", "mtproto"), group="dc2"),
    )
    return msgspec.structs.replace(listed, resolvers=listed.resolvers)


@settings(max_examples=25, deadline=None)
@given(found=st.fixed_dictionaries(dict.fromkeys(PLACES, wires)))
def test_nothing_is_opened_outside_the_plan(
    found: dict[str, Wire], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the network does, every socket goes to a place that the plan names."""
    world = World(wires=found)
    targets = with_ways_of_all_kinds()

    result, _ = run_in(world, tmp_path_factory.mktemp("run"), targets, ways=True)

    plan = build_plan(targets, options(ways=True))
    assert set(world.touched) <= promised(plan)
    assert all(peer.closed_at is not None for peer in world.peers)
    for verdict in result.verdicts:
        assert verdict.n_ok + len(verdict.failed_members) == verdict.n_total or not verdict.n_total


def test_the_budget_of_ways_is_their_own(tmp_path: Path) -> None:
    """A plan without ways promises none of their bytes; one with them says how many."""
    listed = world_targets()
    assert build_plan(listed, options()).budget.ways_bytes == 0
    with_ways = build_plan(listed, options(ways=True))
    assert with_ways.budget.ways_bytes > 0
    assert with_ways.budget.max_bytes == build_plan(listed, options()).budget.max_bytes
