"""Through an MTProxy to a data centre: one step, because the proxy shows nothing between."""

import secrets
from typing import Final

from probe.model.observation import Observation, Step
from probe.model.step import ProxyHandshake
from probe.net.api import ProxyAddress
from probe.steps.context import Context
from probe.steps.proxy_try import Phase, Terms, try_proxy

_STEPS: Final[dict[Phase | None, Step]] = {
    None: "mtproto",
    "name": "dns",
    "tcp": "tcp",
    "proxy": "proxy",
    "tls": "tls",
    "fake_tls": "tls",
    "web": "http",
    "secret": "proxy",
    "mtproto": "mtproto",
    "dc": "mtproto",
}
"""The step whose failure a phase's is."""


async def proxy_handshake(
    context: Context, spec: ProxyHandshake, proxy: ProxyAddress
) -> Observation:
    """Ask a data centre for resPQ through a proxy with a secret.

    The observation is of the step that it came to; success is a verified resPQ.
    """
    t0 = context.now()
    # An MTProxy is told a number, not an address.
    terms = Terms(
        ("", 0),
        spec.dc_id,
        spec.timeout_s,
        secrets.token_bytes,
        context.run.trust,
        spec.trust,
    )
    one = await try_proxy(
        context.run.network, proxy.link, proxy.address, terms, earlier=context.run.nonces
    )
    context.run.nonces.update(one.nonces)
    return context.observe(
        _STEPS[one.phase],
        t0,
        one.failure,
        failure_detail=one.detail,
        clock_offset_s=one.clock_offset_s,
        first_byte_s=None if one.answer_s is None else round(one.answer_s, 6),
    )
