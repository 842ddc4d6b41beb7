"""Through a proxy: the same endpoint, reached by somebody else's connection."""

from typing import Final, Literal

import msgspec

from probe.model.step import Chain, ProxyConnect, StepSpec

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
