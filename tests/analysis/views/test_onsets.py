"""Onsets and liftings: found where they are, told from what they are not, drawn with their n."""

import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.chart.events import Dated, Event
from analysis.chart.style import save_svg
from analysis.dataset import load
from analysis.drawn import Drawn, NoDataError
from analysis.onset_search import Onsets, find
from analysis.views.onsets import MAX_ROWS, found_in, view
from legible import assert_legible, words_of
from small_tables import dataset_of, day, measured

DATA = Path(os.environ.get("REACHWATCH_DATA", Path(__file__).parents[4] / "shared" / "data"))
FIRST = date(2030, 1, 1)
BY = ("probe_cc", "probe_asn", "target_id")


def counts(
    shares: dict[tuple[str, int], np.ndarray], n_per_day: int = 6, seed: int = 1
) -> pd.DataFrame:
    """Draw counts by day of one target; networks in an order that says nothing."""
    rng = np.random.default_rng(seed)
    rows = []
    for (country, asn), share in shares.items():
        n = rng.poisson(n_per_day, share.size)
        for number, (failing, decided) in enumerate(zip(rng.binomial(n, share), n, strict=True)):
            day_ = FIRST + timedelta(days=number)
            rows.append((day_, country, asn, "telegram/web", failing, decided, decided))
    names = ["date", *BY, "failing", "decided", "n"]
    return pd.DataFrame(rows, columns=names).sample(frac=1, random_state=seed)


def blocked(first: int, last: int, days: int = 120, share: float = 0.8) -> np.ndarray:
    found = np.full(days, 0.04)
    found[first:last] = share
    return found


@pytest.fixture(scope="module")
def found() -> Onsets:
    """Three networks of Russia blocked from day 60 to 90; seven others never."""
    shares = {("RU", asn): blocked(60, 90) for asn in (1, 2, 3)}
    shares |= {(code, asn): blocked(0, 0) for code in ("RU", "US") for asn in range(10, 14)}
    events = [
        Event(FIRST + timedelta(days=61), "An order", "ordered"),
        Event(FIRST + timedelta(days=75), "Something else", "observed"),
    ]
    return find(counts(shares), BY, events)


def test_onset_and_lifting_of_each_blocked_network_are_found(found: Onsets) -> None:
    """Dates within their intervals, shares before and after, and nothing elsewhere."""
    changes = found.changes
    assert found.n_series == 11
    assert sorted(zip(changes["probe_asn"], changes["direction"], strict=True)) == [
        (asn, direction) for asn in (1, 2, 3) for direction in ("lifting", "onset")
    ]
    for row in changes.to_dict("records"):
        cell = 60 if row["direction"] == "onset" else 90
        assert row["first"] <= FIRST + timedelta(days=cell) <= row["last"]
        assert not row["is_doubtful"], row["notes"]
        assert row["p_adjusted"] < 0.001
        low, high = sorted((row["before"], row["after"]))
        assert low < 0.15
        assert high > 0.6
        assert row["before_low"] <= row["before"] <= row["before_high"]
        assert row["detected"] is None or row["detected"] >= row["first"]
        assert row["n_effective"] <= row["n_before"] + row["n_after"]


def test_an_alarm_comes_after_the_date_that_hindsight_finds(found: Onsets) -> None:
    """Within days: it had to wait for what followed."""
    onsets = found.changes[found.changes["direction"] == "onset"]
    waits = [(row["detected"] - row["date"]).days for row in onsets.to_dict("records")]
    assert all(0 <= wait <= 4 for wait in waits)


def test_networks_that_change_together_are_one_event(found: Onsets) -> None:
    """Of a country and direction; the nearest dated event is named, a far one is not."""
    events = found.events.to_dict("records")
    assert [(row["country"], row["direction"], row["n_series"]) for row in events] == [
        ("RU", "onset", 3), ("RU", "lifting", 3),
    ]  # fmt: skip
    assert [row["near"] for row in events] == ["An order", ""]


def test_order_of_rows_and_other_series_do_not_matter() -> None:
    """The same dates and intervals whoever is beside it, but for the adjusted p."""
    shares = {("RU", 1): blocked(40, 80)}
    alone = find(counts(shares), BY).changes
    rows = counts(shares, seed=1)
    others = counts({("US", asn): blocked(0, 0) for asn in (5, 6)}, seed=2)
    beside = find(pd.concat([others, rows[::-1]]), BY).changes
    same = ["date", "first", "last", "detected", "before", "after"]
    assert len(alone) == 2
    assert alone[same].to_dict("records") == beside[same].to_dict("records")


def test_what_fails_in_all_countries_at_once_is_no_block() -> None:
    """Marked as doubtful with the reason, its end too; one country alone is not."""
    shares = {(code, 1): blocked(60, 80) for code in ("RU", "US", "DE", "FR")}
    changes = find(counts(shares), BY).changes
    assert len(changes) == 8
    assert all("4 of 4 countries: the service may be down" in notes for notes in changes["notes"])
    assert changes["is_doubtful"].all()
    one = {**{key: blocked(0, 0) for key in shares}, ("RU", 1): blocked(60, 80)}
    assert not find(counts(one), BY).changes["is_doubtful"].any()


def test_runs_whose_controls_failed_make_an_onset_doubtful() -> None:
    """Most runs decided nothing from then on: the line changed too."""
    rows = counts({("RU", 1): blocked(60, 120)})
    late = rows["date"] >= FIRST + timedelta(days=60)
    rows.loc[late, "n"] += 12
    (notes,) = find(rows, BY).changes["notes"]
    assert "decided nothing: controls failed" in notes


def test_series_that_do_not_change_give_no_certain_onset() -> None:
    """200 of them, cells overdispersed or not."""
    rng = np.random.default_rng(7)
    certain = 0
    for rho in (0.0, 0.1):
        shares = {}
        for asn in range(200):
            share = np.full(100, 0.06)
            shares["RU", asn] = rng.beta(share * 9, (1 - share) * 9) if rho else share
        changes = find(counts(shares, seed=3), BY).changes
        certain += int((~changes["is_doubtful"].astype(bool)).sum())
    assert certain <= 1


def test_nothing_to_search() -> None:
    """Said, not drawn; a wrong year does not make a grid of a thousand years."""
    rows = counts({("RU", 1): blocked(0, 0)})
    with pytest.raises(NoDataError, match="no measurement"):
        find(rows[:0], BY)
    rows.loc[rows.index[0], "date"] = date(9999, 1, 1)
    with pytest.raises(NoDataError, match="more than"):
        find(rows, BY)
    with pytest.raises(NoDataError, match="no verdict or measurement"):
        view(dataset_of())
    calm = [measured(number, f"r{number}", 5, 5) for number in range(30)]
    with pytest.raises(NoDataError, match="no onset or lifting stands out in 1 series"):
        view(dataset_of(measurements=calm))


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    """Twenty networks, five measurements a day, blocked for 40 days; one name is hostile."""
    rows = [
        measured(
            number, f"r{asn}-{number}-{run}", 0 if 30 <= number < 70 else 5, 5,
            probe_asn=asn, probe_cc="RU" if asn % 2 else "US",
            target_id="<script>\u202e$x$" + "y" * 300 if asn == 3 else "telegram/dc_pool",
            date=day(number + 20 * (asn % 4)),
        )
        for asn in range(20)
        for number in range(100)
        for run in range(2)
    ]  # fmt: skip
    events = [
        Event(day(30), "Addresses blocked " * 3, "effective",
              others=(Dated("lifted", day(70), day(72)),)),
    ]  # fmt: skip
    return view(dataset_of(measurements=rows), events)


def test_a_forest_is_legible_and_small(drawn: Drawn) -> None:
    """Whatever names are; no more rows than there is room for, the others in the table."""
    assert_legible(drawn.figure)
    svg = save_svg(drawn.figure)
    assert b"<script" not in svg
    assert len(svg) < 200_000
    words = " ".join(words_of(drawn.figure))
    assert "20 series tested" in words
    assert "near in time, not its cause" in words
    assert len(drawn.table) == 40
    assert words.count("→") <= 2 * MAX_ROWS


def test_every_share_has_its_n_and_interval(drawn: Drawn) -> None:
    """In the table and in words."""
    for row in drawn.table.to_dict("records"):
        assert "%" in row["Before"]
        assert " to " in row["After"]
        assert int(row["n after"].replace(",", "")) > 0
    assert "onset on 2030-03-31" in drawn.alt
    assert "n 300 → " in drawn.alt


needs_daily = pytest.mark.skipif(not (DATA / "daily").is_dir(), reason="no real daily series here")


@needs_daily
def test_real_onsets_are_found_through_the_public_way() -> None:
    """Russia 2022-02/03 and Iran 2022-09 in hindsight, Myanmar 2021-02 by volume, and few others.

    Iran within two days of 09-27, between the first alarm of the wave and its full effect.
    """
    (found,) = found_in(load(DATA / "daily"))
    onsets = found.changes[found.changes["direction"] == "onset"]

    def is_found(country: str, wanted: date) -> bool:
        days = onsets.loc[onsets["country"] == country, "date"]
        return any(abs(one - wanted) <= timedelta(days=2) for one in days)

    assert is_found("RU", date(2022, 2, 28))
    assert is_found("RU", date(2022, 3, 14))
    assert is_found("IR", date(2022, 9, 27))
    assert is_found("MM", date(2021, 2, 1))
    volume = onsets[onsets["method"] == "volume"]
    assert volume["country"].tolist() == ["MM"]
    assert volume["is_doubtful"].all()
    by_year = onsets.groupby(["country", [one.year for one in onsets["date"]]]).size()
    # Five onsets of Russia in 2022, three of them with an event in the list of the tests.
    assert by_year.max() <= 5
