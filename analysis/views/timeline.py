"""States by day: targets by network, the direct way and the ways around it on one axis."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from typing import Any, Final

import pandas as pd

from analysis.chart.alt_text import timeline_alt_text
from analysis.chart.events import Event
from analysis.chart.series import way_words
from analysis.chart.timeline import timeline
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.judged import NETWORKS
from analysis.query.states import SERIES, among, day_states, series_totals, states
from analysis.views.cells import (
    MAX_COLUMNS,
    WORSE,
    Period,
    days_of,
    frame_of,
    period_for,
    period_starts,
    start_of,
)
from analysis.views.places import measured_by, place_words
from analysis.views.sources import counted, network_words
from probe.verdict.words import STATE_WORDS

MAX_ROWS: Final = 20
"""A chart has to be read, and stay small."""
MAX_CELLS: Final = 1200
"""Of all rows: so many of a series that changes every day are 60 KB."""

_RANK: Final = {state: number for number, state in enumerate(WORSE)}
_SAME: Final = ("state", "mechanism", "n_ok", "n_total")
"""What a phase has in common."""


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw the states of each target, network and way over time.

    Raises:
        NoDataError: there is neither a verdict nor a measurement of OONI's.
    """
    table = states(dataset.verdicts, dataset.measurements)
    totals = frame_of(series_totals(table))
    if totals.empty:
        raise NoDataError("no verdict of ours and no measurement by OONI")
    span = days_of(pd.DataFrame({"date": [totals["first"].min(), totals["last"].max()]}))
    kept = _largest(totals)
    counts = _run(dataset, totals, kept)
    most = min(MAX_COLUMNS, MAX_CELLS // len(kept))
    period = period_for(*span, most)
    frame = _placed(state_grid(counts, *span, period), kept)
    source = measured_by(totals[totals["tactic"] == "none"], "result")
    n_left = len(totals) - len(kept)
    if n_left:
        n = int(totals["n"].sum() - kept["n"].sum())
        source += f"; {counted(n_left, 'more row')} with n = {n:,} not drawn"
    title = _title(kept, *span, period)
    return Drawn(
        name="timeline",
        title=title,
        figure=timeline(frame, events, title=title, source=source),
        alt=timeline_alt_text(frame, events),
        table=_table(frame),
        caption=f"A row is a run of {period}s with one state, of one target, network and way; "
        f"{period}s without data are rows of their own.",
    )


def _run(dataset: Dataset, totals: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Count by day those series that are drawn; narrowing early is what makes that quick."""
    verdicts, measurements = dataset.verdicts, dataset.measurements
    if len(kept) < len(totals):
        keys = kept[list(NETWORKS)].drop_duplicates().to_dict("records")
        verdicts, measurements = among(verdicts, keys), among(measurements, keys)
    counts = frame_of(day_states(states(verdicts, measurements)))
    # Of a place only the ways that have a row of their own are drawn.
    return counts.merge(kept[list(SERIES)], on=list(SERIES))


def _largest(totals: pd.DataFrame) -> pd.DataFrame:
    """Return the series that are drawn, in that order: those of most runs, each with its ways."""
    direct = totals[totals["tactic"] == "none"]
    sizes = direct.groupby(list(NETWORKS))["n"].sum().rename("n_direct")
    ranked = totals.merge(sizes, how="left", left_on=list(NETWORKS), right_index=True)
    ranked["n_direct"] = ranked["n_direct"].fillna(0)
    ranked["is_way"] = ranked["tactic"] != "none"
    order = ["target_id", "service_id", "probe_cc", "probe_asn", "source", "is_way", "tactic"]
    by_size = ranked.sort_values(
        ["n_direct", *order, "proxy_id"], ascending=[False, *[True] * (len(order) + 1)]
    )
    return by_size.head(MAX_ROWS).sort_values([*order, "proxy_id"], ignore_index=True)


def state_grid(counts: pd.DataFrame, first: date, last: date, period: Period) -> pd.DataFrame:
    """Return one row for each series and period, periods without data included.

    Args:
        counts: the columns of `query.states.day_states`.
        first: first day of the grid.
        last: its last day.
        period: what a cell is of.

    Columns: day, until, those of `SERIES`, n, state (the most frequent, ties to the worse; None
    without data), is_mixed, mechanism and n_ok of n_total (the most frequent with that state,
    ties to fewer working; None where there is none), lab (any of the series').
    """
    keys = [*SERIES, "start"]
    found = [*keys, "state", "mechanism", "n_ok", "n_total"]
    starts = {day: start_of(day, period) for day in counts["date"].unique()}
    rows = counts.assign(start=counts["date"].map(starts))
    rows = rows.groupby(found, dropna=False, as_index=False)["n"].sum()
    by_state = rows.groupby([*keys, "state"], as_index=False)["n"].sum()
    by_state = by_state.assign(rank=by_state["state"].map(_RANK)).sort_values(
        [*keys, "n", "rank"], ascending=[*[True] * len(keys), False, False]
    )
    of_cell = by_state.groupby(keys, as_index=False).agg(
        n=("n", "sum"), state=("state", "first"), n_states=("state", "size")
    )
    rows = rows.assign(unnamed=rows["mechanism"].isna()).sort_values(
        [*keys, "n", "n_ok", "n_total", "unnamed", "mechanism"],
        ascending=[*[True] * len(keys), False, True, True, True, True],
    )
    top = of_cell.merge(rows.drop(columns=["n", "unnamed"]), on=[*keys, "state"])
    cells = {
        tuple(row[name] for name in keys): row
        for row in top.drop_duplicates(keys).to_dict("records")
    }
    columns = period_starts(first, last, period)
    ends = [*(min(after, last) for after in _days_before(columns[1:])), last]
    lab = {key: bool(n) for key, n in counts.groupby(list(SERIES))["lab_n"].sum().items()}
    series = rows[list(SERIES)].drop_duplicates().itertuples(index=False, name=None)
    return pd.DataFrame(
        [
            {
                "day": max(start, first),
                "until": end,
                **dict(zip(SERIES, key, strict=True)),
                **_cell(cells.get((*key, start))),
                "lab": lab[key],
            }
            for key in series
            for start, end in zip(columns, ends, strict=True)
        ],
        dtype=object,
    )


def _days_before(days: Sequence[date]) -> list[date]:
    return [date.fromordinal(day.toordinal() - 1) for day in days]


def _cell(found: dict[Any, Any] | None) -> dict[str, Any]:
    if found is None:
        return {
            "n": 0, "state": None, "is_mixed": False, "mechanism": None, "n_ok": None,
            "n_total": None,
        }  # fmt: skip
    return {
        "n": int(found["n"]),
        "state": found["state"],
        "is_mixed": found["n_states"] > 1,
        "mechanism": None if pd.isna(found["mechanism"]) else found["mechanism"],
        "n_ok": int(found["n_ok"]) if found["n_total"] else None,
        "n_total": int(found["n_total"]) or None,
    }


def _placed(grid: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Put the rows in the order of drawing, with the place in words where it differs."""
    names = ["source", "probe_cc", "probe_asn"]
    is_one = len(kept[names].drop_duplicates()) == 1
    order = {key: n for n, key in enumerate(kept[list(SERIES)].itertuples(index=False, name=None))}
    rows = grid[list(SERIES)].itertuples(index=False, name=None)
    placed = grid.assign(
        place="" if is_one else place_words(grid), row=[order[key] for key in rows]
    )
    return placed.sort_values(["row", "day"], ignore_index=True).drop(columns="row")


def _title(kept: pd.DataFrame, first: date, last: date, period: Period) -> str:
    """Say what is drawn; of one network its name, which the rows then need not repeat."""
    places = kept[["probe_cc", "probe_asn"]].drop_duplicates().to_dict("records")
    has_ways = bool((kept["tactic"] != "none").any())
    what = "Blocking and ways around it" if has_ways else f"States by {period}"
    name = network_words(**places[0])
    where = f" in {name}" if len(places) == 1 and places[0]["probe_asn"] else ""
    return f"{what}{where}, {first}" + (f" to {last}" if last > first else "")


def phases(grid: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield runs of consecutive cells with one state, mechanism and n of N, by series.

    A cell without data ends a phase and is one of its own: nothing is known of it. Columns of
    the grid's (`state_grid`), with first_day, last_day and n (added up) instead of day, until.
    """
    for _, own in grid.groupby(list(SERIES), sort=False):
        cells = own.to_dict("records")
        for _, run in groupby(cells, key=lambda cell: tuple(cell[name] for name in _SAME)):
            phase = list(run)
            rest = {str(k): v for k, v in phase[0].items() if k not in {"day", "until", "is_mixed"}}
            yield {
                **rest,
                "first_day": phase[0]["day"],
                "last_day": phase[-1]["until"],
                "n": sum(cell["n"] for cell in phase),
            }


def _table(grid: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Target": phase["target_id"],
                "Network": network_words(phase["probe_cc"], phase["probe_asn"]),
                "Source": phase["source"],
                "Way": way_words(phase["tactic"], phase["proxy_id"] or None),
                "From": phase["first_day"],
                "To": phase["last_day"],
                "State": STATE_WORDS[phase["state"]] if phase["n"] else "no data",
                "Mechanism": phase["mechanism"] or "",
                "Working": f"{phase['n_ok']}/{phase['n_total']}" if phase["n_total"] else "",
                "n": phase["n"],
            }
            for phase in phases(grid)
        ]
    )
