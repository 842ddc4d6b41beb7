"""Blocking and circumvention on one axis: what is drawn is what is in the table."""

from datetime import date, timedelta
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from analysis.chart.events import Dated, Event
from analysis.chart.paired import Words, two_series_alt_text
from analysis.chart.scale import compact, log_scale, percent, share_scale
from analysis.chart.style import NO_DATA_FACE, save_svg
from analysis.chart.two_series import PANEL_IN, two_series
from legible import assert_legible, axes_of, words_of

FIRST = date(2030, 1, 1)
EVENTS = (
    Event(date(2030, 2, 10), "Null routes", "effective",
          others=(Dated("ordered", date(2030, 2, 8), date(2030, 2, 8)),), is_open=True),
    Event(date(2031, 2, 10), "Later", "observed"),
)  # fmt: skip


def table_of(n_days: int, gaps: tuple[int, ...] = (), silent: tuple[int, ...] = ()) -> pd.DataFrame:
    """Return a step of blocking after 40 days; ``gaps`` without n, ``silent`` without users."""
    rng = np.random.default_rng(7)
    rows: list[dict[str, Any]] = []
    for number in range(n_days):
        n = 0 if number in gaps else int(rng.integers(40, 400))
        share = 0.04 if number < 40 else 0.22
        is_told = number not in silent
        rows.append(
            {
                "day": FIRST + timedelta(days=number),
                "n": n,
                "share": share if n else None,
                "low": max(share - 0.03, 0) if n else None,
                "high": share + 0.03 if n else None,
                "users": 20_000 * (1 if number < 42 else 3) if is_told else None,
                "lower": 9_000.0 if is_told else None,
                "upper": 41_000.0 if is_told else None,
            }
        )
    return pd.DataFrame(rows, dtype=object)


def hatched(figure: Figure) -> float:
    """Return the width in inches of what is marked as without data in the two panels."""
    return sum(
        patch.get_width()
        for patch in axes_of(figure).patches
        if isinstance(patch, Rectangle)
        and to_hex(patch.get_facecolor()) == NO_DATA_FACE
        and patch.get_height() == PANEL_IN
    )


@pytest.mark.parametrize(
    ("n_days", "width"), [(1, 6.0), (30, 10.0), (30, 6.0), (212, 16.0), (212, 6.0), (1200, 10.0)]
)
def test_every_span_is_legible_at_every_width(n_days: int, width: float) -> None:
    """From a day to three years; n is told in numbers at each."""
    figure = two_series(table_of(n_days), EVENTS, source="test", width=width)

    assert_legible(figure)
    words = words_of(figure)
    (period,) = [word for word in words if word.startswith("n per ")]
    assert period.removeprefix("n per ") in {"day", "week", "month", "quarter", "year"}
    assert f"n = {table_of(n_days)['n'].sum():,} measurements" in " ".join(words)


def test_days_without_data_are_hatched_in_their_own_panel() -> None:
    """As wide as they are, and no wider; the caption counts them."""
    full = two_series(table_of(100), source="test")
    figure = two_series(table_of(100, gaps=(3, 50, 51), silent=(70, 71, 72, 73)), source="test")
    (bottom, *_), cell = axes_of(figure).get_xlim(), (10.0 - 2.0 - 0.75) / 100

    assert bottom == 0
    assert hatched(full) == 0
    assert hatched(figure) == pytest.approx(7 * cell)
    told = " ".join(words_of(figure))
    assert "97 of 100 days have data" in told
    assert "96 of 100 days have data" in told


def test_lines_break_where_nothing_is_known() -> None:
    """A line never crosses a gap, and a lone day has a marker."""
    figure = two_series(table_of(9, gaps=(3, 5)), source="test", width=16)
    runs = [
        len(line.get_xdata())  # type: ignore[arg-type]
        for line in axes_of(figure).lines
        if to_hex(line.get_color()) == "#b54f00" and line.get_linewidth() == 1.3
    ]
    assert runs == [3, 1, 3]


def test_n_per_period_adds_up() -> None:
    """The numbers of the strip are all of n."""
    table = table_of(14)
    words = words_of(two_series(table, source="test", width=16))
    (period,) = [word for word in words if word.startswith("n per ")]

    assert period == "n per day"
    assert [word for word in words if word in {compact(n) for n in table["n"]}] == [
        compact(n) for n in table["n"]
    ]


def test_a_chart_is_the_same_whatever_the_user_has_set() -> None:
    """The same bytes twice, under other defaults too."""
    drawn = []
    for size in (10, 24):
        with mpl.rc_context({"font.size": size, "svg.hashsalt": None}):
            figure = two_series(table_of(45, gaps=(9,)), EVENTS, source="test")
            drawn.append(save_svg(figure))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    "text", ["x" * 150, "$\\frac{1}{0}$", "two\nlines\x1b[31m", "\u202eright", "<script>"]
)
def test_hostile_words_are_only_words(text: str) -> None:
    """Names, units and sources are untrusted."""
    words = Words(text, text, text, text, text)
    figure = two_series(
        table_of(20),
        [Event(FIRST, text, "observed")],
        title=text[:60],
        source=text[:60],
        words=words,
    )
    assert_legible(figure)
    assert b"<script" not in save_svg(figure)
    assert two_series_alt_text(table_of(20), words=words)


def test_alt_text_tells_level_peak_n_gaps_and_events() -> None:
    """From the data alone; events outside are not told."""
    told = two_series_alt_text(table_of(60, gaps=(9,), silent=(5, 6)), EVENTS)

    assert "Blocked share: 4 % at first, 22 % at last" in told
    assert "no data on 1 of 60 days" in told
    assert "Tor users: 20,000 at first, 60,000 at last, least 20,000 on 2030-01-01" in told
    assert "above the band on 18, below on 0 of 58 days" in told
    assert "2030-02-10 Null routes (ordered 2030-02-08, effective 2030-02-10" in told
    assert "Later" not in told
    assert two_series_alt_text(table_of(3).assign(lab=True)).startswith("Simulated network.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="low"), "no column low"),
        (lambda table: table.iloc[:0], "no days"),
        (lambda table: table.drop(index=2), "2030-01-04: follows 2030-01-02"),
        (lambda table: table.assign(low=None), "2030-01-01: a share of"),
        (lambda table: table.assign(high=1.5), "is no share"),
    ],
)
def test_a_table_that_would_mislead_is_refused(change: Any, words: str) -> None:
    """No share without its interval, no axis that leaves a day out."""
    with pytest.raises(ValueError, match=words):
        two_series(change(table_of(5)), source="test")


def test_nothing_known_is_drawn_as_nothing() -> None:
    """No data at all is hatched throughout, with no ticks of a scale of nothing."""
    figure = two_series(table_of(20, gaps=tuple(range(20)), silent=tuple(range(20))), source="test")

    assert_legible(figure)
    assert hatched(figure) == pytest.approx(2 * 7.25)


@settings(max_examples=100, deadline=None)
@given(
    low=st.floats(1e-3, 1e9),
    factor=st.floats(1.0, 1e9),
    share=st.floats(0, 1),
    n=st.floats(0, 1e11),
)
def test_scales_hold_what_they_are_made_for(
    low: float, factor: float, share: float, n: float
) -> None:
    """Values lie within, at least two ticks, in order; numbers stay short."""
    scale = log_scale(low, low * factor, 1.0, 3.0)
    assert scale.low <= low * 1.000001
    assert low * factor <= scale.high * 1.000001
    assert 1 <= len(scale.ticks) <= 8
    assert list(scale.ticks) == sorted(scale.ticks)
    assert 1.0 <= scale.y(0.0) <= scale.y(low) <= scale.y(low * factor) <= 3.0
    shares = share_scale(share, 1.0, 3.0)
    assert shares.low <= share <= shares.high
    assert shares.ticks[-1] == pytest.approx(shares.high)
    assert len(compact(n)) <= 4
    assert percent(share).endswith(" %")
