"""The facts about one target, in order: members, their places, attempts and contrasts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from probe.model import failure as failures
from probe.model.observation import FollowUp, Observation
from probe.verdict.pace import is_throttled

WAYS: Final[frozenset[FollowUp]] = frozenset({"quic", "quic_other_name", "ech", "ech_other_name"})
"""Other ways to a place than the ordinary one: they say nothing about that one."""

_ELSEWHERE: Final[frozenset[FollowUp]] = frozenset(
    {"neighbour", "name_elsewhere", "harmless_elsewhere"}
)
"""Follow-ups on behalf of an endpoint at another address."""

_BARE: Final[frozenset[FollowUp]] = frozenset({"other_port", "neighbour"})
"""Follow-ups that consist of a connect."""

Rows = list[Observation]
"""The rows of one attempt of one chain, in order of time."""


@dataclass
class Place:
    """One address (or proxy) under one endpoint: its attempts and contrasts."""

    address: str | None
    port: int | None
    attempts: list[Rows] = field(default_factory=list)
    contrasts: dict[FollowUp, list[Rows]] = field(default_factory=lambda: defaultdict(list))
    pairs: list[Observation] = field(default_factory=list)

    @property
    def family(self) -> Literal[4, 6] | None:
        """The IP version of its address; a proxy's is not known."""
        if self.address is None:
            return None
        return 6 if ":" in self.address else 4

    def is_ok(self) -> bool:
        """Some attempt completed all its steps, and not at a throttled pace."""
        return any(rows[-1].failure is None for rows in self.attempts) and not self.is_slowed()

    def transfers(self) -> Rows:
        """Transfers under the target's name."""
        own = [row for rows in self.attempts for row in rows if row.step == "http"]
        return [*own, *self.pairs]

    def paired(self) -> Rows:
        """Transfers under the innocuous name that were made in turns with the target's."""
        kinds: tuple[FollowUp, ...] = ("paired", "other_name")
        return [
            row for k in kinds for rows in self.contrasts[k] for row in rows if row.step == "http"
        ]

    def is_paired(self) -> bool:
        """Transfers were made in turns here."""
        return bool(self.contrasts.get("paired"))

    def is_slowed(self) -> bool:
        """The pairs show the name slowed."""
        return is_throttled(self.transfers(), self.paired())

    def failed(self) -> Rows:
        """The failing row of each failed attempt."""
        return [rows[-1] for rows in self.attempts if rows[-1].failure is not None]

    def last_of(self, follow_up: FollowUp) -> Rows:
        """The last row of each try of a follow-up, skipped ones left out."""
        return [
            rows[-1]
            for rows in self.contrasts.get(follow_up, ())
            if rows[-1].failure != failures.SKIPPED
        ]

    def passed(self, follow_up: FollowUp) -> Rows:
        """The last row of each try of a follow-up that came to its end.

        A run that was killed leaves tries that only connected.
        """
        return [
            row
            for row in self.last_of(follow_up)
            if row.failure is None and (row.step != "tcp" or follow_up in _BARE)
        ]

    def missed(self, follow_up: FollowUp) -> Rows:
        """The last row of each failed try of a follow-up."""
        return [row for row in self.last_of(follow_up) if row.failure is not None]

    def everything(self) -> Iterable[Observation]:
        """All rows of the place itself."""
        for rows in self.attempts:
            yield from rows
        for follow_up, tries in self.contrasts.items():
            if follow_up not in _ELSEWHERE:
                for rows in tries:
                    yield from rows


@dataclass
class Member:
    """What n of N counts: the places and lookups of one member."""

    name: str
    places: list[Place] = field(default_factory=list)
    lookups: list[Observation] = field(default_factory=list)
    ways: list[Observation] = field(default_factory=list)

    def is_empty(self) -> bool:
        """Nothing was found out about it."""
        return not self.lookups and not any(place.attempts for place in self.places)


def gather(rows: Iterable[Observation]) -> dict[str, Member]:
    """Group the rows of one target and tactic into members, in order of name."""
    members: dict[str, Member] = {}
    chains: dict[str, Rows] = defaultdict(list)
    for row in rows:
        member = members.setdefault(row.member, Member(row.member))
        if row.step == "dns":
            if row.failure != failures.SKIPPED:
                member.lookups.append(row)
        elif row.follow_up in WAYS:
            member.ways.append(row)
        else:
            chains[row.chain_id].append(row)
    places: dict[tuple[str, str, str | None], Place] = {}
    beside: list[Rows] = []
    for chain in chains.values():
        steps = sorted(chain, key=lambda row: (row.t0, row.observation_id))
        first = steps[0]
        if first.follow_up in _ELSEWHERE:
            beside.append(steps)
            continue
        key = (first.member, first.endpoint_id, first.address)
        if key not in places:
            places[key] = Place(address=first.address, port=_port_of(first))
            members[first.member].places.append(places[key])
        _put(places[key], steps)
    for steps in beside:
        for (member_name, endpoint_id, _), place in places.items():
            if (member_name, endpoint_id) == (steps[0].member, steps[0].endpoint_id):
                _put(place, steps)
    for place in places.values():
        for tries in (place.attempts, *place.contrasts.values()):
            tries.sort(key=lambda steps: (steps[0].t0, steps[0].observation_id))
    return dict(sorted(members.items()))


def _port_of(row: Observation) -> int | None:
    """Return the endpoint's port, which a probe of another port does not have."""
    _, _, port = row.endpoint_id.rpartition(":")
    return int(port) if port.isdecimal() and len(port) <= _PORT_DIGITS else row.port


_PORT_DIGITS: Final = 5


def _put(place: Place, steps: Rows) -> None:
    first = steps[0]
    if first.role == "test" and first.follow_up == "paired":
        place.pairs.extend(row for row in steps if row.step == "http")
    elif first.role in {"contrast", "resolver"} and (first.follow_up or first.role == "contrast"):
        # Facts of schema version 1.0 knew one contrast, the innocuous name.
        place.contrasts[first.follow_up or "other_name"].append(steps)
    else:
        place.attempts.append(steps)


def sound(rows: Sequence[Observation], bad: Sequence[tuple[float, float]]) -> list[Observation]:
    """Leave out chains that timed out while controls failed too, or we were too busy.

    Their silence says nothing about whom they were sent to.
    """
    spoiled = {
        row.chain_id
        for row in rows
        if row.failure in failures.TIMEOUTS
        and row.step != "dns"
        and (
            row.loop_lag_s > MAX_LAG_S or any(start < row.t and row.t0 < end for start, end in bad)
        )
    }
    return [row for row in rows if row.chain_id not in spoiled]


MAX_LAG_S: Final = 0.75
"""Our own event loop late by this much may explain any silence: half of the shortest
time limit."""
