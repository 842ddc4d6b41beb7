"""When blocking began and ended, of every series, from verdicts, measurements or daily counts."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.onsets import interval_words, onsets, onsets_alt_text
from analysis.chart.scale import percent
from analysis.chart.simulated import simulated
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.onset_search import Onsets, find
from analysis.query.grid import cells
from analysis.query.judged import NETWORKS
from analysis.query.onsets import counts_by_day
from analysis.stats.design import DAILY
from analysis.views.sources import counted, network_words, source_words

DAILY_SERIES: Final = ("source", "probe_cc")

MAX_ROWS: Final = 12
"""More letters than their rows hold would make the file larger than a report can carry."""


def found_in(
    dataset: Dataset,
    events: Sequence[Event] = (),
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Onsets]:
    """Find onsets in what was measured network by network, and in daily counts of countries.

    One result each, of those that there are data for. ``progress`` is told how many series were
    searched, of how many.

    Raises:
        NoDataError: neither decides anything, or they span too many days.
    """
    return _found(judged_counts(dataset), daily_counts(dataset), events, progress)


def _found(
    judged: pd.DataFrame,
    daily: pd.DataFrame,
    events: Sequence[Event],
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> list[Onsets]:
    found = []
    if not judged.empty:
        found.append(find(judged, NETWORKS, events, progress=progress))
    if not daily.empty:
        found.append(find(daily, DAILY_SERIES, events, design=DAILY, progress=progress))
    if not found:
        raise NoDataError("no verdict or measurement that decides anything, and no daily counts")
    return found


def judged_counts(dataset: Dataset) -> pd.DataFrame:
    """Return failing of decided rows by day and network (`query.grid.cells`)."""
    counts = cells(dataset.judged).to_pyarrow().to_pandas(date_as_object=True)
    decided: pd.DataFrame = counts[counts["decided"] > 0]
    return counts if not decided.empty else decided


def daily_counts(dataset: Dataset) -> pd.DataFrame:
    """Return failing of decided daily counts, a row a country and day."""
    counts = counts_by_day(dataset.daily).to_pyarrow().to_pandas(date_as_object=True)
    total, ok = counts["total"].fillna(0).astype("int64"), counts["ok"].fillna(0).astype("int64")
    counts = counts.assign(source="ooni_counts", decided=total, failing=(total - ok).clip(lower=0))
    result: pd.DataFrame = counts[counts["decided"] > 0]
    return result


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw onsets and liftings, changes of one country that go together in one row.

    Raises:
        NoDataError: no data, or no change in them.
    """
    counts = judged_counts(dataset), daily_counts(dataset)
    found = _found(*counts, events)
    rows = [row for number, one in enumerate(found, 1) for row in _rows(one, number)]
    days = [day for part in counts for day in part["date"]]
    span = min(days), max(days)
    n_series = sum(one.n_series for one in found)
    if not rows:
        raise NoDataError(
            f"no onset or lifting stands out in {n_series:,} series from {span[0]} to {span[1]}"
        )
    drawn = _largest(rows)
    lab = simulated(counts[0]) if not counts[0].empty else "none"
    if lab == "wholly" and not counts[1].empty:
        lab = "partly"
    title = f"When blocking began and ended, {days_words(*span)}"
    has_several = any(row["n_series"] > 1 for row in drawn)
    source = _source(counts, found, len(rows) - len(drawn), has_several=has_several)
    frame = pd.DataFrame(drawn, dtype=object)
    return Drawn(
        name="onsets",
        title=title,
        figure=onsets(frame, span, events, title=title, source=source, simulated=lab),
        alt=onsets_alt_text(frame, span, events, simulated=lab),
        table=_table(found),
        caption="A row is a change of one series: date with the 95 % interval that a bootstrap "
        "gives, day on which a detector that sees only the past raised its alarm, shares before "
        "and after with 95 % intervals and n, what n is worth, and p adjusted for all series and "
        "dates searched. What is near is near in time, not the cause.",
    )


def _rows(found: Onsets, number: int) -> list[dict[str, Any]]:
    """Return a row for each event: its only series' numbers, or medians over its series."""
    rows = []
    for event in found.events.to_dict("records"):
        own = found.changes[found.changes["event"] == event["event"]]
        one = own.iloc[0].to_dict()
        row = {str(name): value for name, value in one.items()}
        row |= {name: event[name] for name in ("date", "first", "last", "is_doubtful")}
        if len(own) > 1:
            for side in ("before", "after"):
                shares = own[side].astype(float)
                row |= {
                    side: float(np.median(shares)),
                    f"{side}_low": float(own[f"{side}_low"].astype(float).min()),
                    f"{side}_high": float(own[f"{side}_high"].astype(float).max()),
                    f"n_{side}": int(own[f"n_{side}"].sum()),
                }
        n_series = int(event["n_series"])
        row["n_series"] = n_series
        together = f"{event['country']}: {n_series} series (event {number}.{event['event'] + 1})"
        row["label"] = _label(row) if n_series == 1 else together
        row["detail"] = event["near"] and f"near: {event['near']}"
        if row["method"] == "volume":
            row["detail"] = "measuring began" + (f"; {row['detail']}" if row["detail"] else "")
        rows.append(row)
    return rows


def _label(row: dict[str, Any]) -> str:
    if "target_id" not in row:
        return f"{row['probe_cc']}: all OONI tests"
    return f"{network_words(row['probe_cc'], row['probe_asn'])} {row['target_id']}"


def _largest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is drawn: the certain and those of most series first; by country and date."""
    ranked = sorted(
        rows,
        key=lambda row: (
            row["is_doubtful"] and row["method"] != "volume", -row["n_series"],
            row["method"] != "volume", -(row["n_before"] + row["n_after"]),
            row["label"], row["date"], row["direction"],
        ),
    )  # fmt: skip
    return sorted(
        ranked[:MAX_ROWS],
        key=lambda row: (row["country"], row["date"], row["label"], row["direction"]),
    )


def _source(
    counts: Sequence[pd.DataFrame], found: Sequence[Onsets], n_more: int, *, has_several: bool
) -> str:
    judged, daily = counts
    parts = []
    if not judged.empty:
        by_source = judged.groupby("source")["decided"].sum().to_dict()
        networks = set(zip(judged["probe_cc"], judged["probe_asn"], strict=True))
        parts.append(source_words(by_source, networks, "measurement"))
    if not daily.empty:
        countries = ", ".join(sorted(daily["probe_cc"].unique())[:8])
        parts.append(
            f"{int(daily['decided'].sum()):,} measurements in OONI's daily counts ({countries})"
        )
    n_series = sum(one.n_series for one in found)
    words = f"{'; '.join(parts)}; {n_series:,} series tested"
    n_left_out = sum(one.n_left_out for one in found)
    if n_left_out:
        words += f", {n_left_out} of them not searched for want of time"
    if has_several:
        words += "; of several series, the median share and the lowest to highest bound"
    if n_more:
        words += f"; {counted(n_more, 'more row')} in the table"
    return words


_HEADINGS: Final = (
    "Series", "Change", "Date", "95 % interval", "Alarm", "Before", "n before", "After", "n after",
    "Effective n", "Adjusted p", "Method", "Doubt", "Near", "Event",
)  # fmt: skip


def _table(found: Sequence[Onsets]) -> pd.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for number, one in enumerate(found, 1):
        rows += [
            (
                _label(row), row["direction"], str(row["date"]), interval_words(row),
                str(row["detected"] or "none"), _share(row, "before"), f"{row['n_before']:,}",
                _share(row, "after"), f"{row['n_after']:,}", _number(row["n_effective"], ",.0f"),
                _number(row["p_adjusted"], ".2g"), row["method"], row["notes"], row["near"],
                f"{number}.{row['event'] + 1}",
            )
            for row in one.changes.to_dict("records")
        ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(_HEADINGS), dtype=object)


def _number(value: float, form: str) -> str:
    return "" if pd.isna(value) else format(value, form)


def _share(row: dict[Any, Any], side: str) -> str:
    if pd.isna(row[side]):
        return "not known"
    return f"{percent(row[side])} ({percent(row[f'{side}_low'])} to {percent(row[f'{side}_high'])})"
