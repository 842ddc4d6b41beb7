"""Is it me? What the controls of a run allow to be said."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from probe.model.failure import CERTIFICATE
from probe.model.observation import Observation
from probe.model.verdict import BenignCause, ControlState

ENOUGH_OPERATORS: Final = 2
"""One answering operator may be a captive portal's walled garden or a cached
appliance; two with valid certificates are the Internet."""

SLOW_CONNECT_S: Final = 1.0
"""A round trip above that of a satellite, or a line that our own pages keep busy: a
limit of a few seconds is then no silence (measured: 2.9 s at 64 kbit/s)."""

_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10


@dataclass(frozen=True, kw_only=True)
class Controls:
    """State of the controls, and what is wrong with the local network if anything.

    ``is_slow``: half of the last round's connects or more took longer than
    `SLOW_CONNECT_S`, so that silence elsewhere says nothing.
    """

    state: ControlState
    n_ok: int
    n_total: int
    cause: BenignCause | None
    ipv6_works: bool
    is_slow: bool
    reasons: tuple[str, ...]


def _known_good(rows: Iterable[Observation]) -> list[Observation]:
    return [o for o in rows if o.role == "control" and o.step in {"tcp", "tls"}]


def passed_controls(rows: Iterable[Observation], attempt: int = 1) -> frozenset[str]:
    """Operators with a verified handshake in the round ``attempt`` (1 before, 2 after)."""
    return frozenset(
        o.member
        for o in _known_good(rows)
        if o.step == "tls" and o.failure is None and o.attempt == attempt
    )


def is_usable(rows: Sequence[Observation]) -> bool:
    """Tell whether measuring makes sense: some control answered, or none was asked."""
    return bool(passed_controls(rows)) or not _were_asked(rows)


def _were_asked(rows: Sequence[Observation]) -> bool:
    return any(o.role == "control" and o.step in {"route", "tcp", "tls"} for o in rows)


def assess(rows: Sequence[Observation]) -> Controls:
    """Judge the controls of one run.

    ``ok`` needs two operators before and, where a second round was run, two
    after: a network that was lost in between explains any failure.
    """
    tried = _known_good(rows)
    before = passed_controls(rows)
    operators = {o.member for o in tried}
    again = any(o.attempt == 2 for o in tried)
    held = before & passed_controls(rows, 2) if again else before
    ipv6 = any(o.step == "tls" and o.ip_version == 6 and o.failure is None for o in tried)
    reasons = tuple(sorted(o.observation_id for o in tried if o.step == "tls"))
    if len(held) >= ENOUGH_OPERATORS:
        state: ControlState = "ok"
    elif held or not _were_asked(rows):
        state = "degraded"
    else:
        state = "failed"
    return Controls(
        state=state,
        n_ok=len(held),
        n_total=len(operators),
        cause=_cause(tried) if state == "failed" else None,
        ipv6_works=ipv6,
        is_slow=_is_slow(tried),
        reasons=reasons or tuple(sorted(o.observation_id for o in tried)),
    )


def _is_slow(tried: Sequence[Observation]) -> bool:
    last = max((o.attempt for o in tried), default=1)
    took = [
        o.t - o.t0 for o in tried if o.step == "tcp" and o.failure is None and o.attempt == last
    ]
    # The median: one lost SYN must not pass for a slow line.
    return bool(took) and median(took) > SLOW_CONNECT_S


def _cause(tried: Sequence[Observation]) -> BenignCause:
    """Name what failing controls look like; several causes look like no network."""
    connected = [o for o in tried if o.step == "tls"]
    if not connected or all(o.failure is None for o in connected):
        return "no_network"
    if any(o.verify_code in {_NOT_YET_VALID, _EXPIRED} for o in connected):
        return "clock_skew"
    if any(o.failure in CERTIFICATE for o in connected):
        return "local_interception"
    # Something completes every connect and then does not speak TLS.
    return "captive_portal"
