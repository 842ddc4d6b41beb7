"""Which ways around are tried where, once it is known what the direct way does not reach."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from probe.model.observation import STEPS, TACTICS
from probe.model.step import Chain, ProxyHandshake
from probe.model.verdict import Verdict
from probe.net.api import ProxyAddress
from probe.run.trial import Trial
from probe.steps.special_config import FreshEndpoint

MAX_MEMBERS: Final = 8
"""Members of a target at which ways are tried: n of N needs some, and each costs."""

AT_ONCE: Final = 24
"""Ways under way at once; beside that, the run's limits hold per network and name."""

PATIENCE_S: Final = 25.0
"""Two silent attempts of the slowest way fit in; later none is started."""


class Placed(NamedTuple):
    """A declared chain and the address to take it to, None where a proxy is asked."""

    chain: Chain
    address: str | None


def choose(
    declared: Iterable[Chain], trials: Iterable[Trial], verdicts: Iterable[Verdict]
) -> list[Placed]:
    """Return the ways to try: of each failing member, at the place that came furthest.

    Where nothing connects, a way that needs the same connection will not work either;
    it is tried all the same, since that is what is asked, and a connect is cheap.
    Members take turns, so that a budget that runs out leaves some facts on each target.
    """
    failing = {
        (verdict.target_id, member)
        for verdict in verdicts
        if verdict.tactic == "none" and verdict.control_state != "failed"
        for member in verdict.failed_members[:MAX_MEMBERS]
    }
    best: dict[tuple[str, str], Trial] = {}
    for trial in trials:
        owner = trial.chain.owner
        key = (owner.target_id or "", owner.member)
        if key in failing and _is_direct(trial.chain):
            best[key] = max(best.get(key, trial), trial, key=_reached)
    found: list[tuple[int, int, Placed]] = []
    turns: dict[str, int] = defaultdict(int)
    ways = _by_member(declared)
    for key, trial in sorted(best.items()):
        turn = turns[key[0]]
        turns[key[0]] += 1
        for way in ways[key]:
            rank = (turn, TACTICS.index(way.tactic))
            if way.tactic == "special_config":
                found.append((*rank, Placed(way, None)))
            elif way.owner == trial.chain.owner:
                found.append((*rank, Placed(way, trial.address)))
    return [placed for _, _, placed in sorted(found, key=lambda one: one[:2])]


def _is_direct(chain: Chain) -> bool:
    return chain.role == "test" and chain.follow_up is None and chain.tactic == "none"


def _reached(trial: Trial) -> int:
    """How far a trial came: the last step that it took."""
    rows = [row for rows in trial.attempts for row in rows[-1:]]
    return max((STEPS.index(row.step) + (row.failure is None) for row in rows), default=-1)


def _by_member(declared: Iterable[Chain]) -> dict[tuple[str, str], list[Chain]]:
    ways: dict[tuple[str, str], list[Chain]] = defaultdict(list)
    for chain in declared:
        if chain.trigger == "way" and chain.owner.target_id is not None:
            ways[chain.owner.target_id, chain.owner.member].append(chain)
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
    for chain, _ in chosen:
        if chain.tactic != "special_config":
            continue
        step = chain.steps[0]
        assert isinstance(step, ProxyHandshake)
        own = [one for one in fresh if one.dc_id == step.dc_id][: chain.max_addresses]
        for number, one in enumerate(own, 1):
            placed = msgspec.structs.replace(step, proxy_index=index)
            yield (
                msgspec.structs.replace(chain, steps=(placed,), proxy_id=f"fresh-{number}"),
                ProxyAddress(
                    kind="mtproxy_dd", address=one.address, port=one.port, secret=one.secret
                ),
            )
            index += 1
