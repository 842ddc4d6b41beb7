"""Blocking and circumvention of one country on one time axis.

Blocking: OONI's daily counts, or else verdicts and measurements. Circumvention: Tor's users, or
else the share of our runs in which some way around worked.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.chart.events import Event
from analysis.chart.paired import STEPS, Words, two_series_alt_text
from analysis.chart.scale import percent
from analysis.chart.two_series import two_series
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.grid import MAX_DAYS, cells
from analysis.query.onsets import counts_by_day, users_by_day, ways_by_day
from analysis.stats.association import Association, detrended_log, lagged_association
from analysis.stats.intervals import jeffreys
from analysis.stats.offline import noise_between

MAX_COLUMNS: Final = 200
"""A point is 0.04 inches wide then; more would be neither seen nor small."""

MAX_LAG: Final = 14
BLOCK_DAYS: Final = 14
_MIN_DAYS: Final = 60
"""Fewer days hold too few blocks for a band that means something."""

_MOST_DAYS: Final = 370
"""Of a longer series, associations are of its last year: both drift."""


class _Sources(NamedTuple):
    """Rows by day and country: ``n``, ``failing``, and ``users`` with its band."""

    blocking: pd.DataFrame
    circumvention: pd.DataFrame
    words: Words
    source: str


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw the country with most data on both; others are named in the caption.

    Raises:
        NoDataError: no country has both.
    """
    found = _sources(dataset)
    both = set(found.blocking["probe_cc"]) & set(found.circumvention["probe_cc"])
    if not both:
        raise NoDataError(
            "no country with both blocking (OONI's daily counts, verdicts or measurements) and "
            "circumvention (Tor's users by day, or ways around that were tried)"
        )
    days = found.circumvention.groupby("probe_cc").size()
    ranked = sorted(both, key=lambda country: (-int(days[country]), country))
    most = {country: int(found.blocking.loc[found.blocking["probe_cc"] == country, "n"].sum())
            for country in both}  # fmt: skip
    ranked.sort(key=lambda country: (-most[country], country))
    country = ranked[0]
    table = _table(found, country)
    notes, words = [], found.words
    association = _association(table)
    notes.append(_association_words(association, words, len(table)))
    if len(ranked) > 1:
        notes.append(f"Other countries with data on both: {', '.join(ranked[1:12])}.")
    title = f"{country}: blocking and circumvention, {table['day'].min()} to {table['day'].max()}"
    return Drawn(
        name="circumvention",
        title=title,
        figure=two_series(
            _binned(table), events, title=title, source=found.source, words=words, notes=notes
        ),
        alt=f"{country}. {two_series_alt_text(_binned(table), events, words=words)} {notes[0]}",
        table=_for_people(table, words),
        caption=f"A row is a day in {country}. The interval of the share holds chance and the "
        f"noise between days. {' '.join(notes)}",
    )


def _sources(dataset: Dataset) -> _Sources:
    daily = _frame(counts_by_day(dataset.daily))
    users = _frame(users_by_day(dataset.daily))
    daily = daily.assign(
        n=daily["total"].fillna(0).astype("int64"), lab=False,
        failing=(daily["total"] - daily["ok"]).fillna(0).clip(lower=0).astype("int64"),
    )  # fmt: skip
    judged = _frame(cells(dataset.judged, ("probe_cc",)))
    judged = judged.assign(n=judged["decided"], lab=judged["lab_n"] > 0)
    if not users.empty:
        if set(daily["probe_cc"]) & set(users["probe_cc"]) or judged.empty:
            source = "OONI's daily counts of all tests; Tor Metrics, direct users"
            return _Sources(daily, users, Words("Share failing"), source)
        source = "verdicts and OONI's measurements; Tor Metrics, direct users"
        return _Sources(judged, users, Words("Share failing"), source)
    ways = _frame(ways_by_day(dataset.verdicts))
    worked = jeffreys(ways["n_worked"], ways["n"])
    ways = ways.assign(users=worked.share, lower=worked.low, upper=worked.high)
    words = Words(
        "Share failing", circumvention="A way around works", band="95 % interval of the share "
        "of runs", unit="results on the direct way", is_share=True,
    )  # fmt: skip
    source = "verdicts and measurements; runs in which ways around were tried"
    return _Sources(judged, ways, words, source)


def _frame(expression: object) -> pd.DataFrame:
    frame: pd.DataFrame = expression.to_pyarrow().to_pandas(date_as_object=True)  # type: ignore[attr-defined]
    return frame


def _table(found: _Sources, country: str) -> pd.DataFrame:
    """Return a row for each day, in the columns of `chart.paired`."""
    own = [
        part[part["probe_cc"] == country].set_index("date")
        for part in (found.blocking, found.circumvention)
    ]
    first, last = (pick(pick(part.index) for part in own) for pick in (min, max))
    n_days = (last - first).days + 1
    if n_days > MAX_DAYS:
        raise NoDataError(f"data span {n_days} days ({first} to {last}), more than {MAX_DAYS}")
    days = pd.date_range(first, last).date
    blocking, around = (part.reindex(days) for part in own)
    n = blocking["n"].fillna(0).to_numpy(np.int64)
    k = blocking["failing"].fillna(0).to_numpy(np.int64)
    return pd.DataFrame(
        {
            "day": days,
            "n": n,
            "failing": k,
            **_shares(k, n),
            "users": around["users"].to_numpy(float),
            "lower": around["lower"].to_numpy(float),
            "upper": around["upper"].to_numpy(float),
            "lab": blocking["lab"].eq(True).to_numpy(bool),  # noqa: FBT003 - missing is no
        }
    )


def _shares(k: NDArray[np.int64], n: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    # Eighty thousand measurements of one day share that day: beyond its noise n says no more.
    worth = 1 / (1 + np.maximum(n - 1, 0) * noise_between(k, n))
    found = jeffreys(k * worth, n * worth)
    has_data = n > 0
    return {
        "share": found.share,
        "low": np.where(has_data, found.low, np.nan),
        "high": np.where(has_data, found.high, np.nan),
    }


def _binned(table: pd.DataFrame) -> pd.DataFrame:
    """Add days up to weeks, or four weeks, where more of them would not be seen."""
    step = next((step for step in STEPS if len(table) <= MAX_COLUMNS * step), max(STEPS))
    if step == 1:
        return table
    whole = table.iloc[: len(table) // step * step] if len(table) % step else table
    group = np.arange(len(whole)) // step
    sums = whole.groupby(group)
    n, k = sums["n"].sum().to_numpy(), sums["failing"].sum().to_numpy()
    means = sums[["users", "lower", "upper"]].mean()
    return pd.DataFrame(
        {
            "day": sums["day"].first(), "n": n, **_shares(k, n),
            **{name: means[name] for name in means.columns}, "lab": sums["lab"].any(),
        }
    )  # fmt: skip


def _association(table: pd.DataFrame) -> Association | None:
    """Correlate both without trend and week, over the last year; None where days are too few."""
    recent = table.iloc[-_MOST_DAYS:]
    both = (recent["share"] > 0) & (recent["users"] > 0)
    if both.sum() < _MIN_DAYS:
        return None
    return lagged_association(
        detrended_log(recent["share"], degree=2),
        detrended_log(recent["users"], degree=2),
        MAX_LAG,
        BLOCK_DAYS,
        np.random.default_rng(1),
    )


def _association_words(found: Association | None, words: Words, n_days: int) -> str:
    if found is None or not np.isfinite(found.correlation).any():
        return f"Too few days with both to tell an association ({_MIN_DAYS} are needed)."
    best = int(np.nanargmax(np.abs(found.correlation)))
    lag = int(found.lag[best])
    days = "1 day" if abs(lag) == 1 else f"{abs(lag)} days"
    when = f"{days} {'later' if lag > 0 else 'earlier'}" if lag else "on the same day"
    is_seen = found.low[best] > 0 or found.high[best] < 0
    span = f"the last {_MOST_DAYS} days" if n_days > _MOST_DAYS else "these days"
    return (
        f"Over {span}, without trend and week, the highest correlation is with "
        f"{words.circumvention} {when}: {found.correlation[best]:.2f} (95 % interval over all "
        f"lags to {MAX_LAG} days {found.low[best]:.2f} to {found.high[best]:.2f}, "
        f"{found.n_pairs[best]} pairs of days), "
        f"{'' if is_seen else 'not to be told from none; '}an association, not a cause."
    )


def _for_people(table: pd.DataFrame, words: Words) -> pd.DataFrame:
    def told(value: float) -> str:
        return "" if pd.isna(value) else words.told(value)

    rows = [
        (
            str(row["day"]),
            f"{percent(row['share'])} ({percent(row['low'])} to {percent(row['high'])})"
            if row["n"] else "no data",
            f"{row['n']:,}",
            told(row["users"]) or "no data",
            f"{told(row['lower'])} to {told(row['upper'])}" if told(row["lower"]) else "",
        )
        for row in table.to_dict("records")
    ]  # fmt: skip
    headings = ["Day", f"{words.blocking} (95 % interval)", "n", words.circumvention, words.band]
    return pd.DataFrame(rows, columns=headings, dtype=object)
