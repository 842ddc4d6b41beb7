"""What a plan costs: bytes on the wire, by step."""

from collections.abc import Sequence
from typing import Final

from probe.model.step import (
    Budget,
    Chain,
    DnsLookup,
    EchProbe,
    HelloProbe,
    Http3Request,
    HttpRequest,
    MtprotoKeyProof,
    ProxyHandshake,
    QuicHandshake,
    SpecialConfig,
    StepSpec,
    TlsHandshake,
)
from probe.model.target import ResolverProtocol

MAX_BODY_BYTES: Final = 26 * 1024
"""Of a page: with handshake and headers well above the 12 to 25 kB after which
transfers are reported to be frozen."""

# Bytes on the wire, both ways, per step: what public servers typically send
# (chains of 2.5 to 5 kB), headers and acknowledgements included.
_CONNECT_BYTES: Final = 400
_HANDSHAKE_BYTES: Final = 6000
_LOOKUP_BYTES: Final = 250
_DOH_BYTES: Final = 700
_QUESTION_BYTES: Final[dict[ResolverProtocol, int]] = {
    "doh": _DOH_BYTES,
    # With a part of the handshake, which is no step of its own.
    "doq": _LOOKUP_BYTES + _HANDSHAKE_BYTES // 16,
}
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
            return _QUESTION_BYTES.get(step.resolver.protocol, _LOOKUP_BYTES)
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


def budget_of(everything: Sequence[Chain], *, is_long: bool, has_ways: bool) -> Budget:
    """Estimate what a run costs if everything answers at the first attempt.

    ``is_long``: with the test for throttling. ``has_ways``: with ways around.
    """
    total = sum(step_bytes(step) for chain in everything for step in chain.steps)
    limit = MAX_ASKED_BYTES if is_long else MAX_BYTES
    return Budget(
        sockets=len(everything),
        bytes=total,
        max_bytes=max(limit, total + total // 2),
        ways_bytes=MAX_WAYS_BYTES if has_ways else 0,
    )
