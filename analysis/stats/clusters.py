"""Changes of many series that are one event: same country, same direction, close in time."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.stats.online import Change, Direction


@dataclass(frozen=True)
class SeriesChange:
    """A change of one series. ``series`` is its place in whatever the caller holds."""

    country: str
    series: int
    change: Change


@dataclass(frozen=True)
class Event:
    """Changes that go together. The onset is between ``first`` and ``last`` (cells).

    ``cell`` is the median over series, which one early or late series does not move.
    """

    country: str
    direction: Direction
    cell: int
    first: int
    last: int
    members: tuple[SeriesChange, ...]

    @property
    def n_series(self) -> int:
        """How many series changed."""
        return len({member.series for member in self.members})


def cluster(changes: Sequence[SeriesChange], gap: int, span: int) -> list[Event]:
    """Join changes at most ``gap`` cells after the one before, in events of up to ``span`` cells.

    ``span`` keeps a month of daily blocks from becoming one event through its own chain.
    """
    ordered = sorted(
        changes,
        key=lambda one: (one.country, one.change.direction, one.change.cell, one.series),
    )
    groups: list[list[SeriesChange]] = []
    for one in ordered:
        if groups and _belongs(groups[-1], one, gap, span):
            groups[-1].append(one)
        else:
            groups.append([one])
    events = [_event(group) for group in groups]
    return sorted(events, key=lambda event: (event.cell, event.country, event.direction))


def _belongs(group: list[SeriesChange], one: SeriesChange, gap: int, span: int) -> bool:
    start, before = group[0], group[-1]
    return (
        one.country == start.country
        and one.change.direction == start.change.direction
        and one.change.cell - before.change.cell <= gap
        and one.change.cell - start.change.cell < span
    )


def _event(group: list[SeriesChange]) -> Event:
    return Event(
        country=group[0].country,
        direction=group[0].change.direction,
        cell=int(np.median([one.change.cell for one in group])),
        first=min(one.change.first for one in group),
        last=max(one.change.last for one in group),
        members=tuple(group),
    )
