"""What is measured: services, targets, endpoints, controls, resolvers.

These types are ``targets.json`` (docs/schema/targets-1.json is generated from
them). Ids are stable names, never addresses; addresses go stale, names do not.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

Identifier = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._/-]{0,79}$",
        description="Stable id: lower-case letters, digits, dot, slash, dash, underscore.",
    ),
]
Address = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=r"^[^\s/\x00-\x1f]+$",
        description="IPv4 or IPv6 address literal, or host name.",
    ),
]
Port = Annotated[int, Meta(ge=1, le=65535)]
ServerName = Annotated[str, Meta(max_length=253, pattern=r"^[^\s/\x00-\x1f]*$")]
Text = Annotated[str, Meta(max_length=500)]
PublicKey = Annotated[str, Meta(max_length=4000)]
Probe = Literal["dns", "tcp", "tls", "http", "mtproto", "quic", "ech"]
ResolverProtocol = Literal["system", "udp", "tcp", "dot", "doh", "doq"]
QueryType = Literal["A", "AAAA", "HTTPS"]
ENCRYPTED: frozenset[ResolverProtocol] = frozenset({"dot", "doh", "doq"})
"""Protocols whose answers nobody on the way can read or write."""

CombinationRule = Literal["any_of", "all_of"]
Country = Annotated[str, Meta(pattern=r"^([A-Z]{2}|foreign)$")]


class Endpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing to reach: an address literal, or a host name to resolve first.

    ``group`` names the member that the endpoint belongs to (for example ``dc2``):
    endpoints of one group are alternatives, and n of N counts groups. ``dc_id`` is
    the number of a Telegram data centre (negative for media), which some of
    MTProto's transports name; ``mtproto_transport`` is the one it is asked in
    (``websocket`` at ``path``).
    """

    address: Address
    port: Port
    probes: Annotated[tuple[Probe, ...], Meta(min_length=1, max_length=7)]
    transport: Literal["tcp"] = "tcp"
    server_name: ServerName = ""
    alpn: Annotated[tuple[Annotated[str, Meta(max_length=32)], ...], Meta(max_length=4)] = ()
    path: Annotated[str, Meta(max_length=500, pattern=r"^/[\x21-\x7e]*$")] = "/"
    group: Annotated[str, Meta(max_length=80)] = ""
    dc_id: Annotated[int, Meta(ge=-20000, le=20000)] = 2
    mtproto_transport: Literal["obfuscated", "websocket"] = "obfuscated"


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Endpoints that together answer one question about a service.

    ``any_of``: the service works if one member works. ``all_of``: each is needed.
    """

    id: Identifier
    service: Identifier
    combination_rule: CombinationRule
    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1, max_length=2000)]
    name: Text = ""


class Discovery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where an application asks for fresh addresses when those it knows fail.

    A TLS connection to ``address`` (a literal) under ``server_name``, and GET ``path`` of
    ``host``. ``dns_json``: the answer is the JSON form of a TXT lookup; ``text``: the text.
    """

    id: Identifier
    address: Address
    port: Port = 443
    server_name: ServerName
    host: ServerName
    path: Annotated[str, Meta(max_length=500, pattern=r"^/[\x21-\x7e]*$")]
    form: Literal["dns_json", "text"] = "dns_json"


class Service(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A service people use.

    ``address_ranges`` are the CIDR blocks that the operator publishes: a DNS
    answer inside them is expected. ``trust_anchors`` are PEM certificates for a
    service with an authority of its own; empty means the public web's. ``mtproto_keys``
    are RSA public keys in PEM of a service that speaks MTProto and is not Telegram (a
    lab's); ``discovery_keys`` the same for the signature of special configs.
    """

    id: Identifier
    name: Text
    category_code: Annotated[str, Meta(pattern=r"^[A-Z]{3,5}$")]
    address_ranges: Annotated[
        tuple[Annotated[str, Meta(max_length=50)], ...], Meta(max_length=500)
    ] = ()
    trust_anchors: Annotated[
        tuple[Annotated[str, Meta(max_length=20000)], ...], Meta(max_length=20)
    ] = ()
    mtproto_keys: tuple[PublicKey, ...] = ()
    discovery: Annotated[tuple[Discovery, ...], Meta(max_length=20)] = ()
    discovery_keys: tuple[PublicKey, ...] = ()
    source: Text = ""


class Control(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something whose answer is known, measured in the same run.

    ``known_good``: a host of another operator that should answer with a valid
    certificate (address literal required, so that it does not depend on DNS).
    ``innocuous_name``: a server name sent to the *target's* address when the
    target's own name fails there; ``pairs_with`` is a target id or ``*``.
    ``resolvable_name``: a host name that the system resolver should resolve.
    ``portal_check``: a page over plain HTTP at an address literal that answers 200 or
    204; whoever answers otherwise stands between us and the Internet (RFC 8952).
    ``unroutable``: an address at which nobody can be; whoever connects there
    terminates our connections. ``no_resolver``: an address that runs no DNS;
    whoever answers there for ``server_name`` takes everybody's queries.
    ``has_quic``: the known-good host also speaks HTTP/3.
    """

    id: Identifier
    kind: Literal[
        "known_good",
        "innocuous_name",
        "resolvable_name",
        "portal_check",
        "unroutable",
        "no_resolver",
    ]
    operator: Text = ""
    scope: Country = "foreign"
    address: Annotated[str, Meta(max_length=253)] = ""
    port: Port = 443
    server_name: ServerName = ""
    path: Annotated[str, Meta(max_length=500, pattern=r"^(/[\x21-\x7e]*)?$")] = ""
    pairs_with: Annotated[str, Meta(max_length=80)] = "*"
    has_quic: bool = False


class Resolver(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A resolver to ask: the system's, or a public one by pinned address."""

    id: Identifier
    protocol: ResolverProtocol
    address: Annotated[str, Meta(max_length=64)] = ""
    port: Annotated[int, Meta(ge=0, le=65535)] = 0
    server_name: ServerName = ""
    path: Annotated[str, Meta(max_length=200)] = "/dns-query"


class Targets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole of ``targets.json``."""

    schema_version: Literal["1.0"]
    name: Text
    updated: Annotated[str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    services: Annotated[tuple[Service, ...], Meta(min_length=1, max_length=5000)]
    targets: Annotated[tuple[Target, ...], Meta(min_length=1, max_length=5000)]
    controls: Annotated[tuple[Control, ...], Meta(max_length=200)] = ()
    resolvers: Annotated[tuple[Resolver, ...], Meta(max_length=50)] = ()
    trust_anchors: Annotated[
        tuple[Annotated[str, Meta(max_length=20000)], ...], Meta(max_length=20)
    ] = ()
    license: Text = "CC0-1.0"
    schema_url: str = field(name="$schema", default="")

    def service_of(self, target: Target) -> Service:
        """Return the service that a target belongs to (validated to exist)."""
        return next(service for service in self.services if service.id == target.service)
