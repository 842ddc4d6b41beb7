"""Build the plan of one run from a target list."""

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal

from probe.model.step import (
    LIST_TRUST,
    NO_TRUST,
    PUBLIC_TRUST,
    Budget,
    Chain,
    DnsLookup,
    HttpRequest,
    Owner,
    Plan,
    QueryType,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.model.target import Control, Endpoint, Resolver, Service, Target, Targets
from probe.tactics.proxy import through_proxy
from probe.wire.addresses import a_label, is_address

CONNECT_TIMEOUT_S: Final = 3.3
"""Linux >= 6.5 sends SYNs at 0, 1, 2, 3 s (older: 0, 1, 3 s), so this covers
three or four and an answer at 300 ms; the second attempt doubles it. At 5 % loss
each way a live host is missed with probability under 1e-5."""

TLS_TIMEOUT_S: Final = 6.0
"""Longer than the 4.2 s in which an unacknowledged hello shows itself."""

HTTP_TIMEOUT_S: Final = 8.0
"""Carries MAX_BODY_BYTES at 130 kbit/s, the slowest documented policing."""

UDP_TIMEOUT_S: Final = 1.5
SYSTEM_TIMEOUT_S: Final = 5.0
STREAM_TIMEOUT_S: Final = 3.0

ATTEMPTS: Final = 2
"""Tries of a failing chain. Each is an observation of its own."""

SLOW_PAIRS: Final = 6
"""Interleaved pairs of a slow transfer and its contrast, at most: a rule asks for
three that our own load did not spoil, and one that is not slow settles it."""

MAX_BODY_BYTES: Final = 64 * 1024
MAX_ADDRESSES: Final = 4
"""Addresses tried per endpoint and family; more would not change n of N."""

NAMES_PER_CONNECTION: Final = 32
"""Names asked one after another on one DoT/DoH/TCP connection: at 60 ms RTT two
seconds; longer lists use several connections."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the person asked for.

    ``families``: IP versions to use. ``proxies``: kind per proxy of the run, in
    order; their addresses are not part of a plan.
    """

    families: tuple[Literal[4, 6], ...] = (4, 6)
    proxies: tuple[Literal["socks5", "http_connect"], ...] = ()
    seed: int = 0


def build_plan(targets: Targets, options: Options) -> Plan:
    """Promise a run: every chain it may open, in a seeded order."""
    chains: list[Chain] = []
    follow_ups: list[Chain] = []
    names: dict[str, _Name] = {}
    for target in targets.targets:
        service = targets.service_of(target)
        for endpoint in target.endpoints:
            if not _in_families(endpoint.address, options.families):
                continue
            chain = _endpoint_chain(targets, service, target, endpoint)
            chains.append(chain)
            chains.extend(
                through_proxy(chain, index, kind) for index, kind in enumerate(options.proxies)
            )
            follow_ups.extend(_follow_ups(targets, target, chain))
            if chain.hostname is not None:
                name = names.setdefault(
                    chain.hostname, _Name([], service.address_ranges, is_page=False)
                )
                name.owners.append(chain.owner)
                name.is_page |= "http" in endpoint.probes
    controls = [
        chain
        for control in targets.controls
        if _in_families(control.address, options.families)
        for chain in _control_chains(targets, control)
    ]
    for control in targets.controls:
        if control.kind == "resolvable_name":
            names.setdefault(control.server_name, _Name([], (), is_page=False)).owners.append(
                _control_owner(control)
            )
    lookups = _lookups(targets, names, options)
    # Shuffled, so that a run has no fixed order of hosts for a middlebox to
    # learn and no endpoint is always the one that meets a warm path.
    random.Random(options.seed).shuffle(chains)  # noqa: S311 - an order, not a secret
    return Plan(
        seed=options.seed,
        controls=tuple(controls),
        lookups=tuple(lookups),
        chains=tuple(chains),
        follow_ups=tuple(follow_ups),
        budget=_budget(controls, lookups, chains),
    )


@dataclass
class _Name:
    owners: list[Owner]
    expected_ranges: tuple[str, ...]
    is_page: bool


def _in_families(address: str, families: tuple[Literal[4, 6], ...]) -> bool:
    if not is_address(address):
        return True
    return (6 if ":" in address else 4) in families


def _endpoint_chain(
    targets: Targets, service: Service, target: Target, endpoint: Endpoint
) -> Chain:
    is_literal = is_address(endpoint.address)
    endpoint_id = f"{endpoint.address}:{endpoint.port}"
    server_name = a_label(endpoint.server_name or endpoint.address)
    trust = service.id if service.trust_anchors else _list_trust(targets)
    steps: list[StepSpec] = [TcpConnect(timeout_s=CONNECT_TIMEOUT_S)]
    if "tls" in endpoint.probes:
        steps.append(
            TlsHandshake(
                server_name=server_name, alpn=endpoint.alpn, trust=trust, timeout_s=TLS_TIMEOUT_S
            )
        )
    if "http" in endpoint.probes:
        steps.append(_page(server_name, endpoint.path))
    return Chain(
        role="test",
        owner=Owner(
            service_id=service.id,
            target_id=target.id,
            combination_rule=target.combination_rule,
            endpoint_id=endpoint_id,
            member=endpoint.group or endpoint.address,
        ),
        port=endpoint.port,
        address=endpoint.address if is_literal else None,
        hostname=None if is_literal else a_label(endpoint.address),
        steps=tuple(steps),
        attempts=ATTEMPTS,
        max_addresses=MAX_ADDRESSES,
    )


def _page(host: str, path: str) -> HttpRequest:
    return HttpRequest(
        host=host, path=path, max_body_bytes=MAX_BODY_BYTES, timeout_s=HTTP_TIMEOUT_S
    )


def _list_trust(targets: Targets) -> str:
    return LIST_TRUST if targets.trust_anchors else PUBLIC_TRUST


def trust_anchors(targets: Targets) -> dict[str, tuple[str, ...]]:
    """PEM certificates by trust key, as the plan's handshakes name them."""
    anchors = {s.id: s.trust_anchors for s in targets.services if s.trust_anchors}
    if targets.trust_anchors:
        anchors[LIST_TRUST] = targets.trust_anchors
    return anchors


def _follow_ups(targets: Targets, target: Target, chain: Chain) -> list[Chain]:
    """Separating probes of an endpoint: the same address under an innocuous name."""
    if not any(isinstance(step, TlsHandshake) for step in chain.steps):
        return []
    pair = next(
        (
            control
            for control in targets.controls
            if control.kind == "innocuous_name" and control.pairs_with in {"*", target.id}
        ),
        None,
    )
    if pair is None:
        return []
    found: list[Chain] = []
    for step in chain.steps:
        if isinstance(step, TlsHandshake):
            hello = TlsHandshake(
                server_name=pair.server_name,
                alpn=step.alpn,
                trust=NO_TRUST,
                timeout_s=step.timeout_s,
            )
    connect = TcpConnect(timeout_s=CONNECT_TIMEOUT_S)
    request = next((step for step in chain.steps if isinstance(step, HttpRequest)), None)
    base = Chain(
        role="contrast",
        owner=chain.owner,
        port=chain.port,
        address=chain.address,
        hostname=chain.hostname,
        steps=(connect, hello),
        trigger="tls_failed",
        attempts=ATTEMPTS,
    )
    found.append(base)
    if request is not None:
        found.append(
            Chain(
                role="contrast",
                owner=chain.owner,
                port=chain.port,
                address=chain.address,
                hostname=chain.hostname,
                steps=(connect, hello, request),
                trigger="http_slow",
                attempts=SLOW_PAIRS,
            )
        )
    return found


def _control_owner(control: Control) -> Owner:
    return Owner(
        endpoint_id=f"{control.address or control.server_name}:{control.port}",
        member=control.operator or control.id,
        control_id=control.id,
    )


def _control_chains(targets: Targets, control: Control) -> list[Chain]:
    if control.kind != "known_good":
        return []
    steps: list[StepSpec] = [
        TcpConnect(timeout_s=CONNECT_TIMEOUT_S),
        TlsHandshake(
            server_name=control.server_name,
            alpn=(),
            trust=_list_trust(targets),
            timeout_s=TLS_TIMEOUT_S,
        ),
    ]
    if control.path:
        steps.append(_page(control.server_name, control.path))
    return [
        Chain(
            role="control",
            owner=_control_owner(control),
            port=control.port,
            address=control.address,
            steps=tuple(steps),
        )
    ]


def _lookups(targets: Targets, names: dict[str, _Name], options: Options) -> list[Chain]:
    types: tuple[QueryType, ...] = tuple(
        "AAAA" if family == 6 else "A" for family in options.families
    )
    # Every name goes to the resolver that applications use, to one in clear and
    # to one encrypted: enough to see a lie. Names probed up to a page go to all,
    # which tells how it is done; asking all of all would double the run's bytes.
    brief = [
        next((r for r in targets.resolvers if r.protocol == protocol), None)
        for protocol in ("udp", "doh")
    ]
    chains: list[Chain] = []
    for resolver in targets.resolvers:
        if resolver.address and not _in_families(resolver.address, options.families):
            continue
        specs = [
            DnsLookup(
                hostname=hostname,
                query_type=query_type,
                resolver=resolver,
                owners=tuple(name.owners),
                expected_ranges=name.expected_ranges,
                timeout_s=_lookup_timeout(resolver),
            )
            for hostname, name in names.items()
            for query_type in types
            if resolver.protocol == "system"
            or (name.owners[0].control_id is None and (name.is_page or resolver in brief))
        ]
        chains.extend(_resolver_chains(targets, resolver, specs))
    return chains


def _lookup_timeout(resolver: Resolver) -> float:
    if resolver.protocol == "system":
        return SYSTEM_TIMEOUT_S
    return UDP_TIMEOUT_S if resolver.protocol == "udp" else STREAM_TIMEOUT_S


def _resolver_chains(targets: Targets, resolver: Resolver, specs: list[DnsLookup]) -> list[Chain]:
    """One chain per question where each has a socket of its own, else per connection."""
    owner = Owner(endpoint_id=resolver.id, member=resolver.id)
    if resolver.protocol in {"system", "udp"}:
        return [
            Chain(
                role="test",
                owner=owner,
                port=resolver.port or 53,
                address=resolver.address or None,
                steps=(spec,),
                attempts=1 if resolver.protocol == "system" else ATTEMPTS,
            )
            for spec in specs
        ]
    opening: list[StepSpec] = [TcpConnect(timeout_s=CONNECT_TIMEOUT_S)]
    if resolver.protocol in {"dot", "doh"}:
        opening.append(
            TlsHandshake(
                server_name=resolver.server_name,
                alpn=("http/1.1",) if resolver.protocol == "doh" else (),
                trust=_list_trust(targets),
                timeout_s=TLS_TIMEOUT_S,
            )
        )
    by_connection: dict[int, list[DnsLookup]] = defaultdict(list)
    for index, spec in enumerate(specs):
        by_connection[index // NAMES_PER_CONNECTION].append(spec)
    return [
        Chain(
            role="resolver",
            owner=owner,
            port=resolver.port,
            address=resolver.address,
            steps=(*opening, *part),
        )
        for part in by_connection.values()
    ]


# Bytes on the wire, both ways, per step: what public servers typically send
# (chains of 2.5 to 5 kB), headers and acknowledgements included.
_CONNECT_BYTES: Final = 400
_HANDSHAKE_BYTES: Final = 6000
_LOOKUP_BYTES: Final = 250
_DOH_BYTES: Final = 700
_PAGE_BYTES: Final = 16_000


def _budget(controls: list[Chain], lookups: list[Chain], chains: list[Chain]) -> Budget:
    """Estimate what a run costs if everything answers at the first attempt."""
    total = 0
    sockets = 0
    for chain in (*controls, *lookups, *chains):
        sockets += 1
        for step in chain.steps:
            match step:
                case DnsLookup():
                    total += _DOH_BYTES if step.resolver.protocol == "doh" else _LOOKUP_BYTES
                case TlsHandshake():
                    total += _HANDSHAKE_BYTES
                case HttpRequest():
                    total += min(_PAGE_BYTES, step.max_body_bytes)
                case _:
                    total += _CONNECT_BYTES
    return Budget(sockets=sockets, bytes=total)
