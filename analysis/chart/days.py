"""Ticks of a time axis: every day where there is room, thinner where there is not.

Names of months are ours: those of the locale would change a chart's bytes.
"""

from datetime import date, timedelta
from typing import Final, NamedTuple

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun",
                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # fmt: skip
LABEL_IN: Final = 0.42
"""A tick's label, "30 Nov" without a neighbour's touching it."""
DAY_IN: Final = 0.2
"""Two digits at 7.5 points, and a gap."""


MOST_DAYS: Final = 45
"""Of more days, Mondays are read more easily than all of them."""
MONTH_AND_YEAR_IN: Final = 0.75
"""A month's name and year in bold, and a gap."""


class Tick(NamedTuple):
    """A tick at a day: in its middle, or where it begins."""

    day: date
    minor: str
    major: str
    is_centred: bool


def days_words(first: date, last: date) -> str:
    """Say a span of days: one day, or from one to another."""
    return str(first) if first == last else f"{first} to {last}"


def ticks(first: date, n_days: int, day_width: float) -> list[Tick]:
    """Return the ticks of an axis of ``n_days`` days of a width in inches each."""
    days = [first + timedelta(days=number) for number in range(n_days)]
    if day_width >= DAY_IN and n_days <= MOST_DAYS:
        return _daily(days, day_width)
    if 7 * day_width >= LABEL_IN:
        mondays = [day for day in days if day.weekday() == 0]
        return _dated(mondays, [f"{day.day} {MONTHS[day.month - 1]}" for day in mondays])
    for months in (1, 2, 3, 6):
        if 28 * months * day_width >= LABEL_IN:
            chosen = [day for day in days if day.day == 1 and (day.month - 1) % months == 0]
            return _dated(chosen, [MONTHS[day.month - 1] for day in chosen])
    return _dated([day for day in days if (day.month, day.day) == (1, 1)], None)


def _daily(days: list[date], day_width: float) -> list[Tick]:
    named = {day for day in days if day.day == 1}
    # The month of the first day is left out where the next one's name is too near.
    if not any((day - days[0]).days * day_width < MONTH_AND_YEAR_IN for day in named):
        named.add(days[0])
    return [
        Tick(
            day,
            str(day.day),
            f"{MONTHS[day.month - 1]} {day.year}" if day in named else "",
            is_centred=True,
        )
        for day in days
    ]


def _dated(days: list[date], labels: list[str] | None) -> list[Tick]:
    """Label ticks at the start of their days; the year where it is new, or alone."""
    if labels is None:
        return [Tick(day, str(day.year), "", is_centred=False) for day in days]
    years = [None, *(day.year for day in days)]
    return [
        Tick(day, label, str(day.year) if day.year != before else "", is_centred=False)
        for day, label, before in zip(days, labels, years, strict=False)
    ]
