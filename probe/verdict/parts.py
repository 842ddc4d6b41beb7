"""A part of the way that fails at every member, all of which are reached by another part."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Literal

from probe.model import failure as failures
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.verdict.finding import Finding, found, ruled_out
from probe.verdict.members import Member, Place, Rows

USUAL_PORT: Final = 443
"""The one that applications try first."""

_MEMBERS: Final = 2
"""One host's dead addresses of a family are its operator's affair."""


def judge_ports(members: Sequence[Member]) -> Finding | None:
    """One port that fails at every member, all of which work by another port.

    A single member's closed port is its operator's affair.
    """
    closed: dict[int, Rows] = {}
    working: Rows = []
    ports_of: list[set[int]] = []
    for member in members:
        failing: dict[int, Rows] = {}
        passing: set[int] = set()
        for place in member.places:
            if place.port is None or not place.attempts:
                continue
            lost = [row for row in place.failed() if row.step == "tcp"]
            if place.is_ok():
                passing.add(place.port)
                working += [rows[-1] for rows in place.attempts if rows[-1].failure is None]
            elif lost:
                failing.setdefault(place.port, []).extend(lost)
        shut = {port: rows for port, rows in failing.items() if port not in passing}
        if not shut or not passing:
            return None
        ports_of.append(set(shut))
        for port, rows in shut.items():
            closed.setdefault(port, []).extend(rows)
    common = set.intersection(*ports_of) if len(ports_of) > 1 else set()
    if not common:
        return None
    failed = [row for port in sorted(common) for row in closed[port]]
    finding = found(
        "tcp.port_everywhere",
        "port_block",
        failed,
        passed=working,
        rivals=(ruled_out("addresses dropped as a whole", working),),
        depends_on_silence=all(row.failure in failures.TIMEOUTS for row in failed),
    )
    return replace(finding, failed_ports=tuple(sorted(common)))


def judge_families(
    members: Sequence[Member], judge_place: Callable[[Place, Member], Finding]
) -> Finding | None:
    """One address family that fails at every member that has both, and works at none.

    Of a single host the failure itself has to show a block. Where IPv6 does not work for
    the controls either, its places are not here.
    """
    for family in (4, 6):
        if (finding := _judge_family(family, members, judge_place)) is not None:
            return finding
    return None


def _judge_family(
    family: Literal[4, 6],
    members: Sequence[Member],
    judge_place: Callable[[Place, Member], Finding],
) -> Finding | None:
    failing: list[tuple[Member, Place]] = []
    working: Rows = []
    names: set[str] = set()
    for member in members:
        own = [p for p in member.places if p.attempts and p.family == family]
        other = [p for p in member.places if p.attempts and p.family not in {family, None}]
        if any(place.is_ok() for place in own):
            return None
        if not own or not other:
            continue
        if not all(place.failed() for place in own):
            return None
        names.add(member.name)
        failing += [(member, place) for place in own]
        working += [
            rows[-1] for place in other for rows in place.attempts if rows[-1].failure is None
        ]
    if not failing:
        return None
    findings = [judge_place(place, member) for member, place in failing]
    worst = max(findings, key=lambda one: (one.state in BLOCKED_STATES, one.mechanism is not None))
    if len(names) < _MEMBERS and worst.state not in BLOCKED_STATES:
        return None
    finding = found(
        "target.one_family",
        worst.mechanism,
        [row for _, place in failing for row in place.failed()],
        passed=working,
        rivals=(ruled_out("a service that is down", working), *worst.rivals),
        depends_on_silence=worst.depends_on_silence,
    )
    return replace(finding, failed_families=(family,))


def is_in_part(verdict: Verdict) -> bool:
    """Whether what applications try first fails at every member, and another part works.

    Nobody misses a port beside the usual one.
    """
    if verdict.rule_id == "target.one_family":
        return True
    return verdict.rule_id == "tcp.port_everywhere" and USUAL_PORT in verdict.failed_ports


def is_failing_part(verdict: Verdict, place: Place) -> bool:
    """Whether a place is of the part that fails."""
    if verdict.failed_ports:
        return place.port in verdict.failed_ports
    return place.family in verdict.failed_families
