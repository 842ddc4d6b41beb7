"""Bars of events: none over another, none lost without a word, each kind told apart."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.chart.event_glyphs import KINDS, Used, key_height
from analysis.chart.events import MAX_EVENTS, Dated, Event, Mark, arrange, event_words
from analysis.chart.sheet import width_of
from analysis.chart.style import save_svg
from analysis.chart.time_axis import DayAxis
from analysis.chart.timeline import timeline
from analysis.events import chart_events, select, telegram_events
from analysis_tables import FIRST_DAY, long_history, short_history
from legible import assert_legible, axes_of, words_of

LEFT, RIGHT = 0.25, 7.75
DAYS = st.integers(-60, 160).map(lambda number: FIRST_DAY + timedelta(days=number))
RANGES = st.tuples(DAYS, st.integers(0, 40)).map(
    lambda pair: (pair[0], pair[0] + timedelta(days=pair[1]))
)


@st.composite
def any_event(draw: st.DrawFn) -> Event:
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4, unique=True))
    dates = [Dated(kind, *draw(RANGES)) for kind in kinds]
    return Event(
        dates[0].first, draw(st.text(max_size=60)), dates[0].kind, last=dates[0].last,
        others=tuple(dates[1:]), is_doubtful=draw(st.booleans()), is_open=draw(st.booleans()),
    )  # fmt: skip


def axis_of(n_days: int, width: float = 5.5) -> DayAxis:
    return DayAxis(RIGHT - width, width / n_days, n_days, FIRST_DAY)


def boxes_of(mark: Mark) -> list[tuple[int, float, float]]:
    """Return lane, begin and end of a mark's label, and of its glyphs."""
    width = width_of(mark.name, 7.2, bold=True) + 0.05 + width_of(mark.label, 7.2)
    boxes = [(mark.lane - mark.is_above, mark.text_x, mark.text_x + width)]
    if mark.glyphs:
        xs = [x for _, x in mark.glyphs]
        boxes.append((mark.lane, min(xs) - 0.047, max(xs) + 0.047))
    return boxes


@settings(max_examples=60, deadline=None)
@given(events=st.lists(any_event(), max_size=30), n_days=st.sampled_from([1, 9, 100]))
def test_no_bar_or_label_lies_over_another(events: list[Event], n_days: int) -> None:
    """Whatever the events: labels within the sheet, lanes without overlap, none lost."""
    marks = arrange(events, axis_of(n_days), LEFT, RIGHT)

    assert len(marks.marks) + marks.n_outside + marks.n_left_out == len(events)
    taken = [(number, *box) for number, mark in enumerate(marks.marks) for box in boxes_of(mark)]
    for number, lane, begin, end in taken:
        assert 0 <= lane < marks.n_lanes
        assert begin >= LEFT - 0.05 or lane == marks.marks[number].lane
        assert end <= RIGHT + 0.3
        for other, other_lane, other_begin, other_end in taken:
            if other > number and other_lane == lane:
                assert begin >= other_end or end <= other_begin
    for mark in marks.marks:
        xs = [x for _, x in mark.glyphs]
        assert all(two - one > 0.09 for one, two in pairwise(xs))


@pytest.mark.parametrize(("n_days", "first"), [(3200, date(2018, 1, 1)), (240, date(2026, 1, 15))])
def test_the_history_of_a_country_is_legible(n_days: int, first: date) -> None:
    """Russia, 22 events over 9 years or over 8 months: every one drawn or counted."""
    events = chart_events(select(telegram_events(), countries=["RU"]))
    table = long_history(n_days, 1)
    shift = first - table["day"].min()
    table["day"] = [day + shift for day in table["day"]]
    figure = timeline(table, events, source="test")

    assert_legible(figure)
    told = " ".join(words_of(figure))
    last = first + timedelta(days=n_days - 1)
    inside = [event for event in events if event.touches(first, last)]
    assert all(str(event.date) in told for event in inside)
    assert all(event.label in told for event in inside)
    outside = len(events) - len(inside)
    assert ("outside these days" in told) == bool(outside)


def test_twenty_five_events_are_legible_on_a_short_axis() -> None:
    """25 events with four dates each, on days that are next to each other."""
    events = [
        Event(
            FIRST_DAY + timedelta(days=number % 20 + 1), f"Null routes to all addresses {number}",
            "effective", is_doubtful=number % 3 == 0,
            others=(
                Dated("ordered", FIRST_DAY, FIRST_DAY + timedelta(days=1)),
                Dated("observed", FIRST_DAY + timedelta(days=1), FIRST_DAY + timedelta(days=4)),
                Dated("lifted", FIRST_DAY + timedelta(days=22), FIRST_DAY + timedelta(days=30)),
            ),
        )
        for number in range(25)
    ]  # fmt: skip
    figure = timeline(short_history(), events, source="test")

    assert_legible(figure)
    told = words_of(figure)
    assert all(f"Null routes to all addresses {number}" in told for number in range(25))
    assert sum(word.endswith("?") and word.startswith("2030") for word in told) == 9


def test_too_many_events_are_counted_not_drawn() -> None:
    """Those of low confidence go first, and the caption says how many."""
    events = [
        Event(FIRST_DAY, f"number {number}", "observed", is_doubtful=number < 7)
        for number in range(MAX_EVENTS + 5)
    ]
    marks = arrange(events, axis_of(20), LEFT, RIGHT)

    assert len(marks.marks) == MAX_EVENTS
    assert sum(mark.event.is_doubtful for mark in marks.marks) == 2
    assert marks.notes == ["5 events left out for want of room."]


def test_kinds_differ_without_colour() -> None:
    """Shape and filling of the four glyphs differ; all are in one ink."""
    days = (FIRST_DAY + timedelta(days=number * 3) for number in range(4))
    events = [Event(day, "x", kind) for day, kind in zip(days, KINDS, strict=True)]
    figure = timeline(short_history(), events, source="test")
    drawn = {
        (line.get_marker(), str(line.get_markerfacecolor()), str(line.get_markeredgecolor()))
        for line in axes_of(figure).lines
        if line.get_linestyle() == "None" and isinstance(line.get_marker(), str)
    }
    assert len(drawn) == 4
    assert len({(marker, face) for marker, face, _ in drawn}) == 4
    assert len({edge for _, _, edge in drawn}) == 1


def test_the_key_tells_only_what_is_used_and_fits() -> None:
    """Words for a range only where there is one; more rows where it is narrow."""
    plain = timeline(short_history(), [Event(FIRST_DAY, "x", "observed")], source="test")
    ranged = [Event(FIRST_DAY, "x", "observed", last=FIRST_DAY + timedelta(days=3))]

    assert "some day of these" not in words_of(plain)
    assert "some day of these" in words_of(timeline(short_history(), ranged, source="test"))
    everything = Used(has_range=True, has_bar=True, is_open=True, is_doubtful=True)
    assert key_height(everything, 4.0) > key_height(everything, 12.0)


def test_a_bar_reaches_from_effect_to_end_and_no_further() -> None:
    """An event touches days between its dates; without an end only its own."""
    begin, end = date(2030, 1, 1), date(2030, 12, 31)
    block = Event(begin, "x", "effective", others=(Dated("lifted", end, end),))
    open_ended = Event(begin, "x", "effective", is_open=True)
    middle = (date(2030, 6, 1), date(2030, 6, 2))

    assert block.touches(*middle)
    assert not open_ended.touches(*middle)
    marks = arrange([block, open_ended], DayAxis(2.0, 0.1, 20, middle[0]), LEFT, RIGHT)
    assert marks.marks[0].glyphs == ()
    assert marks.n_outside == 1


def test_words_tell_every_date() -> None:
    """For tables and alternative text; a plain event stays plain."""
    block = Event(
        date(2030, 1, 2), "Blocked", "observed", last=date(2030, 1, 5), is_doubtful=True,
        is_open=True, others=(Dated("ordered", date(2030, 1, 1), date(2030, 1, 1)),),
    )  # fmt: skip
    assert event_words(block) == (
        "2030-01-02 Blocked (ordered 2030-01-01, observed 2030-01-02 to 2030-01-05, "
        "low confidence, end not known)"
    )
    assert event_words(Event(date(2030, 1, 2), "Blocked", "effective")) == "2030-01-02 Blocked"


def test_bars_are_the_same_bytes_twice() -> None:
    """Also with ranges, bars and markers."""
    events = chart_events(telegram_events())
    table = long_history(30, 1)
    shift = date(2018, 4, 1) - table["day"].min()
    table["day"] = [day + shift for day in table["day"]]

    first, second = (save_svg(timeline(table, events, source="test")) for _ in range(2))
    assert first == second
