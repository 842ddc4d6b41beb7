"""Dated events on a time axis: lines, and labels that never overlap.

Labels stand in steps above the rows, each to the right of its line. Where that
would take too many steps, lines carry numbers and the labels follow as a list.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Final, Literal, NamedTuple

from analysis.chart.sheet import Sheet, clean, shortened, width_of, wrapped
from analysis.chart.style import INK, SOFT_INK

_SIZE: Final = 7.2
_LINE_IN: Final = 0.125
_WIDTH_IN: Final = 1.2
"""A label's width: with its margins three days of a short history, and room for the date."""
_MAX_LINES: Final = 4
_PAD_IN: Final = 0.04
_GAP_IN: Final = 0.07
_MAX_LEVELS: Final = 5
"""More steps than this would be taller than the rows."""
_LIST_WIDTH_IN: Final = 6.0

_DASHES: Final = {"ordered": ":", "observed": "--", "effective": "-"}


class Event(NamedTuple):
    """What happened on a day. ``kind`` says what the date is of."""

    date: date
    label: str
    kind: Literal["ordered", "observed", "effective"]


class Mark(NamedTuple):
    """One line with its label; ``y`` is the label's bottom above the rows (inches)."""

    x: float
    dash: str
    lines: tuple[str, ...]
    y: float


class Marks(NamedTuple):
    """All marks, the height they need above the rows, and what hangs over at the right."""

    marks: tuple[Mark, ...]
    height: float
    overhang: float
    listed: tuple[str, ...]

    @property
    def list_height(self) -> float:
        """Height in inches of the list below the axis."""
        return (len(self.listed) * _LINE_IN + 0.12) if self.listed else 0.0


def arrange(events: Sequence[Event], place: Callable[[date], float], right: float) -> Marks:
    """Find a place for every label. ``place`` gives a day's x in inches."""
    ordered = sorted(events, key=lambda event: (event.date, event.label))
    marks = _stepped(ordered, place)
    listed: tuple[str, ...] = ()
    if marks is None:
        marks = _numbered(ordered, place)
        listed = tuple(
            shortened(
                f"{number}  {event.date} {event.kind}: {clean(event.label)}", _LIST_WIDTH_IN, _SIZE
            )
            for number, event in enumerate(ordered, 1)
        )
    if not marks:
        return Marks((), 0.0, 0.0, ())
    height = max(mark.y + len(mark.lines) * _LINE_IN for mark in marks) + _GAP_IN
    overhang = max(mark.x + _PAD_IN + _width(mark.lines) for mark in marks) - right
    return Marks(tuple(marks), height, overhang, listed)


def _width(lines: Sequence[str]) -> float:
    return max(
        (width_of(line, _SIZE, bold=not number) for number, line in enumerate(lines)), default=0.0
    )


def _stepped(events: Sequence[Event], place: Callable[[date], float]) -> list[Mark] | None:
    """Put each label above those that begin within its width, from the right to the left.

    So no line of a later event rises through an earlier one's label.
    """
    done: list[tuple[Mark, int]] = []
    for event in reversed(events):
        day = f"{event.date} {event.kind}"
        lines = (day, *wrapped(clean(event.label), _WIDTH_IN, _SIZE, _MAX_LINES))
        x = place(event.date)
        end = x + _PAD_IN + _width(lines) + _GAP_IN
        crossing = [(mark, level) for mark, level in done if mark.x < end]
        level = 1 + max((level for _, level in crossing), default=-1)
        if level >= _MAX_LEVELS:
            return None
        y = (
            max((mark.y + len(mark.lines) * _LINE_IN for mark, _ in crossing), default=0.0)
            + _GAP_IN
        )
        done.append((Mark(x, _DASHES[event.kind], lines, y), level))
    return [mark for mark, _ in reversed(done)]


def _numbered(events: Sequence[Event], place: Callable[[date], float]) -> list[Mark]:
    """Give each line its number; lines too close together share a range of numbers."""
    groups: list[list[int]] = []
    end = float("-inf")
    for number, event in enumerate(events, 1):
        x = place(event.date)
        if x < end:
            groups[-1].append(number)
        else:
            groups.append([number])
            # Room for the widest range that the group may come to.
            widest = f"{len(events)}-{len(events)}"
            end = x + _PAD_IN + width_of(widest, _SIZE, bold=True) + _GAP_IN
    marks = []
    for group in groups:
        text = str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}"
        for number in group:
            event = events[number - 1]
            own = (text,) if number == group[0] else ()
            marks.append(Mark(place(event.date), _DASHES[event.kind], own, _GAP_IN))
    return marks


def draw(page: Sheet, marks: Marks, bottom: float, top: float) -> None:
    """Draw lines through the rows from ``bottom`` to ``top``, and labels above them."""
    for mark in marks.marks:
        head = top + mark.y + len(mark.lines) * _LINE_IN
        page.line((mark.x, mark.x), (bottom, head), colour=INK, width=0.9, dash=mark.dash)
        for number, line in enumerate(mark.lines):
            page.text(
                mark.x + _PAD_IN,
                head - (number + 0.5) * _LINE_IN,
                line,
                size=_SIZE,
                bold=number == 0,
            )


def draw_list(page: Sheet, marks: Marks, x: float, top: float) -> None:
    """Draw the list of numbered events below ``top``."""
    for number, line in enumerate(marks.listed):
        page.text(x, top - (number + 0.5) * _LINE_IN, line, size=_SIZE, colour=SOFT_INK)
