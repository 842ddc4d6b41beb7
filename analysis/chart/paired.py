"""A share and a count by day: what a table of both says, checked, and in words."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import pandas as pd

from analysis.chart.events import Event, event_words
from analysis.chart.scale import percent
from analysis.chart.series import value
from analysis.chart.sheet import clean
from analysis.chart.simulated import SPOKEN, simulated

COLUMNS: Final = ("day", "n", "share", "low", "high", "users", "lower", "upper")


STEPS: Final = {1: "day", 7: "week", 28: "four weeks"}
"""Days of a row, and their name."""


class Words(NamedTuple):
    """What the two series are, in words: names, and what their bands mean.

    ``is_share``: the second is a share from 0 to 1 too, and its band an interval.
    """

    blocking: str = "Blocked share"
    interval: str = "95 % interval"
    circumvention: str = "Tor users"
    band: str = "range expected from earlier days"
    unit: str = "measurements"
    is_share: bool = False

    def told(self, users: float | None) -> str:
        """Write a value of the second series."""
        return percent(users or 0.0) if self.is_share else f"{users or 0:,.0f}"


class Point(NamedTuple):
    """One day, or several from it on.

    ``share`` is None where nothing was measured, ``users`` where none are told.
    """

    day: date
    n: int
    share: float | None
    low: float
    high: float
    users: float | None
    lower: float | None
    upper: float | None

    @property
    def has_band(self) -> bool:
        """Whether the count has a band."""
        return self.users is not None and self.lower is not None and self.upper is not None


def points_of(table: pd.DataFrame) -> list[Point]:
    """Return the rows of a table, checked.

    Raises:
        ValueError: a column or a day is missing, or there is a share without an interval.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        raise ValueError(f"no column {missing[0]}" if missing else "no days")
    found = []
    days = pd.to_datetime(table["day"]).dt.date
    for day, row in zip(days, table[list(COLUMNS)].to_dict("records"), strict=True):
        known = {name: value(row[name]) for name in COLUMNS[1:]}
        n = int(known["n"] or 0)
        share, low, high = known["share"], known["low"], known["high"]
        if n and (share is None or low is None or high is None):
            raise ValueError(f"{day}: a share of {n} without its interval")
        # A pooled interval need not contain the day's own share.
        if n and not (0 <= low <= high <= 1 and 0 <= share <= 1):
            raise ValueError(f"{day}: {share} between {low} and {high} is no share")
        point = Point(
            day, n, float(share) if n else None, float(low) if n else 0.0,
            float(high) if n else 0.0, *(known[name] for name in COLUMNS[5:]),
        )  # fmt: skip
        found.append(point)
    step = timedelta(days=step_of(found))
    for one, two in pairwise(found):
        if two.day - one.day != step:
            raise ValueError(f"{two.day}: follows {one.day}")
    return found


def step_of(points: Sequence[Point]) -> int:
    """Return the days that a row stands for: those from the first row to the second, or one.

    Raises:
        ValueError: they are none of `STEPS`.
    """
    step = (points[1].day - points[0].day).days if len(points) > 1 else 1
    if step not in STEPS:
        raise ValueError(f"{points[1].day}: follows {points[0].day}")
    return step


def against_band(points: Sequence[Point]) -> tuple[int, int, int]:
    """Count days above the band, below it, and of both in all."""
    told = [
        (p.users, p.lower, p.upper)
        for p in points
        if p.users is not None and p.lower is not None and p.upper is not None
    ]
    above = sum(1 for users, _, upper in told if users > upper)
    return above, sum(1 for users, lower, _ in told if users < lower), len(told)


def caption_of(
    points: Sequence[Point], source: str, words: Words, notes: Sequence[str]
) -> list[str]:
    """Return the sentences below the chart: source, n, gaps, and what is not drawn."""
    step = step_of(points)
    days, unit = len(points), "days" if step == 1 else f"periods of {step} days"
    measured, n = sum(1 for p in points if p.n), f"n = {sum(p.n for p in points):,}"
    counted = sum(1 for p in points if p.users is not None)
    above, below, told = against_band(points)
    # An interval is not a range to be outside of.
    told = 0 if words.is_share else told
    parts = [
        f"Source: {source}.",
        f"{clean(words.blocking)}: {measured} of {days} {unit} have data, {n} {clean(words.unit)}.",
        f"{clean(words.circumvention)}: {counted} of {days} {unit} have data.",
    ]
    if told:
        parts.append(f"Above the band on {above} and below it on {below} of {told} {unit}.")
    zeros = 0 if words.is_share else sum(1 for p in points if p.users == 0)
    if zeros:
        parts.append(f"{zeros} days with none are drawn at the lower edge.")
    parts.append("Both on one axis says nothing about a cause.")
    return [*parts, *notes]


def two_series_alt_text(
    table: pd.DataFrame, events: Sequence[Event] = (), *, words: Words | None = None
) -> str:
    """Say subject, span, level and peak of both series, n, gaps and events."""
    words = words or Words()
    points = points_of(table)
    step = step_of(points)
    first, last = points[0].day, points[-1].day + timedelta(days=step - 1)
    unit = "days" if step == 1 else f"periods of {step} days"
    both = f"{clean(words.blocking)} and {clean(words.circumvention)}"
    parts = [
        f"{SPOKEN[simulated(table)]}{both} by {STEPS[step]} from {first} to {last}.",
    ]
    shares = [point for point in points if point.share is not None]
    if shares:
        peak = max(shares, key=lambda point: point.share or 0.0)
        ends = f"{percent(shares[0].share or 0)} at first, {percent(shares[-1].share or 0)} at last"
        parts.append(
            f"{clean(words.blocking)}: {ends}, most on {peak.day}: {percent(peak.share or 0)} "
            f"({percent(peak.low)} to {percent(peak.high)}, n = {peak.n:,}); "
            f"no data on {len(points) - len(shares)} of {len(points)} {unit}."
        )
    users = [point for point in points if point.users is not None]
    if users:
        most = max(users, key=lambda point: point.users or 0.0)
        least = min(users, key=lambda point: point.users or 0.0)
        above, below, told = against_band(points)
        band = f"; above the band on {above}, below on {below} of {told} {unit}"
        parts.append(
            f"{clean(words.circumvention)}: {words.told(users[0].users)} at first, "
            f"{words.told(users[-1].users)} at last, "
            f"least {words.told(least.users)} on {least.day}, "
            f"most {words.told(most.users)} on {most.day}"
            f"{band if told and not words.is_share else ''}; "
            f"no data on {len(points) - len(users)} of {len(points)} {unit}."
        )
    inside = [event for event in events if event.touches(first, last)]
    if inside:
        parts.append("Events: " + "; ".join(event_words(event) for event in inside) + ".")
    return " ".join(parts)
