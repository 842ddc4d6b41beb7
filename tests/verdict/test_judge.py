"""Properties that hold for any facts: order, honesty without controls, re-judging."""

import random
from collections.abc import Sequence

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import RUN, Scene
from probe.model.codec import decode_line, encode_line
from probe.model.observation import Observation
from probe.model.verdict import BLOCKED_STATES, State, Verdict
from probe.verdict.judge import judge
from probe.verdict.rules import RULES

TIMEOUT = "generic_timeout_error"
ADDRESSES = [f"91.108.{n}.{h}" for n in range(5) for h in (1, 2)] + [
    "2001:67c:4e8::1",
    "2001:b28::1",
]
FAILURES = [TIMEOUT, "connection_reset", "eof_error", "connection_refused", "host_unreachable"]
HELLO_FAILURES = [*FAILURES, "ssl_unknown_authority", "ssl_failed_handshake"]
DNS_FAILURES = [TIMEOUT, "dns_nxdomain_error", "dns_refused_error", "dns_server_misbehaving"]
ANSWERS = [["93.184.216.34"], ["10.0.0.1"], ["203.0.113.9"], []]
OK = (("tcp", None), ("tls", None))

SEVERITY: dict[State, int] = {
    "ok": 0,
    "insufficient": 0,
    "impaired": 1,
    # A service of which something works is better off than one that is down.
    "down": 2,
    "likely_blocked": 3,
    "blocked": 4,
}

ATTEMPTS = st.one_of(
    st.sampled_from(FAILURES).map(lambda f: (("tcp", f),)),
    st.sampled_from(HELLO_FAILURES).map(lambda f: (("tcp", None), ("tls", f))),
    st.sampled_from(FAILURES).map(lambda f: (*OK, ("http", f))),
    st.just(OK),
)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A run of one target without its controls: places, contrasts, lookups."""
    scene = Scene(draw(st.sampled_from(["any_of", "all_of"])))
    for address in draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=5, unique=True)):
        member = draw(st.sampled_from([address, "dc1"]))
        for _ in range(draw(st.integers(1, 3))):
            scene.chain(
                *draw(ATTEMPTS),
                address=address,
                member=member,
                bytes_acked=draw(st.sampled_from([None, 1, 518])),
            )
        for _ in range(draw(st.integers(0, 1))):
            scene.chain(*draw(ATTEMPTS), address=address, member=member, role="contrast")
        for resolver in draw(st.sets(st.sampled_from(["system", "udp", "doh"]))):
            failure = draw(st.sampled_from([None, None, *DNS_FAILURES]))
            answers = draw(st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=2))
            scene.lookup(
                resolver,  # type: ignore[arg-type] # three of the protocols
                failure,
                *([] if failure else answers),
                member=member,
                query_type=draw(st.sampled_from(["A", "AAAA"])),
            )
    return scene


def only(rows: Sequence[Observation]) -> Verdict | None:
    """Return the target's verdict; none if everything was left out."""
    verdicts = judge(rows)
    assert len(verdicts) <= 1
    return verdicts[0] if verdicts else None


@settings(deadline=None)
@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(scene: Scene, order: random.Random) -> None:
    """Chains of a run end in any order."""
    rows = scene.controls(None, None).rows
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert judge(shuffled) == judge(rows)


@settings(deadline=None)
@given(scenes(), st.booleans())
def test_stored_facts_judged_again_give_the_same_verdicts(
    scene: Scene, has_controls: object
) -> None:
    """Through bytes and back."""
    rows = scene.controls(None, None).rows if has_controls else scene.rows
    again = [decode_line(encode_line(RUN, row), Observation).value for row in rows]
    assert judge(again) == judge(rows)


@settings(deadline=None)
@given(scenes())
def test_every_verdict_is_well_formed(scene: Scene) -> None:
    """A rule that exists, counts that fit, reasons that point to facts of the run."""
    rows = scene.controls(None, None).rows
    known = {row.observation_id for row in rows}
    verdict = only(rows)
    if verdict is None:
        return
    assert verdict.rule_id in RULES
    assert 0 <= verdict.n_ok <= verdict.n_total
    assert len(verdict.failed_members) == verdict.n_total - verdict.n_ok
    assert (verdict.state == "ok") == (not verdict.failed_members)
    assert set(verdict.reasons) <= known
    assert SEVERITY[verdict.state] <= SEVERITY[RULES[verdict.rule_id].state]
    assert msgspec.convert(msgspec.to_builtins(verdict), Verdict) == verdict
    assert (verdict.state in BLOCKED_STATES) <= (verdict.mechanism is not None)


@settings(deadline=None)
@given(scenes())
def test_a_member_that_works_never_makes_it_worse(scene: Scene) -> None:
    """One more success: no worse state, one more of one more."""
    before = only(scene.controls(None, None).rows)
    after = only(scene.chain(*OK, address="198.51.100.7").rows)
    assert after is not None
    if before is None:
        assert after.state == "ok"
        return
    assert SEVERITY[after.state] <= SEVERITY[before.state]
    assert (after.n_ok, after.n_total) == (before.n_ok + 1, before.n_total + 1)


@settings(deadline=None)
@given(scenes(), st.lists(st.sampled_from(HELLO_FAILURES), max_size=3))
def test_without_controls_nothing_is_blocked(scene: Scene, outcomes: list[str]) -> None:
    """None asked, or none that answered."""
    verdict = only(scene.controls(*outcomes).rows)
    assert verdict is None or verdict.state not in BLOCKED_STATES
    if outcomes and verdict is not None:
        assert (verdict.state, verdict.n_total) == ("insufficient", 0)


@settings(deadline=None)
@given(scenes(), st.lists(st.sampled_from(HELLO_FAILURES), max_size=3))
def test_one_control_is_not_enough(scene: Scene, outcomes: list[str]) -> None:
    """Degraded controls support no finding of blocking."""
    verdict = only(scene.controls(None, *outcomes).rows)
    assert verdict is None or verdict.control_state == "degraded"
    assert verdict is None or verdict.state not in BLOCKED_STATES


@settings(deadline=None)
@given(scenes())
def test_a_network_lost_on_the_way_says_nothing(scene: Scene) -> None:
    """Controls that answered before and not after explain every failure."""
    scene.controls(None, None).controls(TIMEOUT, TIMEOUT, attempt=2)
    verdict = only(scene.rows)
    assert verdict is None or verdict.state == "insufficient"


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), st.integers(1, 4))
def test_broken_ipv6_is_local(members: list[int], places: int) -> None:
    """Whatever fails over IPv6 alone, members that answer over IPv4 are well."""
    scene = Scene().controls(None, None).controls(TIMEOUT, TIMEOUT, ip_version=6)
    for member in members:
        scene.chain(*OK, address=f"91.108.{member}.1", member=f"dc{member}")
        for place in range(places):
            scene.chain(
                ("tcp", TIMEOUT), address=f"2001:67c:{member}{place}::1", member=f"dc{member}"
            )
    verdict = only(scene.rows)
    assert verdict is not None
    assert (verdict.state, verdict.n_ok) == ("ok", len(members))
