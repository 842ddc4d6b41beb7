"""What a dataset holds at a glance: counts, days, names and versions, for a page's words.

Functions take Ibis tables and return Ibis expressions or, where they say so, numbers.
"""

from datetime import date
from typing import NamedTuple

import ibis

from analysis.query.judged import FAILING, UNDECIDED
from probe.model.verdict import BLOCKED_STATES


class Held(NamedTuple):
    """Rows of `judged` of one source. ``n_runs`` are our runs or OONI's reports."""

    source: str
    n: int
    n_runs: int
    n_networks: int
    n_days: int
    failing: int
    decided: int
    lab_n: int
    first: date
    last: date


def held(judged: ibis.Table) -> list[Held]:
    """Count each source's rows; runs the expressions."""
    flags = judged.select(
        "source", "date", "run_id", "probe_cc", "probe_asn",
        is_failing=_flag(judged.state.isin(FAILING)),
        is_decided=_flag(~judged.state.isin(UNDECIDED)),
        is_lab=_flag(judged.lab),
    )  # fmt: skip
    sums = flags.group_by("source").aggregate(
        n=flags.count().cast("int64"),
        failing=flags.is_failing.sum().cast("int64"),
        decided=flags.is_decided.sum().cast("int64"),
        lab_n=flags.is_lab.sum().cast("int64"),
        first=flags.date.min(),
        last=flags.date.max(),
    )
    rows = {row["source"]: row for row in sums.to_pyarrow().to_pylist()}
    for name, columns in (
        ("n_runs", ("run_id",)),
        ("n_networks", ("probe_cc", "probe_asn")),
        ("n_days", ("date",)),
    ):
        different = flags.select("source", *columns).distinct()
        counts = different.group_by("source").aggregate(n=different.count().cast("int64"))
        for row in counts.to_pyarrow().to_pylist():
            rows[row["source"]][name] = row["n"]
    return [Held(**rows[source]) for source in sorted(rows)]


def days_with(verdicts: ibis.Table, *, signs: bool) -> ibis.Table:
    """Return days and targets: with signs of blocking directly, or on which a way around worked."""
    is_direct = verdicts.tactic == "none"
    wanted = (
        is_direct & verdicts.state.isin(sorted(BLOCKED_STATES))
        if signs
        else ~is_direct & (verdicts.state == "ok")
    )
    return verdicts.filter(wanted).select("date", "target_id").distinct()


def states_and_causes(verdicts: ibis.Table) -> ibis.Table:
    """Count our verdicts on the direct way by control state, state and benign cause."""
    own = verdicts.filter(verdicts.tactic == "none")
    named = own.select("control_state", "state", benign_cause=own.benign_cause.fill_null(""))
    keys = ("control_state", "state", "benign_cause")
    return named.group_by(*keys).aggregate(n=named.count().cast("int64"))


def differing(table: ibis.Table, column: str, most: int) -> ibis.Table:
    """Return the first ``most`` values of a column, in order."""
    values = table.filter(table[column].notnull()).select(value=column).distinct()
    return values.order_by("value").limit(most)


def _flag(condition: ibis.expr.types.BooleanValue) -> ibis.Value:
    # Null counts as no: engines differ in what a sum over nothing but nulls is.
    return condition.fill_null(False).cast("int64")  # noqa: FBT003
