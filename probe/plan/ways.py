"""Declare the ways around a block that may be tried where the direct way fails.

They run after everything else, because a filter that learns from one attempt may
punish the next, and only if the person asked: some laws punish them too.
"""

from collections.abc import Iterator
from typing import Final

import msgspec

from probe.model.step import (
    Chain,
    MtprotoHandshake,
    Owner,
    SpecialConfig,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)
from probe.model.target import Discovery, Endpoint, Service, Target
from probe.plan.limits import CONNECT_TIMEOUT_S, TLS_TIMEOUT_S
from probe.tactics.hello import encrypted_hello, other_hellos
from probe.tactics.proxy import at_fresh_address
from probe.tactics.transport import other_transports, over_quic

QUIC_REQUEST_TIMEOUT_S: Final = 8.0
"""A handshake and a page, as over TCP."""

DISCOVERY_TIMEOUT_S: Final = 8.0
WAY_ATTEMPTS: Final = 2


def ways_around(service: Service, target: Target, endpoint: Endpoint, chain: Chain) -> list[Chain]:
    """Declare every way that is a rewrite of the endpoint's own chain."""
    return [
        msgspec.structs.replace(
            one,
            trigger="way",
            attempts=WAY_ATTEMPTS,
            # At one place each; but of fresh addresses an application tries several.
            max_addresses=one.max_addresses if one.tactic == "special_config" else 1,
        )
        for one in _rewrites(service, target, endpoint, chain)
    ]


def _rewrites(
    service: Service, target: Target, endpoint: Endpoint, chain: Chain
) -> Iterator[Chain]:
    if "tls" in endpoint.probes:
        yield from other_hellos(chain)
        if "ech" in endpoint.probes:
            yield encrypted_hello(chain)
        if "quic" in endpoint.probes:
            yield over_quic(chain, QUIC_REQUEST_TIMEOUT_S)
    elif any(isinstance(step, MtprotoHandshake) for step in chain.steps):
        yield from other_transports(chain)
        if service.discovery and _is_first_of_its_kind(target, endpoint):
            # One for each data centre: where it is, the config will say.
            yield at_fresh_address(chain)


def _is_first_of_its_kind(target: Target, endpoint: Endpoint) -> bool:
    """Whether no endpoint of the target before it is of the same data centre."""
    same = (
        e
        for e in target.endpoints
        if "mtproto" in e.probes and "tls" not in e.probes and e.dc_id == endpoint.dc_id
    )
    return next(same, None) == endpoint


def discoveries(service: Service, trust: str) -> list[Chain]:
    """Declare where a service's applications ask for fresh addresses."""
    return [_discovery(service, one, trust) for one in service.discovery]


def _discovery(service: Service, discovery: Discovery, trust: str) -> Chain:
    steps: tuple[StepSpec, ...] = (
        TcpConnect(timeout_s=CONNECT_TIMEOUT_S),
        TlsHandshake(
            server_name=discovery.server_name,
            alpn=("http/1.1",),
            trust=trust,
            timeout_s=TLS_TIMEOUT_S,
        ),
        SpecialConfig(
            host=discovery.host,
            path=discovery.path,
            form=discovery.form,
            timeout_s=DISCOVERY_TIMEOUT_S,
            public_keys=service.discovery_keys,
        ),
    )
    return Chain(
        role="resolver",
        owner=Owner(
            service_id=service.id,
            endpoint_id=f"{discovery.address}:{discovery.port}",
            member=discovery.id,
        ),
        tactic="special_config",
        port=discovery.port,
        address=discovery.address,
        steps=steps,
        trigger="way",
    )
