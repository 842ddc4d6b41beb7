"""A chart of many rows over one time axis: names left, numbers right, events above, key below."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import pandas as pd

from analysis.chart import events as event_marks
from analysis.chart.events import Event
from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.key import Entries, draw_key, key_height
from analysis.chart.sheet import Sheet, clean, shortened
from analysis.chart.simulated import Simulated
from analysis.chart.style import SOFT_INK
from analysis.chart.tiles import snapped
from analysis.chart.time_axis import DayAxis, draw_axis

WIDTH_IN: Final = 11.5
LABELS_IN: Final = 1.7
NUMBER_IN: Final = 0.7
"""Width of a column of numbers: "123,456" at 7.5 points, and a gap."""
HEADER_IN: Final = 0.24
AXIS_IN: Final = 0.42
MAX_DAY_IN: Final = 1.0


class Row(NamedTuple):
    """A row: what it belongs to, its name, numbers beside it, and its cells in order of day.

    Cells have ``date`` and ``until``, their first and last day.
    """

    group: str
    name: str
    numbers: tuple[str, ...]
    cells: list[dict[str, Any]]


class Ruled(NamedTuple):
    """The sheet of rows. ``bottoms``: of each row; ``strip``: bottom of the room below them."""

    page: Sheet
    axis: DayAxis
    bottoms: tuple[float, ...]
    strip: float

    def x(self, cell: dict[str, Any]) -> tuple[float, float]:
        """Where a cell begins and ends."""
        return self.axis.x(cell["date"]), self.axis.x(cell["until"]) + self.axis.cell


class Plan(NamedTuple):
    """What a chart of rows is made of; heights in inches. ``headings``: of the numbers."""

    rows: Sequence[Row]
    headings: tuple[str, ...]
    height: float
    strip_height: float
    key: Entries
    title: str
    caption: str
    simulated: Simulated


def cells_by_row(table: pd.DataFrame) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return a table's records by their group and name, in its order."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for record in table.to_dict("records"):
        cell = {str(key): item for key, item in record.items()}
        found.setdefault((cell["group"], cell["name"]), []).append(cell)
    return found


def ruled(plan: Plan, events: Sequence[Event]) -> Ruled:
    """Lay out and draw everything but the cells."""
    days = [cell["date"] for cell in plan.rows[0].cells]
    axis = _axis(days[0], plan.rows[0].cells[-1]["until"], len(plan.headings))
    right = WIDTH_IN - MARGIN_IN
    # Labels end with the axis: beside it stand the headings of the numbers.
    marks = event_marks.arrange(events, axis, MARGIN_IN, axis.right)
    key = key_height(right - MARGIN_IN, plan.key)
    groups = [row.group for row in plan.rows]
    n_groups = sum(bool(g) and (not n or g != groups[n - 1]) for n, g in enumerate(groups))
    body = len(plan.rows) * plan.height + n_groups * HEADER_IN + plan.strip_height
    below = AXIS_IN + marks.key_height + key + 0.15
    plot = snapped(marks.height + HEADER_IN + body + below)
    caption = " ".join([plan.caption, *marks.notes])
    frame = framed(WIDTH_IN, plot, plan.title, caption, simulated=plan.simulated)
    page, top = frame.page, snapped(frame.top - marks.height)
    for number, heading in enumerate(plan.headings):
        x = axis.right + NUMBER_IN * (number + 1)
        page.text(x, top - HEADER_IN / 2, heading, size=7.5, bold=True, ha="right")
    y, bottoms = top - HEADER_IN, []
    for number, row in enumerate(plan.rows):
        if row.group and (not number or row.group != groups[number - 1]):
            y -= HEADER_IN
            words = shortened(clean(row.group), LABELS_IN + 2, 9, bold=True)
            page.text(MARGIN_IN, y + HEADER_IN / 2, words, size=9, bold=True)
        y -= plan.height
        bottoms.append(y)
        middle = y + plan.height / 2
        name = shortened(clean(row.name), LABELS_IN - 0.1, 8)
        page.text(MARGIN_IN, middle, name, size=8)
        for column, text in enumerate(row.numbers):
            x = axis.right + NUMBER_IN * (column + 1)
            page.text(x, middle, text, size=7.5, ha="right")
    bottom = y - plan.strip_height
    event_marks.draw(page, marks, bottom, top - HEADER_IN)
    draw_axis(page, axis, bottom)
    event_marks.draw_key(page, marks, MARGIN_IN, bottom - AXIS_IN)
    at = bottom - AXIS_IN - marks.key_height - 0.05
    draw_key(page, MARGIN_IN, at, right - MARGIN_IN, entries=plan.key)
    return Ruled(page, axis, tuple(bottoms), bottom)


def _axis(first: date, last: date, n_numbers: int) -> DayAxis:
    left = MARGIN_IN + LABELS_IN
    room = WIDTH_IN - MARGIN_IN - left - NUMBER_IN * n_numbers - 0.1
    n_days = (last - first).days + 1
    return DayAxis(left, min(room / n_days, MAX_DAY_IN), n_days, first)


def strip_label(sheet: Ruled, title: str, below: str, height: float) -> None:
    """Name the strip below the rows, to its left."""
    y = sheet.strip + height / 2
    sheet.page.text(MARGIN_IN, y + 0.075, title, size=8, bold=True)
    text = shortened(below, LABELS_IN - 0.1, 7.5)
    sheet.page.text(MARGIN_IN, y - 0.075, text, size=7.5, colour=SOFT_INK)
