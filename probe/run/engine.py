"""The run itself: controls, everything the plan promises, follow-ups, controls again.

Controls come first and, where something failed, last: a failure counts only
between working controls. What may disturb controls comes after them.
"""

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec
import trio

from probe.model.failure import (
    CERTIFICATE,
    DNS_NO_ANSWER,
    SKIPPED,
    TIMEOUTS,
    UNREACHABLE,
    from_errno_name,
)
from probe.model.observation import Observation
from probe.model.step import Chain, DnsLookup, HttpRequest, Owner, Plan, Trigger
from probe.net.api import Network, ProxyAddress
from probe.net.tls import TrustStores
from probe.run import ways
from probe.run.chain import Listener, Progress, walk, way_of
from probe.run.heartbeat import Heartbeat
from probe.run.lag import LagMeter
from probe.run.limits import Limits
from probe.run.stand_ins import stand_ins
from probe.run.trial import Trial
from probe.steps.context import Context, Run
from probe.steps.special_config import FreshEndpoint
from probe.verdict.controls import (
    ENOUGH_OPERATORS,
    assess,
    is_good_beat,
    is_usable,
    passed_controls,
    usual_connect,
)
from probe.verdict.pace import rate
from probe.wire.addresses import is_bogon, is_expected, parse_ranges

Emit = Callable[[Observation, int, int], Awaitable[None]]
"""Called with each observation and the number of finished and known chains."""

MAX_ELSEWHERE = 4
"""Names sent to a control's address after everything: enough to tell a rule on names
from a rule on addresses, few enough not to have the control's address punished."""

SILENT_HOPS = 3
"""Hop limits in a row at which a hello vanished: further ones vanish too."""

RESIDUAL_EVERY_S = 20.0
RESIDUAL_MAX_S = 200.0
"""Reported windows are 60 to 180 s (censorship methods, 1.4)."""

PATIENCE_S = 30.0
"""Twice what a run needs in which everything is silent. Later no second attempt and no
follow-up starts: a line this bad would make them endless and say little."""

_ONCE_A_PLACE = frozenset({"other_port", "udp_twin", "neighbour", "harmless_elsewhere"})
"""Follow-ups of an address and port, whatever endpoint needs them."""

_ONCE_AN_ENDPOINT = frozenset({"paired", "ech", "ech_other_name", "tiny_writes", "name_elsewhere"})
"""Follow-ups whose answer is the same at each of a name's addresses, and that cost."""


class _Allowance(NamedTuple):
    """What the present part of a run may spend: until so many bytes, for so long."""

    since: float
    up_to_bytes: int
    patience_s: float


@dataclass
class _Counts:
    done: int = 0
    total: int = 0
    bytes: int = 0


@dataclass
class Engine:
    """Carries out one plan. `run` returns the observations, in order of finishing.

    ``routes`` says per IP version what the routing table answered: None for a
    route, else the errno's name.
    """

    plan: Plan
    network: Network
    trust: TrustStores
    proxies: Sequence[ProxyAddress]
    emit: Emit
    routes: Mapping[Literal[4, 6], str | None]
    observations: list[Observation] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Set up counters; no I/O."""
        self._limits = Limits()
        self._lag = LagMeter()
        self._counts = _Counts()
        self._ids = itertools.count(1)
        self._chain_ids = itertools.count(1)
        self._run: Run | None = None
        self._seen: dict[tuple[int, int], set[str]] = defaultdict(set)
        self._done: set[tuple[str | int | None, str | None, int]] = set()
        self._trials: list[Trial] = []
        self._sent_away: set[str] = set()
        self._fresh: list[FreshEndpoint] = []
        self._places = list(self.proxies)
        self._allowance: _Allowance | None = None
        # Hosts to which failing names may be sent are not asked how the line is.
        apart = {(c.address, c.port) for c in self.plan.follow_ups if _is_apart(c)}
        self._known_good = [c for c in self.plan.controls if c.follow_up is None]
        self._lasting = [c for c in self._known_good if (c.address, c.port) not in apart]
        self._nursery: trio.Nursery | None = None
        self._is_hasty = True
        self._usual_connect_s = 0.0
        self._declared: dict[Owner, list[Chain]] = defaultdict(list)
        for chain in self.plan.follow_ups:
            self._declared[chain.owner].append(chain)
        self._heartbeat = Heartbeat(
            lambda: self._answered(self._lasting),
            self._beat,
            lambda row: is_good_beat(row, self._usual_connect_s),
        )

    async def run(self) -> list[Observation]:
        """Run everything; stop after the controls if the local network is unusable."""
        self._run = Run(
            network=self.network,
            trust=self.trust,
            started=self.network.now(),
            next_id=lambda: f"o{next(self._ids):05d}",
            lag_since=self._lag.since,
        )
        self._allowance = _Allowance(self._run.started, self.plan.budget.max_bytes, PATIENCE_S)
        self._counts.total = (
            len(self.plan.controls) + len(self.plan.lookups) + len(self.plan.chains)
        )
        async with trio.open_nursery() as background:
            background.start_soon(self._lag.run)
            await self._record_routes()
            if any(errno_name is None for errno_name in self.routes.values()):
                await self._measure(background)
            background.cancel_scope.cancel()
        return self.observations

    async def _measure(self, background: trio.Nursery) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await self._first_controls(nursery)
            if is_usable(self.observations):
                self._usual_connect_s = usual_connect(self.observations)
                self._is_hasty = not assess(self.observations).is_slow
                background.start_soon(self._heartbeat.run)
                nursery.start_soon(self._look_up, nursery)
                for chain in self.plan.chains:
                    nursery.start_soon(self._start, chain)
        self._nursery = None
        if not is_usable(self.observations):
            return
        if self._has_failures():
            await self._controls_again()
            await self._elsewhere()
            await self._asked_for()
        await self._ways_around()

    async def _record_routes(self) -> None:
        """Record what the routing table says; a host without any route measures nothing."""
        chain_id = self._next_chain_id()
        for family, name in self.routes.items():
            owner = Owner(
                endpoint_id=f"ipv{family}",
                member=f"ipv{family}",
                control_id=f"control/route-ipv{family}",
            )
            chain = Chain(role="control", owner=owner, port=0, steps=())
            context = self._context(chain, chain_id, 1)
            failure = None if name is None else from_errno_name(name)
            await self._record(
                context.observe("route", context.now(), failure, failure_detail=name)
            )

    async def _first_controls(self, nursery: trio.Nursery) -> None:
        """Start the controls; return once enough answered, or all known-good ones ended."""
        known_good = [chain for chain in self.plan.controls if chain.follow_up is None]
        enough = trio.Event()
        left = len(known_good)

        async def one(chain: Chain) -> None:
            nonlocal left
            await Trial(self, chain, chain.address).run()
            self._counts.done += 1
            if chain.follow_up is not None:
                return
            left -= 1
            if left == 0 or len(passed_controls(self.observations)) >= ENOUGH_OPERATORS:
                enough.set()

        for chain in self.plan.controls:
            nursery.start_soon(one, chain)
        if known_good:
            await enough.wait()

    async def _controls_again(self) -> None:
        """Did the network last? A failure counts only between working controls."""
        async with trio.open_nursery() as nursery:
            for chain in self._asked_again():
                steps = tuple(s for s in chain.steps if not isinstance(s, HttpRequest))
                shorter = msgspec.structs.replace(chain, steps=steps)
                nursery.start_soon(self.attempt, shorter, chain.address, 2)

    def _answered(self, controls: Iterable[Chain]) -> list[Chain]:
        """Known-good hosts that answered: one that never did says nothing by its silence."""
        passed = {
            (o.control_id, o.address)
            for o in self.observations
            if o.role == "control" and o.step == "tls" and o.failure is None
        }
        return [c for c in controls if (c.owner.control_id, c.address) in passed]

    def _asked_again(self) -> list[Chain]:
        """Without those set apart for failing names, if enough others answered before."""
        left = self._answered(self._lasting)
        enough = len({chain.owner.member for chain in left}) >= ENOUGH_OPERATORS
        return left if enough else self._answered(self._known_good)

    def _has_failures(self) -> bool:
        # Many hosts have no AAAA: that answer is no failure.
        fine = {None, SKIPPED, DNS_NO_ANSWER}
        return any(
            o.failure not in fine and o.role in {"test", "resolver"} for o in self.observations
        )

    async def _look_up(self, nursery: trio.Nursery) -> None:
        """Ask for all names; then, of those that work, for what other resolvers left open."""
        async with trio.open_nursery() as asking:
            for chain in self.plan.lookups:
                asking.start_soon(self._start, chain)
        if self.may_spend():
            for chain in stand_ins(self.plan.follow_ups, self.observations):
                self._counts.total += 1
                nursery.start_soon(self._start, chain)

    async def _start(self, chain: Chain) -> None:
        """Run a chain of the plan; one that waits for an address waits for DNS."""
        is_lookup = any(isinstance(step, DnsLookup) for step in chain.steps)
        if is_lookup or chain.address is not None or chain.proxy_id is not None:
            await self._try(chain, chain.address)
        # A chain for a host name starts when `_expand` learns its addresses.
        self._counts.done += 1

    async def _try(self, chain: Chain, address: str | None) -> None:
        trial = Trial(self, chain, address)
        self._trials.append(trial)
        await trial.run()

    def _expand(self, spec: DnsLookup, addresses: Sequence[str]) -> None:
        """Start the host's chains for addresses not seen before, within the promise."""
        if self._nursery is None:
            return  # a way's lookup, after everything: its answer is the fact
        for index, chain in enumerate(self.plan.chains):
            if chain.hostname != spec.hostname or chain.proxy_id is not None:
                continue
            for address in addresses:
                if is_bogon(address) and not _is_wanted(address, spec):
                    continue  # a router or neighbour of the volunteer's, not the service
                known = self._seen[index, 6 if ":" in address else 4]
                if address in known or len(known) >= chain.max_addresses:
                    continue
                known.add(address)
                self._counts.total += 1
                self._nursery.start_soon(self._try_and_count, chain, address)

    async def _try_and_count(self, chain: Chain, address: str) -> None:
        await self._try(chain, address)
        self._counts.done += 1

    # What a trial asks of its host ------------------------------------------

    def follow_ups(self, chain: Chain, trigger: Trigger, address: str | None) -> Iterable[Chain]:
        """Return what the plan declares for an outcome and was not done, within the budget."""
        found = []
        for one in self._declared.get(chain.owner, ()):
            place = one.address or address
            if one.trigger != trigger or not self.may_spend():
                continue
            is_of_place = one.follow_up in _ONCE_A_PLACE
            where = None if one.follow_up in _ONCE_AN_ENDPOINT else place
            key = (one.follow_up if is_of_place else id(one), where, one.port)
            is_elsewhere = one.follow_up == "name_elsewhere"
            if key in self._done or (is_elsewhere and len(self._sent_away) >= MAX_ELSEWHERE):
                continue
            self._done.add(key)
            if is_elsewhere:
                self._sent_away.add(one.owner.endpoint_id)
            found.append(one)
        if trigger == "quic_failed":
            found += self._quic_controls()
        return found

    def _quic_controls(self) -> list[Chain]:
        """QUIC to known-good hosts, once a run: is it the service's, or everybody's?"""
        key = ("quic", None, 0)
        if key in self._done:
            return []
        self._done.add(key)
        return [
            c for c in self.plan.follow_ups if c.role == "control" and c.trigger == "quic_failed"
        ]

    def may_spend(self) -> bool:
        """Tell whether the run has used less bytes and time than it may."""
        assert self._allowance is not None
        passed_s = self.network.now() - self._allowance.since
        return self._counts.bytes < self._allowance.up_to_bytes and (
            passed_s < self._allowance.patience_s
        )

    def may_hedge(self) -> bool:
        """On a slow line silence is nothing to wonder at, and more load makes it slower."""
        return self._is_hasty

    def was_bad_since(self, start: float) -> bool:
        """Tell whether controls failed since a time on trio's clock."""
        return self._heartbeat.was_bad_since(start)

    async def wait_for_calm(self) -> None:
        """Wait for the controls to work again."""
        await self._heartbeat.wait_for_calm()

    async def attempt(
        self, chain: Chain, address: str | None, number: int, progress: Progress | None = None
    ) -> list[Observation]:
        """Carry out one attempt and record it; addresses that it learns are measured too."""
        placed = msgspec.structs.replace(chain, address=address)
        context = self._context(placed, self._next_chain_id(), number)
        way = way_of(placed, address, self._places)
        listener = Listener(self._record, self._heard, self._found, progress or Progress())
        return await walk(placed, context, way, self._limits, listener)

    def _heard(self, spec: DnsLookup, addresses: Sequence[str]) -> None:
        if spec.owners[0].control_id is None or spec.owners[0].target_id is not None:
            self._expand(spec, addresses)

    def _found(self, fresh: Sequence[FreshEndpoint]) -> None:
        """Keep the addresses of a verified special config, in memory only."""
        self._fresh.extend(one for one in fresh if one not in self._fresh)

    async def _beat(self, chain: Chain, number: int) -> list[Observation]:
        return await self.attempt(chain, chain.address, number)

    # After everything --------------------------------------------------------

    def _cut_off(self) -> list[Trial]:
        """Trials whose hello failed, one a name."""
        found: dict[tuple[str | None, str], Trial] = {}
        for trial in self._trials:
            row = trial.last_failure()
            is_hello = row is not None and row.step == "tls" and row.failure not in CERTIFICATE
            if is_hello and trial.chain.role == "test" and trial.chain.follow_up is None:
                found.setdefault((trial.chain.hostname, trial.chain.owner.member), trial)
        return list(found.values())

    async def _elsewhere(self) -> None:
        """Send names that are cut off to a control's address: is it the name, or the place?

        Only here, after everything, if no control could be set apart for it.
        """
        async with trio.open_nursery() as nursery:
            for trial in self._cut_off()[:MAX_ELSEWHERE]:
                for chain in self.follow_ups(trial.chain, "last", trial.address):
                    nursery.start_soon(self.attempt, chain, chain.address, 1)

    async def _asked_for(self) -> None:
        for trial in self._cut_off()[:MAX_ELSEWHERE]:
            last = trial.last_failure()
            # Of one that is cut off, silence before the cut is routers that say nothing.
            is_dropped = last is not None and last.failure in TIMEOUTS
            silent = 0
            for chain in self.follow_ups(trial.chain, "asked", trial.address):
                if chain.follow_up == "residual":
                    await self._residual(chain, trial.address)
                elif silent < SILENT_HOPS:
                    failure = await self._outcome_of(chain, trial.address)
                    silent = silent + 1 if is_dropped and failure in TIMEOUTS else 0
                    if failure not in {*TIMEOUTS, *UNREACHABLE}:
                        break

    async def _ways_around(self) -> None:
        """Try ways around at what the direct way does not reach, if the plan has any."""
        if not any(chain.trigger == "way" for chain in self.plan.follow_ups):
            return
        chosen = ways.choose(self.plan, self._trials, self.observations)
        self._allowance = _Allowance(
            self.network.now(),
            self._counts.bytes + self.plan.budget.ways_bytes,
            ways.PATIENCE_S,
        )
        async with trio.open_nursery() as nursery:
            for chain in ways.learning(self.plan.follow_ups, chosen):
                nursery.start_soon(self.attempt, chain, chain.address, 1)
        placed = [one for one in chosen if one.chain.tactic != "special_config"]
        for chain, place in ways.at_fresh(chosen, self._fresh, len(self._places)):
            self._places.append(place)
            placed.append(ways.Placed(chain, None))
        self._counts.total += len(placed)
        limiter = trio.CapacityLimiter(ways.AT_ONCE)
        async with trio.open_nursery() as nursery:
            for one in placed:
                nursery.start_soon(self._way, limiter, one)

    async def _way(self, limiter: trio.CapacityLimiter, placed: ways.Placed) -> None:
        async with limiter:
            if self.may_spend():
                await Trial(self, placed.chain, placed.address, like=placed.direct).run()
        self._counts.done += 1

    async def _residual(self, chain: Chain, address: str | None) -> None:
        """Try a harmless name until it passes: how long is the place closed?"""
        start = trio.current_time()
        for number in itertools.count(1):
            rows = await self.attempt(chain, address, number)
            if rows[-1].failure is None or trio.current_time() - start > RESIDUAL_MAX_S:
                return
            await trio.sleep(RESIDUAL_EVERY_S)

    async def _outcome_of(self, chain: Chain, address: str | None) -> str | None:
        """Let a hello die on its way, and return how it ended."""
        rows = await self.attempt(chain, address, 1)
        return rows[-1].failure

    def _next_chain_id(self) -> str:
        return f"c{next(self._chain_ids):05d}"

    def _context(self, chain: Chain, chain_id: str, attempt: int) -> Context:
        assert self._run is not None
        return Context(
            run=self._run,
            chain_id=chain_id,
            role=chain.role,
            owner=chain.owner,
            attempt=attempt,
            port=chain.port,
            address=chain.address,
            hostname=chain.hostname,
            tactic=chain.tactic,
            proxy_id=chain.proxy_id,
            follow_up=chain.follow_up,
        )

    async def _record(self, row: Observation) -> None:
        self.observations.append(row)
        if row.role == "control" and (speed := rate(row)) is not None:
            self._limits.allow_transfers(speed)
        self._counts.bytes += row.sent_bytes + row.received_bytes
        await self.emit(row, self._counts.done, self._counts.total)


def _is_wanted(address: str, spec: DnsLookup) -> bool:
    """Whether a private address may be the service: its list says so, or this host does.

    A host's own table names mock servers and machines of an intranet.
    """
    is_listed = bool(is_expected(address, parse_ranges(spec.expected_ranges)))
    return is_listed or spec.resolver.protocol == "system"


def _is_apart(chain: Chain) -> bool:
    """Whether a follow-up makes its destination useless as a control."""
    return chain.follow_up == "name_elsewhere" and chain.trigger != "last"
