"""Coverage: measurements are counted once, silence is drawn, and so is what decided nothing."""

import pandas as pd
import pytest

from analysis.chart.coverage import MANY
from analysis.chart.key import NO_DATA
from analysis.chart.style import save_svg
from analysis.views.coverage import view
from legible import assert_legible, words_of
from made_measurements import TARGETS, blocked, dataset, measured, verdicts
from stamped import tile_area


def test_a_measurement_of_two_targets_is_one() -> None:
    """Its targets do not multiply it; totals stand beside each row."""
    rows = measured([("RU", 1), ("US", 2)], 10, blocked, per_day=3, probes=2, targets=TARGETS)
    drawn = view(dataset(rows))
    words = words_of(drawn.figure)

    assert_legible(drawn.figure)
    assert drawn.table["n"].tolist() == [30, 30]
    assert drawn.table["Probes"].tolist() == [20, 20]
    assert words.count("30") == 2
    assert words.count("10/10") == 2
    assert "60 measurements by OONI, in 2 networks" in " ".join(words)
    assert "controls" not in words


def test_failed_controls_and_silence_are_apart() -> None:
    """Days without data are hatched, those that decided nothing have a strip; both counted."""
    states = [(0, "ok", None), (1, "insufficient", None), (2, "down", None), (5, "ok", None)]
    drawn = view(dataset(verdicts(states, runs=2)))

    assert_legible(drawn.figure)
    row = drawn.table.iloc[0]
    assert (row["n"], row["Undecided"], row["Controls failed"]) == (8, 4, 2)
    assert row["Days with data"] == "4 of 6"
    assert tile_area(drawn.figure, NO_DATA.face, NO_DATA.hatch) > 0
    assert tile_area(drawn.figure, MANY.face, MANY.hatch) > 0
    assert "4 decided nothing (2 for failed controls)" in drawn.alt
    assert "longest gap 2" in drawn.alt


def test_both_sources_are_drawn_apart() -> None:
    """Ways around are no measurements of their own; each source has its rows."""
    ways = verdicts([(0, "ok", None)], tactic="socks5", proxy_id="proxy-1")
    both = pd.concat([verdicts([(0, "ok", None)]), ways], ignore_index=True)
    assert view(dataset(both)).table["n"].tolist() == [1]


@pytest.mark.parametrize("n_days", [1, 90, 700])
def test_every_span_is_legible_and_the_same_twice(n_days: int) -> None:
    """From a day to years, of which a bar is then a week or a month."""
    rows = measured([("RU", 1), ("US", 2)], n_days, blocked, per_day=1)
    one, two = view(dataset(rows)), view(dataset(rows[::-1].reset_index(drop=True)))

    assert_legible(one.figure)
    assert save_svg(one.figure) == save_svg(two.figure)
    assert drawn_period(words_of(one.figure)) == {1: "days", 90: "weeks", 700: "months"}[n_days]


def drawn_period(words: list[str]) -> str:
    return next(word for word in ("days", "weeks", "months") if word in words)
