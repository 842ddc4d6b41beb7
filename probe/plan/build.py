"""Build the plan of one run from a target list."""

import random
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from probe.model.step import (
    LIST_TRUST,
    Chain,
    DnsLookup,
    HttpRequest,
    MtprotoHandshake,
    MtprotoKeyProof,
    Owner,
    Plan,
    QuicHandshake,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.model.target import Control, Endpoint, Resolver, Service, Target, Targets
from probe.plan.cost import MAX_BODY_BYTES, budget_of
from probe.plan.follow_ups import (
    QUIC_TIMEOUT_S,
    Asked,
    follow_ups_of,
    resolver_follow_ups,
    side_ways,
)
from probe.plan.limits import ATTEMPTS, CONNECT_TIMEOUT_S, HTTP_TIMEOUT_S, TLS_TIMEOUT_S
from probe.plan.lookups import (
    Name,
    in_families,
    key_lookups,
    list_trust,
    lookups_of,
    names_to_resolve,
    resolver_opening,
    stand_in_lookups,
)
from probe.plan.ways import discoveries, ways_around
from probe.tactics.proxy import through_mtproxy, through_proxy
from probe.wire.addresses import a_label, is_address

UNROUTABLE_TIMEOUT_S: Final = 0.7
"""Whoever connects on behalf of everybody is near: on the device, or the next hop."""

CONTROL_BODY_BYTES: Final = 20 * 1024
"""Of a control's page: past slow start, which is all that a rate needs."""

PORTAL_BODY_BYTES: Final = 2048
"""A portal check's own page has a word or none; a portal's shows itself by its status."""

MAX_ADDRESSES: Final = 4
"""Addresses tried per endpoint and family; more would not change n of N."""


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
    names: dict[str, Name] = {}
    # A name that is sent elsewhere must not go to a host of a family that is not wanted.
    reachable = msgspec.structs.replace(
        targets,
        controls=tuple(c for c in targets.controls if in_families(c.address, options.families)),
    )
    asked_of: set[tuple[str, str, int]] = set()
    for target in targets.targets:
        service = targets.service_of(target)
        for endpoint in target.endpoints:
            if not in_families(endpoint.address, options.families):
                continue
            chain = _endpoint_chain(targets, service, target, endpoint, options)
            chains.append(chain)
            chains.extend(_through_proxies(chain, options, asked_of, list_trust(targets)))
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
                    chain.hostname, Name([], service.address_ranges, is_page=False)
                )
                name.owners.append(chain.owner)
                name.is_page |= "http" in endpoint.probes
    controls = [
        chain
        for control in targets.controls
        if in_families(control.address, options.families)
        for chain in _control_chains(targets, control)
    ]
    for control in names_to_resolve(targets):
        names.setdefault(control.server_name, Name([], (), is_page=False)).owners.append(
            _control_owner(control)
        )
    lookups = lookups_of(targets, names, options.families)
    follow_ups.extend(stand_in_lookups(targets, names, options.families))
    for resolver in targets.resolvers:
        if resolver.protocol in {"dot", "doh"} and in_families(resolver.address, options.families):
            opened = resolver_opening(targets, resolver)
            follow_ups.extend(resolver_follow_ups(targets, opened))
    if options.ways:
        follow_ups.extend(_discoveries(targets, options))
        follow_ups.extend(key_lookups(targets, options.families))
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
        budget=budget_of(
            [*controls, *lookups, *chains],
            is_long="throttling" in options.asked,
            has_ways=options.ways,
        ),
    )


def _endpoint_chain(
    targets: Targets, service: Service, target: Target, endpoint: Endpoint, options: Options
) -> Chain:
    is_literal = is_address(endpoint.address)
    endpoint_id = f"{endpoint.address}:{endpoint.port}"
    server_name = a_label(endpoint.server_name or endpoint.address)
    trust = service.id if service.trust_anchors else list_trust(targets)
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
                path=endpoint.path if over_http and endpoint.path != "/" else "",
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
    chain: Chain, options: Options, asked_of: set[tuple[str, str, int]], trust: str
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
                found.append(through_mtproxy(chain, index, trust))
    return found


def _discoveries(targets: Targets, options: Options) -> list[Chain]:
    return [
        chain
        for service in targets.services
        if any(target.service == service.id for target in targets.targets)
        for chain in discoveries(service, list_trust(targets))
        if in_families(chain.address or "", options.families)
    ]


def _page(host: str, path: str) -> HttpRequest:
    return HttpRequest(
        host=host, path=path, max_body_bytes=MAX_BODY_BYTES, timeout_s=HTTP_TIMEOUT_S
    )


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
                    trust=list_trust(targets),
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
        if control.has_quic and in_families(control.address, options.families)
    ]
