"""The run itself: controls, everything the plan promises, follow-ups, controls again.

Controls come first and, where something failed, last: a failure counts only
between working controls.
"""

import itertools
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import trio

from probe.model.failure import CERTIFICATE, TIMEOUTS, from_errno_name
from probe.model.observation import Observation
from probe.model.step import Chain, DnsLookup, Owner, Plan
from probe.net.api import Network, ProxyAddress
from probe.net.tls import TrustStores
from probe.run.chain import walk, way_of
from probe.run.lag import LagMeter
from probe.run.limits import Limits
from probe.steps.context import Context, Run
from probe.verdict.controls import ENOUGH_OPERATORS, is_usable, passed_controls
from probe.verdict.pace import is_settled, is_slow

Emit = Callable[[Observation, int, int], Awaitable[None]]
"""Called with each observation and the number of finished and known chains."""


@dataclass
class _Progress:
    done: int = 0
    total: int = 0


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
        self._progress = _Progress()
        self._ids = itertools.count(1)
        self._chain_ids = itertools.count(1)
        self._run: Run | None = None
        self._seen: dict[str, set[str]] = defaultdict(set)

    async def run(self) -> list[Observation]:
        """Run everything; stop after the controls if the local network is unusable."""
        self._run = Run(
            network=self.network,
            trust=self.trust,
            started=self.network.now(),
            next_id=lambda: f"o{next(self._ids):05d}",
            lag_since=self._lag.since,
        )
        self._progress.total = (
            len(self.plan.controls) + len(self.plan.lookups) + len(self.plan.chains)
        )
        async with trio.open_nursery() as background:
            background.start_soon(self._lag.run)
            await self._record_routes()
            if any(errno_name is None for errno_name in self.routes.values()):
                async with trio.open_nursery() as nursery:
                    await self._first_controls(nursery)
                    if is_usable(self.observations):
                        for chain in (*self.plan.lookups, *self.plan.chains):
                            nursery.start_soon(self._start, chain, nursery)
                if is_usable(self.observations) and self._has_failures():
                    await self._controls_again()
            background.cancel_scope.cancel()
        return self.observations

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
        """Start the controls; return once enough answered, or all have ended."""
        if not self.plan.controls:
            return
        enough = trio.Event()
        left = len(self.plan.controls)

        async def one(chain: Chain) -> None:
            nonlocal left
            await self._attempt(chain, chain.address, 1)
            self._progress.done += 1
            left -= 1
            if left == 0 or len(passed_controls(self.observations)) >= ENOUGH_OPERATORS:
                enough.set()

        for chain in self.plan.controls:
            nursery.start_soon(one, chain)
        await enough.wait()

    async def _controls_again(self) -> None:
        """Did the network last? A failure counts only between working controls."""
        async with trio.open_nursery() as nursery:
            for chain in self.plan.controls:
                nursery.start_soon(self._attempt, chain, chain.address, 2)

    def _has_failures(self) -> bool:
        return any(o.failure is not None and o.role == "test" for o in self.observations)

    async def _start(self, chain: Chain, nursery: trio.Nursery) -> None:
        """Run a chain of the plan; one that waits for an address waits for DNS."""
        if any(isinstance(step, DnsLookup) for step in chain.steps):
            await self._resolve(chain, nursery)
        elif chain.address is not None or chain.proxy_id is not None:
            await self._try(chain, chain.address)
        # A chain for a host name starts when `_resolve` learns its addresses.
        self._progress.done += 1

    async def _resolve(self, chain: Chain, nursery: trio.Nursery) -> None:
        for attempt in range(1, chain.attempts + 1):
            rows = await self._attempt(chain, chain.address, attempt)
            for row in rows:
                if row.step == "dns" and row.failure is None and row.hostname is not None:
                    self._expand(row.hostname, row.accepted_addresses(), nursery)
            if not rows or rows[-1].failure not in TIMEOUTS:
                return

    def _expand(self, hostname: str, addresses: Sequence[str], nursery: trio.Nursery) -> None:
        """Start the host's chains for addresses not seen before, within the promise."""
        waiting = [
            chain
            for chain in self.plan.chains
            if chain.hostname == hostname and chain.proxy_id is None
        ]
        for address in addresses:
            family = 6 if ":" in address else 4
            known = {a for a in self._seen[hostname] if (":" in a) == (family == 6)}
            if not waiting or address in known or len(known) >= waiting[0].max_addresses:
                continue
            self._seen[hostname].add(address)
            for chain in waiting:
                self._progress.total += 1
                nursery.start_soon(self._try_and_count, chain, address)

    async def _try_and_count(self, chain: Chain, address: str) -> None:
        await self._try(chain, address)
        self._progress.done += 1

    async def _try(self, chain: Chain, address: str | None) -> None:
        """Attempt until success, then run what the plan declares for the outcome."""
        rows: list[Observation] = []
        for attempt in range(1, chain.attempts + 1):
            rows = await self._attempt(chain, address, attempt)
            # A certificate is not luck: asking again gives the same one.
            if rows[-1].failure is None or rows[-1].failure in CERTIFICATE:
                break
        last = rows[-1]
        if address is None or chain.proxy_id is not None:
            return
        for follow_up in self.plan.follow_ups:
            if follow_up.owner != chain.owner:
                continue
            if follow_up.trigger == "tls_failed" and _hello_failed(last):
                await self._contrast(follow_up, address)
            elif follow_up.trigger == "http_slow" and is_slow(last, self.observations):
                await self._paired(chain, follow_up, address)

    async def _contrast(self, follow_up: Chain, address: str) -> None:
        for attempt in range(1, follow_up.attempts + 1):
            rows = await self._attempt(follow_up, address, attempt)
            if rows[-1].failure is None:
                return

    async def _paired(self, chain: Chain, contrast: Chain, address: str) -> None:
        """A B A B …: interleaved, so that a slow minute slows both."""
        contrasts: list[Observation] = []
        tests: list[Observation] = []
        for pair in range(1, contrast.attempts + 1):
            contrasts += await self._attempt(contrast, address, pair)
            tests += await self._attempt(chain, address, chain.attempts + pair)
            if is_settled(tests, contrasts):
                return

    async def _attempt(self, chain: Chain, address: str | None, attempt: int) -> list[Observation]:
        placed = msgspec.structs.replace(chain, address=address)
        context = self._context(placed, self._next_chain_id(), attempt)
        way = way_of(placed, address, self.proxies)
        return await walk(placed, context, way, self._limits, self._record)

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
        )

    async def _record(self, row: Observation) -> None:
        self.observations.append(row)
        await self.emit(row, self._progress.done, self._progress.total)


def _hello_failed(row: Observation) -> bool:
    """No handshake, or nothing after it; a bad certificate is an answer."""
    return row.step in {"tls", "http"} and row.failure not in {None, *CERTIFICATE}
