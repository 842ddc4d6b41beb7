"""When blocking began and ended: a forest of dates with their intervals, shares beside them.

A row is a change, or several series' changes that go together. What is doubtful is an open
marker; events are lines, near in time and no more than that.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart import events as event_marks
from analysis.chart.events import Event, event_words
from analysis.chart.framed import framed
from analysis.chart.scale import compact, percent
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, Simulated
from analysis.chart.style import INK, RULE, SOFT_INK, settings
from analysis.chart.time_axis import DayAxis, draw_axis

WIDTH_IN: Final = 12.0
LABELS_IN: Final = 2.5
COLUMNS_IN: Final = (1.45, 2.3)
"""Right of the dates: when, with its interval; shares before and after, with n."""

ROW_IN: Final = 0.4
HEAD_IN: Final = 0.28
AXIS_IN: Final = 0.42
KEY_IN: Final = 0.3

ONSET: Final = "#b54f00"
LIFTING: Final = "#0072b2"
_MARKERS: Final = {"onset": ("^", ONSET), "lifting": ("v", LIFTING)}
COLUMNS: Final = (
    "label", "detail", "direction", "date", "first", "last", "before", "before_low",
    "before_high", "n_before", "after", "after_low", "after_high", "n_after", "is_doubtful",
)  # fmt: skip


def onsets(
    table: pd.DataFrame,
    span: tuple[date, date],
    events: Sequence[Event] = (),
    *,
    title: str,
    source: str,
    simulated: Simulated = "none",
) -> Figure:
    """Draw changes, a row each, in the order given.

    Args:
        table: `COLUMNS`; shares are missing where none is known; dates within ``span``.
        span: first and last day with data.
        events: lines through the rows.
        title: the heading.
        source: who measured what, for the caption.
        simulated: how much of it is of no real network.

    Raises:
        ValueError: a column is missing, or there are no rows.
    """
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing or table.empty:
        raise ValueError(f"no column {missing[0]}" if missing else "no rows")
    with settings():
        return _draw(table, span, events, title, source, simulated=simulated)


def _draw(
    table: pd.DataFrame,
    span: tuple[date, date],
    events: Sequence[Event],
    title: str,
    source: str,
    *,
    simulated: Simulated,
) -> Figure:
    left = 0.25 + LABELS_IN
    area = WIDTH_IN - left - sum(COLUMNS_IN) - 0.35
    n_days = (span[1] - span[0]).days + 1
    axis = DayAxis(left, area / n_days, n_days, span[0])
    marks = event_marks.arrange(events, axis, 0.25, WIDTH_IN - 0.25)
    plot = len(table) * ROW_IN
    inner = HEAD_IN + marks.height + plot + AXIS_IN + marks.key_height + KEY_IN
    caption = " ".join([f"Source: {source}.", _READING, *marks.notes])
    frame = framed(WIDTH_IN, inner, title, caption, simulated=simulated)
    page = frame.page
    bottom = frame.bottom + KEY_IN + marks.key_height + AXIS_IN
    top = bottom + plot
    event_marks.draw(page, marks, bottom, top)
    draw_axis(page, axis, bottom)
    event_marks.draw_key(page, marks, 0.25, bottom - AXIS_IN)
    _draw_key(page, 0.25, frame.bottom + KEY_IN / 2)
    when = axis.right + 0.15
    shares = when + COLUMNS_IN[0]
    head = top + marks.height + HEAD_IN / 2
    page.text(when, head, "when, 95 % interval", size=8, bold=True)
    page.text(shares, head, "share failing, 95 % interval", size=8, bold=True)
    before = ""
    for number, row in enumerate(table[list(COLUMNS)].to_dict("records")):
        y = top - (number + 0.5) * ROW_IN
        if number:
            line = y + ROW_IN / 2
            start = axis.left if row["label"] == before else 0.25
            page.line((start, WIDTH_IN - 0.25), (line, line), colour="#e3e6e8", width=0.6, dash="-")
        _draw_row(page, axis, row, y)
        _draw_words(page, row, y, when, shares, is_named=row["label"] != before)
        before = row["label"]
    return page.figure


_READING: Final = (
    "Date: first day of the new level. An event near a change is near in time, not its cause."
)


def _draw_row(page: Sheet, axis: DayAxis, row: dict[Any, Any], y: float) -> None:
    marker, ink = _MARKERS[row["direction"]]
    left, right = axis.x_within(row["first"]), axis.x_within(row["last"] + timedelta(days=1))
    # One stroke with its ends: three would be three times the bytes.
    page.axes.plot(
        (left, left, left, right, right, right),
        (y + 0.05, y - 0.05, y, y, y + 0.05, y - 0.05),
        color=ink, linewidth=1.3, solid_capstyle="butt", zorder=4,
    )  # fmt: skip
    x = min(axis.x(row["date"]) + axis.cell / 2, axis.right)
    page.axes.plot(
        [x], [y], marker=marker, markersize=7, markeredgewidth=1.2, linestyle="none", zorder=5,
        color=ink, markerfacecolor="white" if row["is_doubtful"] else ink,
    )  # fmt: skip


def _draw_words(
    page: Sheet, row: dict[Any, Any], y: float, when: float, shares: float, *, is_named: bool
) -> None:
    room = LABELS_IN - 0.1
    if is_named:
        page.text(0.25, y + 0.08, shortened(clean(row["label"]), room, 8.5), size=8.5)
    if row["detail"]:
        detail = shortened(clean(row["detail"]), room, 7.5)
        page.text(0.25, y - 0.09, detail, size=7.5, colour=SOFT_INK)
    page.text(when, y + 0.08, str(row["date"]), size=8.5)
    page.text(when, y - 0.09, _reach(row), size=7.5, colour=SOFT_INK)
    page.text(shares, y + 0.08, f"{_share(row['before'])} → {_share(row['after'])}", size=8.5)
    page.text(shares, y - 0.09, _evidence(row, COLUMNS_IN[1]), size=7, colour=SOFT_INK)


def interval_words(row: dict[Any, Any]) -> str:
    """Say the interval of a date, the year once."""
    first, last = row["first"], row["last"]
    if first == last:
        return "that day"
    short = f"{last:%m-%d}" if first.year == last.year else str(last)
    return f"{first} to {short}"


def _reach(row: dict[Any, Any]) -> str:
    """Say the interval of a date in days around it: a letter takes 70 bytes of SVG."""
    early, late = (row["date"] - row["first"]).days, (row["last"] - row["date"]).days
    return f"-{early}/+{late} days" if early or late else "that day"


def _share(share: float) -> str:
    return "?" if pd.isna(share) else percent(share)


def _evidence(row: dict[Any, Any], room: float) -> str:
    """Say intervals and n of both sides, the longest words that have room."""
    sides = []
    for side in ("before", "after"):
        n = compact(row[f"n_{side}"])
        if pd.isna(row[side]) or (row[f"{side}_low"], row[f"{side}_high"]) == (0.0, 1.0):
            sides.append(f"n {n}")
            continue
        low, high = (100 * row[f"{side}_{end}"] for end in ("low", "high"))
        digits = 1 if high - low < 2 else 0
        sides.append(f"{low:.{digits}f}-{high:.{digits}f}, n {n}")
    text = " → ".join(sides)
    return shortened(text, room, 7) if width_of(text, 7) > room else text


def _draw_key(page: Sheet, x: float, y: float) -> None:
    for direction, words in (("onset", "onset: more fails from then on"),
                             ("lifting", "lifting: less fails")):  # fmt: skip
        marker, ink = _MARKERS[direction]
        page.line((x, x + 0.3), (y, y), colour=ink, width=1.6, dash="-")
        page.axes.plot([x + 0.15], [y], marker=marker, markersize=6.5, color=ink, linestyle="none")
        page.text(x + 0.37, y, words, size=7.5, colour=SOFT_INK)
        x += 0.37 + width_of(words, 7.5) + 0.25
    page.axes.plot([x + 0.06], [y], marker="^", markersize=6.5, color=RULE, markerfacecolor="white",
                   markeredgecolor=INK, linestyle="none")  # fmt: skip
    page.text(x + 0.17, y, "open: doubtful", size=7.5, colour=SOFT_INK)
    page.text(x + 0.37 + width_of("open: doubtful", 7.5), y,
              "line: days that it may have been", size=7.5, colour=SOFT_INK)  # fmt: skip


def onsets_alt_text(
    table: pd.DataFrame,
    span: tuple[date, date],
    events: Sequence[Event] = (),
    *,
    simulated: Simulated = "none",
) -> str:
    """Say the span, each row with date, interval, shares and n, and events."""
    rows = table.to_dict("records")
    n_onsets = sum(row["direction"] == "onset" for row in rows)
    drawn = f"{n_onsets} onsets and {len(rows) - n_onsets} liftings are drawn."
    parts = [
        *([SPOKEN[simulated].strip()] if simulated != "none" else []),
        f"When blocking began and ended, {span[0]} to {span[1]}: {drawn}",
    ]
    for row in rows:
        doubt = "doubtful " if row["is_doubtful"] else ""
        parts.append(
            f"{clean(row['label'])}: {doubt}{row['direction']} on {row['date']} "
            f"({interval_words(row)}), {_share(row['before'])} to {_share(row['after'])} failing, "
            f"{_evidence(row, 9.0)}."
        )
    inside = [event for event in events if event.touches(*span)]
    if inside:
        parts.append("Events: " + "; ".join(event_words(event) for event in inside) + ".")
    return " ".join(parts)
