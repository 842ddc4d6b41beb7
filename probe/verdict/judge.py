"""Facts of one run in, one verdict per target and tactic out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from probe.model.observation import STEPS, TACTICS, Observation, Tactic
from probe.model.verdict import (
    BLOCKED_STATES,
    BenignCause,
    Evidence,
    LayerCount,
    State,
    Verdict,
)
from probe.verdict import RULES_VERSION
from probe.verdict.circumvention import PROXIES, is_way, judge_seen, judge_tried
from probe.verdict.connects import (
    judge_connect,
    judge_later_silence,
    judge_loss,
)
from probe.verdict.controls import Controls, assess
from probe.verdict.finding import Finding, found
from probe.verdict.hellos import judge_hello, within_hops
from probe.verdict.lookups import judge_lookups
from probe.verdict.members import Member, Place, gather
from probe.verdict.parts import judge_families, judge_ports
from probe.verdict.protocols import judge_mtproto, judge_ways
from probe.verdict.rules import RULES
from probe.verdict.surroundings import Surroundings, survey
from probe.verdict.transfers import judge_page, judge_transfer
from probe.verdict.words import summarise

_RANK: Final[tuple[State, ...]] = (
    "insufficient",
    "ok",
    "down",
    "impaired",
    "likely_blocked",
    "blocked",
)
_Key = tuple[str, Tactic, str | None]


def judge(rows: Sequence[Observation], *, with_ways: bool = False) -> list[Verdict]:
    """Judge the observations of one run.

    Pure: the order of rows does not matter, and stored facts judged again give
    the same verdicts. IPv6 places are left out where no IPv6 control worked:
    a broken IPv6 is local. ``with_ways``: somebody asked for ways around, so those that
    the direct way shows by itself are judged too, as where any was tried.
    """
    around = survey(rows)
    by_target: dict[_Key, list[Observation]] = defaultdict(list)
    for row in sorted(around.rows, key=lambda row: row.observation_id):
        if row.target_id is None or row.role not in {"test", "contrast"}:
            continue
        if row.ip_version == 6 and row.step != "dns" and not around.controls.ipv6_works:
            continue
        is_proxy = row.tactic in PROXIES
        by_target[row.target_id, row.tactic, row.proxy_id if is_proxy else None].append(row)
    judged: list[Verdict] = []
    are_asked = with_ways or any(is_way(key[1]) for key in by_target)
    for key, own in by_target.items():
        if key[1] == "none":
            direct = _judge_target(own, around)
            judged.append(direct)
            if are_asked:
                judged += judge_seen(direct, own, around)
        elif key[1] in PROXIES:
            judged.append(_judge_target(own, around))
        elif (tried := judge_tried(own, around)) is not None:
            judged.append(tried)
    return sorted(judged, key=key_in_file)


def judge_all(
    rows: Sequence[Observation],
    targets: Iterable[tuple[str, str, str]],
    *,
    with_ways: bool = False,
) -> list[Verdict]:
    """Judge what was measured of (target, service, rule) triples, and the rest as unmeasured.

    In the order of a run's file: by target, the direct way first.
    """
    verdicts = judge(rows, with_ways=with_ways)
    judged = {verdict.target_id for verdict in verdicts if verdict.tactic == "none"}
    missing = dict.fromkeys(triple for triple in targets if triple[0] not in judged)
    return sorted([*verdicts, *unmeasured(rows, list(missing))], key=key_in_file)


def key_in_file(verdict: Verdict) -> tuple[str, int, str]:
    """Return what tells a run's verdicts apart, and orders them."""
    return verdict.target_id, TACTICS.index(verdict.tactic), verdict.proxy_id or ""


def unmeasured(
    rows: Sequence[Observation], targets: Sequence[tuple[str, str, str]]
) -> list[Verdict]:
    """Verdicts for (target, service, rule) triples that a run did not get to."""
    controls = assess(rows)
    rule_id = "controls.failed" if controls.state == "failed" else "target.no_data"
    found = []
    for target_id, service_id, rule in targets:
        verdict = Verdict(
            target_id=target_id,
            service_id=service_id,
            combination_rule="all_of" if rule == "all_of" else "any_of",
            state="insufficient",
            benign_cause=controls.cause,
            rule_id=rule_id,
            rules_version=RULES_VERSION,
            n_ok=0,
            n_total=0,
            attempts=0,
            control_state=controls.state,
            controls_ok=controls.n_ok,
            controls_total=controls.n_total,
            reasons=controls.reasons,
        )
        found.append(msgspec.structs.replace(verdict, summary=summarise(verdict)))
    return found


def _judge_target(rows: Sequence[Observation], around: Surroundings) -> Verdict:
    controls = around.controls
    members = gather(rows)
    findings = {
        name: judge_member(member, around)
        for name, member in members.items()
        if not member.is_empty()
    }
    # A name that resolved to nothing that could be tried is no success.
    findings = {
        name: finding
        for name, finding in findings.items()
        if finding is not None or any(place.attempts for place in members[name].places)
    }
    failed = {name: finding for name, finding in findings.items() if finding is not None}
    n_total = len(findings)
    n_ok = n_total - len(failed)
    first = rows[0]
    state, finding = _combine(first.combination_rule or "any_of", failed, n_ok, n_total)
    rule_id = finding.rule_id if finding else "target.reachable"
    if n_total == 0:
        rule_id = "target.no_data"
    elif state == "impaired" and n_ok and first.combination_rule == "any_of":
        rule_id = "target.partial"
    elif not failed and first.tactic == "none":
        own = [member for member in members.values() if not member.is_empty()]
        finding = (
            judge_ports(own)
            or judge_families(own, lambda place, member: judge_place(place, member, around))
            or judge_ways(own, around)
        )
        if finding is not None:
            state, rule_id = finding.state, finding.rule_id
        elif (finding := judge_loss(first.service_id, around)) is not None:
            # It works all the same; that packets are lost to nobody else is worth a word.
            rule_id = finding.rule_id
    if controls.state == "failed":
        state, rule_id, finding = "insufficient", "controls.failed", None
    elif finding is not None and failed:
        state, finding, rule_id = _in_context(state, finding, rule_id, around, first)
    verdict = Verdict(
        target_id=first.target_id or "",
        service_id=first.service_id or "",
        combination_rule=first.combination_rule or "any_of",
        tactic=first.tactic,
        proxy_id=first.proxy_id,
        state=state,
        mechanism=finding.mechanism if finding else None,
        benign_cause=_cause(finding, controls) if failed or controls.cause else None,
        stage=finding.stage if finding else None,
        rule_id=rule_id,
        rules_version=RULES_VERSION,
        n_ok=0 if controls.state == "failed" else n_ok,
        n_total=0 if controls.state == "failed" else n_total,
        attempts=len({row.chain_id for row in rows if row.step != "dns" and row.role == "test"}),
        control_state=controls.state,
        controls_ok=controls.n_ok,
        controls_total=controls.n_total,
        layers=_layers(members.values()),
        failed_members=tuple(failed),
        failed_ports=finding.failed_ports if finding else (),
        failed_families=finding.failed_families if finding else (),
        reasons=finding.reasons if finding else _reasons_of_success(rows, controls),
        rivals=finding.rivals if finding else (),
        open_rivals=_open_rivals(finding) if finding else (),
        evidence=finding.evidence if finding else None,
        within_hops=within_hops(members.values()) if finding is not None and failed else None,
    )
    return msgspec.structs.replace(verdict, summary=summarise(verdict))


_WALL: Final = frozenset({"tcp.silent_networks", "tcp.prohibited"})
"""What the wall around a walled garden looks like."""


def _in_context(
    state: State, finding: Finding, rule_id: str, around: Surroundings, first: Observation
) -> tuple[State, Finding, str]:
    """Let the rest of the run have its say: a line that explains a failure unmakes a block."""
    controls = around.controls
    if controls.is_allowlisted and finding.depends_on_silence:
        listed = Finding(
            rule_id="run.allowlist",
            mechanism="allowlist",
            reasons=tuple(sorted({*finding.reasons, *controls.reasons})),
            evidence=finding.evidence,
        )
        return listed.state, listed, listed.rule_id
    loss = judge_loss(first.service_id, around)
    if loss is not None and (finding.depends_on_silence or finding.mechanism is None):
        return loss.state, loss, loss.rule_id
    if state in BLOCKED_STATES and (
        # One control is not enough to call anything blocked; and silence is little
        # evidence on a line that loses much, TCP none where something near speaks it.
        controls.state == "degraded"
        or (finding.depends_on_silence and (controls.is_slow or controls.is_lossy))
        or (controls.is_intercepted and finding.stage != "dns")
        or (controls.is_walled and finding.rule_id in _WALL)
    ):
        return "impaired", finding, rule_id
    return state, finding, rule_id


def _cause(finding: Finding | None, controls: Controls) -> BenignCause | None:
    if finding is not None and finding.rule_id == "tls.clock":
        return "clock_skew"
    if finding is not None and finding.rule_id in {"tls.local_issuer", "tcp.own_firewall"}:
        return "local_interception"
    return controls.local_cause


def judge_member(member: Member, around: Surroundings) -> Finding | None:
    """Return None if the member works, else the finding of its best-placed failure."""
    denied = judge_lookups(member, around)
    if denied is not None and denied.state != "impaired":
        return denied
    pages = [page for place in member.places if (page := judge_page(place)) is not None]
    if pages:
        return pages[0]
    lost = [one for place in member.places if (one := judge_later_silence(place)) is not None]
    if lost:
        return lost[0]
    slowed = [place for place in member.places if place.is_slowed()]
    if slowed and not any(place.is_paired() and not place.is_slowed() for place in member.places):
        # Pairs are made at one address of a name; the others are as slow by themselves.
        return _slowed(slowed[0])
    if any(place.is_ok() for place in member.places):
        return denied
    # The place that came furthest says most: beyond it lies what is broken.
    order = ("route", "dns", "tcp", "proxy", "tls", "http", "mtproto", "mtproto_key")
    findings = [judge_place(place, member, around) for place in member.places if place.attempts]
    findings.sort(
        key=lambda one: (order.index(one.stage or "route"), one.state in BLOCKED_STATES),
        reverse=True,
    )
    return findings[0] if findings else denied


def _open_rivals(finding: Finding) -> tuple[str, ...]:
    """What the rule leaves standing, less what this run's facts rule out beyond it."""
    closed = {rival.cause for rival in finding.rivals}
    return tuple(cause for cause in RULES[finding.rule_id].leaves if cause not in closed)


def _slowed(place: Place) -> Finding:
    return found("http.slow_paired", "throttling", place.transfers(), passed=place.paired())


def judge_place(place: Place, member: Member, around: Surroundings) -> Finding:
    """Apply the rules to one address that does not work."""
    failed = place.failed()
    if len(failed) < len(place.attempts):
        return _slowed(place)
    last = failed[-1]
    if last.step == "proxy" or (last.step == "tcp" and last.proxy_id is not None):
        return found("proxy.failed", None, failed)
    if any(row.step == "tls" for row in failed) and last.step in {"tcp", "tls"}:
        return judge_hello(place, failed, around)
    if last.step == "tcp":
        return judge_connect(place, member, failed, around)
    if last.step == "mtproto":
        return judge_mtproto(place, failed)
    if last.step == "mtproto_key":
        return found("mtproto.key", None, failed)
    if last.step == "http":
        return judge_transfer(place, failed, around)
    return judge_hello(place, failed, around)


def _combine(
    combination_rule: str, failed: dict[str, Finding], n_ok: int, n_total: int
) -> tuple[State, Finding | None]:
    """Combine members: n of N is never rounded to all or none."""
    if n_total == 0:
        return "insufficient", None
    if not failed:
        return "ok", None
    # The most frequent finding among the worst speaks for the target.
    counts = Counter(one.rule_id for one in failed.values())
    worst = max(
        failed.values(),
        key=lambda one: (_RANK.index(one.state), counts[one.rule_id], one.rule_id),
    )
    same = [one for one in failed.values() if one.rule_id == worst.rule_id]
    merged = Finding(
        rule_id=worst.rule_id,
        mechanism=worst.mechanism,
        reasons=tuple(sorted({r for one in same for r in one.reasons})),
        rivals=worst.rivals,
        evidence=_sum(one.evidence for one in same),
        depends_on_silence=worst.depends_on_silence,
    )
    if combination_rule == "any_of" and n_ok > 0:
        return "impaired", merged
    return worst.state, merged


def _sum(parts: Iterable[Evidence | None]) -> Evidence | None:
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return Evidence(
        n_failed=sum(part.n_failed for part in known),
        n_tried=sum(part.n_tried for part in known),
        contrast_ok=sum(part.contrast_ok for part in known),
        contrast_tried=sum(part.contrast_tried for part in known),
    )


def _reasons_of_success(rows: Sequence[Observation], controls: Controls) -> tuple[str, ...]:
    if controls.state == "failed":
        return controls.reasons
    last: dict[str, Observation] = {}
    for row in rows:
        if row.step != "dns":
            last[row.chain_id] = row
    return tuple(sorted(row.observation_id for row in last.values() if row.failure is None))


def _layers(members: Iterable[Member]) -> tuple[LayerCount, ...]:
    """Count, per layer, the members that passed it of those that were tried there."""
    tried: dict[str, set[str]] = defaultdict(set)
    passed: dict[str, set[str]] = defaultdict(set)
    for member in members:
        for row in (
            *member.lookups,
            *(row for place in member.places for rows in place.attempts for row in rows),
        ):
            tried[row.step].add(member.name)
            if row.failure is None:
                passed[row.step].add(member.name)
    return tuple(
        LayerCount(step=step, n_ok=len(passed[step]), n_total=len(tried[step]))
        for step in STEPS
        if tried[step]
    )
