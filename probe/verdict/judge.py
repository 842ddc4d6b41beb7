"""Facts of one run in, one verdict per target and tactic out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from probe.model.observation import STEPS, Observation
from probe.model.verdict import BLOCKED_STATES, LayerCount, State, Verdict
from probe.verdict import RULES_VERSION
from probe.verdict.controls import Controls, assess
from probe.verdict.findings import (
    Finding,
    Member,
    broken_resolvers,
    gather,
    judge_member,
    silent_networks,
)
from probe.verdict.words import summarise

_RANK: Final[tuple[State, ...]] = (
    "insufficient",
    "ok",
    "down",
    "impaired",
    "likely_blocked",
    "blocked",
)
_Key = tuple[str, str, str | None]


def judge(rows: Sequence[Observation]) -> list[Verdict]:
    """Judge the observations of one run.

    Pure: the order of rows does not matter, and stored facts judged again give
    the same verdicts. IPv6 places are left out where no IPv6 control worked:
    a broken IPv6 is local.
    """
    controls = assess(rows)
    by_target: dict[_Key, list[Observation]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.observation_id):
        if row.target_id is None or row.role not in {"test", "contrast"}:
            continue
        if row.ip_version == 6 and row.step != "dns" and not controls.ipv6_works:
            continue
        by_target[row.target_id, row.tactic, row.proxy_id].append(row)
    direct: dict[str | None, list[Observation]] = defaultdict(list)
    for own in by_target.values():
        direct[own[0].service_id].extend(row for row in own if row.tactic == "none")
    silent = {
        # On a slow line a time limit that passes is no evidence of silence.
        service: frozenset[str]() if controls.is_slow else silent_networks(own)
        for service, own in direct.items()
    }
    broken = broken_resolvers(rows)
    return [
        _judge_target(by_target[key], controls, silent[by_target[key][0].service_id], broken)
        for key in sorted(by_target, key=lambda key: (key[0], key[1] != "none", key[2] or ""))
    ]


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


def _judge_target(
    rows: Sequence[Observation],
    controls: Controls,
    silent: frozenset[str],
    broken: frozenset[str],
) -> Verdict:
    members = gather(rows)
    findings = {
        name: judge_member(member, silent, broken)
        for name, member in members.items()
        if member.places or member.lookups
    }
    failed = {name: found for name, found in findings.items() if found is not None}
    n_total = len(findings)
    n_ok = n_total - len(failed)
    first = rows[0]
    state, finding = _combine(first.combination_rule or "any_of", failed, n_ok, n_total)
    rule_id = finding.rule_id if finding else "target.reachable"
    if n_total == 0:
        rule_id = "target.no_data"
    elif state == "impaired" and n_ok and first.combination_rule == "any_of":
        rule_id = "target.partial"
    if controls.state == "failed":
        state, rule_id, finding = "insufficient", "controls.failed", None
    elif controls.state == "degraded" and state in BLOCKED_STATES:
        # One control is not enough to call anything blocked.
        state = "impaired"
    verdict = Verdict(
        target_id=first.target_id or "",
        service_id=first.service_id or "",
        combination_rule=first.combination_rule or "any_of",
        tactic=first.tactic,
        proxy_id=first.proxy_id,
        state=state,
        mechanism=finding.mechanism if finding else None,
        benign_cause=controls.cause,
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
        reasons=finding.reasons if finding else _reasons_of_success(rows, controls),
        rivals=finding.rivals if finding else (),
    )
    return msgspec.structs.replace(verdict, summary=summarise(verdict))


def _combine(
    combination_rule: str, failed: dict[str, Finding], n_ok: int, n_total: int
) -> tuple[State, Finding | None]:
    """Combine members: n of N is never rounded to all or none."""
    if n_total == 0:
        return "insufficient", None
    if not failed:
        return "ok", None
    # The most frequent finding among the worst speaks for the target.
    counts = Counter(found.rule_id for found in failed.values())
    worst = max(
        failed.values(),
        key=lambda found: (_RANK.index(found.state), counts[found.rule_id], found.rule_id),
    )
    same = [found for found in failed.values() if found.rule_id == worst.rule_id]
    merged = Finding(
        rule_id=worst.rule_id,
        mechanism=worst.mechanism,
        reasons=tuple(sorted({r for found in same for r in found.reasons})),
        rivals=worst.rivals,
    )
    if combination_rule == "any_of" and n_ok > 0:
        return "impaired", merged
    return worst.state, merged


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
