"""What happened to one member of a target, and the rule that says so."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from probe.model import failure as failures
from probe.model.observation import Observation, Step
from probe.model.verdict import Mechanism, Rival, State
from probe.verdict.pace import is_throttled
from probe.verdict.rules import RULES
from probe.wire.addresses import network_of

SILENT_NETWORKS = 3
"""Networks (/24, /48) of one service that are silent at once before silence is
more than a dead host: operators do not lose three networks together while the
rest of the Internet answers."""

CUT_OFF = frozenset({failures.CONNECTION_RESET, failures.EOF, "connection_aborted"})

_DENIED: dict[str, Mechanism] = {
    failures.DNS_NXDOMAIN: "dns_nxdomain",
    failures.DNS_NO_ANSWER: "dns_nxdomain",
    failures.DNS_REFUSED: "dns_refused",
    failures.DNS_SERVFAIL: "dns_servfail",
    failures.DNS_TEMPORARY: "dns_servfail",
    failures.DNS_NON_RECOVERABLE: "dns_servfail",
    failures.DNS_MISBEHAVING: "dns_hijack",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule applied to one member."""

    rule_id: str
    mechanism: Mechanism | None
    reasons: tuple[str, ...]
    rivals: tuple[Rival, ...] = ()

    @property
    def state(self) -> State:
        """The most the rule may claim."""
        return RULES[self.rule_id].state

    @property
    def stage(self) -> Step | None:
        """The layer that the rule speaks of."""
        return RULES[self.rule_id].stage


@dataclass
class Place:
    """One address (or proxy) under one endpoint: its attempts and contrasts."""

    address: str | None
    port: int | None
    attempts: list[list[Observation]] = field(default_factory=list)
    contrasts: list[list[Observation]] = field(default_factory=list)

    def is_ok(self) -> bool:
        """Some attempt completed all its steps, and not at a throttled pace."""
        return any(rows[-1].failure is None for rows in self.attempts) and not self.is_slowed()

    def is_slowed(self) -> bool:
        """The pairs show the name slowed."""
        tests = [row for rows in self.attempts for row in rows if row.step == "http"]
        pairs = [row for rows in self.contrasts for row in rows if row.step == "http"]
        return is_throttled(tests, pairs)

    def failed(self) -> list[Observation]:
        """The failing row of each failed attempt."""
        return [rows[-1] for rows in self.attempts if rows[-1].failure is not None]


@dataclass
class Member:
    """What n of N counts: the places and lookups of one member."""

    name: str
    places: list[Place] = field(default_factory=list)
    lookups: list[Observation] = field(default_factory=list)


def gather(rows: Sequence[Observation]) -> dict[str, Member]:
    """Group the rows of one target and tactic into members, in order of name."""
    members: dict[str, Member] = {}
    chains: dict[str, list[Observation]] = defaultdict(list)
    for row in rows:
        member = members.setdefault(row.member, Member(row.member))
        if row.step == "dns":
            member.lookups.append(row)
        else:
            chains[row.chain_id].append(row)
    places: dict[tuple[str, str, str | None], Place] = {}
    for chain in chains.values():
        steps = sorted(chain, key=lambda row: (row.t0, row.observation_id))
        first = steps[0]
        key = (first.member, first.endpoint_id, first.address)
        if key not in places:
            places[key] = Place(address=first.address, port=first.port)
            members[first.member].places.append(places[key])
        kind = places[key].contrasts if first.role == "contrast" else places[key].attempts
        kind.append(steps)
    for place in places.values():
        for attempts in (place.attempts, place.contrasts):
            attempts.sort(key=lambda steps: steps[0].t0)
    return dict(sorted(members.items()))


def silent_networks(rows: Iterable[Observation]) -> frozenset[str]:
    """Networks in which every connect of a service was met with silence."""
    heard: set[str] = set()
    silent: set[str] = set()
    for row in rows:
        if row.step == "tcp" and row.role == "test" and row.address is not None:
            is_silent = row.failure in failures.TIMEOUTS
            (silent if is_silent else heard).add(network_of(row.address))
    return frozenset(silent - heard)


def broken_resolvers(rows: Iterable[Observation]) -> frozenset[str]:
    """Resolvers that were asked for control names and knew none of them."""
    asked: set[str] = set()
    knowing: set[str] = set()
    for row in rows:
        if row.step == "dns" and row.control_id is not None and row.resolver_id is not None:
            asked.add(row.resolver_id)
            if row.failure is None:
                knowing.add(row.resolver_id)
    return frozenset(asked - knowing)


def judge_member(
    member: Member, silent: frozenset[str], broken: frozenset[str] = frozenset()
) -> Finding | None:
    """Return None if the member works, else the finding of its best-placed failure."""
    denied = judge_lookups(member, broken)
    if denied is not None and denied.state != "impaired":
        return denied
    if any(place.is_ok() for place in member.places):
        return denied
    if not member.places:
        return denied
    # The place that came furthest says most: beyond it lies what is broken.
    order = ("route", "dns", "tcp", "proxy", "tls", "http")
    found = [judge_place(place, member, silent) for place in member.places if place.attempts]
    found.sort(
        key=lambda finding: (order.index(finding.stage or "route"), finding.state == "blocked"),
        reverse=True,
    )
    return found[0] if found else denied


def judge_place(place: Place, member: Member, silent: frozenset[str]) -> Finding:
    """Apply the rules to one address that does not work."""
    failed = place.failed()
    if len(failed) < len(place.attempts):
        return _slowed(place)
    last = failed[-1]
    if last.step == "tcp":
        if last.proxy_id is not None:
            return _finding("proxy.failed", None, failed)
        return _judge_connect(place, member, failed, silent)
    if last.step == "proxy":
        return _finding("proxy.failed", None, failed)
    if last.step == "tls":
        return _judge_handshake(place, failed)
    stalled = last.failure in failures.TIMEOUTS and last.received_bytes > 0
    return _finding("http.interrupted", "freeze" if stalled else None, failed)


def _finding(
    rule_id: str,
    mechanism: Mechanism | None,
    rows: Iterable[Observation],
    rivals: tuple[Rival, ...] = (),
) -> Finding:
    reasons = tuple(sorted({row.observation_id for row in rows}))
    return Finding(rule_id=rule_id, mechanism=mechanism, reasons=reasons, rivals=rivals)


def _judge_connect(
    place: Place, member: Member, failed: list[Observation], silent: frozenset[str]
) -> Finding:
    others = [
        row
        for other in member.places
        if other.address == place.address and other.port != place.port
        for rows in other.attempts
        for row in rows
        if row.step == "tcp" and row.failure is None
    ]
    if others:
        return _finding(
            "tcp.port",
            "port_block",
            failed,
            (_rival("address dropped as a whole", others),),
        )
    outcomes = {row.failure for row in failed}
    if outcomes <= failures.TIMEOUTS:
        # A dead host in a network where others answer stays a dead host.
        own = place.address is not None and network_of(place.address) in silent
        wide = own and len(silent) >= SILENT_NETWORKS
        return _finding("tcp.silent_networks" if wide else "tcp.silent", "ip_drop", failed)
    if outcomes == {failures.CONNECTION_REFUSED}:
        return _finding("tcp.refused", "tcp_rst", failed)
    if outcomes <= failures.UNREACHABLE:
        return _finding("tcp.unreachable", "ip_reject", failed)
    return _finding("tcp.other", None, failed)


def _rival(cause: str, rows: Iterable[Observation]) -> Rival:
    return Rival(cause=cause, ruled_out_by=tuple(sorted({row.observation_id for row in rows})))


def _judge_handshake(place: Place, failed: list[Observation]) -> Finding:
    outcomes = {row.failure for row in failed}
    if outcomes & failures.CERTIFICATE:
        return _finding("tls.certificate", None, failed)
    passed = [
        row for rows in place.contrasts for row in rows if row.step == "tls" and row.failure is None
    ]
    mechanism = _handshake_mechanism(failed)
    enough = len(failed) >= 2 and bool(passed)
    if not enough or mechanism is None:
        return _finding("tls.no_contrast", mechanism, failed)
    rivals = (
        _rival("dead host, blocked address or dead line", passed),
        _rival("chance (loss)", failed),
    )
    rule_id = "tls.rst_contrast" if mechanism == "sni_rst" else "tls.silence_contrast"
    return _finding(rule_id, mechanism, failed, rivals)


def _handshake_mechanism(failed: list[Observation]) -> Mechanism | None:
    """Name what every attempt looked like; None if attempts differ.

    An attempt that failed before or after the handshake differs: without it the
    hello was seen to fail less often than it was tried.
    """
    if any(row.step != "tls" for row in failed):
        return None
    outcomes = {row.failure for row in failed}
    if outcomes <= CUT_OFF:
        return "sni_rst"
    if outcomes <= failures.TIMEOUTS:
        # Without TCP_INFO acknowledged and unacknowledged hellos look alike;
        # the acknowledged form is the weaker claim (something took the hello).
        unacknowledged = all(row.bytes_acked is not None and row.bytes_acked <= 1 for row in failed)
        return "sni_drop" if unacknowledged else "sni_drop_reply"
    return None


def _slowed(place: Place) -> Finding:
    tests = [row for rows in place.attempts for row in rows if row.step == "http"]
    contrasts = [row for rows in place.contrasts for row in rows if row.step == "http"]
    rivals = (_rival("slow line or slow server", contrasts),)
    return _finding("http.slow_paired", "throttling", tests, rivals)


def judge_lookups(member: Member, broken: frozenset[str] = frozenset()) -> Finding | None:
    """Judge the ordinary resolver's answers against the other resolvers'.

    A type without an answer is no failure where the other type has one: many
    hosts have no AAAA, and a few have no A.
    """
    rows = _of_one_type(member.lookups)
    if not rows:
        return None
    ordinary = _ordinary(rows)
    others = [row for row in rows if row.resolver_id != ordinary[0].resolver_id]
    doubled = [row for row in ordinary if _has_two_answers(row)]
    if doubled:
        return _finding("dns.two_answers", "dns_injection", doubled)
    answered = [row for row in ordinary if row.failure is None]
    honest = [row for row in others if row.failure is None and not _is_bogus(row)]
    if answered:
        if all(_is_bogus(row) for row in answered) and honest:
            return _finding(
                "dns.bogon",
                "dns_bogon",
                answered,
                (_rival("the name has no public address", honest),),
            )
        return None
    if ordinary[0].resolver_id in broken:
        return _finding("dns.resolver_broken", None, ordinary)
    if honest:
        outcome = ordinary[-1].failure or ""
        rivals = (_rival("the name does not exist", honest),)
        if outcome in _DENIED:
            return _finding("dns.failure_contrast", _DENIED[outcome], ordinary, rivals)
        return _finding("dns.timeout_contrast", "dns_timeout", ordinary, rivals)
    if _agree_on_denial(rows):
        return _finding("dns.all_fail", None, rows)
    return _finding("dns.silent", "dns_timeout", rows)


def _agree_on_denial(rows: Sequence[Observation]) -> bool:
    """Two resolvers or more answered, all alike; "try again" is silence, not an answer."""
    said = [row for row in rows if row.failure in _DENIED and row.failure != failures.DNS_TEMPORARY]
    return len({row.failure for row in said}) == 1 and len({row.resolver_id for row in said}) > 1


def _of_one_type(lookups: Sequence[Observation]) -> Sequence[Observation]:
    """Return the lookups for A, unless only those for AAAA found anything."""
    by_type = {kind: [row for row in lookups if row.query_type == kind] for kind in ("A", "AAAA")}
    has_answer = {kind: any(r.failure is None for r in rows) for kind, rows in by_type.items()}
    if not by_type["A"] or (has_answer["AAAA"] and not has_answer["A"]):
        return by_type["AAAA"]
    return by_type["A"]


def _ordinary(rows: Sequence[Observation]) -> list[Observation]:
    """The resolver that applications use: the system's, else the first over UDP."""
    preference = {"system": 0, "udp": 1, "tcp": 2, "dot": 3, "doh": 4}
    first = min(
        rows,
        key=lambda row: (preference[row.resolver_protocol or "doh"], row.resolver_id or ""),
    )
    return [row for row in rows if row.resolver_id == first.resolver_id]


def _has_two_answers(row: Observation) -> bool:
    seen: set[tuple[str, frozenset[str]]] = set()
    for response in row.responses:
        if response.is_valid:
            values = frozenset(a.value for a in response.answers if a.type in {"A", "AAAA"})
            seen.add((response.rcode, values))
    values_seen = [values for _, values in seen]
    return len(seen) > 1 and not frozenset.intersection(*values_seen)


def _is_bogus(row: Observation) -> bool:
    answers = [
        answer
        for response in row.responses
        if response.is_valid
        for answer in response.answers
        if answer.type in {"A", "AAAA"}
    ]
    return bool(answers) and all(a.is_bogon and not a.is_expected for a in answers)
