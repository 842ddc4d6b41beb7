"""Verdicts in plain words: a summary per target, and the three answers of a run.

A summary is stored, and is English. The answers are for a person, in the language handed in.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from probe.locale import ENGLISH, Language
from probe.model.observation import TACTICS, Tactic
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


TACTIC_WORDS: Final[dict[Tactic, str]] = {
    "none": "the direct way",
    "socks5": "socks5",
    "http_connect": "http_connect",
    "mtproxy": "mtproxy",
    "encrypted_dns": "encrypted DNS",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "other_port": "another port",
    "segment_split": "hello split into segments",
    "record_split": "hello split into records",
    "tls12": "hello without TLS 1.3",
    "chrome": "Chrome's hello",
    "firefox": "a hello like Firefox's",
    "safari": "a hello like Safari's",
    "ech": "encrypted hello (ECH)",
    "http3": "HTTP/3",
    "abridged": "MTProto abridged",
    "intermediate": "MTProto intermediate",
    "padded": "MTProto padded",
    "full": "MTProto full",
    "http_transport": "MTProto over HTTP",
    "websocket": "MTProto over WebSocket",
    "special_config": "fresh addresses (special config)",
    "withheld": "a way around (withheld)",
}


class Answers(NamedTuple):
    """The three answers of a run: is it me, how is it done, what works."""

    is_it_me: str
    how: str
    what_works: str


def summarise(verdict: Verdict) -> str:
    """Say one verdict in one line, without addresses."""
    text = STATE_WORDS[verdict.state]
    if verdict.rule_id.startswith("way."):
        result = RESULT_WORDS[result_of(verdict.n_ok, verdict.n_total)]
        text = f"{result}, {verdict.n_ok}/{verdict.n_total} of what fails directly"
    elif verdict.n_total:
        text += f", {verdict.n_ok}/{verdict.n_total} work"
    if verdict.mechanism is not None:
        looks = "" if verdict.state in {*BLOCKED_STATES, "ok"} else "looks like: "
        beside = "beside it, " if verdict.state == "ok" else ""
        text += f"; {looks}{beside}{MECHANISM_WORDS[verdict.mechanism]}"
    if part := part_of(verdict):
        text += f", {part}"
    if verdict.within_hops is not None:
        text += f", within {verdict.within_hops} hop" + "s" * (verdict.within_hops > 1)
    if verdict.with_encrypted_dns:
        text += ", together with encrypted DNS"
    if verdict.benign_cause is not None:
        text += f"; {CAUSE_WORDS[verdict.benign_cause]}"
    return text


def three_answers(verdicts: Sequence[Verdict], say: Language = ENGLISH) -> Answers:
    """Answer for one run. Where controls failed, two lines say not enough data."""
    nothing = say("Not enough data.")
    if not verdicts:
        return Answers(nothing, nothing, nothing)
    first = verdicts[0]
    counted = say("{ok} of {total} controls answered").format(
        ok=first.controls_ok, total=first.controls_total
    )
    if first.control_state == "failed":
        # Without a route no control is asked. With silent controls it may be this
        # line, or a shutdown around it: that cannot be told from here.
        cause = say(CAUSE_WORDS[first.benign_cause or "no_network"])
        said = say("It cannot be told: {cause}; {counted}").format(cause=cause, counted=counted)
        if not first.controls_total:
            said = say("Yes: this device has no route to the internet")
        return Answers(f"{said}{_rule('controls.failed', say)}", nothing, nothing)
    return Answers(
        _is_it_me(verdicts, counted, say), _how(verdicts, say), _what_works(verdicts, say)
    )


def _rule(rule_id: str, say: Language) -> str:
    return say(" · rule {rule}").format(rule=rule_id)


def _joined(parts: Sequence[str], n_more: int, more: str, say: Language) -> str:
    return say("; ").join(parts) + (more.format(n=n_more) if n_more > 0 else "")


def _direct(verdicts: Sequence[Verdict]) -> list[Verdict]:
    return [verdict for verdict in verdicts if verdict.tactic == "none"]


def _is_it_me(verdicts: Sequence[Verdict], counted: str, say: Language) -> str:
    direct = _direct(verdicts)
    if verdicts[0].control_state == "degraded":
        return say("Not sure: only {counted}.").format(counted=counted)
    if any(v.state == "ok" and v.mechanism is not None for v in direct) and all(
        v.state == "ok" for v in direct
    ):
        return say("No: everything works, yet another way to it is closed; {counted}.").format(
            counted=counted
        )
    if all(verdict.state == "ok" for verdict in direct):
        return say("Nothing is wrong: everything measured is reachable; {counted}.").format(
            counted=counted
        )
    if any(verdict.state in BLOCKED_STATES for verdict in direct):
        return say("No: the rest of the internet works; {counted}.").format(counted=counted)
    causes = sorted({v.benign_cause for v in direct if v.benign_cause and v.state != "ok"})
    if causes:
        named = say("; ").join(say(CAUSE_WORDS[cause]) for cause in causes)
        return say("Perhaps: {causes}; {counted}.").format(causes=named, counted=counted)
    return say("Probably not: {counted}, yet some targets fail.").format(counted=counted)


def _how(verdicts: Sequence[Verdict], say: Language) -> str:
    direct = _direct(verdicts)
    bad = [
        v
        for v in direct
        if v.state not in {"ok", "insufficient"} or (v.state == "ok" and v.mechanism is not None)
    ]
    if not bad:
        unsure = any(v.state == "insufficient" for v in direct)
        return say("Not enough data.") if unsure else say("No blocking seen.")
    order: tuple[State, ...] = ("blocked", "likely_blocked", "impaired", "down", "ok")
    bad.sort(key=lambda v: (order.index(v.state), v.target_id))
    parts = [
        f"{v.target_id}: {say(', ').join(_said_of(v, say))}"
        + say(" ({ok}/{total} work)").format(ok=v.n_ok, total=v.n_total)
        + _rule(v.rule_id, say)
        for v in bad[:3]
    ]
    return _joined(parts, len(bad) - 3, say("; and {n} more"), say)


def _said_of(verdict: Verdict, say: Language) -> list[str]:
    said = [say(STATE_WORDS[verdict.state])]
    said += [say(MECHANISM_WORDS[verdict.mechanism])] if verdict.mechanism else []
    part = part_of(verdict, say)
    return [*said, part] if part else said


def _what_works(verdicts: Sequence[Verdict], say: Language) -> str:
    unnamed = [verdict for verdict in verdicts if verdict.tactic == "withheld"]
    if unnamed:
        return _what_works_unnamed(unnamed, say)
    direct = _direct(verdicts)
    ok = sum(v.state == "ok" for v in direct)
    by_way = {way.name: way for way in ways_of(verdicts, say)}
    working = [way for way in by_way.values() if way.n_ok]
    if working:
        parts = [
            (say("{way}: {ok}/{total} targets") if way.is_proxy else "{way}: {ok}/{total}").format(
                way=way.name, ok=way.n_ok, total=way.n_total
            )
            for way in working[:_WAYS_SAID]
        ]
        said = _joined(parts, len(working) - _WAYS_SAID, say("; and {n} more ways"), say)
        # The direct way leaves members; a proxy was tried at everything.
        what = "{ways}" if working[0].is_proxy else say("{ways} of what fails directly")
        rule_id = next(v.rule_id for v in working[0].verdicts if v.n_ok)
        return what.format(ways=said) + _rule(rule_id, say)
    counts = {"ok": ok, "total": len(direct)}
    if ok == len(direct) and not by_way:
        return say("The direct way: {ok}/{total} targets.").format(**counts)
    text = say("Directly {ok}/{total} targets").format(**counts)
    if partly := [
        f"{v.target_id} {v.n_ok}/{v.n_total}" for v in direct if v.state != "ok" and v.n_ok
    ]:
        text += say(" in full, in part {targets}").format(targets=say(", ").join(partly[:3]))
    if by_way:
        text += say("; tried and not working: {ways}").format(ways=say(", ").join(by_way))
    if all(v.tactic == "none" for v in verdicts):
        text += say("; --ways tries ways around, --proxy one of yours")
    return text + say(".")


def _what_works_unnamed(unnamed: Sequence[Verdict], say: Language) -> str:
    """Say that something works where which way it is has been withheld."""
    fully, partly = (
        sum(v.rule_id == rule_id for v in unnamed) for rule_id in ("way.works", "way.partial")
    )
    if not partly:
        text = say("Ways around, not named here, work for {fully} of {total} targets.")
    elif not fully:
        text = say("Ways around, not named here, work in part for {partly} of {total} targets.")
    else:
        text = say(
            "Ways around, not named here, work for {fully} and in part for {partly} of {total} "
            "targets."
        )
    return text.format(fully=fully, partly=partly, total=len(unnamed))


_WAYS_SAID: Final = 4


def part_of(verdict: Verdict, say: Language = ENGLISH) -> str:
    """Name the part of the way that fails, where another part reaches every member."""
    ports = ", ".join(map(str, verdict.failed_ports))
    families = ", ".join(f"IPv{family}" for family in verdict.failed_families)
    names = [say("over {families}").format(families=families)] if families else []
    names += [say("at port {ports}").format(ports=ports)] if ports else []
    return " ".join(names)


class WayAround(NamedTuple):
    """One way and what it came to: ``n_ok`` of ``n_total`` members, or targets of a proxy."""

    name: str
    tactic: Tactic
    n_ok: int
    n_total: int
    verdicts: tuple[Verdict, ...]

    @property
    def is_proxy(self) -> bool:
        """The person named it; it is counted by targets."""
        return self.tactic in {"socks5", "http_connect", "mtproxy"}


Result = Literal["works", "works_in_part", "does_not", "not_tested"]

RESULT_WORDS: Final[dict[Result, str]] = {
    "works": "works",
    "works_in_part": "in part",
    "does_not": "does not",
    "not_tested": "not tested",
}


def result_of(n_ok: int, n_total: int) -> Result:
    """Say what n of N is, never rounded to all or none."""
    if not n_total:
        return "not_tested"
    if n_ok == n_total:
        return "works"
    return "works_in_part" if n_ok else "does_not"


def n_failing(direct: Verdict) -> int:
    """Count the members that the direct way fails, or fails in part."""
    is_in_part = bool(direct.failed_ports or direct.failed_families)
    return direct.n_total if is_in_part else len(direct.failed_members)


def untested(verdicts: Sequence[Verdict]) -> list[Tactic]:
    """Return the ways of which a run says nothing; proxies are the person's to name."""
    known = {verdict.tactic for verdict in verdicts if verdict.n_total}
    no_way_to_try = {"none", "withheld", "socks5", "http_connect", "mtproxy"}
    return [tactic for tactic in TACTICS if tactic not in known | no_way_to_try]


def ways_of(verdicts: Sequence[Verdict], say: Language = ENGLISH) -> list[WayAround]:
    """Gather a run's ways around, those that work best first."""
    grouped: dict[tuple[Tactic, str | None], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.tactic != "none" and verdict.n_total:
            grouped.setdefault((verdict.tactic, verdict.proxy_id), []).append(verdict)
    found = []
    for (tactic, proxy_id), of in grouped.items():
        if proxy_id is not None:
            name = f"{proxy_id} ({say(TACTIC_WORDS[tactic])})"
            n_ok, n_total = sum(v.state == "ok" for v in of), len(of)
        else:
            name = say(TACTIC_WORDS[tactic])
            if any(v.with_encrypted_dns for v in of):
                name = say("{way} with encrypted DNS").format(way=name)
            n_ok, n_total = sum(v.n_ok for v in of), sum(v.n_total for v in of)
        found.append(WayAround(name, tactic, n_ok, n_total, tuple(of)))
    found.sort(key=lambda way: (-way.n_ok / way.n_total, -way.n_total, TACTICS.index(way.tactic)))
    return found
