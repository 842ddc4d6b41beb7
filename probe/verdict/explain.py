"""Why a verdict says what it says: facts, rule, counts, rivals, and what would change it.

Nothing is judged here: a verdict and its run's observations in, lines out. Whatever a
peer sent is clipped and freed of control characters, for the lines go to terminals.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from probe.model.failure import CERTIFICATE
from probe.model.observation import FollowUp, Observation
from probe.model.verdict import State, Verdict
from probe.verdict import RULES_VERSION
from probe.verdict.rules import RULES
from probe.verdict.words import CAUSE_WORDS, STATE_WORDS, summarise

MAX_FACTS: Final = 20
"""As many as a person reads; one of each kind comes before a second of any."""

_MAX_CHARS: Final = 80
_MAX_ANSWERS: Final = 4
_MAX_IDS: Final = 6
_NOTABLE_LAG_S: Final = 0.1
_NOTABLE_CLOCK_S: Final = 3600.0

PURPOSES: Final[dict[FollowUp, str]] = {
    "other_name": "with a harmless name",
    "harmless_elsewhere": "a harmless name at a control's address",
    "name_elsewhere": "with the name at a stranger's address",
    "second_hello": "in another form",
    "small_hello": "with a short hello",
    "large_hello": "with a long hello",
    "ech": "with Encrypted Client Hello",
    "ech_other_name": "with Encrypted Client Hello and a harmless name",
    "quic": "over QUIC",
    "quic_other_name": "over QUIC with a harmless name",
    "other_port": "at another port",
    "neighbour": "at the address beside it",
    "udp_twin": "by UDP, to hear a router's word",
    "other_payload": "with bytes of another protocol",
    "tiny_writes": "in many small packets",
    "paired": "in turns with a harmless name",
    "hop": "with packets that die on the way",
    "residual": "soon after the name was cut off",
    "portal": "for a sign-in page",
    "unroutable": "where nobody can be",
    "no_resolver": "where no resolver is",
    "heartbeat": "to see whether the line lives",
}
"""What a separating probe or special control differs in from the plain measurement."""


STATE_MEANINGS: Final[dict[State, str]] = {
    "ok": "It works, as far as this run tested it.",
    "blocked": "It is interfered with: an artefact that nothing benign produces, or a "
    "contrast with controls that is complete.",
    "likely_blocked": "Interference explains the facts best, but one rival explanation is not "
    "ruled out.",
    "impaired": "It works in part or badly, and the cause is unclear.",
    "down": "It fails for the control too, such as a harmless name at the same address: the "
    "service's fault, not the network's.",
    "insufficient": "Too little is known to say anything: too few attempts, or controls that "
    "failed.",
}
"""The glossary's sentences, which are not installed with the program."""

_FIRST_STEPS: Final = frozenset({"tls", "mtproto", "writes"})
"""The first to send anything on a connection: all that was acknowledged is theirs."""


class Explanation(Struct, frozen=True, kw_only=True):
    """One verdict explained, a tuple of lines for each part.

    ``facts`` are the observations that the verdict points to, in order of time.
    ``changes`` and ``source`` are the rule's, empty where this release has no such rule.
    """

    target_id: str
    tactic: str
    proxy_id: str | None
    rule_id: str
    rules_version: int
    said: str
    facts: tuple[str, ...]
    rule: tuple[str, ...]
    counts: tuple[str, ...]
    ruled_out: tuple[str, ...]
    not_ruled_out: tuple[str, ...]
    changes: str
    source: str


def explain(verdict: Verdict, observations: Iterable[Observation]) -> Explanation:
    """Explain one verdict from the observations of its run, in any order."""
    rule = RULES.get(verdict.rule_id)
    rivals = [f"{plain(rival.cause)}: by {_ids(rival.ruled_out_by)}" for rival in verdict.rivals]
    excluded = [f"by the rule: {rule.excludes}"] if rule is not None else []
    via = "" if verdict.proxy_id is None else f" via {plain(verdict.proxy_id)}"
    return Explanation(
        target_id=verdict.target_id,
        tactic=verdict.tactic,
        proxy_id=verdict.proxy_id,
        rule_id=verdict.rule_id,
        rules_version=verdict.rules_version,
        said=f"{plain(verdict.target_id)}{via}: {summarise(verdict)}",
        facts=_facts(verdict, observations),
        rule=_rule(verdict),
        counts=_counts(verdict),
        ruled_out=(*rivals, *excluded),
        not_ruled_out=tuple(plain(one) for one in verdict.open_rivals),
        changes=rule.changes if rule is not None else "",
        source=rule.source if rule is not None else "",
    )


def named_by(verdict: Verdict) -> frozenset[str]:
    """Return the ids of the observations that a verdict points to."""
    return frozenset(
        (*verdict.reasons, *(name for rival in verdict.rivals for name in rival.ruled_out_by))
    )


def plain(text: str) -> str:
    """Return foreign text as it may be printed: one line, bounded, steering nothing.

    A question mark stands for each of Unicode's "Other" characters: controls, and the
    marks that turn the direction of reading.
    """
    kept = "".join("?" if unicodedata.category(c)[0] == "C" else c for c in text[: _MAX_CHARS + 1])
    return kept if len(kept) <= _MAX_CHARS else kept[: _MAX_CHARS - 3] + "..."


def _ids(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _MAX_IDS} more" if len(ids) > _MAX_IDS else ""
    return ", ".join(plain(one) for one in ids[:_MAX_IDS]) + more


def _rule(verdict: Verdict) -> tuple[str, ...]:
    rule = RULES.get(verdict.rule_id)
    if rule is None:
        unknown = f"this release (rules version {RULES_VERSION}) has no such rule"
        return (f"{verdict.rule_id}, of rules version {verdict.rules_version}: {unknown}",)
    lines = [f"{verdict.rule_id} needs: {rule.needs}"]
    if verdict.state != rule.state:
        lines.append(
            f"it may say at most: {STATE_WORDS[rule.state]}; here it is held to: "
            f"{STATE_WORDS[verdict.state]}"
        )
    if verdict.benign_cause is not None:
        lines.append(f"about this line: {CAUSE_WORDS[verdict.benign_cause]}")
    if verdict.rules_version != RULES_VERSION:
        lines.append(
            f"judged by rules version {verdict.rules_version}; this release has version "
            f"{RULES_VERSION}: reachwatch results rejudge"
        )
    return tuple(lines)


def _counts(verdict: Verdict) -> tuple[str, ...]:
    lines = []
    if verdict.evidence is not None:
        own = verdict.evidence
        lines.append(f"{own.n_failed} of {own.n_tried} tries failed as the rule says")
        if own.contrast_tried:
            lines.append(f"{own.contrast_ok} of {own.contrast_tried} contrasts passed")
    if verdict.n_total:
        lines.append(f"{verdict.n_ok} of {verdict.n_total} members work")
    if verdict.layers:
        layers = [f"{layer.step} {layer.n_ok}/{layer.n_total}" for layer in verdict.layers]
        lines.append(f"by step: {', '.join(layers)}")
    lines.append(
        f"{verdict.controls_ok} of {verdict.controls_total} controls answered "
        f"({verdict.control_state})"
    )
    return tuple(lines)


def _facts(verdict: Verdict, observations: Iterable[Observation]) -> tuple[str, ...]:
    named = named_by(verdict)
    known: Mapping[str, Observation] = {
        row.observation_id: row for row in observations if row.observation_id in named
    }
    chosen = _choose(sorted(known.values(), key=lambda row: (row.t0, row.observation_id)))
    lines = [fact(row) for row in chosen]
    if len(known) > len(chosen):
        lines.append(f"and {len(known) - len(chosen)} more")
    if len(named) > len(known):
        lines.append(f"{len(named) - len(known)} named by the verdict, not among the facts")
    return tuple(lines)


def _choose(rows: Sequence[Observation]) -> list[Observation]:
    """Take as many as are shown: the first of each kind, then in order of time."""
    if len(rows) <= MAX_FACTS:
        return list(rows)
    first: dict[tuple[str | None, ...], Observation] = {}
    for row in rows:
        first.setdefault((row.step, row.role, row.follow_up, row.failure), row)
    ranked = [*first.values(), *rows]
    taken = {row.observation_id: row for row in ranked[: MAX_FACTS + len(first)]}
    kept = set(list(taken)[:MAX_FACTS])
    return [row for row in rows if row.observation_id in kept]


def fact(row: Observation) -> str:
    """Say one observation in one line: when, what, how it ended, and what shows it."""
    outcome = "passed"
    if row.failure is not None:
        detail = f" ({plain(row.failure_detail)})" if row.failure_detail else ""
        outcome = f"{row.failure}{detail} after {max(0.0, row.t - row.t0):.2f} s"
    parts = [outcome, *_particulars(row)]
    return f"{row.observation_id} {row.t0:5.1f} s  {_what(row)}: {'; '.join(parts)}"


def _what(row: Observation) -> str:
    place = _place(row)
    name = row.server_name if row.step in {"tls", "quic"} else row.hostname
    match row.step:
        case "dns":
            asked = row.resolver_id or row.address or "?"
            how = "" if row.resolver_protocol in {None, asked} else f" by {row.resolver_protocol}"
            text = f"dns {row.query_type or ''} {plain(name or '?')} from {plain(asked)}{how}"
        case "http":
            text = f"http {plain(row.path or '/')} of {plain(name or '?')} at {place}"
        case _:
            named = f" {plain(name)}" if name and row.step in {"tls", "quic"} else ""
            form = f" ({row.mtproto_transport})" if row.mtproto_transport else ""
            text = f"{row.step}{form}{named} {'at' if named else 'to'} {place}"
    if row.follow_up is not None:
        text += f", {PURPOSES[row.follow_up]}"
    elif row.role == "control":
        text += ", control"
    if row.proxy_id is not None:
        text += f", via {plain(row.proxy_id)}"
    return text


def _place(row: Observation) -> str:
    if row.address is None:
        return plain(row.endpoint_id)
    address = plain(row.address)
    where = f"[{address}]" if ":" in address else address
    return where if row.port is None else f"{where}:{row.port}"


def _particulars(row: Observation) -> list[str]:
    found = _of_dns(row) if row.step == "dns" else [*_of_tcp(row), *_of_peer(row)]
    if row.icmp_type is not None:
        whose = {
            "target": " from its own network",
            "path": " from the path",
            "local": " from this device",
            None: "",
        }
        found.append(f"ICMP {row.icmp_type}/{row.icmp_code}{whose[row.icmp_origin]}")
    if row.hop_limit is not None:
        found.append(f"after {row.hop_limit} hops at most")
    if row.clock_offset_s is not None and abs(row.clock_offset_s) > _NOTABLE_CLOCK_S:
        found.append(f"its clock less ours: {row.clock_offset_s:.0f} s")
    if row.loop_lag_s > _NOTABLE_LAG_S:
        found.append(f"our own delay {row.loop_lag_s:.1f} s")
    return found


def _of_dns(row: Observation) -> list[str]:
    found = []
    for response in row.responses[:_MAX_ANSWERS]:
        values = [plain(answer.value) for answer in response.answers[:_MAX_ANSWERS]]
        if len(response.answers) > _MAX_ANSWERS:
            values.append(f"and {len(response.answers) - _MAX_ANSWERS} more")
        stray = "" if response.is_valid else " (does not match the query)"
        what = ", ".join(values) or plain(response.rcode)
        found.append(f"{what} after {response.t:.3f} s{stray}")
    if len(row.responses) > _MAX_ANSWERS:
        found.append(f"and {len(row.responses) - _MAX_ANSWERS} more responses")
    return found


def _of_tcp(row: Observation) -> list[str]:
    found = []
    if row.failure is not None and row.bytes_acked is not None and row.step != "tcp":
        # The kernel counts our SYN as the first byte.
        acked = max(0, row.bytes_acked - 1)
        of_all = "" if row.step in _FIRST_STEPS and row.proxy_id is None else " since the connect"
        found.append(f"{row.sent_bytes} bytes sent, {acked} acknowledged{of_all}")
    if row.failure is not None and row.received_bytes:
        found.append(f"{row.received_bytes} bytes received")
    if row.tcp_retransmits:
        times = "once" if row.tcp_retransmits == 1 else f"{row.tcp_retransmits} times"
        found.append(f"sent again {times}")
    return found


def _of_peer(row: Observation) -> list[str]:
    found = []
    if row.peer_certificates:
        leaf = row.peer_certificates[0]
        by = f"certificate by {plain(leaf.issuer)}"
        if row.failure in CERTIFICATE:
            dates = f"{plain(leaf.not_before)} to {plain(leaf.not_after)}"
            by += f" for {plain(leaf.subject)}, {dates}"
        found.append(by)
    if row.step == "http" and row.first_byte_s is not None:
        found.append(f"first byte after {row.first_byte_s:.3f} s")
    if row.status_code is not None:
        title = f' "{plain(row.title)}"' if row.title else ""
        found.append(f"status {row.status_code}{title}")
    if row.body_bytes is not None:
        took = f" in {row.body_duration_s:.2f} s" if row.body_duration_s else ""
        found.append(f"{row.body_bytes} bytes of body{took}")
    return found
