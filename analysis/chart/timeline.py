"""States over time: one row per target, network and way, one cell per day.

Blocking and ways around it share one time axis, so that it shows whether the one
outlived the other.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart import events as event_marks
from analysis.chart.events import Event
from analysis.chart.key import NO_DATA, draw_key, key_height
from analysis.chart.scale import compact
from analysis.chart.series import SeriesRow, draw_labels, grouped_rows, value
from analysis.chart.sheet import Sheet, clean, sheet, shortened, width_of, wrapped
from analysis.chart.simulated import BANNERS, Simulated, simulated
from analysis.chart.style import INK, LOOKS, SOFT_INK, Look, settings
from analysis.chart.tiles import Stamps, Tiles, corners, seams, snapped
from analysis.chart.time_axis import DayAxis, draw_axis
from probe.model.verdict import BLOCKED_STATES, State
from probe.verdict.words import STATE_WORDS

__all__ = ["Event", "draw_banner", "timeline"]

CELL_IN: Final = 0.44
"""Width of a day where there is room: "5/5" at 8 points and a margin."""
CELL_TEXT_IN: Final = 0.3
"""Narrower cells hold no text: "n=12" at 6 points is 0.25 inches wide."""
MAX_TOLD: Final = 300
"""More cells than these hold no text, more phases no symbols, more days that differ no corners:
it would be half a megabyte, and nobody would read it."""
AREA_IN: Final = (5.0, 13.0)
"""Least and largest width of the days; a page is scaled down to about 10 inches."""
LEAST_WIDTH_IN: Final = 8.0
"""Room for the heading and the key of a history of a few days."""
PHASE_GAP_IN: Final = 0.016
LABELS_IN: Final = 1.75
MARGIN_IN: Final = 0.25
CELL_HEIGHT_IN: Final = 0.5
LOW_CELL_HEIGHT_IN: Final = 0.3
"""Of cells without text, where there are many rows."""
MANY_ROWS: Final = 8
STRIP_IN: Final = 0.17
GROUP_GAP_IN: Final = 0.14
AXIS_IN: Final = 0.42
TITLE_IN: Final = 0.75
CAPTION_LINE_IN: Final = 0.15


class _Layout(NamedTuple):
    """Where rows lie, and what is drawn in many places."""

    axis: DayAxis
    height: float
    is_told: bool
    has_symbols: bool
    has_corners: bool
    tiles: Tiles
    halos: Tiles
    stamps: Stamps
    corners: list[tuple[float, float, float]]
    seams: list[tuple[float, float]]

    def x(self, cell: dict[str, Any]) -> float:
        """Where a cell begins."""
        return self.axis.x(cell["day"])

    def end(self, cell: dict[str, Any]) -> float:
        """Where a cell ends."""
        return self.axis.x(_until(cell)) + self.axis.cell

    def write(
        self,
        text: str,
        x: float,
        y: float,
        *,
        size: float,
        face: str,
        bold: bool = False,
        colour: str = INK,
    ) -> None:
        """Write a word around a place; a hatch behind it is cleared to ``face``."""
        if face:
            width, height = width_of(text, size, bold=bold) + 0.02, size / 72 * 1.05
            halo = Look(face, "", face, "")
            self.halos.add(halo, x - width / 2, y - height / 2, width, height)
        self.stamps.add(text, x, y, size=size, bold=bold, colour=colour)


def _until(cell: dict[str, Any]) -> date:
    """Return the last day of a cell; cells of one day need not name it."""
    day: date = cell.get("until", cell["day"])
    return day


def timeline(
    table: pd.DataFrame, events: Sequence[Event] = (), *, title: str | None = None, source: str
) -> Figure:
    """Draw a day grid.

    Args:
        table: one row per series and day (week, month), those without data included; at least
            one row, in the order of drawing. Columns: day; until, the last day of the cell,
            where it is of more than one; place, empty where all rows are of one; target_id,
            service_id, tactic, proxy_id, n, state, is_mixed, mechanism, n_ok, n_total, lab.
        events: one bar each above the rows, lines at the start of their days; those
            outside the days are counted in the caption.
        title: a heading; by default one that says what is shown and the span.
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, events, title, clean(source))


def _draw(table: pd.DataFrame, events: Sequence[Event], title: str | None, source: str) -> Figure:
    rows = grouped_rows(table)
    first = table["day"].min()
    last = max(_until(cell) for row in rows for cell in row.cells)
    n_days = (last - first).days + 1
    area = min(max(n_days * CELL_IN, AREA_IN[0]), AREA_IN[1])
    axis = DayAxis(MARGIN_IN + LABELS_IN, min(area / n_days, 1.0), n_days, first)
    is_told = _is_told(table, axis, rows)
    is_low = len(rows) > MANY_ROWS and not is_told
    layout = _Layout(
        axis,
        LOW_CELL_HEIGHT_IN if is_low else CELL_HEIGHT_IN,
        is_told,
        sum(1 for row in rows for _ in _phases(row.cells)) <= MAX_TOLD,
        int(table["is_mixed"].sum()) <= MAX_TOLD,
        Tiles(),
        Tiles(),
        Stamps(),
        [],
        [],
    )
    width = max(axis.right + MARGIN_IN, LEAST_WIDTH_IN)
    marks = event_marks.arrange(events, axis, MARGIN_IN, width - MARGIN_IN)
    heading = clean(title) if title else f"Blocking and ways around it, {first} to {last}"
    caption = _caption(table, rows, layout, source, marks.notes)
    heading = shortened(heading, width - 2 * MARGIN_IN, 13, bold=True)
    lines = wrapped(caption, width - 2 * MARGIN_IN, 7.5, 6)
    key_rows = key_height(width - 2 * MARGIN_IN)
    n_gaps = sum(_gap(rows, number) for number in range(1, len(rows)))
    plot = len(rows) * (layout.height + STRIP_IN) + n_gaps * GROUP_GAP_IN
    below = AXIS_IN + marks.key_height + key_rows + len(lines) * CAPTION_LINE_IN + 2 * MARGIN_IN
    height = snapped(below + plot + marks.height + TITLE_IN + MARGIN_IN / 2)
    page = sheet(width, height, heading)

    page.text(MARGIN_IN, height - 0.3, heading, size=13, bold=True)
    draw_banner(page, MARGIN_IN, height - 0.56, simulated(table))
    bottom, top = below, below + plot
    y = top
    for number, row in enumerate(rows):
        before = rows[number - 1] if number else None
        if before and _gap(rows, number):
            y -= GROUP_GAP_IN
            page.line(
                (MARGIN_IN, axis.right), (y + GROUP_GAP_IN / 2,) * 2,
                colour="#d5d8db", width=0.8, dash="-",
            )  # fmt: skip
        y -= layout.height + STRIP_IN
        middle = y + STRIP_IN + layout.height / 2
        draw_labels(page, row, before, (MARGIN_IN, middle), LABELS_IN)
        _draw_row(layout, row.cells, y)
    layout.tiles.draw(page)
    corners(page, layout.corners)
    event_marks.draw(page, marks, bottom, top)
    seams(page, layout.seams, CELL_HEIGHT_IN)
    layout.halos.draw(page, zorder=2.8)
    layout.stamps.draw(page)
    draw_axis(page, axis, bottom)
    y = bottom - AXIS_IN
    event_marks.draw_key(page, marks, MARGIN_IN, y)
    y -= marks.key_height
    draw_key(page, MARGIN_IN, y - 0.12, width - 2 * MARGIN_IN)
    y -= key_rows + 0.12
    for number, line in enumerate(lines):
        page.text(
            MARGIN_IN, y - number * CAPTION_LINE_IN, line, size=7.5, colour=SOFT_INK, va="top"
        )
    return page.figure


def _gap(rows: Sequence[SeriesRow], number: int) -> bool:
    """Whether a row begins a target, or a place where places have more than one row."""
    row, before = rows[number], rows[number - 1]
    if row.target_id != before.target_id:
        return True
    return row.place != before.place and any(other.tactic != "none" for other in rows)


def _is_told(table: pd.DataFrame, axis: DayAxis, rows: Sequence[SeriesRow]) -> bool:
    """Whether cells hold their numbers: there is room for them, and they are few enough."""
    widest = max((_until(cell) - cell["day"]).days + 1 for cell in rows[0].cells)
    return axis.cell * widest >= CELL_TEXT_IN and int((table["n"] > 0).sum()) <= MAX_TOLD


def draw_banner(page: Sheet, x: float, y: float, how_much: Simulated) -> None:
    """Say that nothing here is of a real network, or that something is not."""
    if how_much != "none":
        page.text(x, y, BANNERS[how_much], size=9, bold=True, colour="#8a3b00")


def _same(cell: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes two neighbouring days one phase to the eye."""
    return (value(cell["state"]) if cell["n"] else None, value(cell["mechanism"]))


def _phases(cells: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for _, days in groupby(cells, key=_same):
        yield list(days)


def _draw_row(layout: _Layout, cells: Sequence[dict[str, Any]], y: float) -> None:
    base = y + STRIP_IN
    for days in _phases(cells):
        first = days[0]
        x = layout.x(first)
        width = layout.end(days[-1]) - x
        drawn = width - min(PHASE_GAP_IN, layout.axis.cell / 4)
        state: State | None = value(first["state"]) if first["n"] else None
        look = LOOKS[state] if state else NO_DATA
        layout.tiles.add(look, x, base, drawn, layout.height)
        if state is None:
            _draw_no_data(layout, x, width, base)
        elif layout.is_told:
            for cell in days:
                _draw_cell(layout, cell, look, base)
        elif width > 0.16 and layout.has_symbols:
            layout.write(
                look.symbol, x + width / 2, base + layout.height / 2, size=10, bold=True,
                face=look.face,
            )  # fmt: skip
        for cell in days:
            if cell["is_mixed"] and layout.has_corners:
                end, side = layout.end(cell), layout.end(cell) - layout.x(cell)
                layout.corners.append(
                    (end, base + layout.height, min(0.22 * layout.height, max(side, 0.07)))
                )
        if state is not None and state != "ok":
            _draw_strip(layout, first=first, state=state, x=x, width=width, y=y)


def _draw_no_data(layout: _Layout, x: float, width: float, base: float) -> None:
    """Say once per gap that it is one."""
    middle = base + layout.height / 2
    lines = [("no data", middle)]
    if width < width_of("no data", 7) + 0.08:
        lines = [("no", middle + 0.055), ("data", middle - 0.055)]
    if width < width_of("data", 7) + 0.04:
        return
    # A long gap is crossed by event lines: its words go to its start, a short
    # one's to its middle.
    is_long = width > 4 * width_of("no data", 7)
    for text, y in lines:
        centre = x + 0.06 + width_of(text, 7) / 2 if is_long else x + width / 2
        layout.write(text, centre, y, size=7, colour=SOFT_INK, face=NO_DATA.face)


def _draw_cell(layout: _Layout, cell: dict[str, Any], look: Look, base: float) -> None:
    x, end = layout.x(cell), layout.end(cell)
    middle, room = (x + end) / 2, end - x - 0.06
    if end - x < CELL_TEXT_IN:
        return  # the rest of a week or month at either end
    layout.seams.append((x, base))
    face = look.face if look.hatch else ""
    n_total = value(cell["n_total"])
    # Without members the other two lines stay in place: rows of symbols must align.
    layout.write(look.symbol, middle, base + 0.39, size=9, bold=True, face=face)
    if n_total:
        share = f"{int(cell['n_ok'])}/{int(n_total)}"
        size = 8.5 if width_of(share, 8.5, bold=True) < room else 6.5
        layout.write(share, middle, base + 0.235, size=size, bold=True, face=face)
    number = f"n={cell['n']}"
    if width_of(number, 6.5) < room + 0.05:
        layout.write(number, middle, base + 0.09, size=6.5, face=face)
    else:
        layout.write(compact(cell["n"]), middle, base + 0.09, size=5.5, face=face)


def _draw_strip(
    layout: _Layout, *, first: dict[str, Any], state: State, x: float, width: float, y: float
) -> None:
    """Name a phase once, under its cells, in the longest words that fit."""
    choices = _strip_words(state, value(first["mechanism"]))
    if state == "impaired" and first["tactic"] != "none" and not value(first["n_ok"]):
        choices = ["does not work"]
    for text in choices:
        if width_of(text, 6.8) <= width - 0.04:
            layout.write(
                text, x + width / 2, y + STRIP_IN / 2, size=6.8, colour=SOFT_INK, face="white"
            )
            return


def _strip_words(state: State, mechanism: str | None) -> list[str]:
    """Name a phase, the longest words first."""
    words = STATE_WORDS[state].split(",")[0]
    if mechanism is None:
        return [words]
    if state in BLOCKED_STATES:
        return [f"{words}: {mechanism}", mechanism]
    # There it is what the failure looks like, not a finding.
    return [f"cause unclear, like {mechanism}", f"like {mechanism}"]


def _caption(
    table: pd.DataFrame, rows: Sequence[SeriesRow], layout: _Layout, source: str,
    notes: Sequence[str],
) -> str:  # fmt: skip
    direct = table[table["tactic"] == "none"]
    measured = direct[direct["n"] > 0]["day"].nunique()
    period = period_words(rows)
    parts = [
        f"Source: {source}.",
        f"{measured} of {len(rows[0].cells)} {period}s have data on some target.",
    ]
    if layout.is_told:
        parts.append(
            "In a cell: symbol of the state, members that work of members tried, "
            f"n = runs of that {period}."
        )
    else:
        low, high = int(table.loc[table["n"] > 0, "n"].min()), int(table["n"].max())
        runs = f"{low}" if low == high else f"{low:,} to {high:,}"
        parts.append(
            f"Cells are too many or too narrow for their numbers: n = {runs} runs in each with "
            "data; the table has them."
        )
    parts.append(f"State and numbers are the most frequent of the {period}, ties to the worse.")
    if not layout.has_corners:
        mixed, measured = int(table["is_mixed"].sum()), int((table["n"] > 0).sum())
        parts.append(f"Runs of a {period} differ in {mixed:,} of {measured:,} cells, not marked.")
    return " ".join([*parts, *notes])


def period_words(rows: Sequence[SeriesRow]) -> str:
    """Say what a cell is: a day, a week, a month, a quarter."""
    longest = max((_until(cell) - cell["day"]).days + 1 for cell in rows[0].cells)
    return next(
        word for most, word in ((1, "day"), (7, "week"), (31, "month"), (92, "quarter"))
        if longest <= most
    )  # fmt: skip
