"""What else an onset can be than a block, and what happened near it."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from analysis.chart.events import Event
from analysis.chart.sheet import clean
from analysis.stats.failures import MIN_COUNTRIES, service_down

Counts = NDArray[np.int64]

NEAR_DAYS: Final = 2
"""An event within so many days of a change is named beside it."""

_MAX_BASE_CELLS: Final = 28
_PLACE: Final = {"probe_cc", "probe_asn"}


class Window(NamedTuple):
    """Cells ``start`` to ``stop`` (exclusive) of a new level; before it, from ``base`` on."""

    start: int
    stop: int
    base: int


class Measured(Protocol):
    """A series: names, country, failures of measurements, and what decided nothing."""

    @property
    def names(self) -> tuple[Any, ...]:
        """Values of what the series is of."""

    @property
    def country(self) -> str:
        """The country's code."""

    @property
    def k(self) -> Counts:
        """Failures by day."""

    @property
    def n(self) -> Counts:
        """Measurements by day."""

    @property
    def undecided(self) -> Counts:
        """What decided nothing, by day: controls failed, or too few attempts."""


def down_words(series: Sequence[Measured], index: int, window: Window, by: Sequence[str]) -> str:
    """Say that the same target fails in most countries at once, if it does."""
    place = [number for number, name in enumerate(by) if name in _PLACE]

    def target(one: Measured) -> tuple[Any, ...]:
        return tuple(name for number, name in enumerate(one.names) if number not in place)

    wanted = target(series[index])
    if not window.start or "probe_cc" not in by or not {"target_id", "service_id"} & set(by):
        return ""
    sums: dict[str, Counts] = {}
    base = max(window.base, window.start - _MAX_BASE_CELLS)
    for one in series:
        if target(one) == wanted:
            own = np.array(
                [
                    one.k[window.start : window.stop].sum(),
                    one.n[window.start : window.stop].sum(),
                    one.k[base : window.start].sum(),
                    one.n[base : window.start].sum(),
                ]
            )  # fmt: skip
            sums[one.country] = sums.get(one.country, np.zeros(4, np.int64)) + own
    if len(sums) < MIN_COUNTRIES:
        return ""
    k, n, k_base, n_base = np.stack([sums[country] for country in sorted(sums)], axis=1)
    level = (k_base + 0.5) / (n_base + 1)
    found = service_down(k[None, :], n[None, :], level)
    if not found.is_down[0]:
        return ""
    n_failing, n_measuring = found.n_failing[0], found.n_measuring[0]
    return f"fails in {n_failing} of {n_measuring} countries: the service may be down"


def undecided_words(one: Measured, window: Window) -> str:
    """Say that most runs decided nothing from then on: the line's failure, not the target's."""
    inside = slice(window.start, window.stop)
    undecided, decided = int(one.undecided[inside].sum()), int(one.n[inside].sum())
    if undecided <= decided:
        return ""
    return f"{undecided} of {undecided + decided} runs then decided nothing: controls failed"


def explained_by(day: date, first: date, last: date, events: Sequence[Event]) -> str:
    """Name the nearest dated event within two days of a change's date, or of its interval.

    Near in time, not the cause. Of those equally near, the first by name.
    """
    near = []
    for event in events:
        for dated in event.dates:
            distance = _distance(day, day, dated.first, dated.last)
            if _distance(first, last, dated.first, dated.last) <= NEAR_DAYS and (
                distance <= NEAR_DAYS or (last - first).days <= 2 * 7
            ):
                near.append((distance, clean(event.label), dated.kind))
    return min(near)[1] if near else ""


def _distance(first: date, last: date, begin: date, end: date) -> int:
    return max((begin - last).days, (first - end).days, 0)
