"""Verdicts in plain words: a summary per target, and the three answers of a run."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from probe.model.verdict import BLOCKED_STATES, BenignCause, Mechanism, State, Verdict

STATE_WORDS: Final[dict[State, str]] = {
    "ok": "reachable",
    "blocked": "blocked",
    "likely_blocked": "likely blocked",
    "impaired": "not working right, cause unclear",
    "down": "down, no sign of blocking",
    "insufficient": "not enough data",
}

MECHANISM_WORDS: Final[dict[Mechanism, str]] = {
    "dns_injection": "a forged DNS answer races the real one",
    "dns_nxdomain": "DNS denies that the name exists",
    "dns_refused": "DNS refuses the name",
    "dns_servfail": "DNS fails for the name",
    "dns_timeout": "DNS is silent for the name",
    "dns_hijack": "another resolver answers in its place",
    "dns_bogon": "DNS answers with an impossible address",
    "encrypted_dns_blocked": "encrypted DNS is cut off",
    "ip_drop": "packets to its addresses vanish",
    "ip_reject": "a router rejects its addresses",
    "tcp_rst": "connections are refused",
    "port_block": "one port is closed off",
    "sni_rst": "the connection is reset after its name",
    "sni_drop": "the hello with its name vanishes",
    "sni_drop_reply": "nothing answers after its name",
    "sni_residual": "the name closes the path for a while",
    "tls_mitm": "a forged certificate is presented",
    "tls_fingerprint": "the client's kind of hello is cut off",
    "ech_block": "encrypted hellos are cut off",
    "http_host_rst": "the request is reset after its host",
    "blockpage": "a block page is shown",
    "freeze": "the transfer stops after some data",
    "throttling": "the transfer is slowed by its name",
    "quic_sni_drop": "QUIC hellos with its name vanish",
    "udp_block": "UDP is cut off",
    "mtproto_drop": "the MTProto handshake vanishes",
    "faketls_drop": "disguised MTProto vanishes",
    "proxy_block": "the proxy is cut off",
    "allowlist": "only listed destinations work",
    "concurrency_policing": "parallel connections are dropped",
}

CAUSE_WORDS: Final[dict[BenignCause, str]] = {
    "no_network": "no internet connection",
    "captive_portal": "something answers in place of the internet (a sign-in page?)",
    "ipv6_broken": "IPv6 does not work here",
    "service_down": "the service is down",
    "slow_line": "the line is slow",
    "lossy_line": "the line loses packets",
    "clock_skew": "the clock of this device is wrong",
    "local_interception": "a VPN, antivirus or gateway intercepts connections",
    "own_load": "this device is busy",
}


class Answers(NamedTuple):
    """The three answers of a run: is it me, how is it done, what works."""

    is_it_me: str
    how: str
    what_works: str


def summarise(verdict: Verdict) -> str:
    """Say one verdict in one line, without addresses."""
    text = STATE_WORDS[verdict.state]
    if verdict.n_total:
        text += f", {verdict.n_ok}/{verdict.n_total} work"
    if verdict.mechanism is not None:
        looks = "" if verdict.state in {*BLOCKED_STATES, "ok"} else "looks like: "
        beside = "beside it, " if verdict.state == "ok" else ""
        text += f"; {looks}{beside}{MECHANISM_WORDS[verdict.mechanism]}"
    if verdict.within_hops is not None:
        text += f", within {verdict.within_hops} hop" + "s" * (verdict.within_hops > 1)
    if verdict.benign_cause is not None:
        text += f"; {CAUSE_WORDS[verdict.benign_cause]}"
    return text


def three_answers(verdicts: Sequence[Verdict]) -> Answers:
    """Answer for one run. Where controls failed, two lines say not enough data."""
    if not verdicts:
        return Answers("Not enough data.", "Not enough data.", "Not enough data.")
    first = verdicts[0]
    counted = f"{first.controls_ok} of {first.controls_total} controls answered"
    if first.control_state == "failed":
        # Without a route no control is asked. With silent controls it may be this
        # line, or a shutdown around it: that cannot be told from here.
        cause = CAUSE_WORDS[first.benign_cause or "no_network"]
        said = f"It cannot be told: {cause}; {counted}"
        if not first.controls_total:
            said = "Yes: this device has no route to the internet"
        return Answers(
            f"{said} · rule controls.failed",
            "Not enough data.",
            "Not enough data.",
        )
    return Answers(_is_it_me(verdicts, counted), _how(verdicts), _what_works(verdicts))


def _direct(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.tactic == "none"]


def _is_it_me(verdicts: Sequence[Verdict], counted: str) -> str:
    direct = _direct(verdicts)
    if verdicts[0].control_state == "degraded":
        return f"Not sure: only {counted}."
    if any(v.state == "ok" and v.mechanism is not None for v in direct) and all(
        v.state == "ok" for v in direct
    ):
        return f"No: everything works, yet another way to it is closed; {counted}."
    if all(verdict.state == "ok" for verdict in direct):
        return f"Nothing is wrong: everything measured is reachable; {counted}."
    if any(verdict.state in BLOCKED_STATES for verdict in direct):
        return f"No: the rest of the internet works; {counted}."
    causes = sorted({v.benign_cause for v in direct if v.benign_cause and v.state != "ok"})
    if causes:
        return f"Perhaps: {'; '.join(CAUSE_WORDS[cause] for cause in causes)}; {counted}."
    return f"Probably not: {counted}, yet some targets fail."


def _how(verdicts: Sequence[Verdict]) -> str:
    direct = _direct(verdicts)
    bad = [
        v
        for v in direct
        if v.state not in {"ok", "insufficient"} or (v.state == "ok" and v.mechanism is not None)
    ]
    if not bad:
        unsure = any(v.state == "insufficient" for v in direct)
        return "Not enough data." if unsure else "No blocking seen."
    order: tuple[State, ...] = ("blocked", "likely_blocked", "impaired", "down", "ok")
    bad.sort(key=lambda v: (order.index(v.state), v.target_id))
    parts = [
        f"{v.target_id}: {STATE_WORDS[v.state]}"
        + (f", {MECHANISM_WORDS[v.mechanism]}" if v.mechanism else "")
        + f" ({v.n_ok}/{v.n_total} work) · rule {v.rule_id}"
        for v in bad[:3]
    ]
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    return "; ".join(parts) + more


def _what_works(verdicts: Sequence[Verdict]) -> str:
    direct = _direct(verdicts)
    around = [v for v in verdicts if v.tactic != "none"]
    working = [v for v in around if v.state == "ok"]
    by_proxy: dict[str, list[Verdict]] = {}
    for verdict in around:
        by_proxy.setdefault(verdict.proxy_id or verdict.tactic, []).append(verdict)
    if working:
        parts = [
            f"{name} ({of[0].tactic}): {sum(v.state == 'ok' for v in of)}/{len(of)} targets"
            for name, of in sorted(by_proxy.items())
            if any(v.state == "ok" for v in of)
        ]
        return "; ".join(parts) + " · rule target.reachable"
    ok = sum(v.state == "ok" for v in direct)
    if ok == len(direct):
        return f"The direct way: {ok}/{len(direct)} targets."
    tried = f"; tried and not working: {', '.join(sorted(by_proxy))}" if by_proxy else ""
    none_tried = "" if by_proxy else "; no way around was tried (--proxy)"
    partly = [f"{v.target_id} {v.n_ok}/{v.n_total}" for v in direct if v.state != "ok" and v.n_ok]
    some = f" in full, in part {', '.join(partly[:3])}" if partly else ""
    return f"Directly {ok}/{len(direct)} targets{some}{tried}{none_tried}."
