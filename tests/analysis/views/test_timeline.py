"""A timeline of a dataset: networks, ways and gaps as they were measured."""

from datetime import timedelta

import pandas as pd
import pytest

from analysis.chart.style import save_svg
from analysis.dataset import Dataset
from analysis.drawn import NoDataError
from analysis.query.states import day_states, states
from analysis.views.cells import frame_of
from analysis.views.timeline import MAX_ROWS, phases, state_grid, view
from legible import assert_legible, words_of
from made_measurements import FIRST, blocked, dataset, measured, verdicts
from stamped import stamped

DIRECT = [
    (0, "ok", None), (1, "likely_blocked", "ip_drop"), (2, "likely_blocked", "ip_drop"),
    (4, "insufficient", None), (5, "ok", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    """Six days, the fourth without data; a proxy that worked on the third."""
    around = verdicts([(2, "ok", None)], tactic="socks5", proxy_id="proxy-1")
    return pd.concat([verdicts(DIRECT), around], ignore_index=True)


def grid_of(data: Dataset, period: str = "day", n_days: int = 6) -> pd.DataFrame:
    counts = frame_of(day_states(states(data.verdicts, data.measurements)))
    last = FIRST + timedelta(days=n_days - 1)
    return state_grid(counts, FIRST, last, period)  # type: ignore[arg-type]


def test_blocking_and_a_way_around_share_an_axis(history: pd.DataFrame) -> None:
    """One network: its name in the heading, not in the rows; each cell with its n."""
    drawn = view(dataset(history))
    words = words_of(drawn.figure)

    assert_legible(drawn.figure)
    assert drawn.title == "Blocking and ways around it in RU AS8402, 2024-01-01 to 2024-01-06"
    assert "telegram/web" in words
    assert "↳ via SOCKS5 proxy-1" in words
    assert not any(word.startswith("RU AS") for word in words)
    assert stamped(drawn.figure)["n=1"] == 6
    assert "via SOCKS5 proxy-1: reachable on 1; no data on 5 of 6 days" in drawn.alt


def test_phases_end_where_nothing_was_measured(history: pd.DataFrame) -> None:
    """A day without data is a phase of its own, with n = 0."""
    found = list(phases(grid_of(dataset(history))))
    direct = [phase for phase in found if phase["tactic"] == "none"]

    days = [(phase["first_day"] - FIRST).days for phase in direct]
    assert days == [0, 1, 3, 4, 5]
    assert [phase["n"] for phase in direct] == [1, 2, 0, 1, 1]
    assert [phase["state"] for phase in direct][1:4] == ["likely_blocked", None, "insufficient"]
    assert direct[1]["mechanism"] == "ip_drop"
    assert direct[3]["n_total"] is None
    assert {phase["probe_asn"] for phase in found} == {8402}


def test_the_most_frequent_stands_for_a_week(history: pd.DataFrame) -> None:
    """A week's n is the sum; ties go to the worse; what differs is marked."""
    week = grid_of(dataset(history), "week").to_dict("records")[0]

    assert week["n"] == 5
    assert (week["state"], week["mechanism"]) == ("likely_blocked", "ip_drop")
    assert (week["n_ok"], week["n_total"]) == (0, 2)
    assert week["is_mixed"]


def test_the_order_of_rows_does_not_matter(history: pd.DataFrame) -> None:
    """The same data give the same bytes, in whatever order they come."""
    one, two = view(dataset(history)), view(dataset(history[::-1].reset_index(drop=True)))
    assert save_svg(one.figure) == save_svg(two.figure)
    assert one.alt == two.alt
    assert one.table.equals(two.table)


def test_many_networks_are_cut_and_counted() -> None:
    """The largest are drawn; how many others there are is said."""
    networks = [("RU", 64512 + number) for number in range(MAX_ROWS + 6)]
    drawn = view(dataset(measured(networks, 5, blocked, per_day=2)))

    assert_legible(drawn.figure)
    assert "6 more rows with n = 60 not drawn" in " ".join(words_of(drawn.figure))
    assert sum(word.startswith("RU AS") for word in words_of(drawn.figure)) == MAX_ROWS
    assert set(drawn.table["Source"]) == {"ooni"}


def test_nothing_measured_is_said(history: pd.DataFrame) -> None:
    """No figure of nothing."""
    with pytest.raises(NoDataError, match="no verdict"):
        view(dataset(history).where(country="XX"))
