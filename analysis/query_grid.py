"""Engine-neutral expressions over a warehouse's tables: counts on a dense grid of days.

Functions take and return Ibis expressions and use only what DuckDB, Spark and ClickHouse
have alike: integers are added up, shares are left to the statistics. A cell in which
nothing was measured is a row with n = 0: silence is data too.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import ibis

from analysis.query import MAX_DAYS
from analysis.warehouse.failure_class import ALL as CLASSES

OUTCOMES: Final = ("ok", "partial", "failed", "no_data")
STATES: Final = ("ok", "blocked", "likely_blocked", "impaired", "down", "insufficient")
NETWORKS: Final = ("source", "probe_cc", "probe_asn", "service_id", "target_id")
"""What a series is of: one target as seen from one network."""

COUNTRIES: Final = ("source", "probe_cc", "service_id", "target_id")


def outcome_counts(measurements: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count measurements by day and series.

    Columns: date, those of ``by``, n, n_probes (runs or reports: as near as OONI's data come
    to a person), members_ok and members_total (added up), ``outcome_X`` for each outcome and
    ``failure_X`` for each class of failures.
    """
    counts = {f"outcome_{name}": _flag(measurements.outcome == name) for name in OUTCOMES}
    counts |= {f"failure_{name}": _flag(measurements.failure_class == name) for name in CLASSES}
    return _counted(measurements, measurements.run_id, by, counts)


def state_counts(verdicts: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count verdicts on the direct way by day and series, as `outcome_counts` does.

    Columns: date, those of ``by``, n, n_probes (runs), members_ok, members_total, ``state_X``
    for each state.
    """
    direct = verdicts.filter(verdicts.tactic == "none")
    counts = {f"state_{name}": _flag(direct.state == name) for name in STATES}
    return _counted(direct, direct.measurement_id, by, counts)


def layer_counts(observations: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count steps of the direct way by day, series, step and class of failure.

    Columns: date, those of ``by``, step, failure_class (``none``: it passed), n.
    """
    plain = observations.filter(
        (observations.role == "test")
        & (observations.tactic == "none")
        & observations.follow_up.isnull()
        & observations.target_id.notnull()
    ).select("date", *by, "step", failure_class=observations.failure_class.fill_null("none"))
    return plain.group_by("date", *by, "step", "failure_class").aggregate(
        n=plain.count().cast("int64")
    )


def dense(counts: ibis.Table, first: date, last: date, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Return one row for each day from ``first`` to ``last`` and each series, counts 0 included.

    Raises:
        ValueError: the days are more than `analysis.query.MAX_DAYS`.
    """
    n_days = (last - first).days + 1
    if not 0 < n_days <= MAX_DAYS:
        raise ValueError(f"{n_days} days ({first} to {last}), not 1 to {MAX_DAYS}")
    # A table of numbers that needs no data to be sent to the engine.
    numbers = ibis.range(0, n_days).unnest().name("number").as_table()
    days = numbers.select(date=(ibis.literal(first) + numbers.number.as_interval("D")).cast("date"))
    series = counts.select(*by).distinct()
    grid = days.cross_join(series)
    numeric = [name for name in counts.columns if name not in {"date", *by}]
    # Renamed so that the joined table has each name once, in every dialect.
    keyed = counts.rename({f"key_{name}": name for name in ("date", *by)})
    matched = grid.left_join(keyed, [grid[name] == keyed[f"key_{name}"] for name in ("date", *by)])
    return matched.select(
        "date", *by, **{name: matched[name].fill_null(0).cast("int64") for name in numeric}
    )


def span(table: ibis.Table) -> tuple[date, date] | None:
    """Return the first and last day of a table with a ``date``; None without rows. Runs it."""
    bounds = table.aggregate(first=table.date.min(), last=table.date.max())
    row = bounds.to_pyarrow().to_pylist()[0]
    return (row["first"], row["last"]) if row["first"] is not None else None


def _counted(
    table: ibis.Table, probe: ibis.Value, by: Sequence[str], counts: dict[str, ibis.Value]
) -> ibis.Table:
    """Add up by series, and count probes apart: ClickHouse estimates distinct values."""
    narrow = table.select(
        "date",
        *by,
        probe=probe,
        members_ok=table.n_ok.cast("int64"),
        members_total=table.n_total.cast("int64"),
        **counts,
    )
    sums = narrow.group_by("date", *by).aggregate(
        n=narrow.count().cast("int64"),
        **{
            name: narrow[name].sum().cast("int64")
            for name in ("members_ok", "members_total", *counts)
        },
    )
    probes = narrow.select("date", *by, "probe").distinct()
    n_probes = probes.group_by("date", *by).aggregate(n_probes=probes.count().cast("int64"))
    keyed = n_probes.rename({f"key_{name}": name for name in ("date", *by)})
    joined = sums.inner_join(keyed, [sums[name] == keyed[f"key_{name}"] for name in ("date", *by)])
    return joined.select(
        "date", *by, "n", "n_probes", *(c for c in sums.columns if c not in {"date", *by, "n"})
    )


def _flag(condition: ibis.expr.types.BooleanValue) -> ibis.Value:
    # Null counts as no: engines differ in what a sum over nothing but nulls is.
    return condition.fill_null(False).cast("int64")  # noqa: FBT003
