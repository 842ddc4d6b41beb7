"""Verdicts in plain words: a summary per target, and the three answers of a run."""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

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
        + (f", {part}" if (part := part_of(v)) else "")
        + f" ({v.n_ok}/{v.n_total} work) · rule {v.rule_id}"
        for v in bad[:3]
    ]
    more = f"; and {len(bad) - 3} more" if len(bad) > 3 else ""
    return "; ".join(parts) + more


def _what_works(verdicts: Sequence[Verdict]) -> str:
    unnamed = [verdict for verdict in verdicts if verdict.tactic == "withheld"]
    if unnamed:
        return _what_works_unnamed(unnamed)
    direct = _direct(verdicts)
    ok = sum(v.state == "ok" for v in direct)
    by_way = {way.name: way for way in ways_of(verdicts)}
    working = [way for way in by_way.values() if way.n_ok]
    if working:
        parts = [
            f"{way.name}: {way.n_ok}/{way.n_total}{' targets' if way.is_proxy else ''}"
            for way in working[:_WAYS_SAID]
        ]
        more = f"; and {len(working) - _WAYS_SAID} more ways" if len(working) > _WAYS_SAID else ""
        # The direct way leaves members; a proxy was tried at everything.
        what = "" if working[0].is_proxy else " of what fails directly"
        rule_id = next(v.rule_id for v in working[0].verdicts if v.n_ok)
        return f"{'; '.join(parts)}{more}{what} · rule {rule_id}"
    if ok == len(direct) and not by_way:
        return f"The direct way: {ok}/{len(direct)} targets."
    tried = f"; tried and not working: {', '.join(by_way)}" if by_way else ""
    is_asked = any(v.tactic != "none" for v in verdicts)
    hint = "" if is_asked else "; --ways tries ways around, --proxy one of yours"
    partly = [f"{v.target_id} {v.n_ok}/{v.n_total}" for v in direct if v.state != "ok" and v.n_ok]
    some = f" in full, in part {', '.join(partly[:3])}" if partly else ""
    return f"Directly {ok}/{len(direct)} targets{some}{tried}{hint}."


def _what_works_unnamed(unnamed: Sequence[Verdict]) -> str:
    """Say that something works where which way it is has been withheld."""
    fully, partly = (
        sum(v.rule_id == rule_id for v in unnamed) for rule_id in ("way.works", "way.partial")
    )
    counts = [f"for {fully}"] * bool(fully or not partly) + [f"in part for {partly}"] * bool(partly)
    return f"Ways around, not named here, work {' and '.join(counts)} of {len(unnamed)} targets."


_WAYS_SAID: Final = 4


def part_of(verdict: Verdict) -> str:
    """Name the part of the way that fails, where another part reaches every member."""
    ports = ", ".join(map(str, verdict.failed_ports))
    families = ", ".join(f"IPv{family}" for family in verdict.failed_families)
    names = [f"over {families}"] if families else []
    names += [f"at port {ports}"] if ports else []
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


def ways_of(verdicts: Sequence[Verdict]) -> list[WayAround]:
    """Gather a run's ways around, those that work best first."""
    grouped: dict[tuple[Tactic, str | None], list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.tactic != "none" and verdict.n_total:
            grouped.setdefault((verdict.tactic, verdict.proxy_id), []).append(verdict)
    found = []
    for (tactic, proxy_id), of in grouped.items():
        if proxy_id is not None:
            name = f"{proxy_id} ({TACTIC_WORDS[tactic]})"
            n_ok, n_total = sum(v.state == "ok" for v in of), len(of)
        else:
            together = " with encrypted DNS" if any(v.with_encrypted_dns for v in of) else ""
            name = TACTIC_WORDS[tactic] + together
            n_ok, n_total = sum(v.n_ok for v in of), sum(v.n_total for v in of)
        found.append(WayAround(name, tactic, n_ok, n_total, tuple(of)))
    found.sort(key=lambda way: (-way.n_ok / way.n_total, -way.n_total, TACTICS.index(way.tactic)))
    return found
