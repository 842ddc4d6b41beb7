"""A scripted history of censorship, with the truth that a prober should find.

Data only: who replays it applies a phase's rules on each of its days. The year
lies ahead, so that no chart of it can be taken for a record of real events.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

from censorlab.rules import Blackout, IpDrop, Rule, SniRst, Throttle
from censorlab.topology import (
    ALL_DC_ADDRESSES,
    ALL_WEB_ADDRESSES,
    DC_ADDRESSES,
    DC_POOL,
    SERVICE_PATTERN,
    WEB,
)
from probe.model.verdict import BenignCause, Mechanism, State

FIRST_DAY: Final = date(2030, 3, 1)


class Truth(NamedTuple):
    """What one target is under one tactic, as the lab arranged it."""

    target_id: str
    tactic: Literal["none", "socks5"]
    state: State
    mechanism: Mechanism | None
    benign_cause: BenignCause | None
    n_ok: int
    n_total: int


class Event(NamedTuple):
    """A line for a chart's time axis."""

    date: date
    label: str


class Phase(NamedTuple):
    """Consecutive days under the same rules.

    ``truths`` is empty exactly if nothing is measured on these days. ``proxy``:
    the volunteer also measures through the lab's SOCKS5 proxy.
    """

    name: str
    title: str
    first_day: date
    days: int
    rules: tuple[Rule, ...]
    proxy: bool
    truths: tuple[Truth, ...]
    event: Event

    @property
    def is_measured(self) -> bool:
        """Whether the volunteer measures on these days."""
        return bool(self.truths)

    @property
    def dates(self) -> tuple[date, ...]:
        """Its days, in order."""
        return tuple(self.first_day + timedelta(days=n) for n in range(self.days))


def _dc(state: State, n_ok: int, mechanism: Mechanism | None = None) -> Truth:
    return Truth(DC_POOL, "none", state, mechanism, None, n_ok, 5)


def _web(state: State, n_ok: int, mechanism: Mechanism | None = None) -> Truth:
    return Truth(WEB, "none", state, mechanism, None, n_ok, 2)


_ALL_OK: Final = (_dc("ok", 5), _web("ok", 2))
_VIA_PROXY_OK: Final = tuple(truth._replace(tactic="socks5") for truth in _ALL_OK)
_DEAD_LINE: Final = tuple(
    Truth(target, "none", "insufficient", None, "no_network", 0, 0) for target in (DC_POOL, WEB)
)


class _Chapter(NamedTuple):
    """A phase before its place in the calendar is known."""

    name: str
    title: str
    event: str
    rules: tuple[Rule, ...]
    truths: tuple[Truth, ...]
    days: int = 3
    proxy: bool = False


# A relay acknowledges hellos in the servers' stead, so nothing shows that the servers
# had no part in a reset: on loopback it is likely, in the namespaces certain.
_CHAPTERS: Final = (
    _Chapter("clear", "No interference", "Measurement starts", (), _ALL_OK),
    _Chapter(
        "addresses_dropped",
        "All addresses dropped",
        "Null routes to all addresses",
        (IpDrop(addresses=ALL_DC_ADDRESSES + ALL_WEB_ADDRESSES),),
        (_dc("likely_blocked", 0, "ip_drop"), _web("likely_blocked", 0, "ip_drop")),
    ),
    _Chapter(
        "sni_reset",
        "Server name reset",
        "Null routes lifted; RST on the server name",
        (SniRst(server_name=SERVICE_PATTERN),),
        (_dc("ok", 5), _web("likely_blocked", 0, "sni_rst")),
    ),
    _Chapter(
        "partial",
        "Two data centres dropped",
        "Null routes to dc2 and dc4 only",
        (IpDrop(addresses=(DC_ADDRESSES["dc2"], DC_ADDRESSES["dc4"])),),
        (_dc("impaired", 3, "ip_drop"), _web("ok", 2)),
    ),
    _Chapter("gap", "No measurement", "Volunteer away", (), (), days=1),
    _Chapter("line_down", "Line down", "Volunteer's line dead", (Blackout(),), _DEAD_LINE, days=1),
    _Chapter(
        "slowed",
        "Web slowed to 128 kbit/s",
        "Throttling of the server name",
        (Throttle(server_name=SERVICE_PATTERN, rate_bytes_per_s=16_000),),
        (_dc("ok", 5), _web("impaired", 0, "throttling")),
    ),
    _Chapter(
        "circumvention",
        "Blocked, and a proxy that works",
        "Null routes and RST; volunteer gets a proxy",
        (IpDrop(addresses=ALL_DC_ADDRESSES), SniRst(server_name=SERVICE_PATTERN)),
        (
            _dc("likely_blocked", 0, "ip_drop"),
            _web("likely_blocked", 0, "sni_rst"),
            *_VIA_PROXY_OK,
        ),
        proxy=True,
    ),
    _Chapter("lifted", "Blocks lifted", "All rules lifted", (), _ALL_OK),
)


def _dated(chapters: tuple[_Chapter, ...]) -> Iterator[Phase]:
    first_day = FIRST_DAY
    for chapter in chapters:
        yield Phase(
            name=chapter.name,
            title=chapter.title,
            first_day=first_day,
            days=chapter.days,
            rules=chapter.rules,
            proxy=chapter.proxy,
            truths=chapter.truths,
            event=Event(first_day, chapter.event),
        )
        first_day += timedelta(days=chapter.days)


HISTORY: Final = tuple(_dated(_CHAPTERS))
