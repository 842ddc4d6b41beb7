"""Dated events on a time axis: one bar each, in lanes above the rows, labelled beside it.

An event has up to four dates, each with a glyph of its own: ordered, observed, effective,
lifted. Bars and labels never overlap: what finds no room in a lane goes to the next one.
Lines run from the bars down through the rows, in a dash that says what their date is of.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from analysis.chart import event_glyphs
from analysis.chart.event_glyphs import GLYPH_IN, KINDS, SIZE, Kind, Used
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.style import INK, RULE, SOFT_INK
from analysis.chart.time_axis import DayAxis

MAX_EVENTS: Final = 40
"""More lanes than these take would be taller than any chart below them."""

_LANE_IN: Final = 0.165
_OPEN_IN: Final = 0.24
_PAD_IN: Final = 0.04
_GAP_IN: Final = 0.1
_FEW: Final = 12

_DASHES: Final[dict[Kind, str]] = {
    "ordered": ":", "observed": "--", "effective": "-", "lifted": "-.",
}  # fmt: skip
Day = date
"""The type where a field is called as it is."""


class Dated(NamedTuple):
    """A date and what it is of; some day of two where ``first`` is not ``last``."""

    kind: Kind
    first: date
    last: date


class Event(NamedTuple):
    """What happened. ``kind`` says what ``date`` is of; ``others`` are its further dates.

    ``last`` ends a range of days in which ``date`` lies. ``is_doubtful``: of low confidence.
    ``is_open``: it lasted, and its end is not known.
    """

    date: date
    label: str
    kind: Kind
    last: Day | None = None
    others: tuple[Dated, ...] = ()
    is_doubtful: bool = False
    is_open: bool = False

    @property
    def dates(self) -> tuple[Dated, ...]:
        """All dates, in the order of `KINDS`."""
        own = Dated(self.kind, self.date, self.last or self.date)
        return tuple(sorted((own, *self.others), key=lambda dated: KINDS.index(dated.kind)))

    @property
    def first(self) -> Day:
        """The earliest day of all dates."""
        return min(dated.first for dated in self.dates)

    @property
    def lasting(self) -> tuple[Dated, Dated] | None:
        """What it began and ended with, if it lasted and both are known."""
        dates = {dated.kind: dated for dated in self.dates}
        begin = dates.get("effective") or dates.get("observed")
        end = dates.get("lifted")
        return (begin, end) if begin and end else None

    def touches(self, first: Day, last: Day) -> bool:
        """Whether any of its days, known ones between included, lies in a period."""
        spans = [(dated.first, dated.last) for dated in self.dates]
        if self.lasting:
            spans.append((self.lasting[0].first, self.lasting[1].last))
        return any(begin <= last and end >= first for begin, end in spans)


def event_words(event: Event) -> str:
    """Say an event with all its dates, for tables and alternative text."""
    told = [
        f"{dated.kind} {dated.first}" + (f" to {dated.last}" if dated.last > dated.first else "")
        for dated in event.dates
    ]
    is_simple = len(told) == 1 and told[0].endswith(str(event.date))
    details = [] if is_simple and event.kind == "effective" else told
    if event.is_doubtful:
        details.append("low confidence")
    if event.is_open:
        details.append("end not known")
    tail = f" ({', '.join(details)})" if details else ""
    return f"{event.date} {clean(event.label)}{tail}"


class Mark(NamedTuple):
    """One event's place. ``lane`` counts from the top; its label may be a lane above its bar."""

    event: Event
    lane: int
    glyphs: tuple[tuple[Dated, float], ...]
    name: str
    label: str
    text_x: float
    is_above: bool


class Marks(NamedTuple):
    """All marks on an axis, and how many events lie outside or found no room."""

    axis: DayAxis
    width: float
    marks: tuple[Mark, ...]
    n_lanes: int
    n_outside: int
    n_left_out: int

    @property
    def height(self) -> float:
        """Height in inches above the rows."""
        return self.n_lanes * _LANE_IN + _GAP_IN if self.marks else 0.0

    @property
    def key_height(self) -> float:
        """Height in inches of the key of glyphs."""
        return event_glyphs.key_height(self.used, self.width) if self.marks else 0.0

    @property
    def used(self) -> Used:
        """What the events are drawn with."""
        events = [mark.event for mark in self.marks]
        return Used(
            has_range=any(dated.last > dated.first for e in events for dated in e.dates),
            has_bar=any(event.lasting for event in events),
            is_open=any(event.is_open for event in events),
            is_doubtful=any(event.is_doubtful for event in events),
        )

    @property
    def notes(self) -> list[str]:
        """Sentences for a caption: what is not drawn."""
        return [
            f"{n} {'event' if n == 1 else 'events'} {words}."
            for n, words in (
                (self.n_outside, "outside these days"),
                (self.n_left_out, "left out for want of room"),
            )
            if n
        ]


def arrange(events: Sequence[Event], axis: DayAxis, left: float, right: float) -> Marks:
    """Find a place for every bar and label between ``left`` and ``right`` of the sheet."""
    inside = [event for event in events if event.touches(axis.first, axis.last)]
    # Where there are too many, those of low confidence go first, then the earliest.
    kept = sorted(inside, key=lambda event: (event.is_doubtful, -event.date.toordinal()))
    kept = sorted(kept[:MAX_EVENTS], key=lambda event: (event.first, event.date, event.label))
    taken: list[list[tuple[float, float]]] = []
    marks = tuple(_placed(event, axis, left, right, taken) for event in kept)
    return Marks(
        axis, right - left, marks, len(taken), len(events) - len(inside), len(inside) - len(kept)
    )


def _placed(
    event: Event, axis: DayAxis, left: float, right: float, taken: list[list[tuple[float, float]]]
) -> Mark:
    """Put an event into the highest lane with room: label right of its bar, left, or above."""
    glyphs = _glyphs(event, axis)
    begin, end = _extent(event, axis, glyphs)
    name = f"{event.date}{'?' if event.is_doubtful else ''}"
    name_width = width_of(name, SIZE, bold=True) + 0.05
    label = shortened(clean(event.label), right - left - name_width, SIZE)
    width = name_width + width_of(label, SIZE)
    if end + _PAD_IN + width <= right:
        text_x, is_above = end + _PAD_IN, False
    elif begin - _PAD_IN - width >= left:
        text_x, is_above = begin - _PAD_IN - width, False
    else:
        text_x, is_above = max(min(begin, right - width), left), True
    text = (text_x, text_x + width)
    bar = (begin, end)
    rows = [text, bar] if is_above else [(min(text[0], bar[0]), max(text[1], bar[1]))]
    top = 0
    while not _is_free(taken, top, rows):
        top += 1
    for number, (low, high) in enumerate(rows):
        while len(taken) <= top + number:
            taken.append([])
        taken[top + number].append((low - _GAP_IN, high + _GAP_IN))
    return Mark(event, top + len(rows) - 1, glyphs, name, label, text_x, is_above)


def _is_free(
    taken: list[list[tuple[float, float]]], top: int, rows: list[tuple[float, float]]
) -> bool:
    return not any(
        low < other_high and high > other_low
        for number, (low, high) in enumerate(rows)
        for other_low, other_high in (taken[top + number] if top + number < len(taken) else ())
    )


def _glyphs(event: Event, axis: DayAxis) -> tuple[tuple[Dated, float], ...]:
    """Place the glyphs of dates on the axis; those too near to each other stand side by side."""
    shown = sorted(
        (dated for dated in event.dates if axis.first <= dated.first <= axis.last),
        key=lambda dated: (dated.first, KINDS.index(dated.kind)),
    )
    found: list[tuple[Dated, float]] = []
    for dated in shown:
        x = axis.x(dated.first)
        if found:
            x = max(x, found[-1][1] + GLYPH_IN)
        found.append((dated, x))
    return tuple(found)


def _extent(
    event: Event, axis: DayAxis, glyphs: Sequence[tuple[Dated, float]]
) -> tuple[float, float]:
    """Return from where to where glyphs, bar, ranges and open end of an event reach."""
    points = [x for _, x in glyphs]
    for ends in _ranges(event, axis):
        points += ends
    if event.lasting:
        points += [axis.x_within(dated.first) for dated in event.lasting]
    end = max(points) + GLYPH_IN / 2
    if event.is_open:
        end = max(end, min(max(points) + _OPEN_IN, axis.right))
    return min(points) - GLYPH_IN / 2, end


def _ranges(event: Event, axis: DayAxis) -> list[tuple[float, float]]:
    """Return from where to where those dates may lie that are some day of a range."""
    return [
        (axis.x_within(dated.first), axis.x_within(dated.last + timedelta(days=1)))
        for dated in event.dates
        if dated.last > dated.first and dated.last >= axis.first and dated.first <= axis.last
    ]


def draw(page: Sheet, marks: Marks, bottom: float, top: float) -> None:
    """Draw lines through the rows from ``bottom`` to ``top``, bars and labels above them."""
    axis = marks.axis
    middles = [
        top + marks.height - (mark.lane + 0.5) * _LANE_IN - _PAD_IN / 2 for mark in marks.marks
    ]
    # Many lines through the rows would hide what they are to explain.
    width = 0.8 if len(marks.marks) <= _FEW else 0.5
    for mark, y in zip(marks.marks, middles, strict=True):
        for kind, x in _line_days(mark.event, axis):
            page.line((x, x), (bottom, top), colour=INK, width=width, dash=_DASHES[kind])
            page.line((x, x), (top, y), colour=RULE, width=0.5, dash=_DASHES[kind])
    for mark, y in zip(marks.marks, middles, strict=True):
        _draw_bar(page, mark, axis, y)
        text_y = y + (_LANE_IN if mark.is_above else 0)
        page.text(mark.text_x, text_y, mark.name, size=SIZE, bold=True, halo="white")
        x = mark.text_x + width_of(mark.name, SIZE, bold=True) + 0.05
        page.text(x, text_y, mark.label, size=SIZE, halo="white")


def _line_days(event: Event, axis: DayAxis) -> list[tuple[Kind, float]]:
    """Return the lines through the rows: the leading date's, and the end's."""
    shown = {(event.kind, event.date)}
    shown |= {(dated.kind, dated.first) for dated in event.dates if dated.kind == "lifted"}
    return [
        (kind, axis.x(day)) for kind, day in sorted(shown) if axis.first <= day <= axis.last
    ]  # fmt: skip


def _draw_bar(page: Sheet, mark: Mark, axis: DayAxis, y: float) -> None:
    event = mark.event
    if len(mark.glyphs) > 1:
        xs = (mark.glyphs[0][1], mark.glyphs[-1][1])
        page.line(xs, (y, y), colour=SOFT_INK, width=0.7, dash=":")
    if event.lasting:
        begin, end = event.lasting
        xs = (axis.x_within(begin.first), axis.x_within(end.first))
        event_glyphs.draw_bar(
            page, xs, y, is_effective=begin.kind == "effective", is_doubtful=event.is_doubtful
        )
        if begin.first < axis.first:
            event_glyphs.draw_cut(page, xs[0], y, is_left=True)
        if end.first > axis.last:
            event_glyphs.draw_cut(page, xs[1], y, is_left=False)
    ranges = _ranges(event, axis)
    for ends in ranges:
        dash = "--" if event.is_doubtful else "-"
        event_glyphs.draw_range(page, ends, y, dash=dash, is_cut=ends[1] >= axis.right)
    if event.is_open:
        start = max((*(x for _, x in mark.glyphs), *(x for _, x in ranges), axis.left))
        event_glyphs.draw_open(page, start, min(start + _OPEN_IN, axis.right), y)
    for dated, x in mark.glyphs:
        event_glyphs.draw_glyph(page, dated.kind, x, y)


def draw_key(page: Sheet, marks: Marks, x: float, top: float) -> None:
    """Draw what glyphs, lines and bars mean below ``top``, if there are any."""
    if marks.marks:
        event_glyphs.draw_key(page, marks.used, x, top, marks.width)
