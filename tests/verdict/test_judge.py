"""Properties that hold for any facts: order, honesty without controls, re-judging."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facts import RUN, Scene, certificate
from model.values import values_of
from probe.model.codec import decode_line, encode_line
from probe.model.failure import SKIPPED
from probe.model.observation import FollowUp, Observation
from probe.model.verdict import BLOCKED_STATES, State, Verdict
from probe.verdict.controls import WITNESSES
from probe.verdict.judge import judge
from probe.verdict.rules import RULES
from probe.wire.addresses import network_of
from verdict.cases import CASES
from verdict.scenes import (
    CONNECTED,
    EARLY,
    OK,
    PUBLIC,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    A,
    B,
    C,
    Steps,
    clean,
    twice,
    verdict_of,
)

ADDRESSES = [f"91.108.{n}.{h}" for n in range(5) for h in (1, 2)] + [
    "2001:67c:4e8::1",
    "2001:b28::1",
]
FAILURES = [TIMEOUT, "connection_reset", "eof_error", "connection_refused", "host_unreachable"]
HELLO_FAILURES = [*FAILURES, "ssl_unknown_authority", "ssl_failed_handshake", SKIPPED]
DNS_FAILURES = [TIMEOUT, "dns_nxdomain_error", "dns_refused_error", "dns_server_misbehaving"]
MTPROTO_FAILURES = [*FAILURES, "unknown_failure: mtproto_error_404"]
ANSWERS = [["93.184.216.34"], ["10.0.0.1"], ["0.0.0.0"], ["203.0.113.9"], []]
ISSUERS = ["CN=Somebody", "CN=a.example", "CN=Kaspersky Anti-Virus Personal Root Certificate"]
FOLLOW_UPS: list[FollowUp] = [
    "other_name",
    "second_hello",
    "small_hello",
    "large_hello",
    "other_port",
    "udp_twin",
    "other_payload",
    "neighbour",
    "name_elsewhere",
    "tiny_writes",
    "quic",
    "quic_other_name",
    "ech",
    "ech_other_name",
    "hop",
    "residual",
    "paired",
]

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
    st.sampled_from(HELLO_FAILURES).map(lambda f: (*CONNECTED, ("tls", f))),
    st.sampled_from(FAILURES).map(lambda f: (*OK, ("http", f))),
    st.sampled_from([None, *FAILURES]).map(lambda f: (*CONNECTED, ("http", f))),
    st.sampled_from([None, *MTPROTO_FAILURES]).map(lambda f: (*CONNECTED, ("mtproto", f))),
    st.just(OK),
)
BESIDE = st.one_of(
    ATTEMPTS,
    st.just(CONNECTED),
    st.sampled_from([None, *FAILURES, SKIPPED]).map(lambda f: (("quic", f),)),
    st.sampled_from(FAILURES).map(lambda f: (("udp", f),)),
)


def evidence(draw: st.DrawFn) -> dict[str, Any]:
    """What rules read beside the outcome."""
    return {
        "bytes_acked": draw(st.sampled_from([None, 1, 518])),
        "received_bytes": draw(st.sampled_from([0, 16_000, 60_000])),
        "first_flight_bytes": draw(st.sampled_from([None, 517, 1700])),
        "tcp_retransmits": draw(st.sampled_from([None, 0, 3])),
        "tcp_unacked": draw(st.sampled_from([None, 0, 1])),
        "tcp_rtt_s": draw(st.sampled_from([None, 0.01, 0.3])),
        "icmp_origin": draw(st.sampled_from([None, None, "path", "target", "local"])),
        "icmp_code": draw(st.sampled_from([None, 1, 13])),
        "verify_code": draw(st.sampled_from([None, 10, 20])),
        "server_name": draw(st.sampled_from([None, "a.example", "www.example"])),
        "status_code": draw(st.sampled_from([None, 200, 302, 403])),
        "peer_certificates": draw(
            st.sampled_from([(), *((certificate(name, "www.example"),) for name in ISSUERS)])
        ),
    }


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """A run of one target without its controls: places, separating probes, lookups."""
    scene = Scene(draw(st.sampled_from(["any_of", "all_of"])))
    for address in draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=5, unique=True)):
        member = draw(st.sampled_from([address, "dc1"]))
        for _ in range(draw(st.integers(1, 3))):
            scene.chain(*draw(ATTEMPTS), address=address, member=member, **evidence(draw))
        for follow_up in draw(st.lists(st.sampled_from(FOLLOW_UPS), max_size=3)):
            scene.beside(follow_up, *draw(BESIDE), address=address, member=member, **evidence(draw))
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
    verdicts = [one for one in judge(rows) if one.tactic == "none"]
    assert len(verdicts) <= 1
    return verdicts[0] if verdicts else None


def has_witnesses(scene: Scene, *, controls: int = 0) -> bool:
    """Enough of the target answers to stand in for controls that nobody asked."""
    done = {r.address for r in scene.rows if r.role == "test" and r.failure is None}
    networks = {network_of(address) for address in done if address is not None}
    return len(networks) + controls >= WITNESSES


def bytes_of(verdicts: Sequence[Verdict]) -> bytes:
    return orjson.dumps(msgspec.to_builtins(verdicts))


# The facts are large and most of them are drawn for a single test.
thorough = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@thorough
@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(scene: Scene, order: random.Random) -> None:
    """Chains of a run end in any order."""
    rows = scene.controls(None, None).rows
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert bytes_of(judge(shuffled)) == bytes_of(judge(rows))


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(CASES)])
@settings(deadline=None, max_examples=5)
@given(order=st.randoms(use_true_random=False))
def test_nor_does_it_for_the_facts_of_any_rule(case: Any, order: random.Random) -> None:
    """The same for each case of the table."""
    rows = case.scene().rows
    shuffled = list(rows)
    order.shuffle(shuffled)
    assert bytes_of(judge(shuffled)) == bytes_of(judge(rows))


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(CASES)])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_a_run_of_which_rows_are_lost(case: Any, data: st.DataObject) -> None:
    """Any rows of any case: no error, and what is pointed to exists."""
    rows = case.scene().rows
    kept = [row for row in rows if data.draw(st.booleans())]
    check(kept)


@thorough
@given(scenes(), st.booleans())
def test_stored_facts_judged_again_give_the_same_verdicts(
    scene: Scene, has_controls: object
) -> None:
    """Through bytes and back, to the byte."""
    rows = scene.controls(None, None).rows if has_controls else scene.rows
    again = [decode_line(encode_line(RUN, row), Observation).value for row in rows]
    assert bytes_of(judge(again)) == bytes_of(judge(rows))


def check(rows: Sequence[Observation]) -> None:
    """A rule that exists, counts that fit, reasons that point to facts of the run."""
    known = {row.observation_id for row in rows}
    for verdict in judge(rows):
        assert verdict.rule_id in RULES
        assert 0 <= verdict.n_ok <= verdict.n_total
        if verdict.control_state != "failed":
            assert len(verdict.failed_members) == verdict.n_total - verdict.n_ok
        assert all(layer.n_ok <= layer.n_total for layer in verdict.layers)
        assert set(verdict.reasons) <= known
        assert all(set(rival.ruled_out_by) <= known for rival in verdict.rivals)
        assert SEVERITY[verdict.state] <= SEVERITY[RULES[verdict.rule_id].state]
        assert msgspec.convert(msgspec.to_builtins(verdict), Verdict) == verdict
        assert (verdict.state in BLOCKED_STATES) <= (verdict.mechanism is not None)
        assert (verdict.state in BLOCKED_STATES) <= (verdict.evidence is not None)
        # A port that is closed everywhere impairs members that work by another.
        assert (verdict.state == "ok") <= (not verdict.failed_members)


@thorough
@given(scenes(), st.lists(st.sampled_from([None, *HELLO_FAILURES]), max_size=3))
def test_every_verdict_is_well_formed(scene: Scene, controls: list[str | None]) -> None:
    """Whatever the controls say."""
    check(scene.controls(*controls).rows)


@thorough
@given(st.lists(values_of(Observation), max_size=6), st.booleans())
def test_any_lines_that_can_be_read_can_be_judged(
    rows: list[Observation], are_alike: object
) -> None:
    """A file from anybody: addresses that are none, ports that are none, times that run back."""
    if are_alike:
        one = {"target_id": "a/web", "member": "a", "tactic": "none", "proxy_id": None}
        rows = [
            msgspec.structs.replace(row, observation_id=f"o{number:05d}", **one)
            for number, row in enumerate(rows)
        ]
        check([*Scene().controls(None, None).rows, *rows])
    else:
        judge(rows)


@pytest.mark.parametrize(
    "columns",
    [
        {"endpoint_id": "a:²"},
        {"endpoint_id": "9" * 5000},
        {"endpoint_id": f"a:{'9' * 5000}"},
        {"address": "999.9"},
        {"address": ""},
        {"address": "fe80::1%eth0", "ip_version": 6},
        {"address": None},
    ],
)
@pytest.mark.parametrize("steps", [SILENT, OK, RESET_HELLO, (("tcp", "host_unreachable"),)])
def test_places_that_are_none(columns: dict[str, Any], steps: Steps) -> None:
    """Whatever a line calls an address or an endpoint."""
    scene = twice(Scene(), *steps).beside("other_port", *CONNECTED, address=A)
    odd = [msgspec.structs.replace(row, **columns) for row in scene.rows]
    scene.controls(None, None).controls(None, ip_version=6)
    check([*odd, *scene.rows[len(odd) :]])


@thorough
@given(scenes())
def test_a_member_that_works_never_makes_it_worse(scene: Scene) -> None:
    """One more success: no worse state, one more of one more.

    What was explained by this device may turn out to be a part that fails, never a block.
    """
    before = only(scene.controls(None, None).rows)
    after = only(scene.chain(*OK, address="198.51.100.7").rows)
    assert after is not None
    if before is None:
        assert after.state == "ok"
        return
    at_most: State = "impaired" if before.state == "insufficient" else before.state
    assert SEVERITY[after.state] <= SEVERITY[at_most]
    assert (after.n_ok, after.n_total) == (before.n_ok + 1, before.n_total + 1)


@thorough
@given(scenes(), st.lists(st.sampled_from(HELLO_FAILURES), max_size=3))
def test_without_controls_nothing_is_blocked(scene: Scene, outcomes: list[str]) -> None:
    """None asked, or none that answered."""
    if len(outcomes) < 2 and has_witnesses(scene):
        return
    verdict = only(scene.controls(*outcomes).rows)
    assert verdict is None or verdict.state not in BLOCKED_STATES
    if outcomes and verdict is not None:
        assert (verdict.state, verdict.n_total) == ("insufficient", 0)


@thorough
@given(scenes(), st.lists(st.sampled_from(HELLO_FAILURES), max_size=3))
def test_one_control_is_not_enough(scene: Scene, outcomes: list[str]) -> None:
    """Degraded controls support no finding of blocking."""
    if not outcomes and has_witnesses(scene, controls=1):
        return
    verdict = only(scene.controls(None, *outcomes).rows)
    assert verdict is None or verdict.control_state == "degraded"
    assert verdict is None or verdict.state not in BLOCKED_STATES


@thorough
@given(
    scenes(),
    st.lists(st.sampled_from([None, TIMEOUT]), max_size=3),
    st.lists(st.sampled_from([None, *HELLO_FAILURES]), min_size=1, max_size=3),
)
def test_a_second_round_never_makes_a_verdict_more_blocked(
    scene: Scene, before: list[str | None], after: list[str | None]
) -> None:
    """It can only take away what the first round allowed to be said."""
    first = only(scene.controls(*before).rows)
    second = only(scene.controls(*after, attempt=2).rows)
    if not before:
        return  # the first controls at all may answer
    was = first.state if first else "insufficient"
    now = second.state if second else "insufficient"
    assert (now in BLOCKED_STATES) <= (was in BLOCKED_STATES)


@thorough
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


# -- combinations ----------------------------------------------------------------------


def test_n_of_n_is_not_rounded() -> None:
    """Two of five members blocked: partial for any_of, blocked for all_of, 3/5 for both."""
    for rule, state in (("any_of", "impaired"), ("all_of", "blocked")):
        scene = Scene(rule).controls(None, None)  # type: ignore[arg-type] # both words are rules
        for number in range(5):
            address = f"192.0.{number}.1"
            if number < 2:
                twice(scene, *RESET_HELLO, address=address, **EARLY)
                scene.beside("other_name", *OK, address=address)
            else:
                scene.chain(*OK, address=address)
        verdict = verdict_of(scene)
        assert (verdict.state, verdict.n_ok, verdict.n_total) == (state, 3, 5)
        assert verdict.failed_members == ("192.0.0.1", "192.0.1.1")


def test_layers_count_members() -> None:
    """Passed of tried, per layer, in the order of the wire."""
    scene = clean().chain(*OK, address=A).chain(*RESET_HELLO, address=B).chain(*SILENT, address=C)
    layers = [(count.step, count.n_ok, count.n_total) for count in verdict_of(scene).layers]

    assert layers == [("tcp", 2, 3), ("tls", 1, 2)]


def test_tactics_are_judged_apart() -> None:
    """Blocked directly, and reachable through a proxy."""
    scene = twice(clean(), *RESET_HELLO, **EARLY).beside("other_name", *OK, address=A)
    scene.chain(
        ("tcp", None),
        ("proxy", None),
        ("tls", None),
        address=A,
        tactic="socks5",
        proxy_id="proxy-1",
    )
    direct, proxied = judge(scene.rows)

    assert (direct.tactic, direct.state) == ("none", "blocked")
    assert (proxied.tactic, proxied.proxy_id, proxied.state) == ("socks5", "proxy-1", "ok")


SCENES: list[Callable[[Scene], Scene]] = [
    lambda s: (
        s.chain(*RESET_HELLO, address=A, **EARLY)
        .chain(*RESET_HELLO, address=A, **EARLY)
        .beside("other_name", *OK, address=A)
    ),
    lambda s: s.chain(*SILENT, address=A).chain(*SILENT, address=B).chain(*SILENT, address=C),
    lambda s: s.lookup("system", "dns_nxdomain_error").lookup("doh", None, PUBLIC),
    lambda s: s.lookup("udp", None, ["203.0.113.9"], PUBLIC),
]


@pytest.mark.parametrize("scene", SCENES)
def test_what_controls_allow(scene: Callable[[Scene], Scene]) -> None:
    """Two operators: blocked. One, or none asked: impaired. None answering, or lost on the
    way: nothing is said."""
    assert verdict_of(scene(clean())).state in BLOCKED_STATES
    assert verdict_of(scene(Scene().controls(None, TIMEOUT))).state == "impaired"
    assert verdict_of(scene(Scene())).state == "impaired"
    assert verdict_of(scene(Scene().controls(TIMEOUT, TIMEOUT))).state == "insufficient"

    held = scene(clean()).controls(None, None, attempt=2)
    lost = scene(clean()).controls(TIMEOUT, TIMEOUT, attempt=2)
    swapped = scene(Scene().controls(None, TIMEOUT)).controls(TIMEOUT, None, attempt=2)
    assert verdict_of(held).state in BLOCKED_STATES
    assert verdict_of(lost).state == "insufficient"
    assert verdict_of(swapped).state == "insufficient"
