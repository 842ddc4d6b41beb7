"""What DNS said about one member: denied, forged, hijacked, impossible, or merely silent."""

from collections.abc import Sequence

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.target import ENCRYPTED
from probe.model.verdict import Mechanism, Rival
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.fingerprints import match_answer
from probe.verdict.members import Member
from probe.verdict.resolved import ordinary_lookups
from probe.verdict.surroundings import Surroundings, addresses_in, is_bogus

_DENIED: dict[str, Mechanism] = {
    failures.DNS_NXDOMAIN: "dns_nxdomain",
    failures.DNS_NO_ANSWER: "dns_nxdomain",
    failures.DNS_REFUSED: "dns_refused",
    failures.DNS_SERVFAIL: "dns_servfail",
    failures.DNS_TEMPORARY: "dns_servfail",
    failures.DNS_NON_RECOVERABLE: "dns_servfail",
    failures.DNS_MISBEHAVING: "dns_hijack",
}


_NULL = frozenset({"0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104 - answers, not a bind
"""What filters for the home answer (Pi-hole, AdGuard, family settings of providers)."""


_PASSING = frozenset({failures.DNS_SERVFAIL, failures.DNS_TEMPORARY})
"""What a validating resolver says of a zone whose signatures or servers are broken."""


def judge_lookups(member: Member, around: Surroundings) -> Finding | None:
    """Judge the ordinary resolver's answers against the other resolvers'.

    A type without an answer is no failure where the other type has one: many
    hosts have no AAAA, and a few have no A.
    """
    rows = _of_one_type(member.lookups)
    if not rows:
        return None
    doubled = [row for row in rows if _has_two_answers(row)]
    ordinary = ordinary_lookups(rows)
    others = [row for row in rows if row.resolver_id != ordinary[0].resolver_id]
    honest = [row for row in others if row.failure is None and not is_bogus(row)]
    if any(row in ordinary or row.resolver_protocol == "udp" for row in doubled):
        return found("dns.two_answers", "dns_injection", doubled, tried=len(rows))
    answered = [row for row in ordinary if row.failure is None]
    is_broken = ordinary[0].resolver_id in around.broken
    if answered and is_broken and all(is_bogus(row) for row in answered):
        return found("dns.resolver_broken", None, answered)
    if answered:
        # Over TCP it may be the same resolver once more.
        is_wide = any(
            row.failure is None and is_bogus(row) and row.resolver_protocol == "udp"
            for row in others
        )
        return _judge_answers(answered, honest, around, is_wide=is_wide)
    if is_broken:
        return found("dns.resolver_broken", None, ordinary)
    if not honest:
        if _agree_on_denial(rows):
            return found("dns.all_fail", None, rows)
        is_silent = all(row.failure in failures.TIMEOUTS for row in ordinary)
        return found(
            "dns.silent", "dns_timeout" if is_silent else None, rows, depends_on_silence=True
        )
    outcome = ordinary[-1].failure or ""
    rivals: tuple[Rival, ...] = (ruled_out("the name does not exist", honest),)
    if outcome not in _DENIED:
        return found(
            "dns.timeout_contrast",
            "dns_timeout",
            ordinary,
            passed=honest,
            rivals=rivals,
            depends_on_silence=True,
        )
    if outcome in _PASSING and not _agree(others, outcome):
        return found("dns.servfail_alone", _DENIED[outcome], ordinary, passed=honest, rivals=rivals)
    clear = [row for row in honest if row.resolver_protocol in {"udp", "system"}]
    if around.answers_for_all and not clear:
        rivals = (*rivals, ruled_out("the resolver's own mistake", around.answers_for_all))
        return found(
            "dns.intercepted",
            "dns_hijack",
            [*ordinary, *around.answers_for_all],
            passed=honest,
            rivals=rivals,
        )
    return found("dns.failure_contrast", _DENIED[outcome], ordinary, passed=honest, rivals=rivals)


def _judge_answers(
    answered: Sequence[Observation],
    honest: Sequence[Observation],
    around: Surroundings,
    *,
    is_wide: bool,
) -> Finding | None:
    """Judge addresses that the ordinary resolver gives; ``is_wide``: others give such too."""
    if all(is_bogus(row) for row in answered):
        if not honest:
            return None
        rivals = (ruled_out("a list that expects such an address", honest),)
        given = frozenset[str]().union(*(addresses_in(row) for row in answered))
        rule_id = "dns.null_answer" if given <= _NULL and not is_wide else "dns.bogon"
        return found(rule_id, "dns_bogon", answered, passed=honest, rivals=rivals)
    given = frozenset[str]().union(*(addresses_in(row) for row in answered))
    # Who forges for one resolver in clear text forges for all of them.
    sealed = [row for row in honest if row.resolver_protocol in ENCRYPTED] or honest
    elsewhere = frozenset[str]().union(*(addresses_in(row) for row in sealed))
    if not honest or given & elsewhere or given & around.vouched.keys():
        return None
    witnesses = [row for address in given for row in around.convicted.get(address, ())]
    # A filter that somebody chose for his own network is no censor, and an address
    # borrowed from others is theirs for their own names.
    matches = {address: match_answer(address) for address in given}
    known = [a for a, match in matches.items() if match is not None and match.kind == "censor"]
    rivals = (ruled_out("another, equally good, address of the service", witnesses or honest),)
    if given <= around.convicted.keys():
        is_sure = any(row.step == "tls" for row in witnesses)
        rule_id = "dns.certificate_contrast" if is_sure else "dns.one_for_many"
        return found(rule_id, "dns_hijack", [*answered, *witnesses], passed=honest, rivals=rivals)
    if len(known) == len(given):
        return found("dns.known_answer", "dns_hijack", answered, passed=honest)
    return None


def _agree(others: Sequence[Observation], outcome: str) -> bool:
    """Whether another resolver, asked in clear text, fails in the same way."""
    return any(row.failure == outcome and row.resolver_protocol == "udp" for row in others)


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


def _has_two_answers(row: Observation) -> bool:
    seen: set[tuple[str, frozenset[str]]] = set()
    for response in row.responses:
        # A forwarder may pass on one server's failure and another's answer.
        if response.is_valid and response.rcode in {"NOERROR", "NXDOMAIN"}:
            values = frozenset(a.value for a in response.answers if a.type in {"A", "AAAA"})
            seen.add((response.rcode, values))
    values_seen = [values for _, values in seen]
    return len(seen) > 1 and not frozenset.intersection(*values_seen)
