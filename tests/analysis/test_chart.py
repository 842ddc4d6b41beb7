"""What is drawn is what is in the table: every n, every gap, no word over another."""

import time
from collections import Counter
from datetime import timedelta

import matplotlib as mpl
import pandas as pd
import pytest

from analysis.chart.alt_text import timeline_alt_text
from analysis.chart.key import NO_DATA
from analysis.chart.sheet import clean
from analysis.chart.style import LOOKS, Look, save_png, save_svg
from analysis.chart.timeline import CELL_HEIGHT_IN, CELL_IN, MAX_TOLD, Event, timeline
from analysis.report.cut import cut
from analysis_tables import DIRECT, FIRST_DAY, long_history, rows_of, short_history, table_of
from legible import assert_legible, axes_of, words_of
from stamped import stamped, tile_area

HOSTILE = (
    "x" * 1_000_000,
    "$\\frac{1}{0}$ and a $ more",
    "two\nlines\r\nand\x1b[31m a tab\t",
    "\u202eright to left\u202c \u05d0\u05d1\u05d2 \u0627\u0644",
    "\U0001f4a3 no glyph \ud7ff \u0000",
    "<script>alert(1)</script> -->",
    "e\u0301" * 50,
)


def events(n: int, apart: int, label: str = "Null routes to all of the addresses") -> list[Event]:
    return [
        Event(FIRST_DAY + timedelta(days=number * apart), f"{label} {number}", "observed")
        for number in range(n)
    ]


def test_states_differ_without_colour() -> None:
    """Hatch and symbol are each enough to tell all states apart."""
    assert len({look.hatch for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.symbol for look in LOOKS.values()}) == len(LOOKS)
    assert len({look.face for look in LOOKS.values()}) == len(LOOKS)


def test_each_measured_cell_has_its_n_and_share() -> None:
    """As many n as cells with data; n of N wherever members were tried."""
    table = short_history()
    words = stamped(timeline(table, source="test"))
    measured = table[table["n"] > 0]

    assert words["n=1"] == len(measured)
    shares = [f"{row.n_ok}/{row.n_total}" for row in measured.itertuples() if row.n_total]
    assert {word: n for word, n in words.items() if "/" in word} == Counter(shares)


def test_each_state_covers_its_own_days_and_no_others() -> None:
    """Neither a gap nor `insufficient` is drawn in the colour of a state that is known."""
    table = short_history()
    figure = timeline(table, source="test")

    def days(look: Look) -> float:
        return tile_area(figure, look.face, look.hatch) / CELL_IN / CELL_HEIGHT_IN

    for state, look in LOOKS.items():
        # Between phases lies a gap of a hundredth of an inch or two.
        assert days(look) == pytest.approx((table["state"] == state).sum(), rel=0.05)
    assert days(NO_DATA) == pytest.approx((table["n"] == 0).sum(), rel=0.05)
    assert LOOKS["insufficient"].hatch


def test_a_mixed_day_is_marked() -> None:
    """A day whose runs differ has one mark more."""
    table = short_history()
    before = len(axes_of(timeline(table, source="test")).patches)
    table.loc[0, "is_mixed"] = True

    assert len(axes_of(timeline(table, source="test")).patches) == before + 1


@pytest.mark.parametrize(("n", "apart"), [(0, 1), (8, 3), (23, 1), (2, 22)])
def test_a_short_history_is_legible(n: int, apart: int) -> None:
    """Whatever the number of events: no label over another, none outside."""
    figure = timeline(short_history(), events(n, apart), source="test")

    assert_legible(figure)
    told = " ".join(words_of(figure))
    assert all(str(event.date) in told for event in events(n, apart))


@pytest.mark.parametrize("n_days", [1, 2, 40, 70, 120, 250, 400])
def test_every_span_is_legible(n_days: int) -> None:
    """From one day to more than a year."""
    assert_legible(timeline(long_history(n_days, 2), source="test"))


def test_a_long_history_is_quick_and_says_that_it_drops_numbers() -> None:
    """400 days by 10 rows in less than 5 seconds; the caption gives n."""
    start = time.perf_counter()
    figure = timeline(long_history(), events(9, 44), source="test")
    size = len(save_svg(figure))
    assert time.perf_counter() - start < 5

    assert size < 500_000
    assert not stamped(figure)["n=1"]
    assert "n = 1 runs in each with data" in " ".join(words_of(figure))


@pytest.mark.parametrize("label", HOSTILE)
def test_hostile_words_are_only_words(label: str) -> None:
    """Any label, name or source is drawn as one line of text, over nothing else."""
    table = table_of(
        rows_of([("ok", None, 2, 2)] * 9, label), rows_of([None] * 9, label, label[:20])
    )
    figure = timeline(table, events(3, 3, label), title=label[:60], source=label[:60])

    assert_legible(figure)
    assert not any(set(word) & set("\n\r\t\x1b\u202e") for word in words_of(figure))
    assert b"<script" not in save_svg(figure)
    assert timeline_alt_text(table, events(3, 3, label))


def test_a_chart_is_the_same_whatever_the_user_has_set() -> None:
    """The same bytes twice, under other defaults too."""
    drawn = []
    for size in (10, 24):
        with mpl.rc_context({"font.size": size, "text.parse_math": True, "svg.hashsalt": None}):
            figure = timeline(short_history(), events(8, 3), source="test")
            drawn.append((save_svg(figure), save_png(figure)))

    assert drawn[0] == drawn[1]
    assert b"<title>Blocking and ways around it" in drawn[0][0]


def many_networks(n: int, n_days: int = 23) -> pd.DataFrame:
    rows = [rows_of((DIRECT * 20)[:n_days]) for _ in range(n)]
    table = table_of(*rows)
    return table.assign(place=[f"RU AS{64512 + number // n_days}" for number in range(len(table))])


@pytest.mark.parametrize(("n", "n_days"), [(2, 23), (9, 23), (20, 60), (20, 400)])
def test_networks_are_named_where_there_are_several(n: int, n_days: int) -> None:
    """Each row has its network's name, the target is named once; nothing lies over another."""
    figure = timeline(many_networks(n, n_days), events(3, 5), source="test")
    words = words_of(figure)

    assert_legible(figure)
    assert sum(word.startswith("RU AS") for word in words) == n
    assert words.count("messenger/web, direct") == 1
    assert "RU AS64512, messenger/web, direct:" in timeline_alt_text(many_networks(n, n_days))


def test_a_crowd_of_cells_keeps_its_colours_and_says_what_it_drops() -> None:
    """Above a number of cells no text, and corners only in words."""
    table = many_networks(20, 60).assign(is_mixed=True)
    figure = timeline(table, source="test")

    assert len(table) > MAX_TOLD
    assert not stamped(figure)["n=1"]
    measured = int((table["n"] > 0).sum())
    assert f"Runs of a day differ in {len(table):,} of {measured:,} cells" in " ".join(
        words_of(figure)
    )


def test_alt_text_counts_days() -> None:
    """Subject, span, days in each state and n, from the table alone."""
    told = timeline_alt_text(short_history(), events(1, 1))

    assert "Simulated network." in told
    assert "2030-03-01 to 2030-03-23" in told
    assert "messenger/web, direct: reachable on 5; blocked on 3; likely blocked on 6" in told
    assert "not enough data on 1; no data on 1 of 23 days" in told
    assert "2030-03-01 Null routes" in told


def test_marks_piled_upon_one_letter_are_cut() -> None:
    """A hundred accents are a line through the rows above, on a chart and on a page."""
    pile = "Z" + "\u0301" * 100 + "y"

    assert clean(pile) == cut(pile) == "Z\u0301\u0301y"


def test_a_chart_of_both_is_called_partly_simulated() -> None:
    """Neither a simulated network nor a real one passes for the other."""
    both = table_of(rows_of(DIRECT), [{**row, "lab": False} for row in rows_of(DIRECT, "real/web")])

    assert any(
        words.startswith("PARTLY SIMULATED") for words in words_of(timeline(both, source="test"))
    )
    assert timeline_alt_text(both).startswith("Partly a simulated network.")
    assert not simulated_words(both.assign(lab=False))


def simulated_words(table: pd.DataFrame) -> list[str]:
    return [words for words in words_of(timeline(table, source="test")) if "SIMULATED" in words]
