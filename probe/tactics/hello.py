"""The same host, greeted otherwise: what filters match is the hello."""

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from probe.model.observation import HelloSplit, Tactic
from probe.model.step import (
    Chain,
    EchProbe,
    HttpRequest,
    MtprotoHandshake,
    StepSpec,
    TcpConnect,
    TlsHandshake,
)

_SPLITS: Final[dict[Tactic, HelloSplit]] = {
    "segment_split": "segments",
    "record_split": "records",
}
_BROWSERS: Final[tuple[Literal["chrome", "firefox", "safari"], ...]] = (
    "chrome",
    "firefox",
    "safari",
)


def other_hellos(chain: Chain) -> Iterator[Chain]:
    """Yield a TLS chain with its hello cut within the name, and in other clients' forms.

    Whoever does not put the pieces together cannot read the name; whoever looks for
    one client's form does not know another's.
    """
    for tactic, split in _SPLITS.items():
        yield _with_hello(chain, tactic, split=split)
    yield _with_hello(chain, "tls12", profile="tls12")
    is_page = any(isinstance(step, HttpRequest | MtprotoHandshake) for step in chain.steps)
    # A browser that goes on with what we speak offers that only, as for its WebSockets.
    alpn = ("http/1.1",) if is_page else ("h2", "http/1.1")
    for browser in _BROWSERS:
        yield _with_hello(chain, browser, profile=browser, alpn=alpn)


def encrypted_hello(chain: Chain) -> Chain:
    """Replace a TLS chain's hello by one whose name is encrypted to the published key.

    It ends with the server's proof that it read the name (RFC 9849 section 7.2).
    """
    connect = next(step for step in chain.steps if isinstance(step, TcpConnect))
    hello = next(step for step in chain.steps if isinstance(step, TlsHandshake))
    probe = EchProbe(server_name=hello.server_name, timeout_s=hello.timeout_s)
    return msgspec.structs.replace(chain, tactic="ech", steps=(connect, probe))


def _with_hello(chain: Chain, tactic: Tactic, **changes: Any) -> Chain:
    steps: tuple[StepSpec, ...] = tuple(
        msgspec.structs.replace(step, **changes) if isinstance(step, TlsHandshake) else step
        for step in chain.steps
    )
    return msgspec.structs.replace(chain, tactic=tactic, steps=steps)
