"""Whom a run asks for which names."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from probe.model.step import (
    LIST_TRUST,
    PUBLIC_TRUST,
    Chain,
    DnsLookup,
    Owner,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.model.target import ENCRYPTED, Control, QueryType, Resolver, Targets
from probe.plan.limits import ATTEMPTS, CONNECT_TIMEOUT_S, TLS_TIMEOUT_S
from probe.wire.addresses import a_label, is_address, is_bogon

UDP_TIMEOUT_S: Final = 1.5
SYSTEM_TIMEOUT_S: Final = 5.0
STREAM_TIMEOUT_S: Final = 3.0

QUERY_ATTEMPTS: Final = 3
"""Datagrams are not sent again by anybody else: at 2 % loss each way two in a row are
lost once in 600 questions, three once in 15,000."""

NAMES_TO_RESOLVE: Final = 3
"""Control names asked of the ordinary resolver: one that it does not know makes its
failures for other names its own."""

KEY_RESOLVERS: Final = 2
"""Encrypted resolvers asked for keys of encrypted hellos: one may be cut off."""

MANY_NAMES: Final = 64
"""Names of a list beyond which not every resolver is asked for every name: the questions of
300 to eleven resolvers are 6,600, and at 100 ms on two connections a network a minute."""

NAMES_PER_CONNECTION: Final = 32
"""Names asked one after another on one DoT/DoH/TCP connection: at 60 ms RTT two
seconds; longer lists use several connections."""


@dataclass
class Name:
    """A name to ask for: whose it is, and whether a page of it is wanted."""

    owners: list[Owner]
    expected_ranges: tuple[str, ...]
    is_page: bool


def in_families(address: str, families: Sequence[Literal[4, 6]]) -> bool:
    """Tell whether an address may be used; a name may."""
    if not is_address(address):
        return True
    return (6 if ":" in address else 4) in families


def list_trust(targets: Targets) -> str:
    """Return the trust key of hosts without an authority of their own."""
    return LIST_TRUST if targets.trust_anchors else PUBLIC_TRUST


def names_to_resolve(targets: Targets) -> list[Control]:
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


def lookups_of(
    targets: Targets, names: Mapping[str, Name], families: Sequence[Literal[4, 6]]
) -> list[Chain]:
    """Declare who is asked for which name, and over which connections."""
    types: tuple[QueryType, ...] = tuple("AAAA" if family == 6 else "A" for family in families)
    # Every name goes to the resolver that applications use, to one in clear and
    # to one encrypted: enough to see a lie. Names probed up to a page go to all,
    # which tells how it is done; asking all of all would double the run's bytes. Of many
    # names one resolver in clear and one encrypted are asked, and those are shared out.
    brief = [
        next((r for r in targets.resolvers if r.protocol == protocol), None)
        for protocol in ("udp", "doh")
    ]
    ordinary = _ordinary_resolver(targets)
    sealed = _shared_out(targets, names, families)
    chains: list[Chain] = []
    for resolver in targets.resolvers:
        if resolver.address and not in_families(resolver.address, families):
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
            or (
                name.owners[0].control_id is None
                and (
                    (name.is_page or resolver in brief)
                    if sealed is None
                    else resolver == brief[0]
                    or (resolver == sealed.get(hostname) and query_type == types[0])
                )
            )
        ]
        chains.extend(_resolver_chains(targets, resolver, specs))
    return chains


def _shared_out(
    targets: Targets, names: Mapping[str, Name], families: Sequence[Literal[4, 6]]
) -> dict[str, Resolver] | None:
    """Return which encrypted resolver is asked for each of many names; None for a few.

    In turn by address: one operator's resolvers share its turns to shake hands.
    """
    asked = [hostname for hostname, name in names.items() if name.owners[0].control_id is None]
    by_address: dict[str, list[Resolver]] = defaultdict(list)
    for resolver in targets.resolvers:
        if resolver.protocol in ENCRYPTED and in_families(resolver.address, families):
            by_address[resolver.address].append(resolver)
    if len(asked) <= MANY_NAMES:
        return None
    if not by_address:
        return {}
    places = list(by_address.values())
    found = {}
    for number, hostname in enumerate(asked):
        own = places[number % len(places)]
        found[hostname] = own[number // len(places) % len(own)]
    return found


def stand_in_lookups(
    targets: Targets, names: Mapping[str, Name], families: Sequence[Literal[4, 6]]
) -> list[Chain]:
    """Declare what each encrypted resolver may be asked in place of others of a long list.

    Only where several share the names; a run asks of it no more than what nobody answered.
    """
    sealed = _shared_out(targets, names, families)
    if not sealed:
        return []
    query_type: QueryType = "AAAA" if families[0] == 6 else "A"
    found = []
    for resolver in targets.resolvers:
        if resolver not in sealed.values():
            continue
        specs = [
            DnsLookup(
                hostname=hostname,
                query_type=query_type,
                resolver=resolver,
                owners=tuple(names[hostname].owners),
                expected_ranges=names[hostname].expected_ranges,
                timeout_s=_lookup_timeout(resolver),
            )
            for hostname, own in sealed.items()
            if own != resolver
        ]
        opening = resolver_opening(targets, resolver)
        if specs:
            steps = (*opening.steps, *specs)
            found.append(msgspec.structs.replace(opening, trigger="resolver_failed", steps=steps))
    return found


def _lookup_timeout(resolver: Resolver) -> float:
    match resolver.protocol:
        case "system":
            return SYSTEM_TIMEOUT_S
        case "udp":
            return UDP_TIMEOUT_S
        case "doq":
            # The first question's time is that of the handshake too.
            return TLS_TIMEOUT_S + STREAM_TIMEOUT_S
        case _:
            return STREAM_TIMEOUT_S


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
    opening = resolver_opening(targets, resolver)
    by_connection: dict[int, list[DnsLookup]] = defaultdict(list)
    for index, spec in enumerate(specs):
        by_connection[index // NAMES_PER_CONNECTION].append(spec)
    return [
        msgspec.structs.replace(opening, steps=(*opening.steps, *part))
        for part in by_connection.values()
    ]


def _resolver_owner(resolver: Resolver) -> Owner:
    return Owner(endpoint_id=resolver.id, member=resolver.id)


def resolver_opening(targets: Targets, resolver: Resolver) -> Chain:
    """Build the connection to a resolver, without its questions.

    Over QUIC it has no steps of its own: the first question opens it.
    """
    steps: list[StepSpec] = []
    if resolver.protocol != "doq":
        steps.append(TcpConnect(timeout_s=CONNECT_TIMEOUT_S))
    if resolver.protocol in {"dot", "doh"}:
        steps.append(
            TlsHandshake(
                server_name=resolver.server_name,
                alpn=("http/1.1",) if resolver.protocol == "doh" else (),
                trust=list_trust(targets),
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


def key_lookups(targets: Targets, families: Sequence[Literal[4, 6]]) -> list[Chain]:
    """Declare lookups of hosts' keys for encrypted hellos (RFC 9848).

    Over encrypted resolvers only: a key that comes in plain may be anybody's.
    """
    names = dict.fromkeys(
        a_label(endpoint.server_name or endpoint.address)
        for target in targets.targets
        for endpoint in target.endpoints
        if "ech" in endpoint.probes
    )
    resolvers = [
        resolver
        for resolver in targets.resolvers
        if resolver.protocol in {"doh", "dot"} and in_families(resolver.address, families)
    ]
    if not names:
        return []
    return [
        _key_lookup(resolver_opening(targets, resolver), resolver, names)
        for resolver in resolvers[:KEY_RESOLVERS]
    ]


def _key_lookup(opening: Chain, resolver: Resolver, names: Iterable[str]) -> Chain:
    questions = tuple(
        DnsLookup(
            hostname=name,
            query_type="HTTPS",
            resolver=resolver,
            owners=(opening.owner,),
            expected_ranges=(),
            timeout_s=STREAM_TIMEOUT_S,
        )
        for name in names
    )
    return msgspec.structs.replace(
        opening, tactic="ech", steps=(*opening.steps, *questions), trigger="way", attempts=1
    )
