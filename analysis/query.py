"""Engine-neutral expressions over the verdict table, and the day grid.

The expressions are Ibis: DuckDB runs them embedded, other engines run the same.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, Final

import ibis
import pandas as pd

from probe.model.verdict import State

SERIES: Final = ["target_id", "service_id", "tactic", "proxy_id"]

_WORSE: Final[dict[State, int]] = {
    "insufficient": 0,
    "ok": 1,
    "down": 2,
    "impaired": 3,
    "likely_blocked": 4,
    "blocked": 5,
}

MAX_DAYS: Final = 4000
"""Days of a grid: eleven years. A wrong date in one line must not make a chart of
ten thousand years."""


def daily_counts(verdicts: ibis.Table) -> ibis.Table:
    """Count runs per day, series, state and mechanism; medians of n of N."""
    return verdicts.group_by("day", *SERIES, "state", "mechanism").aggregate(
        n=verdicts.count(),
        n_ok=verdicts.n_ok.median().floor().cast("int32"),
        n_total=verdicts.n_total.max(),
        lab=verdicts.lab.any(),
    )


def layer_sums(verdicts: ibis.Table, first_day: Any, last_day: Any) -> ibis.Table:
    """Sum members per series and layer over a period."""
    chosen = verdicts.filter(verdicts.day.between(first_day, last_day))
    sums = {
        column: chosen[column].sum()
        for column in chosen.columns
        if column.endswith(("_ok", "_total")) and column not in {"n_ok", "n_total"}
    }
    return chosen.group_by(*SERIES).aggregate(
        n=chosen.count(), lab=chosen.lab.any(), **sums
    )


def day_grid(verdicts: ibis.Table) -> pd.DataFrame:
    """Return one row per day and series, days without data included.

    Columns: day, target_id, service_id, tactic, proxy_id, n (runs), state (the
    most frequent, ties to the worse; None without data), is_mixed, mechanism,
    n_ok, n_total, lab.

    Raises:
        ValueError: the data span more than `MAX_DAYS` days.
    """
    counts = daily_counts(verdicts).to_pandas()
    if counts.empty:
        return pd.DataFrame(columns=["day", *SERIES, "n"])
    counts["day"] = pd.to_datetime(counts["day"]).dt.date
    first, last = counts["day"].min(), counts["day"].max()
    span = (last - first).days + 1
    if span > MAX_DAYS:
        raise ValueError(f"data span {span} days ({first} to {last}), more than {MAX_DAYS}")
    days = [first + timedelta(days=offset) for offset in range(span)]
    rows: list[dict[str, Any]] = []
    lab = bool(counts["lab"].any())
    for series, own in _by_series(counts):
        by_day = dict(iter(own.groupby("day")))
        rows.extend({"day": day, **series, **_cell(by_day.get(day)), "lab": lab} for day in days)
    return pd.DataFrame(rows)


def _by_series(counts: pd.DataFrame) -> Iterable[tuple[dict[str, Any], pd.DataFrame]]:
    grouped = counts.groupby(SERIES, dropna=False, sort=False)
    found = [
        (
            {
                name: None if pd.isna(value) else value
                for name, value in zip(SERIES, key, strict=True)
            },
            own,
        )
        for key, own in grouped
    ]
    found.sort(key=lambda pair: _series_order(pair[0]))
    return found


def _series_order(series: dict[str, Any]) -> tuple[str, bool, str]:
    return (series["target_id"], series["tactic"] != "none", series["proxy_id"] or "")


def _cell(group: pd.DataFrame | None) -> dict[str, Any]:
    """Sum up one day of one series."""
    if group is None:
        return {
            "n": 0,
            "state": None,
            "is_mixed": False,
            "mechanism": None,
            "n_ok": None,
            "n_total": None,
        }
    by_state = group.groupby("state")["n"].sum()
    state = max(by_state.index, key=lambda name: (by_state[name], _WORSE[name]))
    own = group[group["state"] == state].sort_values(
        ["n", "mechanism"], ascending=[False, True], na_position="last"
    )
    top = own.iloc[0]
    has_members = not pd.isna(top["n_total"]) and top["n_total"] > 0
    return {
        "n": int(group["n"].sum()),
        "state": state,
        "is_mixed": len(by_state) > 1,
        "mechanism": None if pd.isna(top["mechanism"]) else top["mechanism"],
        "n_ok": int(top["n_ok"]) if has_members else None,
        "n_total": int(top["n_total"]) if has_members else None,
    }


def layer_matrix(verdicts: ibis.Table, grid: pd.DataFrame) -> pd.DataFrame:
    """Return one row per series of its last measured day, with layer counts.

    Columns: target_id, service_id, tactic, proxy_id, day, state, mechanism, n, lab,
    and ``<layer>_ok`` / ``<layer>_total`` summed over the day's runs.
    """
    measured = grid[grid["n"] > 0]
    rows: list[dict[str, Any]] = []
    for day, cells in measured.groupby("day"):
        sums = layer_sums(verdicts, day, day).to_pandas()
        for series, own in _by_series(sums):
            cell = cells[
                (cells["target_id"] == series["target_id"])
                & (cells["tactic"] == series["tactic"])
                & (
                    cells["proxy_id"].isna()
                    if series["proxy_id"] is None
                    else cells["proxy_id"] == series["proxy_id"]
                )
            ].iloc[0]
            record = {
                name: None if pd.isna(value) else int(value)
                for name, value in own.iloc[0].items()
                if name not in {*SERIES, "lab"}
            }
            rows.append(
                {
                    **series,
                    "day": day,
                    "state": cell["state"],
                    "mechanism": cell["mechanism"],
                    "lab": bool(own.iloc[0]["lab"]),
                    **record,
                }
            )
    last: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        last[row["target_id"], row["tactic"], row["proxy_id"]] = row
    return pd.DataFrame(sorted(last.values(), key=_series_order)).astype(object)


def phases(grid: pd.DataFrame) -> list[dict[str, Any]]:
    """Find runs of consecutive days with one state and mechanism, per series.

    A day without data ends a phase and is a phase of its own: nothing is known
    of it.
    """
    found: list[dict[str, Any]] = []
    for _, own in grid.groupby(SERIES, dropna=False, sort=False):
        current: dict[str, Any] | None = None
        for row in own.sort_values("day").to_dict("records"):
            key = tuple(row[name] for name in ("state", "mechanism", "n_ok", "n_total"))
            if current is None or current["key"] != key:
                current = {**row, "key": key, "first_day": row["day"], "n": 0}
                found.append(current)
            current["last_day"] = row["day"]
            current["n"] += row["n"]
    return found
