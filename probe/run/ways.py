"""Which ways around are tried where, once it is known what the direct way does not reach."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from probe.model.failure import TIMEOUTS
from probe.model.observation import STEPS, TACTICS, Observation
from probe.model.step import (
    Chain,
    DnsLookup,
    EchProbe,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    Owner,
    Plan,
    ProxyHandshake,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.net.api import ProxyAddress
from probe.run.trial import Trial
from probe.steps.special_config import FreshEndpoint
from probe.verdict.judge import judge
from probe.verdict.parts import is_in_part
from probe.verdict.resolved import resolve
from probe.wire.proxy_links import BadLinkError, ProxyLink, Secret, parse_secret

MAX_MEMBERS: Final = 8
"""Members of a target at which ways are tried: n of N needs some, and each costs."""

AT_ONCE: Final = 24
"""Ways under way at once; beside that, the run's limits hold per network and name."""

SHORT_BODY_BYTES: Final = 4096
"""Of a page, where it is not the page that fails."""

TWO_SYNS_S: Final = 1.6
"""For a connect to where the direct way did not connect, in all its patience."""

_Key = tuple[str, str]
"""A target's id and a member's name."""

PATIENCE_S: Final = 45.0
"""Later no way is started: hosts of one network are asked two at a time, and a person has
asked for this and waits."""

SILENCE_S: Final = 2.5
SILENCE_RTTS: Final = 8
"""For a hello where the direct way's met silence in all its patience: three
retransmissions on common systems, and the time that they need."""


class Placed(NamedTuple):
    """A declared chain and the address to take it to, None where a proxy is asked.

    ``direct`` is the last failure of the direct way there.
    """

    chain: Chain
    address: str | None
    direct: Observation | None = None


def choose(plan: Plan, trials: Iterable[Trial], rows: Sequence[Observation]) -> list[Placed]:
    """Return the ways to try: of each failing member, at the place that came furthest.

    Where nothing connects, a way that needs the same connection will not work either;
    it is tried all the same, since that is what is asked, and a connect is cheap.
    A way of a name that leads astray begins, and ends, with that name's lookup, if
    encrypted DNS alone gets there; else it is tried together with encrypted DNS.
    Members take turns, so that a budget that runs out leaves some facts on each target.
    """
    ways = _by_member(plan.follow_ups)
    candidates: dict[_Key, list[Trial]] = defaultdict(list)
    for trial in trials:
        if _is_direct(trial.chain):
            candidates[_key(trial.chain.owner)].append(trial)
    lookups: dict[_Key, list[Observation]] = defaultdict(list)
    for row in rows:
        if row.step == "dns" and row.tactic == "none" and row.target_id is not None:
            lookups[row.target_id, row.member].append(row)
    found: list[tuple[int, int, Placed]] = []
    for verdict in judge(rows):
        if verdict.tactic != "none" or verdict.control_state == "failed":
            continue
        in_part = is_in_part(verdict)
        failing = verdict.failed_members
        if in_part:
            failing = tuple(sorted({m for t, m in candidates if t == verdict.target_id}))
        for turn, member in enumerate(failing[:MAX_MEMBERS]):
            key = (verdict.target_id, member)
            tried = [t for t in candidates[key] if not (in_part and t.succeeded)]
            names = resolve(lookups[key])
            is_dns = names.leads_astray or verdict.stage == "dns"
            known = [t for t in tried if not names.encrypted or t.address in names.encrypted]
            is_enough = is_dns and not in_part and any(trial.succeeded for trial in known)
            if is_enough and verdict.rule_id == "dns.resolver_broken":
                continue  # a resolver that failed for a moment keeps nobody out
            best = max(known or tried, key=_reached, default=None)
            found.extend(
                (turn, TACTICS.index(placed.chain.tactic), placed)
                for placed in _of_member(plan, None if is_enough else best, ways[key])
            )
    return [placed for _, _, placed in sorted(found, key=lambda one: one[:2])]


def _of_member(plan: Plan, direct: Trial | None, ways: Iterable[Chain]) -> Iterator[Placed]:
    """Yield a member's ways where the direct one was tried, or as far as its name."""
    for way in ways:
        if way.tactic == "special_config":
            yield Placed(way, None)
        elif direct is None:
            yield from _as_far_as_its_name(plan, way)
        elif way.owner == direct.chain.owner:
            last = direct.last_failure()
            if way.tactic == "ech" and (last is None or last.step == "http"):
                continue  # it ends with the hello, before what fails here
            yield Placed(_shortened(way, last), direct.address, last)


def _as_far_as_its_name(plan: Plan, way: Chain) -> Iterator[Placed]:
    """Yield a way as the lookup that it begins with, by the resolver that comes first."""
    for lookup in plan.lookups:
        asked = lookup.steps[0]
        if isinstance(asked, DnsLookup) and asked.hostname == way.hostname:
            step = msgspec.structs.replace(asked, owners=(way.owner,))
            yield Placed(
                msgspec.structs.replace(way, steps=(step,), port=lookup.port, attempts=1),
                lookup.address,
            )
            return


def _shortened(way: Chain, last: Observation | None) -> Chain:
    """Ask for no more of a page, and wait no longer, than what fails needs."""
    is_silent = last is not None and last.failure in TIMEOUTS and last.step in {"tls", "mtproto"}
    rtt_s = (last.tcp_rtt_s or 0.0) if last is not None else 0.0
    silence_s = SILENCE_S + SILENCE_RTTS * rtt_s

    def shorter(step: StepSpec) -> StepSpec:
        match step:
            case HttpRequest() | Http3Request() if last is not None and last.step != "http":
                least = min(step.max_body_bytes, SHORT_BODY_BYTES)
                return msgspec.structs.replace(step, max_body_bytes=least)
            case TcpConnect() if last is not None and last.step == "tcp":
                return msgspec.structs.replace(step, timeout_s=min(step.timeout_s, TWO_SYNS_S))
            case TlsHandshake() | EchProbe() | MtprotoHandshake() if is_silent:
                return msgspec.structs.replace(step, timeout_s=min(step.timeout_s, silence_s))
        return step

    return msgspec.structs.replace(way, steps=tuple(map(shorter, way.steps)))


def _key(owner: Owner) -> _Key:
    return owner.target_id or "", owner.member


def _is_direct(chain: Chain) -> bool:
    return chain.role == "test" and chain.follow_up is None and chain.tactic == "none"


def _reached(trial: Trial) -> int:
    """How far a trial came: the last step that it took."""
    rows = [row for rows in trial.attempts for row in rows[-1:]]
    return max((STEPS.index(row.step) + (row.failure is None) for row in rows), default=-1)


def _by_member(declared: Iterable[Chain]) -> dict[_Key, list[Chain]]:
    ways: dict[_Key, list[Chain]] = defaultdict(list)
    for chain in declared:
        if chain.trigger == "way" and chain.owner.target_id is not None:
            ways[_key(chain.owner)].append(chain)
    return ways


def learning(declared: Iterable[Chain], chosen: Sequence[Placed]) -> list[Chain]:
    """Return what has to be asked first: hosts' keys, and where fresh addresses are."""
    wanted = {placed.chain.tactic for placed in chosen}
    return [
        chain
        for chain in declared
        if chain.trigger == "way" and chain.role == "resolver" and chain.tactic in wanted
    ]


def at_fresh(
    chosen: Iterable[Placed], fresh: Sequence[FreshEndpoint], first_index: int
) -> Iterator[tuple[Chain, ProxyAddress]]:
    """Yield a chain and its place for each fresh address of a data centre that is wanted.

    ``first_index`` is the run's number of proxies: the place joins them, and like theirs it
    stays in memory.
    """
    index = first_index
    for chain, *_ in chosen:
        if chain.tactic != "special_config":
            continue
        step = chain.steps[0]
        assert isinstance(step, ProxyHandshake)
        own = [one for one in fresh if one.dc_id == step.dc_id and _is_usable(one)]
        for number, one in enumerate(own[: chain.max_addresses], 1):
            placed = msgspec.structs.replace(step, proxy_index=index)
            yield (
                msgspec.structs.replace(chain, steps=(placed,), proxy_id=f"fresh-{number}"),
                _place_of(one),
            )
            index += 1


def _is_usable(one: FreshEndpoint) -> bool:
    """Whether its secret, if it has one, is of a kind that is known."""
    try:
        return not one.secret or bool(parse_secret(one.secret.hex()))
    except BadLinkError:
        return False


def _place_of(one: FreshEndpoint) -> ProxyAddress:
    """Return a fresh address as a proxy; without a secret it is a bare data centre."""
    secret = parse_secret(one.secret.hex()) if one.secret else Secret("mtproxy_dd", b"", "")
    link = ProxyLink(secret.kind, one.address, one.port, secret=secret.key, domain=secret.domain)
    return ProxyAddress(link, one.address)
