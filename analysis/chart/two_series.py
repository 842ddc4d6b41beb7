"""Blocking and circumvention on one time axis: a share with its interval, a count on a log axis.

That the one follows the other is for the reader to see; the chart calls neither the cause.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from analysis.chart import events as event_marks
from analysis.chart.events import Event
from analysis.chart.paired import STEPS, Point, Words, caption_of, points_of, step_of
from analysis.chart.scale import Scale, compact, log_scale, percent, share_scale
from analysis.chart.sheet import Sheet, clean, sheet, shortened, width_of, wrapped
from analysis.chart.simulated import simulated
from analysis.chart.style import NO_DATA_FACE, NO_DATA_HATCH, RULE, SOFT_INK, settings
from analysis.chart.time_axis import DayAxis, draw_axis
from analysis.chart.timeline import draw_banner

WIDTHS_IN: Final = (6.0, 16.0)
LABELS_IN: Final = 1.75
VALUE_IN: Final = 0.5
"""Room right of the panels for the last value."""
MARGIN_IN: Final = 0.25
PANEL_IN: Final = 1.7
STRIP_IN: Final = 0.42
STRIP_BAR_IN: Final = 0.24
PANEL_GAP_IN: Final = 0.2
AXIS_IN: Final = 0.42
TITLE_IN: Final = 0.75
CAPTION_LINE_IN: Final = 0.15
MARKER_CELL_IN: Final = 0.09
"""From this width of a day on, every day has its marker."""
BAND_REACH: Final = 5.0
"""The axis of counts reaches so many times beyond them for a band, then cuts it."""

_PERIODS: Final[tuple[tuple[str, Callable[[date], Any]], ...]] = (
    ("day", lambda day: day),
    ("week", lambda day: day.isocalendar()[:2]),
    ("month", lambda day: (day.year, day.month)),
    ("quarter", lambda day: (day.year, (day.month - 1) // 3)),
    ("year", lambda day: day.year),
)


class _Cells(NamedTuple):
    """Where the cells of rows lie that stand for ``step`` days each."""

    days: DayAxis
    step: int

    @property
    def left(self) -> float:
        """Where the first begins."""
        return self.days.left

    @property
    def right(self) -> float:
        """Where the last ends."""
        return self.days.right

    @property
    def cell(self) -> float:
        """Width of one."""
        return self.days.cell * self.step

    def x(self, day: date) -> float:
        """Where the one of a day begins."""
        return self.days.x(day)


class Ink(NamedTuple):
    """How a series is drawn: of Okabe and Ito's colours, each with a marker of its own."""

    line: str
    band: str
    marker: str


BLOCKING: Final = Ink("#b54f00", "#f6cfb5", "o")
CIRCUMVENTION: Final = Ink("#0072b2", "#cfe6f5", "D")


def two_series(
    table: pd.DataFrame,
    events: Sequence[Event] = (),
    *,
    title: str | None = None,
    source: str,
    words: Words | None = None,
    notes: Sequence[str] = (),
    width: float = 10.0,
) -> Figure:
    """Draw a share and a count above each other, with events and n.

    Args:
        table: one row per day (or per 7 or 28 days), none left out, with `COLUMNS`:
            ``share`` of ``n`` between ``low`` and ``high``, all three missing where ``n`` is
            0; ``users`` with a band from ``lower`` to ``upper``, each possibly missing (a
            share, if ``words`` says so). ``lab``, if there is such a column, says that days
            are simulated.
        events: one bar each above the panels, lines through them.
        title: a heading; by default one with the span.
        source: who measured what, for the caption.
        words: what the series are.
        notes: further sentences of the caption.
        width: of the sheet, in inches, from 6 to 16.

    Raises:
        ValueError: the table is not as above; names the day.
    """
    with settings():
        return _draw(
            table, events, title=title, source=clean(source), words=words or Words(),
            notes=[clean(note) for note in notes], width=width,
        )  # fmt: skip


def _draw(
    table: pd.DataFrame,
    events: Sequence[Event],
    *,
    title: str | None,
    source: str,
    words: Words,
    notes: Sequence[str],
    width: float,
) -> Figure:
    points = points_of(table)
    width = min(max(width, WIDTHS_IN[0]), WIDTHS_IN[1])
    step = step_of(points)
    first, last = points[0].day, points[-1].day + timedelta(days=step - 1)
    left = MARGIN_IN + LABELS_IN
    area = width - left - VALUE_IN - MARGIN_IN
    n_days = len(points) * step
    days = DayAxis(left, area / n_days, n_days, first)
    axis = _Cells(days, step)
    inner = width - 2 * MARGIN_IN
    marks = event_marks.arrange(events, days, MARGIN_IN, width - MARGIN_IN)
    heading = clean(title) if title else f"Blocking and circumvention, {first} to {last}"
    heading = shortened(heading, inner, 13, bold=True)
    lines = wrapped(
        " ".join(caption_of(points, source, words, [*notes, *marks.notes])), inner, 7.5, 6
    )
    panels = 2 * PANEL_IN + 2 * PANEL_GAP_IN + STRIP_IN
    below = AXIS_IN + marks.key_height + len(lines) * CAPTION_LINE_IN + MARGIN_IN + 0.1
    how_much = simulated(table)
    head = TITLE_IN if how_much != "none" else TITLE_IN - 0.25
    height = below + panels + marks.height + head + MARGIN_IN / 2
    page = sheet(width, height, heading)
    page.text(MARGIN_IN, height - 0.3, heading, size=13, bold=True)
    draw_banner(page, MARGIN_IN, height - 0.56, how_much)

    bottom = below
    _draw_strip(page, axis, points, bottom, words)
    users_bottom = bottom + STRIP_IN + PANEL_GAP_IN
    _draw_users(page, axis, points, users_bottom, words)
    share_bottom = users_bottom + PANEL_IN + PANEL_GAP_IN
    _draw_share(page, axis, points, share_bottom, words)
    event_marks.draw(page, marks, bottom, share_bottom + PANEL_IN)
    draw_axis(page, days, bottom)
    event_marks.draw_key(page, marks, MARGIN_IN, bottom - AXIS_IN)
    y = bottom - AXIS_IN - marks.key_height - 0.05
    for number, line in enumerate(lines):
        page.text(
            MARGIN_IN, y - number * CAPTION_LINE_IN, line, size=7.5, colour=SOFT_INK, va="top"
        )
    return page.figure


def _runs(
    points: Sequence[Point], is_known: Callable[[Point], bool]
) -> Iterator[tuple[bool, list[Point]]]:
    for known, run in groupby(points, key=is_known):
        yield known, list(run)


def _draw_share(
    page: Sheet, axis: _Cells, points: Sequence[Point], bottom: float, words: Words
) -> None:
    highest = max((point.high for point in points if point.n), default=1.0)
    scale = share_scale(highest, bottom, bottom + PANEL_IN)
    _draw_frame(page, axis, scale, percent)
    _draw_label(page, scale.top, words.blocking, [words.interval], ink=BLOCKING, step=axis.step)
    for known, run in _runs(points, lambda point: point.share is not None):
        if not known:
            _draw_no_data(page, axis, run, bottom, PANEL_IN)
            continue
        _draw_band(page, axis, scale, [(p.day, p.low, p.high) for p in run], BLOCKING)
        _draw_line(page, axis, scale, [(p.day, p.share or 0.0) for p in run], BLOCKING)
    shares = [point.share for point in points if point.share is not None]
    if shares:
        _draw_last(page, axis, scale, (shares[-1], percent(shares[-1])), BLOCKING)


def _draw_users(
    page: Sheet, axis: _Cells, points: Sequence[Point], bottom: float, words: Words
) -> None:
    scale = share_scale(1.0, bottom, bottom + PANEL_IN)
    if not words.is_share:
        scale = _users_scale(points, bottom)
    write = percent if words.is_share else compact
    # Without a count the scale is of nothing.
    is_known = any(point.users is not None for point in points)
    _draw_frame(page, axis, scale if is_known else scale._replace(ticks=()), write)
    band_words = [words.band] if words.is_share else [words.band, "(log scale)"]
    _draw_label(page, scale.top, words.circumvention, band_words, ink=CIRCUMVENTION, step=axis.step)
    for known, run in _runs(points, lambda point: point.has_band):
        if known:
            band = [(p.day, p.lower or 0.0, p.upper or 0.0) for p in run]
            _draw_band(page, axis, scale, band, CIRCUMVENTION)
    for known, run in _runs(points, lambda point: point.users is not None):
        if known:
            _draw_line(page, axis, scale, [(p.day, p.users or 0.0) for p in run], CIRCUMVENTION)
        else:
            _draw_no_data(page, axis, run, bottom, PANEL_IN)
    users = [point.users for point in points if point.users is not None]
    if users:
        _draw_last(page, axis, scale, (users[-1], write(users[-1])), CIRCUMVENTION)


def _users_scale(points: Sequence[Point], bottom: float) -> Scale:
    """Scale by the counts; a band widens it only so far, or the counts would be a flat line."""
    users = [point.users for point in points if point.users]
    if not users:
        return log_scale(1.0, 10.0, bottom, bottom + PANEL_IN)
    low, high = min(users), max(users)
    lowers = [point.lower for point in points if point.lower]
    uppers = [point.upper for point in points if point.upper]
    low = min(low, max(min(lowers, default=low), low / BAND_REACH))
    high = max(high, min(max(uppers, default=high), high * BAND_REACH))
    return log_scale(low, high, bottom, bottom + PANEL_IN)


def _draw_frame(page: Sheet, axis: _Cells, scale: Scale, write: Callable[[float], str]) -> None:
    for tick in scale.ticks:
        y = scale.y(tick)
        page.line((axis.left, axis.right), (y, y), colour="#e3e6e8", width=0.6, dash="-")
        page.text(axis.left - 0.06, y, write(tick), size=7, colour=SOFT_INK, ha="right")
    page.line((axis.left,) * 2, (scale.bottom, scale.top), colour=RULE, width=0.8, dash="-")


def _draw_label(
    page: Sheet, top: float, name: str, band: Sequence[str], *, ink: Ink, step: int
) -> None:
    room = LABELS_IN - 0.55
    y = top - 0.08
    page.text(MARGIN_IN, y, shortened(clean(name), room + 0.1, 9.5, bold=True), size=9.5, bold=True)
    y -= 0.2
    page.line((MARGIN_IN, MARGIN_IN + 0.2), (y, y), colour=ink.line, width=1.4, dash="-")
    _draw_marker(page, MARGIN_IN + 0.1, y, ink)
    page.text(MARGIN_IN + 0.27, y, f"by {STEPS[step]}", size=7.5, colour=SOFT_INK)
    y -= 0.17
    page.box(MARGIN_IN, y - 0.05, 0.2, 0.1, face=ink.band, hatch="", ink=RULE)
    for line in [line for text in band for line in wrapped(clean(text), room - 0.2, 7.5, 4)]:
        page.text(MARGIN_IN + 0.27, y, line, size=7.5, colour=SOFT_INK)
        y -= 0.14


def _draw_band(
    page: Sheet, axis: _Cells, scale: Scale, band: Sequence[tuple[date, float, float]], ink: Ink
) -> None:
    """Draw a band as steps of whole days: one day alone is as wide as a day."""
    edges = [
        (axis.x(day) + side, low, high) for day, low, high in band for side in (0.0, axis.cell)
    ]
    corners = [(x, scale.y(high)) for x, _, high in edges]
    corners += [(x, scale.y(low)) for x, low, _ in reversed(edges)]
    page.axes.add_patch(Polygon(corners, facecolor=ink.band, linewidth=0, zorder=1.5))


def _draw_line(
    page: Sheet, axis: _Cells, scale: Scale, line: Sequence[tuple[date, float]], ink: Ink
) -> None:
    xs = [axis.x(day) + axis.cell / 2 for day, _ in line]
    ys = [scale.y(number) for _, number in line]
    page.axes.plot(xs, ys, color=ink.line, linewidth=1.3, solid_joinstyle="round", zorder=2.5)
    if axis.cell >= MARKER_CELL_IN or len(line) == 1:
        for x, y in zip(xs, ys, strict=True):
            _draw_marker(page, x, y, ink)


def _draw_marker(page: Sheet, x: float, y: float, ink: Ink) -> None:
    page.axes.plot(
        [x], [y], marker=ink.marker, markersize=2.8, color=ink.line, linestyle="none", zorder=2.6
    )


def _draw_last(page: Sheet, axis: _Cells, scale: Scale, last: tuple[float, str], ink: Ink) -> None:
    y = min(max(scale.y(last[0]), scale.bottom + 0.05), scale.top - 0.05)
    page.text(axis.right + 0.06, y, last[1], size=8, bold=True, colour=ink.line)


def _draw_no_data(
    page: Sheet, axis: _Cells, run: Sequence[Point], bottom: float, height: float
) -> None:
    x, width = axis.x(run[0].day), axis.cell * len(run)
    page.box(x, bottom, width, height, face=NO_DATA_FACE, hatch=NO_DATA_HATCH, ink="#c4c4c4")
    if width > width_of("no data", 7) + 0.08:
        page.text(
            x + width / 2, bottom + height - 0.12, "no data", size=7, colour=SOFT_INK,
            ha="center", halo=NO_DATA_FACE,
        )  # fmt: skip


def _draw_strip(
    page: Sheet, axis: _Cells, points: Sequence[Point], bottom: float, words: Words
) -> None:
    """Draw n of each day as a bar, and in numbers by the shortest period that has room."""
    most = max((point.n for point in points), default=0)
    for has_data, run in _runs(points, lambda point: point.n > 0):
        if not has_data:
            _draw_no_data(page, axis, run, bottom, STRIP_BAR_IN)
            continue
        corners = [(axis.x(run[0].day), bottom)]
        for point in run:
            y = bottom + STRIP_BAR_IN * point.n / most
            corners += [(axis.x(point.day), y), (axis.x(point.day) + axis.cell, y)]
        corners.append((corners[-1][0], bottom))
        page.axes.add_patch(Polygon(corners, facecolor="#8a9097", linewidth=0, zorder=1.5))
    period, groups = _periods(points, axis)
    for days, n in groups:
        text = compact(n)
        x, width = axis.x(days[0]), axis.cell * len(days)
        page.line((x, x), (bottom + STRIP_BAR_IN, bottom + STRIP_IN), colour=RULE, width=0.5,
                  dash="-")  # fmt: skip
        if width_of(text, 6.5) + 0.04 <= width:
            y = bottom + (STRIP_BAR_IN + STRIP_IN) / 2
            page.text(x + width / 2, y, text, size=6.5, ha="center", halo="white")
    page.text(MARGIN_IN, bottom + STRIP_IN - 0.09, f"n per {period}", size=8, bold=True)
    unit = shortened(clean(words.unit), LABELS_IN - 0.2, 7.5)
    page.text(MARGIN_IN, bottom + STRIP_BAR_IN / 2 - 0.02, unit, size=7.5, colour=SOFT_INK)


def _periods(points: Sequence[Point], axis: _Cells) -> tuple[str, list[tuple[list[date], int]]]:
    """Sum n by the shortest period whose numbers have room; by years where none has."""
    for name, key in _PERIODS:
        if (name, axis.step) in {("day", 7), ("day", 28), ("week", 28)}:
            continue
        found: dict[Any, list[Point]] = {}
        for point in points:
            found.setdefault(key(point.day), []).append(point)
        groups = [([p.day for p in run], sum(p.n for p in run)) for run in found.values()]
        # The first and last of them can be cut by the axis.
        whole = groups[1:-1] or groups
        if name == "year" or all(
            width_of(compact(n), 6.5) + 0.06 <= len(days) * axis.cell for days, n in whole
        ):
            return name, groups
    raise AssertionError
