"""What gets around a block: one verdict per target and tactic.

A tactic is judged over the members that the direct way does not reach: it works at n of
those N. Some ways were tried for that; others show in the facts of the run anyway, as
another address family does. A way of which nothing is known has no verdict.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from probe.model import failure as failures
from probe.model.observation import Observation, Tactic
from probe.model.verdict import Evidence, Verdict
from probe.verdict import RULES_VERSION
from probe.verdict.connects import judge_later_silence
from probe.verdict.controls import Controls
from probe.verdict.members import Member, Place, gather
from probe.verdict.pace import is_slow
from probe.verdict.parts import USUAL_PORT, is_failing_part, is_in_part
from probe.verdict.resolved import encrypted_lookups, ordinary_lookups, resolve
from probe.verdict.rules import RULES
from probe.verdict.surroundings import Surroundings
from probe.verdict.transfers import judge_page
from probe.verdict.words import summarise

PROXIES: Final[frozenset[Tactic]] = frozenset({"socks5", "http_connect", "mtproxy"})
"""Ways that the person named: judged for a whole target, like the direct one."""


def is_way(tactic: Tactic) -> bool:
    """Whether a tactic is neither the direct way nor a proxy of the person's."""
    return tactic != "none" and tactic not in PROXIES


class _Outcome(NamedTuple):
    """What a way came to at one member, and the rows that say so."""

    works: bool
    rows: tuple[Observation, ...]


_Outcomes = Mapping[str, _Outcome]


def judge_tried(rows: Sequence[Observation], around: Surroundings) -> Verdict | None:
    """Judge one tactic that was tried at a target, None if nothing was found out.

    A way that begins with a name that leads astray has ended there.
    """
    skipped = {row.chain_id for row in rows if row.failure == failures.SKIPPED}
    members = gather(row for row in rows if row.chain_id not in skipped)
    outcomes = {}
    for name, member in members.items():
        places = [place for place in member.places if place.attempts]
        if places or member.lookups:
            found = _outcome(places, around)
            # On a line that loses much or is slow, a failure is no word on the way.
            if found.works or not (around.controls.is_lossy or around.controls.is_slow):
                outcomes[name] = found._replace(rows=(*found.rows, *member.lookups))
    if not outcomes:
        return None
    needs = _needs_encrypted_dns(rows, around, rows[0].target_id)
    return _verdict(rows[0], rows[0].tactic, outcomes, around.controls, is_joint=needs)


def judge_seen(
    direct: Verdict, rows: Sequence[Observation], around: Surroundings
) -> Iterator[Verdict]:
    """Judge the ways that the direct measurement shows by itself, for members that it fails.

    ``rows`` are the target's own of the direct way. Where a part of the way fails at every
    member (`parts`), all of them are asked about, and a way differs from that part in one
    thing: another port of the failing family, the other family at the failing port.
    """
    if direct.control_state == "failed" or not rows:
        return
    gathered = gather(rows)
    seen: dict[Tactic, _Outcomes]
    if is_in_part(direct):
        part = {name: _failing_part(member, direct) for name, member in gathered.items()}
        seen = {
            **_families(gathered if direct.failed_families else part, around),
            "other_port": _other_port(part if direct.failed_families else gathered, around),
            "websocket": _websocket(direct, gathered, around),
        }
    else:
        failing = set(direct.failed_members)
        members = {name: member for name, member in gathered.items() if name in failing}
        seen = {
            "encrypted_dns": _encrypted_dns(members, around),
            **_families(members, around),
            "other_port": _other_port(members, around),
            "websocket": _websocket(direct, members, around),
        }
    for tactic, outcomes in seen.items():
        if outcomes:
            yield _verdict(rows[0], tactic, outcomes, around.controls)


def _failing_part(member: Member, direct: Verdict) -> Member:
    places = [p for p in member.places if is_failing_part(direct, p)]
    return Member(member.name, places, member.lookups, member.ways)


def _works(place: Place, around: Surroundings) -> bool:
    """Whether a place gives what it should, at a pace that is of use."""
    if not place.is_ok() or judge_page(place) is not None or judge_later_silence(place) is not None:
        return False
    last = [rows[-1] for rows in place.attempts if rows[-1].failure is None]
    return not all(is_slow(row, around.rows) for row in last)


def _outcome(places: Sequence[Place], around: Surroundings) -> _Outcome:
    works = any(_works(place, around) for place in places)
    return _Outcome(works, tuple(rows[-1] for place in places for rows in place.attempts))


def _encrypted_dns(members: Mapping[str, Member], around: Surroundings) -> _Outcomes:
    """The host at an address that an encrypted resolver gave."""
    cut = tuple(
        row
        for row in around.resolvers
        if row.role == "resolver" and row.step in {"tcp", "tls"} and row.failure is not None
    )
    found = {}
    for name, member in members.items():
        asked = encrypted_lookups(member.lookups)
        addresses = resolve(member.lookups).encrypted
        places = [p for p in member.places if p.address in addresses and p.attempts]
        if places:
            found[name] = _outcome(places, around)
        elif member.lookups and not addresses and (asked or cut):
            found[name] = _Outcome(works=False, rows=(*asked, *cut))
    return found


def _families(members: Mapping[str, Member], around: Surroundings) -> dict[Tactic, _Outcomes]:
    """Either address family, where a target has both.

    Of a name, at the addresses that the ordinary resolver gives: to know others takes
    another way.
    """
    split: dict[Tactic, dict[str, list[Place]]] = {"ipv4": {}, "ipv6": {}}
    for name, member in members.items():
        ordinary = resolve(member.lookups).ordinary
        for place in member.places:
            if place.family is not None and place.attempts:
                places = split["ipv6" if place.family == 6 else "ipv4"].setdefault(name, [])
                if not member.lookups or place.address in ordinary:
                    places.append(place)
    if not all(split.values()):
        return {}
    return {
        family: {
            name: _outcome(places, around) if places else _lost(members[name], family)
            for name, places in of.items()
        }
        for family, of in split.items()
    }


def _lost(member: Member, family: Tactic) -> _Outcome:
    """The ordinary resolver leads to no address of a family that others know."""
    kind = "AAAA" if family == "ipv6" else "A"
    asked = [row for row in ordinary_lookups(member.lookups) if row.query_type == kind]
    return _Outcome(works=False, rows=tuple(asked))


def _other_port(members: Mapping[str, Member], around: Surroundings) -> _Outcomes:
    """Another port than the one that applications try first."""
    found = {}
    for name, member in members.items():
        ports = {place.port for place in member.places if place.attempts}
        usual = USUAL_PORT if USUAL_PORT in ports else min((p for p in ports if p), default=None)
        others = [p for p in member.places if p.attempts and p.port != usual]
        if others and len(ports) > 1:
            found[name] = _outcome(others, around)
    return found


def _websocket(direct: Verdict, members: Mapping[str, Member], around: Surroundings) -> _Outcomes:
    """A data centre by its web host, which another target of the service measures.

    The two are one member's by their group's name. A target whose own hosts have names
    has no use for it.
    """
    others: dict[str, list[Observation]] = defaultdict(list)
    for row in around.rows:
        is_other = row.service_id == direct.service_id and row.target_id != direct.target_id
        if is_other and row.role == "test" and row.tactic == "none" and row.follow_up is None:
            others[row.target_id or ""].append(row)
    found: dict[str, _Outcome] = {}
    for rows in others.values():
        hosts = gather(rows)
        for name, member in members.items():
            host = hosts.get(name)
            if host is not None and host.lookups and not member.lookups:
                asked = _web_host(host)
                if asked:
                    before = found.get(name, _Outcome(works=False, rows=()))
                    works = any(row.failure is None for row in asked)
                    found[name] = _Outcome(before.works or works, (*before.rows, *asked))
    return found


def _web_host(host: Member) -> tuple[Observation, ...]:
    """The rows that say whether a web host carries MTProto: its answers, or why it gave none.

    One that connects and is not asked says nothing.
    """
    attempts = [rows for place in host.places for rows in place.attempts]
    asked = tuple(
        rows[-1] for rows in attempts if any(row.mtproto_transport == "websocket" for row in rows)
    )
    last = [rows[-1] for rows in attempts]
    is_cut_off = bool(last) and all(row.failure is not None for row in last)
    return asked or (tuple(last) if is_cut_off else ())


def _needs_encrypted_dns(
    rows: Iterable[Observation], around: Surroundings, target_id: str | None
) -> bool:
    """Whether a way began at addresses to which the ordinary resolver does not lead."""
    direct: dict[str, list[Observation]] = defaultdict(list)
    for row in around.rows:
        if row.target_id == target_id and row.tactic == "none" and row.step == "dns":
            direct[row.member].append(row)
    ordinary = {member: resolve(lookups).ordinary for member, lookups in direct.items()}
    return any(
        row.address is not None
        and row.member in ordinary
        and row.address not in ordinary[row.member]
        for row in rows
    )


def _verdict(
    first: Observation,
    tactic: Tactic,
    outcomes: _Outcomes,
    controls: Controls,
    *,
    is_joint: bool = False,
) -> Verdict:
    """Say at how many of its members a way works."""
    n_total = len(outcomes)
    failed = tuple(name for name, outcome in sorted(outcomes.items()) if not outcome.works)
    n_ok = n_total - len(failed)
    rule_id = "way.fails" if not n_ok else ("way.works" if not failed else "way.partial")
    if controls.state == "failed":
        rule_id, n_ok, n_total = "controls.failed", 0, 0
    rows = [row for outcome in outcomes.values() for row in outcome.rows]
    verdict = Verdict(
        target_id=first.target_id or "",
        service_id=first.service_id or "",
        combination_rule=first.combination_rule or "any_of",
        tactic=tactic,
        state=RULES[rule_id].state,
        benign_cause=controls.cause if controls.state == "failed" else None,
        rule_id=rule_id,
        rules_version=RULES_VERSION,
        n_ok=n_ok,
        n_total=n_total,
        attempts=len({row.chain_id for row in rows}),
        control_state=controls.state,
        controls_ok=controls.n_ok,
        controls_total=controls.n_total,
        failed_members=failed,
        reasons=tuple(sorted({row.observation_id for row in rows})),
        with_encrypted_dns=is_joint,
        evidence=Evidence(
            n_failed=sum(row.failure is not None for row in rows),
            n_tried=len(rows),
            contrast_ok=0,
            contrast_tried=0,
        ),
    )
    return msgspec.structs.replace(verdict, summary=summarise(verdict))
