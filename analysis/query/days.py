"""Engine-neutral expressions over the verdict table, and the day grid.

The expressions are Ibis: DuckDB runs them embedded, other engines run the same.
"""

from collections import Counter
from datetime import date, timedelta
from typing import Any, Final

import ibis
import pandas as pd

from analysis.query.grid import MAX_DAYS
from probe.model.observation import STEPS
from probe.model.verdict import State

SERIES: Final = ["target_id", "service_id", "tactic", "proxy_id"]

Record = dict[str, Any]
SeriesKey = tuple[Any, ...]
"""The values of `SERIES`."""

_WORSE: Final[dict[State, int]] = {
    "insufficient": 0,
    "ok": 1,
    "down": 2,
    "impaired": 3,
    "likely_blocked": 4,
    "blocked": 5,
}


def daily_counts(verdicts: ibis.Table) -> ibis.Table:
    """Count runs per day, series, state, mechanism and n of N."""
    return verdicts.group_by("day", *SERIES, "state", "mechanism", "n_ok", "n_total").aggregate(
        n=verdicts.count(), lab=verdicts.lab.any()
    )


def layer_sums(verdicts: ibis.Table) -> ibis.Table:
    """Sum members per day, series and layer."""
    sums = {
        column: verdicts[column].sum()
        for column in verdicts.columns
        if column.endswith(("_ok", "_total")) and column not in {"n_ok", "n_total"}
    }
    return verdicts.group_by("day", *SERIES).aggregate(
        n=verdicts.count(), lab=verdicts.lab.any(), **sums
    )


def _records(expression: ibis.Table) -> list[Record]:
    """Run an expression; return its rows with None for what is missing and dates as dates."""
    return [
        {str(name): value for name, value in row.items()}
        for row in expression.to_pyarrow().to_pylist()
    ]


def _frame(rows: list[Record]) -> pd.DataFrame:
    """Return rows as they are: NaN would be a number, and unequal to itself."""
    return pd.DataFrame(rows, dtype=object)


def _key(row: Record) -> SeriesKey:
    return tuple(row[name] for name in SERIES)


def _order(key: SeriesKey) -> tuple[str, str, bool, str, str]:
    target_id, service_id, tactic, proxy_id = key
    return (target_id, service_id, tactic != "none", tactic, proxy_id or "")


def day_grid(verdicts: ibis.Table) -> pd.DataFrame:
    """Return one row per day and series, days without data included.

    Columns: day, target_id, service_id, tactic, proxy_id, n (runs), state (the
    most frequent, ties to the worse; None without data), is_mixed, mechanism,
    n_ok, n_total, lab.

    Raises:
        ValueError: the data span more than `MAX_DAYS` days.
    """
    counts = _records(daily_counts(verdicts))
    if not counts:
        return pd.DataFrame(columns=["day", *SERIES, "n"])
    first, last = (pick(row["day"] for row in counts) for pick in (min, max))
    span = (last - first).days + 1
    if span > MAX_DAYS:
        raise ValueError(f"data span {span} days ({first} to {last}), more than {MAX_DAYS}")
    by_series: dict[SeriesKey, dict[date, list[Record]]] = {}
    for row in counts:
        by_series.setdefault(_key(row), {}).setdefault(row["day"], []).append(row)
    days = [first + timedelta(days=offset) for offset in range(span)]
    lab = any(row["lab"] for row in counts)
    return _frame(
        [
            {
                "day": day,
                **dict(zip(SERIES, key, strict=True)),
                **_cell(by_series[key].get(day, [])),
                "lab": lab,
            }
            for key in sorted(by_series, key=_order)
            for day in days
        ]
    )


def _cell(counts: list[Record]) -> Record:
    """Sum up one day of one series."""
    if not counts:
        return {
            "n": 0,
            "state": None,
            "is_mixed": False,
            "mechanism": None,
            "n_ok": None,
            "n_total": None,
        }
    by_state: Counter[State] = Counter()
    for row in counts:
        by_state[row["state"]] += row["n"]
    state = max(by_state, key=lambda name: (by_state[name], _WORSE[name]))
    # The most frequent mechanism and n of N; ties to fewer working, then by name,
    # so that a chart is reproducible.
    top = min(
        (row for row in counts if row["state"] == state),
        key=lambda row: (
            -row["n"],
            row["n_ok"],
            row["n_total"],
            row["mechanism"] is None,
            row["mechanism"] or "",
        ),
    )
    return {
        "n": by_state.total(),
        "state": state,
        "is_mixed": len(by_state) > 1,
        "mechanism": top["mechanism"],
        "n_ok": top["n_ok"] if top["n_total"] else None,
        "n_total": top["n_total"] or None,
    }


def layer_matrix(verdicts: ibis.Table, grid: pd.DataFrame) -> pd.DataFrame:
    """Return one row per series of its last measured day, with layer counts.

    Columns: target_id, service_id, tactic, proxy_id, day, state, mechanism, n, lab,
    and ``<layer>_ok`` / ``<layer>_total`` summed over the day's runs. Ways around that are
    judged over the direct way's facts have no layers of their own, and no row.
    """
    last: dict[SeriesKey, Record] = {}
    for cell in grid[grid["n"] > 0].to_dict("records"):
        key = _key(cell)
        if key not in last or cell["day"] > last[key]["day"]:
            last[key] = cell
    sums = {(_key(row), row["day"]): row for row in _records(layer_sums(verdicts))}
    return _frame(
        [
            {
                **sums[key, last[key]["day"]],
                "state": last[key]["state"],
                "mechanism": last[key]["mechanism"],
            }
            for key in sorted(last, key=_order)
            if key[2] == "none" or _has_layers(sums[key, last[key]["day"]])
        ]
    )


def _has_layers(sums: Record) -> bool:
    return any(sums.get(f"{step}_total") for step in STEPS)


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
