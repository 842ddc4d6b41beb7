"""States over time: one row per target and way, one cell per day.

Blocking and ways around it share one time axis, so that it shows whether the one
outlived the other.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from analysis.chart import events as event_marks
from analysis.chart.events import Event
from analysis.chart.key import draw_key, key_height
from analysis.chart.series import draw_labels, grouped_rows, value
from analysis.chart.sheet import Sheet, clean, sheet, shortened, width_of, wrapped
from analysis.chart.style import INK, LOOKS, NO_DATA_FACE, NO_DATA_HATCH, SOFT_INK, settings
from analysis.chart.time_axis import DayAxis, draw_axis
from probe.model.verdict import BLOCKED_STATES, State
from probe.verdict.words import STATE_WORDS

__all__ = ["Event", "draw_banner", "timeline"]

CELL_IN: Final = 0.44
"""Width of a day where there is room: "5/5" at 8 points and a margin."""
CELL_TEXT_IN: Final = 0.3
"""Narrower cells hold no text: "n=12" at 6 points is 0.25 inches wide."""
AREA_IN: Final = (5.0, 13.0)
"""Least and largest width of the days; a page is scaled down to about 10 inches."""
LEAST_WIDTH_IN: Final = 8.0
"""Room for the heading and the key of a history of a few days."""
PHASE_GAP_IN: Final = 0.016
LABELS_IN: Final = 1.75
MARGIN_IN: Final = 0.25
CELL_HEIGHT_IN: Final = 0.5
STRIP_IN: Final = 0.17
GROUP_GAP_IN: Final = 0.14
AXIS_IN: Final = 0.42
TITLE_IN: Final = 0.75
CAPTION_LINE_IN: Final = 0.15


def timeline(
    table: pd.DataFrame, events: Sequence[Event] = (), *, title: str | None = None, source: str
) -> Figure:
    """Draw a day grid.

    Args:
        table: one row per day and series, days without data included, with the
            columns of `analysis.query.days.day_grid`; at least one row.
        events: one bar each above the rows, lines at the start of their days; those
            outside the days are counted in the caption.
        title: a heading; by default one that says what is shown and the span.
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, events, title, clean(source))


def _draw(table: pd.DataFrame, events: Sequence[Event], title: str | None, source: str) -> Figure:
    first, last = table["day"].min(), table["day"].max()
    n_days = (last - first).days + 1
    is_simulated = bool(table["lab"].any())
    area = min(max(n_days * CELL_IN, AREA_IN[0]), AREA_IN[1])
    layout = DayAxis(MARGIN_IN + LABELS_IN, min(area / n_days, 1.0), n_days, first)
    width = max(layout.right + MARGIN_IN, LEAST_WIDTH_IN)
    marks = event_marks.arrange(events, layout, MARGIN_IN, width - MARGIN_IN)
    rows = grouped_rows(table)
    heading = clean(title) if title else f"Blocking and ways around it, {first} to {last}"
    caption = _caption(table, layout, source, marks.notes)
    heading = shortened(heading, width - 2 * MARGIN_IN, 13, bold=True)
    lines = wrapped(caption, width - 2 * MARGIN_IN, 7.5, 6)
    key_rows = key_height(width - 2 * MARGIN_IN)
    n_groups = len({row.target_id for row in rows})
    plot = len(rows) * (CELL_HEIGHT_IN + STRIP_IN) + (n_groups - 1) * GROUP_GAP_IN
    below = AXIS_IN + marks.key_height + key_rows + len(lines) * CAPTION_LINE_IN + 2 * MARGIN_IN
    height = below + plot + marks.height + TITLE_IN + MARGIN_IN / 2
    page = sheet(width, height, heading)

    page.text(MARGIN_IN, height - 0.3, heading, size=13, bold=True)
    if is_simulated:
        draw_banner(page, MARGIN_IN, height - 0.56)
    bottom, top = below, below + plot
    y = top
    for number, row in enumerate(rows):
        if number and row.target_id != rows[number - 1].target_id:
            y -= GROUP_GAP_IN
            page.line(
                (MARGIN_IN, layout.right), (y + GROUP_GAP_IN / 2,) * 2,
                colour="#d5d8db", width=0.8, dash="-",
            )  # fmt: skip
        y -= CELL_HEIGHT_IN + STRIP_IN
        draw_labels(
            page, row, MARGIN_IN, y + STRIP_IN + CELL_HEIGHT_IN / 2, LABELS_IN,
            is_first=not number or row.target_id != rows[number - 1].target_id,
        )  # fmt: skip
        _draw_row(page, layout, row.cells, y)
    event_marks.draw(page, marks, bottom, top)
    draw_axis(page, layout, bottom)
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


def draw_banner(page: Sheet, x: float, y: float) -> None:
    """Say that nothing here is of a real network."""
    page.text(
        x, y, "SIMULATED NETWORK: these days say nothing about any real network",
        size=9, bold=True, colour="#8a3b00",
    )  # fmt: skip


def _same(cell: dict[str, Any]) -> tuple[Any, ...]:
    """Return what makes two neighbouring days one phase to the eye."""
    return (value(cell["state"]) if cell["n"] else None, value(cell["mechanism"]))


def _phases(cells: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for _, days in groupby(cells, key=_same):
        yield list(days)


def _draw_row(page: Sheet, layout: DayAxis, cells: Sequence[dict[str, Any]], y: float) -> None:
    base = y + STRIP_IN
    for days in _phases(cells):
        first = days[0]
        x = layout.x(first["day"])
        width = layout.cell * len(days)
        drawn = width - min(PHASE_GAP_IN, layout.cell / 4)
        state: State | None = value(first["state"]) if first["n"] else None
        if state is None:
            page.box(
                x, base, drawn, CELL_HEIGHT_IN, face=NO_DATA_FACE, hatch=NO_DATA_HATCH,
                ink="#c4c4c4",
            )  # fmt: skip
        else:
            look = LOOKS[state]
            page.box(
                x, base, drawn, CELL_HEIGHT_IN, face=look.face, hatch=look.hatch, ink=look.hatch_ink
            )
        if state is None:
            _draw_no_data(page, x, width, base)
        elif layout.cell >= CELL_TEXT_IN:
            for cell in days:
                _draw_cell(page, layout, cell, state, base)
        elif width > 0.16:
            page.text(
                x + width / 2, base + CELL_HEIGHT_IN / 2, LOOKS[state].symbol, size=10, bold=True,
                ha="center", halo=LOOKS[state].face,
            )  # fmt: skip
        for cell in days:
            if cell["is_mixed"]:
                _draw_corner(page, layout, cell, base)
        if state is not None and state != "ok":
            _draw_strip(page, first=first, state=state, x=x, width=width, y=y)


def _draw_no_data(page: Sheet, x: float, width: float, base: float) -> None:
    """Say once per gap that it is one."""
    middle = base + CELL_HEIGHT_IN / 2
    lines = [("no data", middle)]
    if width < width_of("no data", 7) + 0.08:
        lines = [("no", middle + 0.055), ("data", middle - 0.055)]
    if width < width_of("data", 7) + 0.04:
        return
    # A long gap is crossed by event lines: its words go to its start, a short
    # one's to its middle.
    is_long = width > 4 * width_of("no data", 7)
    for text, y in lines:
        page.text(
            x + 0.06 if is_long else x + width / 2, y, text, size=7, colour=SOFT_INK,
            ha="left" if is_long else "center", halo=NO_DATA_FACE,
        )  # fmt: skip


def _draw_cell(
    page: Sheet, layout: DayAxis, cell: dict[str, Any], state: State, base: float
) -> None:
    x = layout.x(cell["day"])
    middle = x + layout.cell / 2
    page.line((x, x), (base, base + CELL_HEIGHT_IN), colour="white", width=0.6, dash="-")
    look = LOOKS[state]
    halo = look.face if look.hatch else None
    n_total = value(cell["n_total"])
    # Without members the other two lines stay in place: rows of symbols must align.
    page.text(middle, base + 0.39, look.symbol, size=9, bold=True, ha="center", halo=halo)
    if n_total:
        share = f"{int(cell['n_ok'])}/{int(n_total)}"
        size = 8.5 if width_of(share, 8.5, bold=True) < layout.cell - 0.06 else 6.5
        page.text(middle, base + 0.235, share, size=size, bold=True, ha="center", halo=halo)
    page.text(middle, base + 0.09, f"n={cell['n']}", size=6.5, ha="center", halo=halo)


def _draw_corner(page: Sheet, layout: DayAxis, cell: dict[str, Any], base: float) -> None:
    """Mark a day whose runs differ in state."""
    right = layout.x(cell["day"]) + layout.cell
    top = base + CELL_HEIGHT_IN
    side = min(0.11, max(layout.cell, 0.07))
    page.axes.add_patch(
        Polygon(
            [(right, top), (right - side, top), (right, top - side)], facecolor=INK, linewidth=0
        )
    )


def _draw_strip(
    page: Sheet, *, first: dict[str, Any], state: State, x: float, width: float, y: float
) -> None:
    """Name a phase once, under its cells, in the longest words that fit."""
    choices = _strip_words(state, value(first["mechanism"]))
    if state == "impaired" and first["tactic"] != "none" and not value(first["n_ok"]):
        choices = ["does not work"]
    for text in choices:
        if width_of(text, 6.8) <= width - 0.04:
            page.text(
                x + width / 2, y + STRIP_IN / 2, text, size=6.8, colour=SOFT_INK, ha="center",
                halo="white",
            )  # fmt: skip
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


def _caption(table: pd.DataFrame, layout: DayAxis, source: str, notes: Sequence[str]) -> str:
    direct = table[table["tactic"] == "none"]
    measured = direct[direct["n"] > 0]["day"].nunique()
    parts = [
        f"Source: {source}.",
        f"{measured} of {layout.n_days} days have data on some target.",
    ]
    if layout.cell >= CELL_TEXT_IN:
        parts.append(
            "In a cell: symbol of the state, members that work of members tried, "
            "n = runs of that day."
        )
    else:
        low, high = int(table.loc[table["n"] > 0, "n"].min()), int(table["n"].max())
        runs = f"{low}" if low == high else f"{low} to {high}"
        parts.append(
            f"Days are too narrow for their numbers here: n = {runs} runs in each cell with data; "
            "the table has them all."
        )
    parts.append("State and numbers are the most frequent of the day, ties to the worse.")
    return " ".join([*parts, *notes])
