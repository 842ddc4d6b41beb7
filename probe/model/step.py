"""What a run promises to do: step specifications, chains, the plan.

A chain is one connection's worth of steps in the order they happen on the wire.
A chain without an address waits for DNS: it is expanded once per answered
address, up to ``max_addresses``, and nothing else may open a socket.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from probe.model.observation import Role
from probe.model.target import CombinationRule, Resolver

QueryType = Literal["A", "AAAA"]


class DnsLookup(Struct, frozen=True, kw_only=True, tag=True):
    """Ask one resolver one question."""

    hostname: str
    query_type: QueryType
    resolver: Resolver
    timeout_s: float


class TcpConnect(Struct, frozen=True, kw_only=True, tag=True):
    """Connect to the chain's address and port."""

    timeout_s: float


class ProxyConnect(Struct, frozen=True, kw_only=True, tag=True):
    """Ask the proxy behind the connection for a tunnel to the chain's endpoint.

    ``proxy_index`` points into the run's proxies; their addresses and secrets
    are never part of a plan.
    """

    proxy_index: int
    timeout_s: float


class TlsHandshake(Struct, frozen=True, kw_only=True, tag=True):
    """Handshake and verify. ``trust`` is a key of the run's trust stores."""

    server_name: str
    alpn: tuple[str, ...]
    trust: str
    timeout_s: float


class HttpRequest(Struct, frozen=True, kw_only=True, tag=True):
    """GET a path with a bounded body."""

    host: str
    path: str
    max_body_bytes: int
    timeout_s: float


StepSpec = DnsLookup | TcpConnect | ProxyConnect | TlsHandshake | HttpRequest

Trigger = Literal[
    "start", "retry", "tls_failed", "http_slow"
]
"""When a chain runs: at once, or as a declared follow-up of its endpoint."""


class Chain(Struct, frozen=True, kw_only=True):
    """Steps over one connection, and what they are for."""

    role: Role
    endpoint_id: str
    member: str
    port: int
    steps: tuple[StepSpec, ...]
    address: str | None = None
    hostname: str | None = None
    service_id: str | None = None
    target_id: str | None = None
    combination_rule: CombinationRule | None = None
    control_id: str | None = None
    tactic: Literal["none", "socks5", "http_connect"] = "none"
    proxy_id: str | None = None
    trigger: Trigger = "start"
    attempts: Annotated[int, Meta(ge=1)] = 1
    max_addresses: int = 1


class Budget(Struct, frozen=True, kw_only=True):
    """Upper estimates of what a plan costs, application bytes both ways."""

    sockets: int
    bytes: int
    seconds: float


class Plan(Struct, frozen=True, kw_only=True):
    """Everything a run may do: controls, lookups, chains, follow-ups."""

    seed: int
    controls: tuple[Chain, ...]
    lookups: tuple[Chain, ...]
    chains: tuple[Chain, ...]
    follow_ups: tuple[Chain, ...]
    budget: Budget
