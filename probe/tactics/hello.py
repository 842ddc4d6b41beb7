"""The same host, greeted otherwise: what filters match is the hello."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from probe.model.observation import HelloSplit, Tactic
from probe.model.step import Chain, EchProbe, StepSpec, TcpConnect, TlsHandshake, TlsProfile

_SPLITS: Final[dict[Tactic, HelloSplit]] = {
    "segment_split": "segments",
    "record_split": "records",
}
_PROFILES: Final[dict[Tactic, TlsProfile]] = {
    "tls12": "tls12",
    "chrome": "chrome",
    "firefox": "firefox",
    "safari": "safari",
}


def other_hellos(chain: Chain) -> Iterator[Chain]:
    """Yield a TLS chain with its hello cut within the name, and in other clients' forms.

    Whoever does not put the pieces together cannot read the name; whoever looks for
    one client's form does not know another's.
    """
    for tactic, split in _SPLITS.items():
        yield _with_hello(chain, tactic, split=split)
    for tactic, profile in _PROFILES.items():
        yield _with_hello(chain, tactic, profile=profile)


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
