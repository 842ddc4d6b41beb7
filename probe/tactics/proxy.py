"""Through a proxy: the same endpoint, reached by somebody else's connection."""

from typing import Final, Literal

import msgspec

from probe.model.step import (
    PUBLIC_TRUST,
    Chain,
    MtprotoHandshake,
    ProxyConnect,
    ProxyHandshake,
    StepSpec,
)

PROXY_TIMEOUT_S: Final = 10.0
"""A proxy connects onward within this time or is of no use to a person; it is
three times a direct connect's limit because two paths lie behind it."""


def through_proxy(chain: Chain, proxy_index: int, kind: Literal["socks5", "http_connect"]) -> Chain:
    """Rewrite a direct chain to go through the run's proxy ``proxy_index``.

    The connect step then reaches the proxy, a `ProxyConnect` follows it, and a
    host name goes to the proxy as a name: local DNS plays no part, so a chain
    that waited for an address no longer does.
    """
    connect, *rest = chain.steps
    steps: tuple[StepSpec, ...] = (
        connect,
        ProxyConnect(proxy_index=proxy_index, timeout_s=PROXY_TIMEOUT_S),
        *rest,
    )
    return msgspec.structs.replace(
        chain,
        steps=steps,
        tactic=kind,
        proxy_id=f"proxy-{proxy_index + 1}",
        max_addresses=1,
    )


def through_mtproxy(chain: Chain, proxy_index: int, trust: str = PUBLIC_TRUST) -> Chain:
    """Rewrite a chain to a data centre to ask the run's MTProxy for it.

    Such a proxy is told a data centre's number and finds the address by itself.
    """
    asked = next(step for step in chain.steps if isinstance(step, MtprotoHandshake))
    through = ProxyHandshake(
        proxy_index=proxy_index, dc_id=asked.dc_id, timeout_s=PROXY_TIMEOUT_S, trust=trust
    )
    return msgspec.structs.replace(
        chain,
        steps=(through,),
        tactic="mtproxy",
        proxy_id=f"proxy-{proxy_index + 1}",
        max_addresses=1,
    )


def at_fresh_address(chain: Chain) -> Chain:
    """Rewrite a chain to a data centre to wait for an address from a special config.

    Which address that is, is known to the run only: applications get them so that
    nobody can block them ahead of time. With the secret that may come along, the
    address is asked as an MTProxy is.
    """
    asked = next(step for step in chain.steps if isinstance(step, MtprotoHandshake))
    through = ProxyHandshake(proxy_index=0, dc_id=asked.dc_id, timeout_s=PROXY_TIMEOUT_S)
    return msgspec.structs.replace(
        chain,
        steps=(through,),
        tactic="special_config",
        address=None,
        hostname=None,
        proxy_id="fresh",
        max_addresses=4,
    )
