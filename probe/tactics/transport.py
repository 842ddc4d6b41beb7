"""The same data centre or host over another protocol."""

from collections.abc import Iterator
from typing import Final

import msgspec

from probe.model.observation import MtprotoTransport, Tactic
from probe.model.step import (
    Chain,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    StepSpec,
    TlsHandshake,
)

HTTP_PORT: Final = 80
"""Where applications send MTProto in POST requests."""

_FRAMINGS: Final[dict[Tactic, MtprotoTransport]] = {
    "abridged": "abridged",
    "intermediate": "intermediate",
    "padded": "padded",
    "full": "full",
}


def other_transports(chain: Chain) -> Iterator[Chain]:
    """Yield an MTProto chain in the other framings over TCP, and as a POST on port 80."""
    for tactic, transport in _FRAMINGS.items():
        yield _in_transport(chain, tactic, transport)
    over_http = _in_transport(chain, "http_transport", "http")
    yield msgspec.structs.replace(over_http, port=HTTP_PORT)


def over_quic(chain: Chain, timeout_s: float) -> Chain:
    """Replace TCP and TLS of a web chain by QUIC, and its page by HTTP/3's."""
    hello = next(step for step in chain.steps if isinstance(step, TlsHandshake))
    page = next((step for step in chain.steps if isinstance(step, HttpRequest)), None)
    request = Http3Request(
        server_name=hello.server_name,
        path=page.path if page else "/",
        trust=hello.trust,
        max_body_bytes=page.max_body_bytes if page else 4096,
        timeout_s=timeout_s,
    )
    return msgspec.structs.replace(chain, tactic="http3", steps=(request,))


def _in_transport(chain: Chain, tactic: Tactic, transport: MtprotoTransport) -> Chain:
    steps: tuple[StepSpec, ...] = tuple(
        msgspec.structs.replace(step, transport=transport)
        if isinstance(step, MtprotoHandshake)
        else step
        for step in chain.steps
    )
    return msgspec.structs.replace(chain, tactic=tactic, steps=steps)
