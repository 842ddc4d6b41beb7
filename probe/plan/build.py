"""Build the plan of one run from a target list."""

import random
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from probe.model.step import (
    LIST_TRUST,
    PUBLIC_TRUST,
    Budget,
    Chain,
    DnsLookup,
    EchProbe,
    HelloProbe,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    MtprotoKeyProof,
    Owner,
    Plan,
    ProxyHandshake,
    QuicHandshake,
    SpecialConfig,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.model.target import Control, Endpoint, QueryType, Resolver, Service, Target, Targets
from probe.plan.follow_ups import (
    QUIC_TIMEOUT_S,
    Asked,
    follow_ups_of,
    resolver_follow_ups,
    side_ways,
)
from probe.plan.ways import discoveries, key_lookup, ways_around
from probe.tactics.proxy import through_mtproxy, through_proxy
from probe.wire.addresses import a_label, is_address, is_bogon

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

QUERY_ATTEMPTS: Final = 3
"""Datagrams are not sent again by anybody else: at 2 % loss each way two in a row are
lost once in 600 questions, three once in 15,000."""

UNROUTABLE_TIMEOUT_S: Final = 0.7
"""Whoever connects on behalf of everybody is near: on the device, or the next hop."""

MAX_BODY_BYTES: Final = 26 * 1024
"""Of a page: with handshake and headers well above the 12 to 25 kB after which
transfers are reported to be frozen."""

CONTROL_BODY_BYTES: Final = 20 * 1024
"""Of a control's page: past slow start, which is all that a rate needs."""

PORTAL_BODY_BYTES: Final = 2048
"""A portal check's own page has a word or none; a portal's shows itself by its status."""

MAX_ADDRESSES: Final = 4
"""Addresses tried per endpoint and family; more would not change n of N."""

NAMES_TO_RESOLVE: Final = 3
"""Control names asked of the ordinary resolver: one that it does not know makes its
failures for other names its own."""

KEY_RESOLVERS: Final = 2
"""Encrypted resolvers asked for keys of encrypted hellos: one may be cut off."""

NAMES_PER_CONNECTION: Final = 32
"""Names asked one after another on one DoT/DoH/TCP connection: at 60 ms RTT two
seconds; longer lists use several connections."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the person asked for.

    ``families``: IP versions to use. ``proxies``: kind per proxy of the run, in
    order; their addresses are not part of a plan. ``asked``: tests that disturb or
    cost more, and run only on request. ``ways``: where the direct way fails, try ways
    around it.
    """

    families: tuple[Literal[4, 6], ...] = (4, 6)
    proxies: tuple[Literal["socks5", "http_connect", "mtproxy"], ...] = ()
    seed: int = 0
    asked: frozenset[Asked] = frozenset()
    ways: bool = False


def build_plan(targets: Targets, options: Options) -> Plan:
    """Promise a run: every chain it may open, in a seeded order."""
    chains: list[Chain] = []
    follow_ups: list[Chain] = []
    names: dict[str, _Name] = {}
    # A name that is sent elsewhere must not go to a host of a family that is not wanted.
    reachable = msgspec.structs.replace(
        targets,
        controls=tuple(c for c in targets.controls if _in_families(c.address, options.families)),
    )
    asked_of: set[tuple[str, str, int]] = set()
    for target in targets.targets:
        service = targets.service_of(target)
        for endpoint in target.endpoints:
            if not _in_families(endpoint.address, options.families):
                continue
            chain = _endpoint_chain(targets, service, target, endpoint, options)
            chains.append(chain)
            chains.extend(_through_proxies(chain, options, asked_of))
            if options.ways:
                follow_ups.extend(ways_around(service, target, endpoint, chain))
            follow_ups.extend(follow_ups_of(reachable, service, target, chain, options.asked))
            if "tls" in endpoint.probes:
                beside, following = side_ways(
                    chain,
                    targets.controls,
                    target,
                    has_quic="quic" in endpoint.probes,
                    has_ech="ech" in endpoint.probes,
                )
                chains.extend(beside)
                follow_ups.extend(following)
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
    for control in _names_to_resolve(targets):
        names.setdefault(control.server_name, _Name([], (), is_page=False)).owners.append(
            _control_owner(control)
        )
    lookups = _lookups(targets, names, options)
    for resolver in targets.resolvers:
        if resolver.protocol in {"dot", "doh"} and _in_families(resolver.address, options.families):
            opened = _resolver_opening(targets, resolver)
            follow_ups.extend(resolver_follow_ups(targets, opened))
    if options.ways:
        follow_ups.extend(_discoveries(targets, options))
        follow_ups.extend(_key_lookups(targets, options))
    if any(chain.follow_up == "quic" for chain in chains):
        follow_ups.extend(_quic_controls(targets, options))
    # Shuffled, so that a run has no fixed order of hosts for a middlebox to
    # learn and no endpoint is always the one that meets a warm path.
    random.Random(options.seed).shuffle(chains)  # noqa: S311 - an order, not a secret
    return Plan(
        seed=options.seed,
        controls=tuple(controls),
        lookups=tuple(lookups),
        chains=tuple(chains),
        follow_ups=tuple(follow_ups),
        budget=_budget(controls, lookups, chains, options),
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
    targets: Targets, service: Service, target: Target, endpoint: Endpoint, options: Options
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
    if "mtproto" in endpoint.probes:
        over_http = endpoint.mtproto_transport == "websocket"
        steps.append(
            MtprotoHandshake(
                transport=endpoint.mtproto_transport,
                dc_id=endpoint.dc_id,
                timeout_s=TLS_TIMEOUT_S,
                host=server_name if over_http else "",
                path=endpoint.path if over_http else "",
                public_keys=service.mtproto_keys,
            )
        )
        if "key" in options.asked:
            steps.append(MtprotoKeyProof(timeout_s=TLS_TIMEOUT_S, public_keys=service.mtproto_keys))
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


def _through_proxies(
    chain: Chain, options: Options, asked_of: set[tuple[str, str, int]]
) -> list[Chain]:
    """Return the chain through each proxy; an MTProxy is asked once for each data centre."""
    found = []
    asked = next((s for s in chain.steps if isinstance(s, MtprotoHandshake)), None)
    is_plain = asked is not None and asked.transport not in {"http", "websocket"}
    for index, kind in enumerate(options.proxies):
        if kind != "mtproxy":
            found.append(through_proxy(chain, index, kind))
        elif asked is not None and is_plain:
            key = (chain.owner.target_id or "", f"{index}/{chain.owner.member}", asked.dc_id)
            if key not in asked_of:
                asked_of.add(key)
                found.append(through_mtproxy(chain, index))
    return found


def _discoveries(targets: Targets, options: Options) -> list[Chain]:
    return [
        chain
        for service in targets.services
        if any(target.service == service.id for target in targets.targets)
        for chain in discoveries(service, _list_trust(targets))
        if _in_families(chain.address or "", options.families)
    ]


def _key_lookups(targets: Targets, options: Options) -> list[Chain]:
    """Ask encrypted resolvers for the keys of hosts that publish one."""
    names = dict.fromkeys(
        a_label(endpoint.server_name or endpoint.address)
        for target in targets.targets
        for endpoint in target.endpoints
        if "ech" in endpoint.probes
    )
    resolvers = [
        resolver
        for resolver in targets.resolvers
        if resolver.protocol in {"doh", "dot"} and _in_families(resolver.address, options.families)
    ]
    return [
        key_lookup(_resolver_opening(targets, resolver), resolver, names, STREAM_TIMEOUT_S)
        for resolver in resolvers[:KEY_RESOLVERS]
        if names
    ]


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


def _control_owner(control: Control) -> Owner:
    return Owner(
        endpoint_id=f"{control.address or control.server_name}:{control.port}",
        member=control.operator or control.id,
        control_id=control.id,
    )


def _control_chains(targets: Targets, control: Control) -> list[Chain]:
    """Build what a control is asked; one that only pairs with endpoints has no chain."""
    steps: list[StepSpec] = [TcpConnect(timeout_s=CONNECT_TIMEOUT_S)]
    follow_up: Literal["portal", "unroutable", "no_resolver"] | None = None
    match control.kind:
        case "known_good":
            steps.append(
                TlsHandshake(
                    server_name=control.server_name,
                    alpn=(),
                    trust=_list_trust(targets),
                    timeout_s=TLS_TIMEOUT_S,
                )
            )
            if control.path:
                page = _page(control.server_name, control.path)
                steps.append(msgspec.structs.replace(page, max_body_bytes=CONTROL_BODY_BYTES))
        case "portal_check":
            page = _page(control.server_name, control.path or "/")
            steps.append(msgspec.structs.replace(page, max_body_bytes=PORTAL_BODY_BYTES))
            follow_up = "portal"
        case "unroutable":
            steps = [TcpConnect(timeout_s=UNROUTABLE_TIMEOUT_S)]
            follow_up = "unroutable"
        case "no_resolver":
            steps = [_nobodys_lookup(control)]
            follow_up = "no_resolver"
        case "innocuous_name" | "resolvable_name":
            return []
    return [
        Chain(
            role="control",
            owner=_control_owner(control),
            port=control.port,
            address=control.address,
            follow_up=follow_up,
            steps=tuple(steps),
            attempts=ATTEMPTS if control.kind == "no_resolver" else 1,
        )
    ]


def _nobodys_lookup(control: Control) -> DnsLookup:
    """Ask where nobody answers DNS for a harmless name."""
    return DnsLookup(
        hostname=control.server_name,
        query_type="AAAA" if ":" in control.address else "A",
        resolver=Resolver(id=control.id, protocol="udp", address=control.address, port=53),
        owners=(_control_owner(control),),
        expected_ranges=(),
        timeout_s=UNROUTABLE_TIMEOUT_S,
    )


def _quic_controls(targets: Targets, options: Options) -> list[Chain]:
    """QUIC to known-good hosts: run once, where a service's QUIC fails under any name."""
    return [
        Chain(
            role="control",
            owner=_control_owner(control),
            port=control.port,
            address=control.address,
            follow_up="quic",
            trigger="quic_failed",
            steps=(QuicHandshake(server_name=control.server_name, timeout_s=QUIC_TIMEOUT_S),),
        )
        for control in targets.controls
        if control.has_quic and _in_families(control.address, options.families)
    ]


def _names_to_resolve(targets: Targets) -> list[Control]:
    """Controls whose names the ordinary resolver is asked for: does it know any, and all?"""
    asked = [c for c in targets.controls if c.kind == "resolvable_name"]
    # Of a host that is not public (a lab's) the right answer looks like an impossible one.
    known = [c for c in targets.controls if c.kind == "known_good" and not is_bogon(c.address)]
    by_operator = {c.operator or c.id: c for c in known}
    return [*asked, *list(by_operator.values())[: max(0, NAMES_TO_RESOLVE - len(asked))]]


def _ordinary_resolver(targets: Targets) -> Resolver | None:
    """Return the resolver that applications use: the system's, else the first over UDP."""
    system = [r for r in targets.resolvers if r.protocol == "system"]
    clear = [r for r in targets.resolvers if r.protocol == "udp"]
    return next(iter([*system, *clear]), None)


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
    ordinary = _ordinary_resolver(targets)
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
            if resolver == ordinary
            or resolver.protocol == "system"
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
    if resolver.protocol in {"system", "udp"}:
        return [
            Chain(
                role="test",
                owner=_resolver_owner(resolver),
                port=resolver.port or 53,
                address=resolver.address or None,
                steps=(spec,),
                attempts=1 if resolver.protocol == "system" else QUERY_ATTEMPTS,
            )
            for spec in specs
        ]
    opening = _resolver_opening(targets, resolver)
    by_connection: dict[int, list[DnsLookup]] = defaultdict(list)
    for index, spec in enumerate(specs):
        by_connection[index // NAMES_PER_CONNECTION].append(spec)
    return [
        msgspec.structs.replace(opening, steps=(*opening.steps, *part))
        for part in by_connection.values()
    ]


def _resolver_owner(resolver: Resolver) -> Owner:
    return Owner(endpoint_id=resolver.id, member=resolver.id)


def _resolver_opening(targets: Targets, resolver: Resolver) -> Chain:
    """Build the connection to a resolver over a stream, without its questions."""
    steps: list[StepSpec] = [TcpConnect(timeout_s=CONNECT_TIMEOUT_S)]
    if resolver.protocol in {"dot", "doh"}:
        steps.append(
            TlsHandshake(
                server_name=resolver.server_name,
                alpn=("http/1.1",) if resolver.protocol == "doh" else (),
                trust=_list_trust(targets),
                timeout_s=TLS_TIMEOUT_S,
            )
        )
    return Chain(
        role="resolver",
        owner=_resolver_owner(resolver),
        port=resolver.port,
        address=resolver.address,
        steps=tuple(steps),
        attempts=ATTEMPTS,
    )


# Bytes on the wire, both ways, per step: what public servers typically send
# (chains of 2.5 to 5 kB), headers and acknowledgements included.
_CONNECT_BYTES: Final = 400
_HANDSHAKE_BYTES: Final = 6000
_LOOKUP_BYTES: Final = 250
_DOH_BYTES: Final = 700
_PAGE_BYTES: Final = 16_000
_PROXY_BYTES: Final = 2000
_ANSWERED_HELLO_BYTES: Final = 5000

MAX_BYTES: Final = 880_000
"""Beyond this no follow-up starts: what runs by then ends within the megabyte that
a check may cost. A list that is larger by itself may cost half as much again."""

MAX_ASKED_BYTES: Final = 2_000_000
"""The same with the test for throttling, of which people are told 2.5 MB."""


MAX_WAYS_BYTES: Final = 600_000
"""Of ways around, beside the rest: a dozen of them at eight hosts."""


def step_bytes(step: StepSpec) -> int:
    """Estimate what a step costs on the wire, both ways, if it is answered."""
    match step:
        case DnsLookup():
            return _DOH_BYTES if step.resolver.protocol == "doh" else _LOOKUP_BYTES
        case TlsHandshake():
            return _HANDSHAKE_BYTES
        case HelloProbe() | QuicHandshake() | EchProbe():
            return _ANSWERED_HELLO_BYTES
        case ProxyHandshake() | MtprotoKeyProof():
            return _PROXY_BYTES
        case SpecialConfig():
            return _DOH_BYTES
        case Http3Request():
            return _HANDSHAKE_BYTES + min(_PAGE_BYTES, step.max_body_bytes)
        case HttpRequest():
            # One that is to last longer than a page is asked of a host that has so much.
            is_long = step.max_body_bytes > MAX_BODY_BYTES
            return step.max_body_bytes if is_long else min(_PAGE_BYTES, step.max_body_bytes)
        case _:
            return _CONNECT_BYTES


def _budget(
    controls: list[Chain], lookups: list[Chain], chains: list[Chain], options: Options
) -> Budget:
    """Estimate what a run costs if everything answers at the first attempt."""
    everything = [*controls, *lookups, *chains]
    total = sum(step_bytes(step) for chain in everything for step in chain.steps)
    limit = MAX_ASKED_BYTES if "throttling" in options.asked else MAX_BYTES
    return Budget(
        sockets=len(everything),
        bytes=total,
        max_bytes=max(limit, total + total // 2),
        ways_bytes=MAX_WAYS_BYTES if options.ways else 0,
    )
