"""Which data centres of a service work, n of N, by day."""

import re
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import ibis
import pandas as pd

from analysis.chart.centres import centres, centres_alt_text, pool_words
from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.members import TARGET, member_counts, member_totals, pool_counts
from analysis.views.cells import MAX_COLUMNS, binned, days_of, dense, frame_of, period_for
from analysis.views.sources import counted, source_words

MAX_TARGETS: Final = 3
MAX_ROWS: Final = 14
MAX_ROWS_AT_ONCE: Final = 2_000_000
MAX_CELLS: Final = 900
"""More would be a larger file than a page should hold; then columns are weeks or months."""
_POOL: Final = 3
"""Targets of fewer members are mostly one host under two names: larger ones come first."""


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:  # noqa: ARG001 - rows are full
    """Draw the members of the targets that have most.

    Raises:
        NoDataError: no target has two members or more with data.
    """
    totals = frame_of(member_totals(dataset.observations))
    chosen, n_left_out = _chosen(totals)
    if chosen.empty:
        raise NoDataError("no target with two members or more, such as Telegram's data centres")
    targets = sorted(set(chosen["target_id"]))
    pool = frame_of(pool_counts(dataset.measurements, targets))
    if pool.empty:
        raise NoDataError("no measurement of a target with two members or more has data")
    first, last = days_of(pool)
    n_rows = int(totals["n"][totals["target_id"].isin(targets)].sum())
    counts = _counts(dataset, targets, (first, last), n_rows).merge(chosen)
    period = period_for(first, last, min(MAX_COLUMNS, MAX_CELLS // len(chosen)))
    by = ("target_id", "member")
    cells = dense(binned(_summed(counts, by), by, period), by, period, first, last)
    cells = cells.sort_values(
        ["target_id", "member", "date"], key=_sort_key, kind="stable", ignore_index=True
    )
    most = pool.groupby("target_id")["most"].max()
    summed = _summed(pool.drop(columns="most"), by[:1])
    pools = dense(binned(summed, by[:1], period), by[:1], period, first, last)
    pools = pools.assign(most=pools["target_id"].map(most), lab=pools["lab_n"] > 0)
    title = f"Which data centres and hosts work, {days_words(first, last)}"
    source = _source(dataset, pool, n_left_out)
    if period != "day":
        source += f"; the columns are {period}s, not days"
    return Drawn(
        name="centres",
        title=title,
        figure=centres(cells, pools, title=title, source=source, period=period),
        alt=centres_alt_text(cells, pools, period),
        table=_table(cells, pools),
        caption=f"A row is a member of a target and a {period}: of n measurements that tried it, "
        "in how many it worked. Rows of all members say how many of N worked in a measurement.",
    )


def _counts(
    dataset: Dataset, targets: Sequence[str], span: tuple[date, date], n_rows: int
) -> pd.DataFrame:
    """Count by spans of days: what each measurement says of each member has to fit in memory."""
    n_days = (span[1] - span[0]).days + 1
    fitting = n_days * MAX_ROWS_AT_ONCE // max(n_rows, 1)
    step = timedelta(days=min(max(fitting, 1), n_days))
    found, start = [], span[0]
    while start <= span[1]:
        rows = dataset.observations.filter(
            dataset.observations.date >= ibis.literal(start),
            dataset.observations.date < ibis.literal(start + step),
        )
        found.append(frame_of(member_counts(rows, targets)))
        start += step
    return pd.concat(found, ignore_index=True)


def _chosen(totals: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return targets and members that are drawn, and how many members with rows are not."""
    sizes = totals.groupby("target_id").agg(members=("member", "nunique"), n=("n", "sum"))
    several = sizes[sizes["members"] > 1].reset_index()
    several["is_small"] = several["members"] < _POOL
    several = several.sort_values(["is_small", "n", "target_id"], ascending=[True, False, True])
    kept: list[tuple[str, str]] = []
    for target in several["target_id"][:MAX_TARGETS]:
        own = totals[totals["target_id"] == target].groupby("member")["n"].sum()
        names = sorted(own.index, key=lambda name: (-own[name], _natural(name)))
        kept += [(target, name) for name in names[: MAX_ROWS - len(kept)]]
    shown = pd.DataFrame(kept, columns=["target_id", "member"])
    n_members = int(several["members"].sum())
    return shown, n_members - len(shown)


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    """Sort dc2 before dc10."""
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+", name)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def _sort_key(column: "pd.Series[Any]") -> "pd.Series[Any]":
    return column.map(_natural) if column.name == "member" else column


def _summed(counts: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Add up what different sources measured of the same target on the same day."""
    numbers = [name for name in counts.columns if name not in {"date", *TARGET, "member"}]
    return counts.groupby([*by, "date"], as_index=False)[numbers].sum()


def _source(dataset: Dataset, pool: pd.DataFrame, n_left_out: int) -> str:
    targets = sorted(set(pool["target_id"]))
    measured = dataset.measurements
    networks = measured.filter(measured.target_id.isin(targets)).select("probe_cc", "probe_asn")
    rows = networks.distinct().to_pyarrow().to_pylist()
    by_source = {str(name): int(n) for name, n in pool.groupby("source")["n"].sum().items()}
    words = source_words(
        by_source, [(row["probe_cc"], row["probe_asn"]) for row in rows], "measurement"
    )
    return words + (f"; {counted(n_left_out, 'more member')} not shown" if n_left_out else "")


def _table(cells: pd.DataFrame, pools: pd.DataFrame) -> pd.DataFrame:
    rows = [
        {
            "Target": row["target_id"], "Member": row["member"], "From": row["date"],
            "To": row["until"], "n": row["n"], "Worked": row["n_ok"],
        }
        for row in cells.to_dict("records")
        if row["n"]
    ]  # fmt: skip
    rows += [
        {
            "Target": row["target_id"], "Member": "all", "From": row["date"],
            "To": row["until"], "n": row["n"], "Worked": pool_words(row),
        }
        for row in pools.to_dict("records")
        if row["n"]
    ]  # fmt: skip
    return pd.DataFrame(rows)
