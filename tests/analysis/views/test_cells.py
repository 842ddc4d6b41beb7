"""Cells: days without data are rows, shares say what they rest on, periods add up."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from analysis.dataset import Dataset
from analysis.drawn import NoDataError
from analysis.query.judged import COUNTRIES
from analysis.query.judged import NETWORKS as NETWORKS_BY
from analysis.stats.intervals import intraclass_correlation
from analysis.stats.overdispersion import within_strata
from analysis.views.cells import (
    MAX_INTERVAL,
    WORSE,
    Period,
    cells,
    period_for,
    period_starts,
    with_statistics,
)
from made_measurements import FIRST, blocked, dataset, measured
from probe.model.verdict import STATES

NETWORKS = [("RU", 8402), ("RU", 12389), ("US", 7018)]


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Sixty days of three networks, one of which says nothing from day 50 on."""

    def share(code: str, asn: int, number: int) -> float:
        return float("nan") if asn == 12389 and number >= 50 else blocked(code, asn, number)

    return dataset(measured(NETWORKS, 60, share))


@pytest.fixture(scope="module")
def days(data: Dataset) -> pd.DataFrame:
    return cells(data).frame


def test_every_series_has_every_day(days: pd.DataFrame) -> None:
    """Days without data are rows: n = 0, no share, an interval of everything, no state."""
    found = days
    silent = found[(found["probe_asn"] == 12389) & (found["date"] >= FIRST + timedelta(days=50))]

    assert len(found) == 3 * 60
    assert found["n"].sum() == (60 + 50 + 60) * 6
    assert len(silent) == 10
    assert (silent["n"] == 0).all()
    assert silent["share"].isna().all()
    assert (silent["low"] == 0).all()
    assert (silent["high"] == 1).all()
    assert not silent["is_shown"].any()
    assert all(state is None for state in silent["state"])


def test_a_share_is_shown_only_where_it_says_something(days: pd.DataFrame) -> None:
    """What is shown lies in its interval, which is narrow enough; nothing else is shown."""
    found = days
    width = found["high"] - found["low"]
    shown = found[found["is_shown"]]

    assert (found["is_shown"] == ((found["decided"] > 0) & (width <= MAX_INTERVAL))).all()
    assert (shown["low"] <= shown["share"]).all()
    assert (shown["share"] <= shown["high"]).all()
    one = cells(dataset(measured(NETWORKS[:1], 1, blocked, per_day=1))).frame
    assert not one["is_shown"].any()


@pytest.mark.parametrize(("period", "by"), [("week", NETWORKS_BY), ("month", COUNTRIES)])
def test_periods_and_countries_add_up(
    data: Dataset, days: pd.DataFrame, period: Period, by: tuple[str, ...]
) -> None:
    """Counts of longer periods and of countries are sums of days of networks."""
    found = cells(data, by, period=period).frame

    for name in ("n", "failing", "decided", "n_probes", *(f"state_{state}" for state in STATES)):
        assert found[name].sum() == days[name].sum()
    assert found["date"].min() == days["date"].min()
    assert found["until"].max() == days["date"].max()
    for _, own in found.groupby("probe_cc"):
        starts = sorted(set(own["date"]))
        ends = sorted(set(own["until"]))
        assert starts[1:] == [end + timedelta(days=1) for end in ends[:-1]]


def test_probes_that_repeat_count_for_less() -> None:
    """Ten measurements by one of two stubborn probes are not twenty independent ones."""
    rows = measured(NETWORKS[:1], 40, lambda *_: 0.0, per_day=20, probes=2)
    stubborn = rows["run_id"].str.endswith("-1")
    rows.loc[stubborn, "outcome"] = "failed"
    found = cells(dataset(rows)).frame

    assert (found["rho"] > 0.99).all()
    assert found["n_effective"].tolist() == pytest.approx([2.0] * 40)
    assert not found["is_shown"].any()


def test_a_block_is_no_overdispersion() -> None:
    """That days differ does not widen the interval of a day."""
    rows = measured(NETWORKS[:1], 60, blocked, per_day=20, probes=5)
    found = cells(dataset(rows)).frame

    assert (found["rho"] < 0.1).all()
    assert intraclass_correlation(found["failing"], found["decided"]) > 0.5


def test_one_stratum_is_the_plain_estimator() -> None:
    """With a single day the estimate is `intraclass_correlation`."""
    rng = np.random.default_rng(5)
    n = rng.integers(1, 9, 60)
    k = rng.binomial(n, rng.beta(1, 2, 60))
    zero = np.zeros(60, int)

    found = within_strata(k, n, np.ones(60), zero, zero)
    assert found.tolist() == pytest.approx([intraclass_correlation(k, n)])


def test_intervals_hold_the_truth_where_probes_repeat() -> None:
    """Over shares, correlations and sizes, 93 to 97 of 100 intervals hold the true share."""
    rng = np.random.default_rng(7)
    held = []
    for share, rho, probes, each in (
        (0.1, 0.0, 20, 3), (0.1, 0.3, 5, 4), (0.3, 0.1, 3, 20), (0.3, 0.6, 20, 3),
        (0.6, 0.3, 5, 4), (0.6, 0.6, 50, 5),
    ):  # fmt: skip
        size = (1 - rho) / max(rho, 1e-9)
        own = rng.beta(share * size, (1 - share) * size, (2400, probes))
        failed = rng.binomial(each, own)
        day = np.repeat(np.arange(2400), probes)
        # Forty series of sixty days.
        correlation = within_strata(
            failed.ravel(), np.full(failed.size, each), np.ones(failed.size), day // 60, day
        )
        counts = pd.DataFrame(
            {
                "decided": probes * each, "failing": failed.sum(axis=1),
                "squares": probes * each**2, "rho": np.repeat(correlation, 60),
                **{f"state_{state}": 0 for state in STATES},
            }
        )  # fmt: skip
        found = with_statistics(counts)
        held.append(((found["low"] <= share) & (share <= found["high"])).mean())

    assert min(held) > 0.92
    assert 0.93 < np.mean(held) < 0.97


def test_nothing_to_compare_counts_each_probe_once() -> None:
    """Where no two probes measured twice, nothing tells how alike they are."""
    found = within_strata([0, 3], [5, 3], [1, 1], [0, 1], [0, 1])
    assert found.tolist() == [1.0, 1.0]


def test_ties_go_to_the_worse_state() -> None:
    """Of two states as frequent, the worse one stands for the cell, which is mixed."""
    rows = [
        {f"state_{state}": int(state in pair) for state in STATES}
        | {"decided": 0, "failing": 0, "squares": 0, "rho": 0.0, "worse": pair[1]}
        for number, one in enumerate(WORSE)
        for pair in ((one, other) for other in WORSE[number + 1 :])
    ]
    found = with_statistics(pd.DataFrame(rows))

    assert found["state"].tolist() == [row["worse"] for row in rows]
    assert found["is_mixed"].all()


def test_columns_stay_few() -> None:
    """Whatever the span: at most about as many columns as asked for, and they cover it."""
    for n_days in (1, 60, 120, 121, 800, 2000, 4000):
        last = FIRST + timedelta(days=n_days - 1)
        starts = period_starts(FIRST, last, period_for(FIRST, last))
        assert len(starts) <= 122
        assert starts[0] <= FIRST


def test_thin_data_are_drawn_by_longer_periods() -> None:
    """One run a day shows no share by day; by week it does."""
    thin = dataset(measured(NETWORKS[:1], 40, lambda *_: 0.0, per_day=1))
    assert cells(thin).period == "day"
    found = cells(thin, least_shown=0.5)
    assert found.period == "week"
    assert found.frame["is_shown"].mean() > 0.5


def test_what_no_chart_can_show_is_said() -> None:
    """Nothing measured, or a wrong date in one line: an error that says so."""
    rows = measured(NETWORKS[:1], 2, blocked)
    with pytest.raises(NoDataError, match="no verdict"):
        cells(dataset(rows).where(country="XX"))
    rows.loc[0, "date"] = date(1970, 1, 1)
    with pytest.raises(NoDataError, match="1970-01-01"):
        cells(dataset(rows))
