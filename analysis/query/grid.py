"""Engine-neutral expressions over a warehouse's tables: counts on a dense grid of days.

Functions take and return Ibis expressions and use only what DuckDB, Spark and ClickHouse
have alike: integers are added up, shares are left to the statistics. A cell in which
nothing was measured is a row with n = 0: silence is data too.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

import ibis

from analysis.query.judged import FAILING, NETWORKS, UNDECIDED
from probe.model.verdict import STATES

MAX_DAYS: Final = 4000
"""Days of a grid: eleven years. A wrong date in one line must not make a chart of
ten thousand years."""


def cells(table: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count the rows of `judged` by day and series.

    Columns: date, those of ``by``, n, n_probes (runs or reports), members_ok and members_total
    (added up), ``state_X`` for each state, ``failing`` of ``decided`` (see `judged.FAILING`),
    lab_n (rows of simulated networks).
    """
    return _counted(table, ("date", *by))


def totals(table: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count the rows of `judged` by series over all days, in the columns of `cells`."""
    return _counted(table, tuple(by))


def pattern_counts(table: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count the failing rows of `judged` by day, series and pattern (``unknown``: none named).

    Columns: date, those of ``by``, pattern, n, n_probes.
    """
    failing = table.filter(table.state.isin(FAILING))
    named = failing.mutate(pattern=failing.pattern.fill_null("unknown"))
    keys = ("date", *by, "pattern")
    sums = named.group_by(*keys).aggregate(n=named.count().cast("int64"))
    return _with_probes(sums, named.select(*keys, probe=named.run_id), keys)


def probe_counts(table: ibis.Table, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Count how many runs or reports had ``failing`` of ``decided`` rows, by series.

    Columns: those of ``by``, failing, decided, n_probes: what overdispersion is told from.
    """
    decided = table.filter(~table.state.isin(UNDECIDED))
    flags = decided.select(*by, "run_id", is_failing=_flag(decided.state.isin(FAILING)))
    probes = flags.group_by(*by, "run_id").aggregate(
        failing=flags.is_failing.sum().cast("int64"), decided=flags.count().cast("int64")
    )
    return probes.group_by(*by, "failing", "decided").aggregate(
        n_probes=probes.count().cast("int64")
    )


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


def with_share(counts: ibis.Table) -> ibis.Table:
    """Add ``share``: failing of decided, as a double; null where nothing was decided."""
    return counts.mutate(
        share=counts.failing.cast("float64") / counts.decided.nullif(0).cast("float64")
    )


def dense(counts: ibis.Table, first: date, last: date, by: Sequence[str] = NETWORKS) -> ibis.Table:
    """Return one row for each day from ``first`` to ``last`` and each series, counts 0 included.

    Raises:
        ValueError: the days are more than `MAX_DAYS`.
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


def _counted(table: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    narrow = table.select(
        *keys,
        probe=table.run_id,
        members_ok=table.n_ok.cast("int64"),
        members_total=table.n_total.cast("int64"),
        **{f"state_{name}": _flag(table.state == name) for name in STATES},
        failing=_flag(table.state.isin(FAILING)),
        decided=_flag(~table.state.isin(UNDECIDED)),
        lab_n=_flag(table.lab),
    )
    names = [name for name in narrow.columns if name not in {*keys, "probe"}]
    sums = narrow.group_by(*keys).aggregate(
        n=narrow.count().cast("int64"),
        **{name: narrow[name].fill_null(0).sum().cast("int64") for name in names},
    )
    return _with_probes(sums, narrow.select(*keys, "probe"), keys)


def _with_probes(sums: ibis.Table, narrow: ibis.Table, keys: Sequence[str]) -> ibis.Table:
    """Count distinct probes exactly: ClickHouse estimates them otherwise."""
    probes = narrow.distinct()
    n_probes = probes.group_by(*keys).aggregate(n_probes=probes.count().cast("int64"))
    # Renamed so that the joined table has each name once, in every dialect.
    keyed = n_probes.rename({f"key_{name}": name for name in keys})
    joined = sums.inner_join(keyed, [sums[name] == keyed[f"key_{name}"] for name in keys])
    return joined.select(
        *keys, "n", "n_probes", *(name for name in sums.columns if name not in {*keys, "n"})
    )


def _flag(condition: ibis.expr.types.BooleanValue) -> ibis.Value:
    # Null counts as no: engines differ in what a sum over nothing but nulls is.
    return condition.fill_null(False).cast("int64")  # noqa: FBT003
