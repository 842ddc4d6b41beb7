"""Every rule has a row: facts in, and the state, mechanism and count that come out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from facts import Scene
from probe.model.verdict import Mechanism, State
from probe.verdict.judge import judge, unmeasured
from probe.verdict.rules import RULES

A, B, C, D = "91.108.56.1", "149.154.167.1", "149.154.175.1", "91.105.192.1"
TIMEOUT = "generic_timeout_error"
OK = (("tcp", None), ("tls", None))
SILENT = (("tcp", TIMEOUT),)
PUBLIC = ("93.184.216.34",)
FORGED = ("203.0.113.9",)


def clean() -> Scene:
    """Controls of two operators answer."""
    return Scene().controls(None, None)


def any_of() -> Scene:
    """The same for a target that needs one member only."""
    return Scene("any_of").controls(None, None)


def twice(scene: Scene, *steps: tuple[str, str | None], address: str = A, **columns: Any) -> Scene:
    """Add the same attempt two times."""
    for _ in range(2):
        scene.chain(*steps, address=address, **columns)
    return scene


def hello(failure: str, **columns: Any) -> Scene:
    """The target's hello fails twice, and the innocuous one is answered."""
    scene = twice(clean(), ("tcp", None), ("tls", failure), **columns)
    return scene.chain(*OK, address=A, role="contrast")


def pairs(*rates: tuple[float, float], lag: float = 0.0) -> Scene:
    """A first slow transfer, then (target, contrast) rates in turns."""
    scene = clean().transfers([rates[0][0]], address=A)
    for own, other in rates:
        scene.transfers([other], address=A, role="contrast")
        scene.transfers([own], address=A, loop_lag_s=lag)
    return scene


class Case(NamedTuple):
    """One row."""

    rule_id: str
    state: State
    mechanism: Mechanism | None
    n_ok: int
    n_total: int
    scene: Callable[[], Scene]


CASES = [
    Case(
        "controls.failed", "insufficient", None, 0, 0,
        lambda: twice(Scene().controls(TIMEOUT, TIMEOUT), *SILENT),
    ),
    Case("target.reachable", "ok", None, 1, 1, lambda: clean().chain(*OK, address=A)),
    Case(
        "target.reachable", "ok", None, 1, 1,
        lambda: clean().chain(*SILENT, address=A).chain(*OK, address=A),
    ),
    Case(
        "target.partial", "impaired", "ip_drop", 1, 2,
        lambda: twice(any_of().chain(*OK, address=B), *SILENT),
    ),
    Case(
        "dns.all_fail", "down", None, 0, 1,
        lambda: clean().lookup("system", "dns_nxdomain_error").lookup("doh", "dns_nxdomain_error"),
    ),
    Case(
        "dns.resolver_broken", "impaired", None, 0, 1,
        lambda: clean()
        .lookup("system", "dns_servfail_error")
        .lookup("doh", None, PUBLIC)
        .lookup(
            "system", "dns_servfail_error",
            role="control", target_id=None, service_id=None, control_id="resolvable_name/x",
        ),
    ),
    *(
        Case(
            "dns.failure_contrast", "likely_blocked", mechanism, 0, 1,  # type: ignore[arg-type] # words of the loop below
            lambda failure=failure: clean()  # type: ignore[misc] # binds this row's word
            .lookup("system", failure)
            .lookup("doh", None, PUBLIC),
        )
        for failure, mechanism in (
            ("dns_nxdomain_error", "dns_nxdomain"),
            ("dns_no_answer", "dns_nxdomain"),
            ("dns_refused_error", "dns_refused"),
            ("dns_servfail_error", "dns_servfail"),
            ("dns_temporary_failure", "dns_servfail"),
            ("dns_server_misbehaving", "dns_hijack"),
        )
    ),
    Case(
        "dns.timeout_contrast", "impaired", "dns_timeout", 0, 1,
        lambda: clean().lookup("system", TIMEOUT).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.bogon", "likely_blocked", "dns_bogon", 0, 1,
        lambda: clean().lookup("system", None, ["10.10.34.34"]).lookup("doh", None, PUBLIC),
    ),
    Case(
        "dns.two_answers", "likely_blocked", "dns_injection", 0, 1,
        lambda: clean().lookup("udp", None, FORGED, PUBLIC),
    ),
    Case(
        "target.reachable", "ok", None, 1, 1,
        lambda: clean().lookup("udp", None, PUBLIC, PUBLIC).chain(
            *OK, address=A, member="a.example"
        ),
    ),
    Case(
        "dns.silent", "impaired", "dns_timeout", 0, 1,
        lambda: clean().lookup("system", TIMEOUT).lookup("doh", TIMEOUT),
    ),
    Case(
        "tcp.silent_networks", "likely_blocked", "ip_drop", 0, 3,
        lambda: twice(twice(twice(clean(), *SILENT), *SILENT, address=B), *SILENT, address=C),
    ),
    Case("tcp.silent", "impaired", "ip_drop", 0, 1, lambda: twice(clean(), *SILENT)),
    Case(
        "tcp.silent", "impaired", "ip_drop", 0, 2,
        lambda: twice(twice(clean(), *SILENT), *SILENT, address=B),
    ),
    Case(
        "tcp.refused", "impaired", "tcp_rst", 0, 1,
        lambda: twice(clean(), ("tcp", "connection_refused")),
    ),
    Case(
        "tcp.unreachable", "impaired", "ip_reject", 0, 1,
        lambda: twice(clean(), ("tcp", "host_unreachable")),
    ),
    Case(
        "tcp.port", "impaired", "port_block", 0, 1,
        # An open port with nothing behind it is a member that works; only where
        # that port fails later too does the closed one speak.
        lambda: twice(clean(), *SILENT, member="dc1")
        .chain(("tcp", None), ("tls", "eof_error"), address=A, port=80, member="dc1")
        .chain(("tcp", "connection_refused"), address=A, port=80, member="dc1"),
    ),
    Case(
        "tcp.other", "impaired", None, 0, 1,
        lambda: clean().chain(*SILENT, address=A).chain(("tcp", "connection_refused"), address=A),
    ),
    Case("tls.rst_contrast", "blocked", "sni_rst", 0, 1, lambda: hello("connection_reset")),
    Case("tls.rst_contrast", "blocked", "sni_rst", 0, 1, lambda: hello("eof_error")),
    Case(
        "tls.silence_contrast", "blocked", "sni_drop", 0, 1,
        lambda: hello(TIMEOUT, bytes_acked=1),
    ),
    Case(
        "tls.silence_contrast", "blocked", "sni_drop_reply", 0, 1,
        lambda: hello(TIMEOUT, bytes_acked=518),
    ),
    Case("tls.silence_contrast", "blocked", "sni_drop_reply", 0, 1, lambda: hello(TIMEOUT)),
    Case(
        "tls.no_contrast", "impaired", "sni_rst", 0, 1,
        lambda: twice(clean(), ("tcp", None), ("tls", "connection_reset")).chain(
            ("tcp", None), ("tls", "connection_reset"), address=A, role="contrast"
        ),
    ),
    Case(
        "tls.no_contrast", "impaired", "sni_rst", 0, 1,
        lambda: clean().chain(("tcp", None), ("tls", "eof_error"), address=A).chain(
            *OK, address=A, role="contrast"
        ),
    ),
    Case("tls.no_contrast", "impaired", None, 0, 1, lambda: hello("ssl_failed_handshake")),
    Case(
        "tls.certificate", "impaired", None, 0, 1,
        lambda: clean().chain(("tcp", None), ("tls", "ssl_unknown_authority"), address=A),
    ),
    Case(
        "http.interrupted", "impaired", "freeze", 0, 1,
        lambda: twice(clean(), *OK, ("http", TIMEOUT), received_bytes=16_000),
    ),
    Case(
        "http.interrupted", "impaired", None, 0, 1,
        lambda: twice(clean(), *OK, ("http", "connection_reset")),
    ),
    Case(
        "http.slow_paired", "impaired", "throttling", 0, 1,
        lambda: pairs((10, 100), (11, 100), (12, 100)),
    ),
    Case(
        "proxy.failed", "impaired", None, 0, 1,
        lambda: twice(clean(), *SILENT, tactic="socks5", proxy_id="proxy-1"),
    ),
    Case(
        "proxy.failed", "impaired", None, 0, 1,
        lambda: twice(
            clean(), ("tcp", None), ("proxy", "unknown_failure: proxy_refused"),
            tactic="socks5", proxy_id="proxy-1",
        ),
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(CASES)])
def test_rule(case: Case) -> None:
    """The facts that a rule needs give what it may claim, and reasons that exist."""
    rows = case.scene().rows
    (verdict,) = judge(rows)

    assert (verdict.rule_id, verdict.state, verdict.mechanism) == case[:3]
    assert (verdict.n_ok, verdict.n_total) == (case.n_ok, case.n_total)
    known = {row.observation_id for row in rows}
    assert verdict.reasons
    assert set(verdict.reasons) <= known
    assert all(set(rival.ruled_out_by) <= known for rival in verdict.rivals)
    assert verdict.summary


@pytest.mark.parametrize("controls_answer", [True, False])
def test_what_was_not_measured(*, controls_answer: bool) -> None:
    """No attempt, no data; with failed controls that is the reason given."""
    rows = Scene().controls(*((None, None) if controls_answer else (TIMEOUT, TIMEOUT))).rows
    (verdict,) = unmeasured(rows, [("a/web", "a", "all_of")])

    assert verdict.state == "insufficient"
    assert verdict.rule_id == ("target.no_data" if controls_answer else "controls.failed")
    assert (verdict.n_ok, verdict.n_total, verdict.attempts) == (0, 0, 0)


def test_every_rule_has_a_row() -> None:
    """A new rule comes with facts that show it, and nothing is shown that is no rule."""
    assert {case.rule_id for case in CASES} | {"target.no_data"} == set(RULES)


def test_no_rule_claims_more_than_it_may() -> None:
    """The table of rules holds the most that a rule may claim."""
    for case in CASES:
        assert case.state == RULES[case.rule_id].state
