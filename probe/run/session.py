"""One whole run: plan, measure, store facts, judge, store verdicts, tell."""

import dataclasses
import secrets as randomness
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from probe.model.layout import OBSERVATIONS, VERDICTS
from probe.model.observation import Observation
from probe.model.step import (
    DnsLookup,
    Http3Request,
    Plan,
    QuicHandshake,
    StepSpec,
    TlsHandshake,
)
from probe.model.target import Targets
from probe.model.vantage import RunColumns, Vantage
from probe.model.verdict import Verdict
from probe.net import browser_hello
from probe.net.api import Network, ProxyAddress
from probe.net.tls import TrustStores
from probe.plan.build import Options, build_plan, trust_anchors
from probe.run.engine import Engine
from probe.run.events import Event, Observed, RunFinished, RunStarted
from probe.steps import quic_line
from probe.store.redact import Redactor
from probe.store.writer import RecordWriter
from probe.verdict.controls import is_usable
from probe.verdict.judge import judge_all
from probe.wire.addresses import is_address


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one run needs besides the network.

    ``secrets`` are strings that must not reach disk (own host name, own and
    resolver addresses); the proxies' are added here.
    """

    targets: Targets
    targets_sha256: str
    vantage: Vantage
    results: Path
    options: Options = field(default_factory=Options)
    proxies: Sequence[ProxyAddress] = ()
    secrets: Sequence[str] = ()
    lab: bool = False


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a finished run leaves: its rows, verdicts and files."""

    run: RunColumns
    observations: tuple[Observation, ...]
    verdicts: tuple[Verdict, ...]
    is_usable: bool
    observations_path: Path
    verdicts_path: Path


async def run_check(
    settings: Settings, network: Network, emit: Callable[[Event], None]
) -> RunResult:
    """Carry out one run.

    Raises:
        probe.store.writer.StoreError: results cannot be written.
        probe.net.tls.TrustError: a trust anchor of the list does not parse.
    """
    trust = TrustStores(trust_anchors(settings.targets))
    routes = find_routes(network, settings.targets, settings.options.families)
    families = tuple(family for family, errno_name in routes.items() if errno_name is None)
    plan = build_plan(settings.targets, dataclasses.replace(settings.options, families=families))
    start = network.wall_clock()
    _load_libraries(plan)
    run = RunColumns(
        **{name: getattr(settings.vantage, name) for name in Vantage.__struct_fields__},
        run_id=randomness.token_hex(8),
        measurement_start_time=start.strftime("%Y-%m-%dT%H:%M:00Z"),
        targets_sha256=settings.targets_sha256,
        lab=settings.lab,
    )
    redactor = Redactor([*settings.secrets, *_proxy_secrets(settings.proxies)])
    emit(RunStarted(run_id=run.run_id, budget=plan.budget))
    with RecordWriter(settings.results, run, OBSERVATIONS, redactor) as facts:

        async def record(row: Observation, done: int, total: int) -> None:
            # On disk first: what was reported as finished must survive a kill.
            emit(Observed(row, facts.write(row), done, total))

        engine = Engine(plan, network, trust, settings.proxies, record, routes)
        observations = await engine.run()
        observations_path = facts.finish()
    verdicts = judge_run(observations, settings.targets, with_ways=settings.options.ways)
    with RecordWriter(settings.results, run, VERDICTS, redactor) as judged:
        columns = tuple(judged.write(verdict) for verdict in verdicts)
        verdicts_path = judged.finish()
    usable = is_usable(observations)
    emit(RunFinished(run.run_id, tuple(verdicts), columns, observations_path, usable))
    return RunResult(
        run=run,
        observations=tuple(observations),
        verdicts=tuple(verdicts),
        is_usable=usable,
        observations_path=observations_path,
        verdicts_path=verdicts_path,
    )


def _load_libraries(plan: Plan) -> None:
    """Import what the plan needs: up to a tenth of a second that must not pass later."""
    steps = [s for c in (*plan.lookups, *plan.chains, *plan.follow_ups) for s in c.steps]
    if any(_needs_quic(step) for step in steps):
        quic_line.load_library()
    if any(isinstance(s, TlsHandshake) and browser_hello.is_browser(s.profile) for s in steps):
        browser_hello.load_library()


def _needs_quic(step: StepSpec) -> bool:
    is_doq = isinstance(step, DnsLookup) and step.resolver.protocol == "doq"
    return is_doq or isinstance(step, QuicHandshake | Http3Request)


def find_routes(
    network: Network, targets: Targets, families: Sequence[Literal[4, 6]]
) -> dict[Literal[4, 6], str | None]:
    """Ask the routing table, per IP version, about the list's own addresses.

    Sends nothing. A family has a route if any control (or, without controls, any
    endpoint) of it has one; a family without addresses counts as routed.
    """
    literals = [c.address for c in targets.controls if is_address(c.address)] or [
        e.address for t in targets.targets for e in t.endpoints if is_address(e.address)
    ]
    routes: dict[Literal[4, 6], str | None] = {}
    for family in families:
        own = [a for a in dict.fromkeys(literals) if (":" in a) == (family == 6)]
        answers = [network.route_errno(address) for address in own]
        routes[family] = answers[0] if answers and None not in answers else None
    return routes


def judge_run(
    observations: Sequence[Observation], targets: Targets, *, with_ways: bool = False
) -> list[Verdict]:
    """Judge what was measured, and say "not enough data" of what was not."""
    listed = ((t.id, t.service, t.combination_rule) for t in targets.targets)
    return judge_all(observations, listed, with_ways=with_ways)


def _proxy_secrets(proxies: Sequence[ProxyAddress]) -> list[str]:
    return [
        secret
        for proxy in proxies
        for secret in (
            proxy.address,
            proxy.link.host,
            proxy.link.username,
            proxy.link.password,
            proxy.link.domain,
            proxy.link.path,
            proxy.link.secret.hex(),
        )
        if secret
    ]
