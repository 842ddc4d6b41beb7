"""Cells of a chart: counts by series and day, week or month, each share with its interval.

Every chart of shares draws these, so that two charts never tell one cell differently. Counts
are added up to the period first; intervals are of what was added up.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final, Literal, NamedTuple

import ibis
import numpy as np
import pandas as pd

from analysis.dataset import Dataset
from analysis.drawn import NoDataError
from analysis.query.grid import MAX_DAYS, probe_counts
from analysis.query.grid import cells as count_cells
from analysis.query.judged import NETWORKS
from analysis.stats.intervals import jeffreys
from analysis.stats.overdispersion import within_strata
from probe.model.verdict import State

Period = Literal["day", "week", "month", "quarter"]

MAX_COLUMNS: Final = 120
"""More cells than these beside each other are too narrow to be seen in print."""

FEWEST_COLUMNS: Final = 4
"""With fewer, a chart shows no course of time any more."""

MAX_INTERVAL: Final = 0.6
"""The widest interval of a share that is drawn as one; a wider one says nothing."""

SHOWN_WORDS: Final = (
    f"a share is given where its 95 % interval is at most {MAX_INTERVAL * 100:.0f} points wide"
)

WORSE: Final[tuple[State, ...]] = (
    "insufficient", "ok", "down", "impaired", "likely_blocked", "blocked",
)  # fmt: skip
"""Of states that are equally frequent, the last in this order stands for a cell."""

_LONGEST: Final[tuple[tuple[Period, float], ...]] = (("day", 1), ("week", 7), ("month", 30.4))


class Cells(NamedTuple):
    """Cells of every series in every period from ``first`` to ``last``, empty ones too.

    Columns of ``frame``, sorted by series, then date:

    - ``date``, ``until``: first and last day of the cell, within ``first`` and ``last``;
    - those of ``by``, as asked for (`NETWORKS`: source, probe_cc, probe_asn, service_id,
      target_id);
    - int64: ``n`` (rows of `Dataset.judged`), ``n_probes`` (runs or reports, those of each
      day added up), ``members_ok``, ``members_total``, ``state_X`` for each state,
      ``failing`` of ``decided``, ``lab_n``;
    - ``rho``: correlation of two measurements by one probe; ``n_effective``: what ``decided``
      is worth; ``share`` (failing of decided) with its 95 % interval ``low`` to ``high``:
      NaN, 0 and 1 where nothing was decided;
    - ``is_shown``: something was decided, and the interval is at most `MAX_INTERVAL` wide.
      Else a chart draws the cell as ``insufficient`` where n > 0, and as no data where n = 0;
    - ``state``: the most frequent, ties to the worse, None without data; ``is_mixed``: more
      than one.
    """

    frame: pd.DataFrame
    period: Period
    first: date
    last: date

    @property
    def n_columns(self) -> int:
        """Cells of each series."""
        return len(period_starts(self.first, self.last, self.period))


def cells(
    dataset: Dataset,
    by: Sequence[str] = NETWORKS,
    *,
    period: Period | None = None,
    most: int = MAX_COLUMNS,
    least_shown: float = 0.0,
) -> Cells:
    """Return the cells of a dataset by series; the shortest period of at most ``most`` columns.

    Where fewer than ``least_shown`` of the cells with data can show a share, a longer period is
    taken in which enough of them can, or else most, as long as `FEWEST_COLUMNS` columns remain.

    Raises:
        NoDataError: nothing was measured, or days of more than `MAX_DAYS` days.
    """
    counts = counted(dataset.judged, by)
    if counts.empty:
        raise NoDataError("no verdict of ours and no measurement by OONI")
    first, last = days_of(counts)
    shortest = period or period_for(first, last, most)

    def at(chosen: Period) -> Cells:
        grid = dense(binned(counts, by, chosen), by, chosen, first, last)
        return Cells(with_statistics(grid), chosen, first, last)

    found = at(shortest)
    if period or _shown(found.frame) >= least_shown:
        return found
    names = [name for name, _ in _LONGEST]
    tried = [found]
    for name in names[names.index(shortest) + 1 :] if shortest in names else []:
        if len(period_starts(first, last, name)) >= FEWEST_COLUMNS:
            tried.append(at(name))
        if _shown(tried[-1].frame) >= least_shown:
            return tried[-1]
    return max(tried, key=lambda cells: _shown(cells.frame))


def _shown(frame: pd.DataFrame) -> float:
    """Return which part of the cells with data can show a share."""
    return float(frame["is_shown"].sum() / (frame["n"] > 0).sum())


def days_of(counts: pd.DataFrame) -> tuple[date, date]:
    """Return the first and last day of a frame with a ``date``.

    Raises:
        NoDataError: they are further apart than a chart can show.
    """
    first, last = counts["date"].min(), counts["date"].max()
    n_days = (last - first).days + 1
    if n_days > MAX_DAYS:
        raise NoDataError(
            f"data span {n_days} days ({first} to {last}), more than {MAX_DAYS}: narrow them with "
            "where(first=…, last=…)"
        )
    return first, last


def counted(judged: ibis.Table, by: Sequence[str] = NETWORKS) -> pd.DataFrame:
    """Run the queries: counts of days with data, with ``rho`` of each series.

    Columns: those of `query.grid.cells`, rho, and ``squares``: the sum over probes of squared
    numbers of decided measurements, from which the design effect of any sum of days follows.
    """
    keys = ["date", *by]
    counts = frame_of(count_cells(judged, by))
    probes = frame_of(probe_counts(judged, keys))
    if counts.empty:
        return counts
    if (probes["decided"] <= 1).all():
        # No probe measured twice in a day, as with most of OONI's: nothing to correlate.
        return counts.assign(rho=1.0, squares=counts["decided"])
    series = probes.groupby(list(by), sort=True).ngroup().to_numpy()
    day = probes.groupby(keys, sort=True).ngroup().to_numpy()
    rho = within_strata(probes["failing"], probes["decided"], probes["n_probes"], series, day)
    probes = probes.assign(
        rho=rho[series] if len(rho) else 0.0, squares=probes["n_probes"] * probes["decided"] ** 2
    )
    told = probes.groupby(list(by), as_index=False).agg(rho=("rho", "first"))
    squares = probes.groupby(keys, as_index=False).agg(squares=("squares", "sum"))
    found = counts.merge(squares, how="left", on=keys).merge(told, how="left", on=list(by))
    # A series in which nothing was decided has no correlation, and no share that needs it.
    found["rho"] = found["rho"].fillna(0.0)
    found["squares"] = found["squares"].fillna(0).astype("int64")
    return found


def frame_of(expression: ibis.Table) -> pd.DataFrame:
    """Run an expression; return integers as int64, texts and days as Python objects."""
    table: pd.DataFrame = expression.to_pyarrow().to_pandas(date_as_object=True)
    return table


def period_for(first: date, last: date, most: int = MAX_COLUMNS) -> Period:
    """Return the shortest period that gives at most about ``most`` columns."""
    n_days = (last - first).days + 1
    for period, length in _LONGEST:
        if n_days / length <= most:
            return period
    return "quarter"


def start_of(day: date, period: Period) -> date:
    """Return the first day of the period that a day lies in. Weeks begin on Mondays."""
    if period == "day":
        return day
    if period == "week":
        return day - timedelta(days=day.weekday())
    quarter = day.month - (day.month - 1) % 3
    return day.replace(day=1, month=day.month if period == "month" else quarter)


def period_starts(first: date, last: date, period: Period) -> list[date]:
    """Return the first days of all periods that days from ``first`` to ``last`` lie in."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return sorted({start_of(day, period) for day in days})


def binned(counts: pd.DataFrame, by: Sequence[str], period: Period) -> pd.DataFrame:
    """Add up counts by period, in the columns given; ``date`` becomes the period's first day."""
    if period == "day":
        return counts
    days = {day: start_of(day, period) for day in counts["date"].unique()}
    rest = [name for name in counts.columns if name not in {"date", *by}]
    return (
        counts.assign(date=counts["date"].map(days))
        .groupby([*by, "date"], as_index=False)
        .agg({name: "first" if name == "rho" else "sum" for name in rest})
    )


def dense(
    counts: pd.DataFrame, by: Sequence[str], period: Period, first: date, last: date
) -> pd.DataFrame:
    """Return a row for each series and period, counts 0 included, with ``date`` and ``until``."""
    starts = period_starts(first, last, period)
    series = counts.groupby(list(by), sort=True)
    keys = series.first().reset_index()
    column = {day: number for number, day in enumerate(starts)}
    place = series.ngroup().to_numpy() * len(starts) + counts["date"].map(column).to_numpy(int)
    n_cells = len(keys) * len(starts)
    ends = [*(day - timedelta(days=1) for day in starts[1:]), last]
    found: dict[str, Any] = {
        "date": np.tile(np.array([max(day, first) for day in starts], object), len(keys)),
        "until": np.tile(np.array(ends, object), len(keys)),
        **{name: np.repeat(keys[name].to_numpy(), len(starts)) for name in by},
    }
    for name in counts.columns:
        if name in {"date", *by}:
            continue
        values = counts[name].to_numpy()
        if name == "rho":
            found[name] = np.repeat(keys[name].to_numpy(), len(starts))
            continue
        filled = np.zeros(n_cells, values.dtype)
        filled[place] = values
        found[name] = filled
    return pd.DataFrame(found)


def with_statistics(counts: pd.DataFrame) -> pd.DataFrame:
    """Add share, interval, whether it is shown, and the state, to rows of counts."""
    decided = counts["decided"].to_numpy(float)
    is_decided = decided > 0
    mean_square = counts["squares"].to_numpy(float) / np.where(is_decided, decided, 1.0)
    effect = np.where(is_decided, 1 + counts["rho"].to_numpy() * (mean_square - 1), 1.0)
    # No measurement is worth more than one.
    effect = np.maximum(effect, 1.0)
    shares = jeffreys(counts["failing"].to_numpy() / effect, decided / effect)
    states = np.stack([counts[f"state_{state}"].to_numpy() for state in WORSE])
    # argmax finds the first of equals: the worse ones have to come first.
    most = len(WORSE) - 1 - states[::-1].argmax(axis=0)
    state = np.array([*WORSE, None], object)[np.where(states.any(axis=0), most, len(WORSE))]
    return counts.drop(columns="squares").assign(
        n_effective=decided / effect,
        share=shares.share,
        low=np.where(is_decided, shares.low, 0.0),
        high=np.where(is_decided, shares.high, 1.0),
        is_shown=is_decided & (shares.high - shares.low <= MAX_INTERVAL),
        # As objects: None stays None, where pandas' own texts would make it NaN.
        state=pd.Series(state, counts.index, dtype=object),
        is_mixed=(states > 0).sum(axis=0) > 1,
    )
