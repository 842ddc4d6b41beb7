"""Is it me? What the controls of a run allow to be said."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from probe.model import failure as failures
from probe.model.failure import CERTIFICATE
from probe.model.observation import Observation
from probe.model.verdict import BenignCause, ControlState
from probe.wire.addresses import is_address, network_of

ENOUGH_OPERATORS: Final = 2
"""One answering operator may be a captive portal's walled garden or a cached
appliance; two with valid certificates are the Internet."""

WITNESSES: Final = 3
"""Networks that stand in for controls: one more than operators, since they may be of one."""

SLOW_CONNECT_S: Final = 1.0
"""A round trip above that of a satellite, or a line that our own pages keep busy: a
limit of a few seconds is then no silence (measured: 2.9 s at 64 kbit/s)."""

LOSSY_SHARE: Final = 0.3
LOSSY_CONNECTS: Final = 3
"""A connect needs a second SYN with probability 1-(1-p)^2: 4 % at a loss of 2 % each
way, 36 % at 20 %. Three of ten and more means the second kind of line: by chance
alone the first kind shows that once in 150 runs."""

BUSY_S: Final = 0.4
BUSY_TIMES: Final = 4
"""A connect slower than this and than so many times its usual self is one in a queue."""

DAY_S: Final = 86_400.0

_PAGE_STATUS: Final = frozenset({200, 204})
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
DATES: Final = frozenset({_NOT_YET_VALID, _EXPIRED})


@dataclass(frozen=True, kw_only=True)
class Controls:
    """State of the controls, and what is wrong with the local network if anything.

    ``is_slow``: half of the last round's connects or more took longer than
    `SLOW_CONNECT_S`, so that silence elsewhere says nothing. ``is_lossy``: connects
    to controls need retransmissions. ``is_intercepted``: something near completes
    connects for everybody, so that what TCP says is about it alone. ``is_walled``: an
    ordinary page cannot be had, though known-good hosts answer.
    ``bad_times``: intervals in which beats to controls failed, in seconds of the run.
    """

    state: ControlState
    n_ok: int
    n_total: int
    cause: BenignCause | None
    ipv6_works: bool
    is_slow: bool
    is_lossy: bool
    is_intercepted: bool
    is_walled: bool
    is_allowlisted: bool
    clock_offset_s: float | None
    bad_times: tuple[tuple[float, float], ...]
    reasons: tuple[str, ...]

    @property
    def local_cause(self) -> BenignCause | None:
        """The one thing about this line that explains most of what fails."""
        if self.cause is not None:
            return self.cause
        if self.is_walled and not self.is_allowlisted:
            return "captive_portal"
        if self.is_intercepted:
            return "local_interception"
        if self.is_slow:
            return "slow_line"
        return "lossy_line" if self.is_lossy else None


def _known_good(rows: Iterable[Observation]) -> list[Observation]:
    return [
        o
        for o in rows
        if o.role == "control" and o.follow_up is None and o.step in {"tcp", "tls", "http"}
    ]


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
    again = any(o.attempt == 2 for o in tried)
    # Hosts that were set apart for other uses are not asked again.
    asked = {o.member for o in tried}
    operators = {o.member for o in tried if not again or o.attempt == 2 or o.member not in before}
    held = before & passed_controls(rows, 2) if again else before
    ipv6 = any(o.step == "tls" and o.ip_version == 6 and o.failure is None for o in tried)
    reasons = tuple(sorted(o.observation_id for o in tried if o.step == "tls"))
    stands_in = len(asked) < ENOUGH_OPERATORS and not (again and not held)
    witnesses = _witnesses(rows) if stands_in else frozenset[str]()
    if len(witnesses | held) >= WITNESSES:
        held |= witnesses
        operators |= witnesses
        state: ControlState = "ok"
    elif len(held) >= ENOUGH_OPERATORS:
        state = "ok"
    elif held or not _were_asked(rows):
        state = "degraded"
    else:
        state = "failed"
    return Controls(
        state=state,
        n_ok=len(held),
        n_total=len(operators),
        cause=_cause(tried, rows) if state == "failed" else None,
        ipv6_works=ipv6,
        is_slow=_is_slow(tried),
        is_lossy=_is_lossy(rows),
        is_intercepted=_is_intercepted(rows),
        is_walled=_is_walled(rows),
        is_allowlisted=_is_allowlisted(rows),
        clock_offset_s=_clock_offset(tried),
        bad_times=_bad_times(rows),
        reasons=reasons or tuple(sorted(o.observation_id for o in tried)),
    )


def _witnesses(rows: Sequence[Observation]) -> frozenset[str]:
    """Networks (/24, /48) in which targets themselves answered in full.

    They stand in where a run has too few controls of its own, as imported ones have: a
    line over which a certificate verified, and hosts in other networks answered, works.
    """
    done = [o for o in rows if o.role == "test" and o.failure is None and o.address is not None]
    # A detail beside a success says that the certificate was not verified.
    if not any(o.step == "tls" and o.failure_detail is None for o in done):
        return frozenset()
    return frozenset(
        network_of(o.address)
        for o in done
        if o.step in {"tls", "http", "mtproto"} and o.address is not None and is_address(o.address)
    )


def _is_slow(tried: Sequence[Observation]) -> bool:
    last = max((o.attempt for o in tried), default=1)
    took = [
        o.t - o.t0 for o in tried if o.step == "tcp" and o.failure is None and o.attempt == last
    ]
    # The median: one lost SYN must not pass for a slow line.
    return bool(took) and median(took) > SLOW_CONNECT_S


def _is_lossy(rows: Iterable[Observation]) -> bool:
    connects = [
        o
        for o in rows
        if o.role == "control" and o.step == "tcp" and o.follow_up in {None, "heartbeat"}
    ]
    resent = [o for o in connects if o.failure is None and o.tcp_retransmits]
    return len(resent) >= LOSSY_CONNECTS and len(resent) >= LOSSY_SHARE * len(connects)


def _is_intercepted(rows: Iterable[Observation]) -> bool:
    """Somebody connects at an address where nobody can be (RFC 5737)."""
    return any(o.follow_up == "unroutable" and o.failure is None for o in rows)


def _is_walled(rows: Iterable[Observation]) -> bool:
    """A portal, or a plan without credit, lets some hosts pass; resolvers, mostly.

    The page that is asked for over plain HTTP is not among them.
    """
    pages = [o for o in rows if o.follow_up == "portal"]
    return bool(pages) and not any(
        o.step == "http" and o.failure is None and o.status_code in _PAGE_STATUS for o in pages
    )


def _is_allowlisted(rows: Sequence[Observation]) -> bool:
    """Foreign hosts connect and no hello reaches them, while a domestic one answers.

    Which control is domestic is not a column; a control that alone answers among
    three operators or more is the listed one.
    """
    last: dict[str, list[Observation]] = defaultdict(list)
    for row in _known_good(rows):
        if row.step == "tls":
            last[row.member].append(row)
    passed = {name for name, own in last.items() if any(o.failure is None for o in own)}
    vanished = {
        name for name, own in last.items() if name not in passed and all(_vanished(o) for o in own)
    }
    return bool(passed) and len(vanished) >= ENOUGH_OPERATORS and len(vanished) > len(passed)


def _vanished(row: Observation) -> bool:
    """A hello that nobody so much as acknowledged, after a completed connect."""
    return row.failure in failures.TIMEOUTS and row.bytes_acked is not None and row.bytes_acked <= 1


def _clock_offset(tried: Iterable[Observation]) -> float | None:
    """Median of what verified hosts say the time is, less our own clock."""
    offsets = [o.clock_offset_s for o in tried if o.clock_offset_s is not None]
    return median(offsets) if offsets else None


def usual_connect(rows: Iterable[Observation]) -> float:
    """Seconds that a connect to a known-good host took before anything else ran."""
    took = [
        o.t - o.t0
        for o in _known_good(rows)
        if o.step == "tcp" and o.failure is None and o.attempt == 1
    ]
    return median(took) if took else 0.0


def is_good_beat(beat: Observation, usual_s: float) -> bool:
    """Tell whether a connect to a control says that the line is itself.

    One that took long though nothing had to be sent twice waited in a queue, which we
    filled ourselves; a lost SYN says nothing of a queue.
    """
    if beat.failure is not None:
        return False
    is_late = beat.t - beat.t0 > max(BUSY_S, BUSY_TIMES * usual_s)
    return not is_late or bool(beat.tcp_retransmits)


def _bad_times(rows: Sequence[Observation]) -> tuple[tuple[float, float], ...]:
    """Intervals from the last good beat before a bad one to the next good one."""
    answered = {o.address for o in _known_good(rows) if o.failure is None}
    beats = sorted(
        (o for o in rows if o.follow_up == "heartbeat" and o.address in answered),
        key=lambda o: o.t0,
    )
    usual_s = usual_connect(rows)
    found: list[tuple[float, float]] = []
    last_good = 0.0
    since: float | None = None
    for beat in beats:
        if is_good_beat(beat, usual_s):
            if since is not None:
                found.append((since, beat.t))
                since = None
            last_good = beat.t0
        elif since is None:
            since = last_good
    if since is not None:
        found.append((since, float("inf")))
    return tuple(found)


def _cause(tried: Sequence[Observation], rows: Sequence[Observation]) -> BenignCause:
    """Name what failing controls look like; several causes look like no network."""
    hellos = [o for o in tried if o.step == "tls"]
    if not hellos or all(o.failure is None for o in hellos):
        return "no_network"
    pages = [o for o in rows if o.follow_up == "portal" and o.step == "http"]
    if any(o.status_code is not None and o.status_code not in _PAGE_STATUS for o in pages):
        return "captive_portal"
    if any(o.verify_code in DATES for o in hellos):
        return "clock_skew"
    if any(o.failure in CERTIFICATE for o in hellos):
        return "local_interception"
    if all(o.failure in failures.TIMEOUTS for o in hellos):
        return "no_network"
    # Something completes every connect and then does not speak TLS.
    return "captive_portal"
