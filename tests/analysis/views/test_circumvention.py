"""Blocking and circumvention: what is drawn is one country's, and no cause is claimed."""

import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from analysis.chart.style import save_svg
from analysis.dataset import load
from analysis.drawn import NoDataError
from analysis.views.circumvention import view
from legible import assert_legible, words_of
from small_tables import Row, dataset_of, day, verdict

DATA = Path(os.environ.get("REACHWATCH_DATA", Path(__file__).parents[4] / "shared" / "data"))


def told(country: str, days: int, lag: int = 3, seed: int = 1) -> list[Row]:
    """Return counts whose share wanders, and users that follow ``lag`` days later."""
    rng = np.random.default_rng(seed)
    walk = np.convolve(rng.standard_normal(days + 40), 0.8 ** np.arange(30), "valid")[: days + 10]
    rows = []
    for number in range(days):
        share = 0.1 * np.exp(0.2 * walk[number + 10])
        ok = int(rng.binomial(20000, 1 - min(share, 0.9)))
        users = 1000 * np.exp(0.3 * walk[number + 10 - lag] + 0.05 * rng.standard_normal())
        for source, metric, value in (
            ("ooni_counts", "ok", ok), ("ooni_counts", "total", 20000),
            ("tor_users", "users", round(users)),
        ):  # fmt: skip
            rows.append({"date": day(number), "probe_cc": country, "metric": metric,
                         "value": float(value), "source": source})  # fmt: skip
    return rows


def test_users_that_follow_are_told_with_lag_interval_and_no_cause() -> None:
    """In the caption and in the alternative text; the interval of a day holds more than chance."""
    drawn = view(dataset_of(daily=told("RU", 180)))
    words = " ".join(words_of(drawn.figure))

    assert_legible(drawn.figure)
    assert "Tor users 3 days later" in words
    assert "an association, not a cause" in words
    assert "an association, not a cause" in drawn.alt
    assert "95 % interval over all lags" in drawn.caption
    assert len(drawn.table) == 180
    low, high = drawn.table.iloc[0, 1].split("(")[1].rstrip(")").split(" to ")
    assert float(high.rstrip(" %")) - float(low.rstrip(" %")) > 2 * 100 * np.sqrt(0.09 / 20000)


def test_the_country_with_most_data_is_drawn_and_the_others_named() -> None:
    """Ties by name; a country with only one of both is no choice."""
    rows = [*told("RU", 70), *told("IR", 80)]
    rows += [row for row in told("BY", 90) if row["source"] == "ooni_counts"]
    drawn = view(dataset_of(daily=rows))

    assert drawn.title.startswith("IR: ")
    assert "Other countries with data on both: RU." in drawn.caption


def test_years_are_drawn_by_week_and_stay_small() -> None:
    """Said beside the lines; the table has every day."""
    drawn = view(dataset_of(daily=told("RU", 700)))
    words = words_of(drawn.figure)

    assert "by week" in words
    assert "100 of 100 periods of 7 days have data" in " ".join(words)
    assert len(drawn.table) == 700
    assert len(save_svg(drawn.figure)) < 200_000


def ways(*, with_ways: bool = True) -> list[Row]:
    rows = []
    for number in range(30):
        state = "likely_blocked" if number >= 10 else "ok"
        for run in range(4):
            name = f"r{number}-{run}"
            rows.append(verdict(number, name, state, mechanism="ip_drop", lab=True))
            if number >= 10 and with_ways:
                works = "ok" if run else "likely_blocked"
                rows.append(verdict(number, name, works, tactic="socks5", lab=True))
    return rows


def test_our_own_runs_show_the_share_in_which_a_way_works() -> None:
    """On an axis of shares with an interval; hatched where none was tried; marked as simulated."""
    drawn = view(dataset_of(verdicts=ways()))
    words = words_of(drawn.figure)

    assert_legible(drawn.figure)
    assert any(word.startswith("SIMULATED") for word in words)
    assert "(log scale)" not in words
    assert words.count("no data") == 1
    assert drawn.table.iloc[0, 3] == "no data"
    assert drawn.table.iloc[-1, 3] == "75 %"
    assert "no data on 10 of 30 days" in drawn.alt
    assert "Too few days with both" in drawn.caption


def test_without_both_there_is_no_chart() -> None:
    """Says what is missing."""
    for dataset in (dataset_of(), dataset_of(verdicts=ways(with_ways=False))):
        with pytest.raises(NoDataError, match="circumvention"):
            view(dataset)


@pytest.mark.skipif(not (DATA / "daily").is_dir(), reason="no real daily series here")
def test_iran_2022_is_drawn_from_the_real_series() -> None:
    """Second half of 2022: blocking and Tor's users go together, said with its interval."""
    dataset = load(DATA / "daily").where(country="IR", first=date(2022, 7, 1), last="2022-12-31")
    drawn = view(dataset)

    assert_legible(drawn.figure)
    assert drawn.title == "IR: blocking and circumvention, 2022-07-01 to 2022-12-31"
    assert "not to be told from none" not in drawn.caption
