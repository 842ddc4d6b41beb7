"""What a scenario is, and how the rows are read."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from censorlab.packet.line import Line
from censorlab.rules import Rule
from censorlab.scenarios import town
from probe.model.observation import Step, Tactic
from probe.model.verdict import BenignCause, Mechanism, State

Group = Literal["benign", "dns", "ip", "tls", "transfer", "http", "udp", "protocol", "policy"]

Arrangement = Literal[
    "bad_certificate",
    "block_page_host",
    "captive_portal",
    "certificate_forger",
    "clock_skew",
    "closed_port",
    "dead_data_centre",
    "geo_dns",
    "local_interceptor",
    "lying_resolver",
    "name_gone",
    "no_route",
    "partly_dead",
    "plain_http_on_443",
    "rate_limiter",
    "service_dead",
    "slow_server",
]
"""Peers that differ from the town's usual ones: ``censorlab.scenarios.cast``."""

Expected = str | int | list[int | str | list[str]]
"""A fact; of two numbers the first is the least and the second the most."""


WayTruth = Literal["works", "works_in_part", "does_not"]
"""Of the members that the direct way does not reach: all, some or none."""

WAY_GROUPS: Final[dict[str, tuple[Tactic, ...]]] = {
    "@families": ("ipv4", "ipv6"),
    "@splits": ("segment_split", "record_split"),
    "@hellos": ("tls12", "chrome", "firefox", "safari"),
    "@framings": ("abridged", "intermediate", "padded", "full"),
}
"""What rows call ways around that look alike to most rules."""

TargetPattern = Annotated[str, Meta(pattern=r"^(\*|[a-z0-9][a-z0-9._/-]{0,79})$")]


class BadScenarioError(ValueError):
    """A row is not a scenario; the message names file, row and field."""


class Truth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is true about a target, and which verdicts say so.

    ``target`` is an id, or ``*`` for all that the row does not name; a target that
    no truth covers works. ``states`` are those that a right verdict may have: facts can
    support ``blocked`` less strongly than the truth does, and "not enough data"
    is right where the line does not let more be seen. ``mechanism`` None: naming
    one is not asked for. ``n_ok`` None: any number of members. ``is_hidden``: whoever
    keeps the pace of ordinary use never meets it, and may well say ``ok``. ``ways``
    are what gets around it by construction, and what does not; of others nothing
    is asked.
    """

    target: TargetPattern = town.WEB
    states: Annotated[tuple[State, ...], Meta(min_length=1)]
    mechanism: Mechanism | None = None
    benign_cause: BenignCause | None = None
    stage: Step | None = None
    n_ok: Annotated[int, Meta(ge=0)] | None = None
    is_hidden: bool = False
    ways: dict[Tactic, WayTruth] = {}

    @property
    def is_blocked(self) -> bool:
        """Whether something is blocked."""
        return self.mechanism is not None

    @property
    def label(self) -> str:
        """The row of the confusion matrix that it belongs to."""
        return self.mechanism or self.benign_cause or self.states[0]


WORKS: Final = Truth(target="*", states=("ok",))


ProbeKind = Literal[
    "dns", "tcp", "hello", "https", "http", "udp", "mtproto", "quic", "writes", "idle"
]


class Signature(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a plain socket client sees: one probe, and facts of it.

    ``at`` is a place or an address, ``name`` what the probe asks for or names.
    The probe is made ``times`` at once: then a fact is the sorted list of its
    values, and a pair counts those that are not zero. It starts when those with a
    smaller ``turn`` have ended. Milliseconds are for a round trip of 60 ms.
    """

    probe: ProbeKind
    at: str
    name: str = town.WEB_NAME
    port: Annotated[int, Meta(ge=1, le=65535)] = 443
    option: str = ""
    timeout_s: float = 4.5
    turn: int = 0
    times: Annotated[int, Meta(ge=1, le=50)] = 1
    sees: dict[str, Expected]


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row.

    ``line`` is lengthened by whoever runs it. ``rivals`` are the explanations that a
    verdict has to rule out, ``guards`` says against which mistake the row stands.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9_]{3,40}$")]
    title: Annotated[str, Meta(min_length=10, max_length=120)]
    group: Group
    rules: tuple[Rule, ...] = ()
    line: Line = Line()
    arrangements: tuple[Arrangement, ...] = ()
    truths: Annotated[tuple[Truth, ...], Meta(min_length=1)]
    rivals: tuple[str, ...] = ()
    signature: tuple[Signature, ...] = ()
    source: Annotated[str, Meta(min_length=3)]
    guards: Annotated[str, Meta(min_length=10)]

    @property
    def is_benign(self) -> bool:
        """Whether nobody blocks anything here."""
        return not any(truth.is_blocked for truth in self.truths)

    @property
    def ways(self) -> frozenset[Tactic]:
        """The ways around of which something is asked anywhere."""
        return frozenset(tactic for truth in self.truths for tactic in truth.ways)

    def without_ways(self) -> "Scenario":
        """Return the scenario with nothing asked of ways, and so without their peers."""
        truths = tuple(msgspec.structs.replace(truth, ways={}) for truth in self.truths)
        return msgspec.structs.replace(self, truths=truths)

    def truth_of(self, target: str) -> Truth:
        """Return what is true about a target."""
        covering = {truth.target: truth for truth in self.truths}
        return covering.get(target) or covering.get("*") or WORKS


_FILES: Final = (
    "benign.toml",
    "dns.toml",
    "address.toml",
    "tls.toml",
    "transfer.toml",
    "other.toml",
)


def read_rows(text: str, name: str, places: Mapping[str, tuple[str, ...]]) -> list[Scenario]:
    """Read the scenarios of a TOML text.

    Raises:
        BadScenarioError: naming the text, the row and the field.
    """
    try:
        document = msgspec.toml.decode(text)
    except msgspec.DecodeError as error:
        raise BadScenarioError(f"{name}: {error}") from None
    found = []
    for number, row in enumerate(document.get("scenario", []), 1):
        label = f"{name}: scenario {number} ({row.get('name', 'without a name')})"
        try:
            row["rules"] = [_placed(rule, places) for rule in row.get("rules", [])]
            row["truths"] = [_spelled_out(truth) for truth in row.get("truths", [])]
            found.append(msgspec.convert(row, Scenario))
        except (msgspec.ValidationError, KeyError) as error:
            raise BadScenarioError(f"{label}: {error}") from None
    return found


def _placed(rule: Mapping[str, object], places: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """Put addresses in the place of places."""
    placed = dict(rule)
    addresses = placed.get("addresses")
    if isinstance(addresses, list):
        placed["addresses"] = [
            one for place in addresses for one in (places[place] if place[:1] == "@" else (place,))
        ]
    return placed


def _spelled_out(truth: Mapping[str, Any]) -> dict[str, Any]:
    """Turn ``ways``, in a row tactics by what is true of them, into the truth of each."""
    ways: dict[str, str] = {}
    by_result = msgspec.convert(truth.get("ways", {}), dict[str, tuple[str, ...]])
    for result, tactics in by_result.items():
        for tactic in (t for name in tactics for t in _group(name)):
            if tactic in ways:
                raise msgspec.ValidationError(f"{tactic} twice among the ways")
            ways[tactic] = result
    return {**truth, "ways": ways}


def _group(name: str) -> tuple[str, ...]:
    return WAY_GROUPS[name] if name[:1] == "@" else (name,)


def _read_all(places: Mapping[str, tuple[str, ...]]) -> Iterator[Scenario]:
    folder = resources.files("censorlab.scenarios") / "data"
    for file in _FILES:
        yield from read_rows((folder / file).read_text(encoding="utf-8"), file, places)


@lru_cache(maxsize=1)
def all_scenarios() -> tuple[Scenario, ...]:
    """Return every scenario, in the order of the files, in the town of the namespaces."""
    return tuple(_read_all(town.PLACES))


def read_again(name: str, places: Mapping[str, tuple[str, ...]]) -> Scenario:
    """Return a known scenario in another topology; a place unknown there has no address."""
    empty = dict.fromkeys(town.PLACES, ())
    return next(s for s in _read_all({**empty, **places}) if s.name == name)


def named(names: Iterable[str]) -> tuple[Scenario, ...]:
    """Return the scenarios of these names, in the order of the files; all for no name.

    Raises:
        BadScenarioError: for a name that there is not.
    """
    known = {scenario.name: scenario for scenario in all_scenarios()}
    wanted = list(names)
    if unknown := [name for name in wanted if name not in known]:
        close = get_close_matches(unknown[0], known, n=3)
        hint = f"; did you mean {', '.join(close)}?" if close else ": see `reachwatch lab list`"
        raise BadScenarioError(f"no scenario {unknown[0]!r}{hint}")
    return tuple(s for s in known.values() if not wanted or s.name in wanted)
