"""Connects: silence, refusals and a router's word, and the dead hosts that they must not blame."""

from collections.abc import Sequence

import pytest

from facts import Scene
from probe.model.verdict import BLOCKED_STATES
from probe.verdict.connects import MOMENT_S
from probe.verdict.judge import judge
from verdict.cases import OWN_WORD, PROHIBITED, closed_port, in_three_networks
from verdict.scenes import (
    CONNECTED,
    OK,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    A,
    B,
    C,
    D,
    clean,
    twice,
    verdict_of,
)

UNREACHABLE = (("tcp", "host_unreachable"),)
REFUSED = (("tcp", "connection_refused"),)


@pytest.mark.parametrize("port_count", [1, 3])
@pytest.mark.parametrize("attempts", [1, 2, 4])
def test_a_dead_host_is_never_blocked(attempts: int, port_count: int) -> None:
    """However often and at however many ports it is tried."""
    scene = clean()
    for port in range(port_count):
        for _ in range(attempts):
            scene.chain(*SILENT, address=A, port=443 + port, member="dc1")

    assert verdict_of(scene).state == "impaired"


def test_a_dead_host_among_silent_networks_of_others() -> None:
    """Its own network answers: what is dropped elsewhere says nothing about it."""
    scene = clean()
    for address in (B, C, D):
        scene.chain(*SILENT, address=address, target_id="a/other")
    scene.chain(*OK, address="91.108.56.2", target_id="a/other")
    scene.chain(*SILENT, address=A)

    verdicts = {verdict.target_id: verdict for verdict in judge(scene.rows)}
    assert verdicts["a/other"].rule_id == "tcp.silent_networks"
    assert verdicts["a/web"].rule_id == "tcp.silent"


def test_silent_networks_of_another_service() -> None:
    """Three operators with one dead host each are three dead hosts."""
    scene = clean()
    for number, address in enumerate((A, B, C)):
        twice(scene, *SILENT, address=address, service_id=f"s{number}", target_id=f"s{number}/web")

    assert {verdict.rule_id for verdict in judge(scene.rows)} == {"tcp.silent"}


@pytest.mark.parametrize(("took_s", "rule_id"), [(0.7, "tcp.silent_networks"), (2.9, "tcp.silent")])
def test_silence_on_a_slow_line_is_no_evidence(took_s: float, rule_id: str) -> None:
    """A satellite's round trip leaves room for silence; a line that takes 2.9 s does not."""
    scene = Scene().controls(None, None, None)
    for address in (A, B, C):
        scene.chain(*SILENT, address=address)
    scene.controls(None, None, None, attempt=2, t0=20.0, t=20.0 + took_s)

    assert verdict_of(scene).rule_id == rule_id


def test_one_lost_syn_does_not_make_a_line_slow() -> None:
    """One control of three took a retransmission."""
    scene = Scene().controls(None, None)
    scene.controls(None, member="operator-3", control_id="known_good/3", t0=1.0, t=2.3)
    for address in (A, B, C):
        scene.chain(*SILENT, address=address)

    assert verdict_of(scene).rule_id == "tcp.silent_networks"


def test_broken_ipv6_does_not_make_silent_networks() -> None:
    """Three silent /48s on a line without IPv6, and one dead IPv4 host."""
    scene = clean().controls(TIMEOUT, TIMEOUT, ip_version=6)
    for number in range(3):
        scene.chain(*SILENT, address=f"2001:67c:{number}::1", target_id="a/other")
    scene.chain(*SILENT, address=A)

    (verdict,) = judge(scene.rows)
    assert (verdict.target_id, verdict.rule_id) == ("a/web", "tcp.silent")


def test_broken_ipv6_does_not_harm_a_member() -> None:
    """A member reachable over IPv4 is reachable."""
    scene = clean().controls(TIMEOUT, TIMEOUT, ip_version=6)
    scene.chain(*OK, address=A, member="dc1")
    twice(scene, *SILENT, address="2001:67c:4e8::1", member="dc1")

    assert verdict_of(scene).state == "ok"


def test_working_ipv6_is_measured() -> None:
    """With an IPv6 control that answers, silence there counts like any other."""
    scene = clean().controls(None, ip_version=6)
    for number in range(3):
        scene.chain(*SILENT, address=f"2001:67c:{number}::1")

    assert verdict_of(scene).rule_id == "tcp.silent_networks"


def after_success(
    *steps: tuple[str, str | None], waited_s: float = 12.0, later_s: float = 0.5
) -> Scene:
    """An address that answered, and what it met when it was asked again."""
    scene = clean().chain(*OK, address=A)
    start = scene.rows[-1].t + later_s
    return scene.chain(*steps, address=A, t0=start, t=start + waited_s)


def test_silence_at_once_after_an_answer() -> None:
    """What the next scenes differ from."""
    assert verdict_of(after_success(*SILENT)).rule_id == "tcp.silent_after_success"


@pytest.mark.parametrize(
    "scene",
    [
        after_success(*SILENT, waited_s=3.0),
        after_success(*REFUSED),
        after_success(*SILENT).chain(*OK, address=A, t0=40.0, t=41.0),
        after_success(*SILENT).control("heartbeat", *SILENT, t0=2.0, t=4.5),
        after_success(*SILENT, later_s=MOMENT_S + 0.1),
        after_success(*RESET_HELLO),
    ],
    ids=[
        "a short wait",
        "refused",
        "and then answered again",
        "a line that was gone",
        "later than a moment",
        "reset",
    ],
)
def test_a_success_is_not_unmade_by_chance(scene: Scene) -> None:
    """One more visit that failed is not the whole."""
    assert verdict_of(scene).state == "ok"


def test_a_line_that_died_at_the_end_is_no_late_block() -> None:
    """Nothing anywhere answered after the silence began: imported runs have no last controls."""
    scene = Scene()
    for number in range(3):
        scene.chain(*OK, address=f"91.108.{number}.1")
    scene.chain(*SILENT, address="91.108.0.1", t0=20.0, t=32.0)
    assert verdict_of(scene).state not in BLOCKED_STATES


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_a_broken_route_is_no_policy(code: int) -> None:
    """A router that knows no way, or a host that is not there, says another code."""
    columns = {**PROHIBITED, "icmp_code": code}
    assert verdict_of(in_three_networks(*UNREACHABLE, **columns)).rule_id == "tcp.unreachable"


def test_a_host_that_forbids_is_no_router_on_the_path() -> None:
    """The service's own firewall answers with the same code, from its own address."""
    columns = {**PROHIBITED, "icmp_origin": "target"}
    assert verdict_of(in_three_networks(*UNREACHABLE, **columns)).rule_id == "tcp.unreachable"


def test_a_firewall_of_this_device_is_nobody_elses() -> None:
    """However many networks it forbids, whatever a router beyond it says."""
    scene = in_three_networks(*UNREACHABLE, **OWN_WORD)
    scene.beside("udp_twin", ("udp", "host_unreachable"), address=A, **PROHIBITED)
    verdict = verdict_of(scene)
    assert (verdict.rule_id, verdict.state) == ("tcp.own_firewall", "insufficient")
    assert verdict.benign_cause == "local_interception"


@pytest.mark.parametrize("addresses", [(A,), (A, B)])
def test_a_refusal_in_few_networks_is_somebodys_firewall(addresses: Sequence[str]) -> None:
    """Fewer than three networks of the service."""
    scene = clean()
    for address in addresses:
        twice(scene, *UNREACHABLE, address=address, **PROHIBITED)
    assert verdict_of(scene).state == "impaired"


def test_a_router_that_forbids_datagrams_names_itself() -> None:
    """A connect in silence, and its twin over UDP is answered by a router on the path."""
    scene = twice(clean(), *SILENT)
    scene.beside("udp_twin", ("udp", "host_unreachable"), address=A, **PROHIBITED)

    verdict = verdict_of(scene)
    assert (verdict.rule_id, verdict.mechanism) == ("tcp.unreachable", "ip_reject")


def test_a_closed_port_is_no_reset_by_a_censor() -> None:
    """One port of one member, at however many addresses: its operator's affair."""
    assert verdict_of(in_three_networks(*REFUSED)).state == "impaired"
    assert verdict_of(closed_port((A, "dc1"))).rule_id == "target.reachable"


def test_a_port_that_is_open_at_one_member_is_not_closed_everywhere() -> None:
    """Two of three members."""
    scene = closed_port((A, "dc1"), (B, "dc2")).chain(*CONNECTED, address=C, member="dc3")
    assert verdict_of(scene).rule_id == "target.reachable"


def test_a_port_open_over_the_other_family_is_open() -> None:
    """Two members with a silent IPv4 port and an open one over IPv6."""
    scene = closed_port((A, "dc1"), (B, "dc2")).controls(None, ip_version=6)
    for number in (1, 2):
        scene.chain(*CONNECTED, address=f"2001:67c:{number}::1", member=f"dc{number}")
    assert verdict_of(scene).rule_id == "target.reachable"


def test_a_closed_port_everywhere_leaves_no_member_out() -> None:
    """It names a mechanism, and the members work all the same."""
    verdict = verdict_of(closed_port((A, "dc1"), (B, "dc2")))
    assert (verdict.mechanism, verdict.failed_members) == ("port_block", ())
    assert verdict.state not in BLOCKED_STATES


def test_a_neighbour_that_connects_clears_the_network() -> None:
    """An address is dropped, the one beside it is not: its network is within reach."""
    scene = twice(clean(), *SILENT)
    scene.beside(
        "neighbour", *CONNECTED, address="91.108.56.2", endpoint_id=f"{A}:443", member=A
    )  # fmt: skip
    verdict = verdict_of(scene)
    known = {row.observation_id for row in scene.rows if row.follow_up == "neighbour"}

    assert verdict.rule_id == "tcp.silent"
    assert known & {row for rival in verdict.rivals for row in rival.ruled_out_by}


def test_a_neighbour_that_fails_is_not_the_target() -> None:
    """It is nobody's member, and no second silence of this one."""
    scene = clean().chain(*OK, address=A)
    scene.beside("neighbour", *SILENT, address="91.108.56.2", endpoint_id=f"{A}:443", member=A)
    verdict = verdict_of(scene)

    assert (verdict.state, verdict.n_ok, verdict.n_total) == ("ok", 1, 1)
