"""Latency and throughput of targets beside those of the controls of the same day and network."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.scale import three_digits
from analysis.chart.speed import KIND_WORDS, speed, speed_alt_text, unit_of
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.judged import NETWORKS
from analysis.query.speed import KEYS, KINDS, speed_histograms, speed_runs, speed_totals
from analysis.stats.histograms import Histogram, histogram, median_ratio, quantiles
from analysis.views.cells import Period, days_of, frame_of, period_for, period_starts, start_of
from analysis.views.sources import counted, network_words, source_words

MAX_SERIES: Final = 4
MAX_STRIPS: Final = 6
MAX_CELLS: Final = 270
DRAWN_KINDS: Final = ("tcp", "tls", "rate")
"""The kernel's round trip moves with connecting, and is in the table."""
SEED: Final = 20180413

_SHARES: Final = (0.1, 0.5, 0.9)
_NAMES: Final = ("low", "middle", "high")
_BY: Final = {"reachwatch": "by reachwatch", "ooni": "by OONI"}

Row = dict[str, Any]
Key = tuple[Any, ...]


class _Found(NamedTuple):
    """Values of one cell, and of how many runs they are."""

    of: Histogram
    n_runs: int


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:  # noqa: ARG001 - strips are full
    """Draw the targets and networks of which most steps were timed.

    Raises:
        NoDataError: no step of the direct way that passed has times.
    """
    totals = frame_of(speed_totals(dataset.observations))
    if totals.empty:
        raise NoDataError("no step of the direct way that passed has a beginning and an end")
    kept = _largest(totals)
    chosen = dataset.observations.filter(
        dataset.observations.probe_asn.isin(sorted({int(asn) for asn in kept["probe_asn"]}))
    )
    targets = sorted(set(kept["target_id"]))
    counts = frame_of(speed_histograms(chosen, targets))
    first, last = days_of(counts)
    strips = _strips(totals, kept)
    n_drawn = sum(kind in DRAWN_KINDS for _, kind in strips)
    period = period_for(first, last, max(MAX_CELLS // max(n_drawn, 1), 1))
    found = _gathered(counts, frame_of(speed_runs(chosen, targets)), period)
    simulated = _is_simulated(dataset)
    rows = [
        row | {"lab": simulated}
        for strip in strips
        for row in _cells(found, strip, period, (first, last))
    ]
    table = pd.DataFrame(rows)
    drawn = table[table["kind"].isin(DRAWN_KINDS)].reset_index(drop=True)
    if drawn.empty:
        raise NoDataError("nothing but the kernel's round trips was timed")
    title = f"How fast, beside controls, {days_words(first, last)}"
    source = _source(totals, kept)
    return Drawn(
        name="speed",
        title=title,
        figure=speed(drawn, title=title, source=source, period=period),
        alt=speed_alt_text(drawn, period),
        table=_table(table),
        caption=f"A row is a target, a network, what was timed and a {period}. The ratio is of "
        "medians, target over controls; its interval takes each run as worth one value "
        "(bootstrap). Without a control there is nothing to compare with: that says nothing of "
        "speed.",
    )


def _largest(totals: pd.DataFrame) -> pd.DataFrame:
    """Return the series that are drawn: most values first, strips as room allows."""
    kinds = totals.assign(strips=totals["kind"].isin(DRAWN_KINDS).astype("int64"))
    sums = kinds.groupby(list(NETWORKS), as_index=False)[["n", "strips"]].sum()
    order = sums.sort_values(["n", *NETWORKS], ascending=[False, *(True,) * len(NETWORKS)])
    is_kept = (order["strips"].cumsum() <= MAX_STRIPS) & (order["strips"] > 0)
    return order[is_kept].head(MAX_SERIES).sort_values(list(NETWORKS))


def _strips(totals: pd.DataFrame, kept: pd.DataFrame) -> list[tuple[Key, str]]:
    known = {(*(row[name] for name in NETWORKS), row["kind"]) for row in totals.to_dict("records")}
    series = [tuple(row[name] for name in NETWORKS) for row in kept.to_dict("records")]
    return [(key, kind) for key in series for kind in KINDS if (*key, kind) in known]


def _gathered(counts: pd.DataFrame, runs: pd.DataFrame, period: Period) -> dict[Key, _Found]:
    """Add up days to periods: what was found, by the columns of `KEYS`."""
    starts = {day: start_of(day, period) for day in counts["date"].unique()}
    n_runs = runs.assign(date=runs["date"].map(starts)).groupby(list(KEYS))["n_runs"].sum()
    middles = _middle_of_range(counts["value"].to_numpy())
    binned = counts.assign(date=counts["date"].map(starts), value=middles)
    return {
        key: _Found(histogram(own["value"], own["n"]), int(n_runs[key]))
        for key, own in binned.groupby(list(KEYS))
    }


def _middle_of_range(value: np.ndarray) -> np.ndarray:
    """Return the middle of the whole numbers that begin with the same two digits."""
    digits = np.floor(np.log10(np.maximum(value, 1)) + 1e-12)
    width = 10.0 ** np.maximum(digits - 1, 0)
    # A single whole number stands for what is up to one more.
    return np.asarray(np.where(value < 1, 0.5, value + width / 2))


def _cells(
    found: dict[Key, _Found], strip: tuple[Key, str], period: Period, span: tuple[date, date]
) -> list[Row]:
    (series, kind), (first, last) = strip, span
    source, probe_cc, probe_asn, _, target_id = series
    starts = period_starts(first, last, period)
    ends = [*(day - pd.Timedelta(days=1) for day in starts[1:]), last]
    where = f"{network_words(probe_cc, probe_asn)}, {_BY.get(source, source)}"
    control = (source, probe_cc, probe_asn, "", "")
    rows = []
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        own = found.get((start, *series, 0, kind))
        other = found.get((start, *control, 1, kind))
        rows.append(
            {
                "target_id": target_id, "where": where, "source": source,
                "place": network_words(probe_cc, probe_asn), "kind": kind,
                "date": max(start, first), "until": end,
                **_numbers(own, "", kind), **_numbers(other, "control_", kind),
                **_ratio(own, other, number),
            }
        )  # fmt: skip
    return rows


def _numbers(found: _Found | None, prefix: str, kind: str) -> Row:
    if found is None:
        return {f"{prefix}n": 0, **{f"{prefix}{name}": np.nan for name in _NAMES}}
    factor = 1.0 if kind == "rate" else 1e-6
    values = quantiles(found.of, _SHARES) * factor
    named = zip(_NAMES, map(float, values), strict=True)
    return {f"{prefix}n": found.of.n, **{f"{prefix}{name}": value for name, value in named}}


def _ratio(own: _Found | None, other: _Found | None, number: int) -> Row:
    if own is None or other is None:
        return {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan}
    found = median_ratio(own.of, other.of, (own.n_runs, other.n_runs), SEED + number)
    return {"ratio": found.ratio, "ratio_low": found.low, "ratio_high": found.high}


def _is_simulated(dataset: Dataset) -> bool:
    rows = dataset.observations
    found = rows.filter(rows.lab).select("lab").limit(1).to_pyarrow().to_pylist()
    return bool(found)


def _source(totals: pd.DataFrame, kept: pd.DataFrame) -> str:
    own = totals.merge(kept[list(NETWORKS)])
    by_source = {str(name): int(n) for name, n in own.groupby("source")["n"].sum().items()}
    places = kept[["probe_cc", "probe_asn"]].itertuples(index=False)
    words = source_words(by_source, [tuple(place) for place in places], "timed step")
    n_more = len(totals[list(NETWORKS)].drop_duplicates()) - len(kept)
    n = int(totals["n"].sum() - own["n"].sum())
    return words + (f"; {counted(n_more, 'more row')} with n = {n:,} not drawn" if n_more else "")


def _table(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for row in table[table["n"] > 0].to_dict("records"):
        unit, factor = unit_of(str(row["kind"]))
        has_control = row["control_n"] > 0
        low, middle, high = (three_digits(row[name] * factor) for name in _NAMES)
        rows.append(
            {
                "Target": row["target_id"], "Network": row["place"], "Source": row["source"],
                "What": KIND_WORDS[str(row["kind"])], "From": row["date"], "To": row["until"],
                "n": row["n"], "10 % to 90 %": f"{low} to {high} {unit}",
                "Median": f"{middle} {unit}",
                "n of controls": row["control_n"],
                "Controls' median": f"{three_digits(row['control_middle'] * factor)} {unit}"
                if has_control else "no control measured",
                "Ratio": f"{row['ratio']:.2f}" if has_control else "",
                "95 % interval": f"{row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
                if has_control else "",
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
