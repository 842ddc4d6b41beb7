"""What a rule must not be tricked into: each row guards against one wrong verdict."""

from collections.abc import Callable

import pytest

from facts import Scene
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.verdict.judge import judge

A, B, C, D = "91.108.56.1", "149.154.167.1", "149.154.175.1", "91.105.192.1"
TIMEOUT = "generic_timeout_error"
OK = (("tcp", None), ("tls", None))
SILENT = (("tcp", TIMEOUT),)
PUBLIC = ("93.184.216.34",)


def clean() -> Scene:
    return Scene().controls(None, None)


def verdict_of(scene: Scene) -> Verdict:
    (verdict,) = judge(scene.rows)
    return verdict


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
    for _ in range(2):
        scene.chain(*SILENT, address="2001:67c:4e8::1", member="dc1")

    assert verdict_of(scene).state == "ok"


def test_working_ipv6_is_measured() -> None:
    """With an IPv6 control that answers, silence there counts like any other."""
    scene = clean().controls(None, ip_version=6)
    for number in range(3):
        scene.chain(*SILENT, address=f"2001:67c:{number}::1")

    assert verdict_of(scene).rule_id == "tcp.silent_networks"


LOSSY_CONNECT = (("tcp", TIMEOUT),)
LOSSY_HELLO = (("tcp", None), ("tls", TIMEOUT))
RESET_HELLO = (("tcp", None), ("tls", "connection_reset"))
RESET_PAGE = (*OK, ("http", "connection_reset"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LOSSY_CONNECT, LOSSY_HELLO),
        (RESET_PAGE, RESET_HELLO),
        (RESET_HELLO, LOSSY_HELLO),
        ((("tcp", "connection_reset"),), RESET_HELLO),
    ],
    ids=["connect lost", "page reset", "reset then silence", "connect reset"],
)
def test_one_failed_hello_is_not_every_hello(
    first: tuple[tuple[str, str | None], ...], second: tuple[tuple[str, str | None], ...]
) -> None:
    """ "At every attempt" means attempts that failed in the handshake, and alike."""
    scene = clean().chain(*first, address=A).chain(*second, address=A)
    scene.chain(*OK, address=A, role="contrast")

    assert verdict_of(scene).state == "impaired"


def test_a_contrast_at_another_address_does_not_count() -> None:
    """Only the same address with another name separates the name from the address."""
    scene = clean().chain(*RESET_HELLO, address=A).chain(*RESET_HELLO, address=A)
    scene.chain(*OK, address=B, role="contrast", member=A)

    assert verdict_of(scene).rule_id == "tls.no_contrast"


def test_a_first_attempt_that_was_lost_does_not_hide_throttling() -> None:
    """The transfer that completed is what was slow."""
    scene = clean().chain(*SILENT, address=A).transfers([10], address=A)
    for _ in range(3):
        scene.transfers([100], address=A, role="contrast").transfers([10], address=A)

    assert verdict_of(scene).rule_id == "http.slow_paired"


@pytest.mark.parametrize("order", [("A", "AAAA"), ("AAAA", "A")])
def test_a_type_without_records_is_no_failure(order: tuple[str, str]) -> None:
    """A host with one kind of address, over either family."""
    has, lacks = order
    address = A if has == "A" else "2001:67c:4e8::1"
    scene = clean().controls(None, ip_version=6)
    for resolver in ("system", "doh"):
        scene.lookup(resolver, None, [address], query_type=has)
        scene.lookup(resolver, "dns_no_answer", query_type=lacks)
    scene.chain(*OK, address=address, member="a.example")

    assert verdict_of(scene).state == "ok"


def test_a_denied_type_is_seen_although_the_other_is_answered() -> None:
    """A censor that denies A records of a host with both."""
    scene = clean().lookup("system", "dns_nxdomain_error").lookup("doh", None, PUBLIC)
    scene.lookup("system", None, ["2606:2800::1"], query_type="AAAA")

    assert verdict_of(scene).rule_id == "dns.failure_contrast"


def test_load_balancing_is_no_injection() -> None:
    """Two answers that share an address, or the same answer twice."""
    scene = clean().lookup("udp", None, ["192.0.2.1", "192.0.2.2"], ["192.0.2.2", "192.0.2.3"])
    scene.chain(*OK, address=A, member="a.example")

    assert verdict_of(scene).state == "ok"


def test_a_bogon_everywhere_is_the_names_own() -> None:
    """A name that has a private address has it for every resolver."""
    scene = clean().lookup("system", None, ["10.0.0.1"]).lookup("doh", None, ["10.0.0.1"])
    scene.chain(*OK, address="10.0.0.1", member="a.example")

    assert verdict_of(scene).state == "ok"


def test_the_place_that_came_furthest_speaks() -> None:
    """One address is silent, the other is cut off after the name: the name is what is blocked."""
    scene = clean()
    for _ in range(2):
        scene.chain(*SILENT, address=A, member="a.example")
        scene.chain(*RESET_HELLO, address=B, member="a.example")
    scene.chain(*OK, address=B, member="a.example", role="contrast")

    assert verdict_of(scene).rule_id == "tls.rst_contrast"


def test_n_of_n_is_not_rounded() -> None:
    """Two of five members blocked: partial for any_of, blocked for all_of, 3/5 for both."""
    for rule, state in (("any_of", "impaired"), ("all_of", "blocked")):
        scene = Scene(rule).controls(None, None)  # type: ignore[arg-type] # both words are rules
        for number in range(5):
            address = f"192.0.{number}.1"
            if number < 2:
                scene.chain(*RESET_HELLO, address=address).chain(*RESET_HELLO, address=address)
                scene.chain(*OK, address=address, role="contrast")
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
    scene = clean().chain(*RESET_HELLO, address=A).chain(*RESET_HELLO, address=A)
    scene.chain(*OK, address=A, role="contrast")
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
        s.chain(*RESET_HELLO, address=A)
        .chain(*RESET_HELLO, address=A)
        .chain(*OK, address=A, role="contrast")
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
