"""Who measured, and when: measurements by day and network, whatever they found."""

from typing import Final

import ibis

from analysis.query.judged import UNDECIDED

PLACES: Final = ("source", "probe_cc", "probe_asn")
"""A row of a coverage chart: who measured in which network."""


def coverage(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    """Count measurements by day and place; one of several targets counts once.

    Columns: date, those of `PLACES`, n; n_probes (our runs, OONI's reports); n_insufficient
    (measurements that decided nothing about any target), of which n_failed_controls (ours, whose
    own controls failed); lab_n.
    """
    own = verdicts.filter(verdicts.tactic == "none")
    ours = own.select(
        "date", *PLACES, "measurement_id", run_id=own.measurement_id,
        is_decided=_flag(~own.state.isin(UNDECIDED)),
        is_failed=_flag(own.control_state == "failed"), lab=_flag(own.lab),
    )  # fmt: skip
    other = measurements.filter(measurements.source == "ooni")
    theirs = other.select(
        "date", *PLACES, "measurement_id", "run_id",
        is_decided=_flag(other.outcome.isin(["ok", "partial", "failed"])),
        is_failed=ibis.literal(0).cast("int64"), lab=_flag(other.lab),
    )  # fmt: skip
    rows = ours.union(theirs)
    keys = ("date", *PLACES)
    each = rows.group_by(*keys, "measurement_id", "run_id").aggregate(
        decided=rows.is_decided.max(), failed=rows.is_failed.max(), in_lab=rows.lab.max()
    )
    sums = each.group_by(*keys).aggregate(
        n=each.count().cast("int64"),
        n_insufficient=(1 - each.decided).sum().cast("int64"),
        n_failed_controls=((1 - each.decided) * each.failed).sum().cast("int64"),
        lab_n=each.in_lab.sum().cast("int64"),
    )
    probes = each.select(*keys, "run_id").distinct()
    n_probes = probes.group_by(*keys).aggregate(n_probes=probes.count().cast("int64"))
    # Renamed so that the joined table has each name once, in every dialect.
    keyed = n_probes.rename({f"key_{name}": name for name in keys})
    joined = sums.inner_join(keyed, [sums[name] == keyed[f"key_{name}"] for name in keys])
    return joined.select(*keys, "n", "n_probes", "n_insufficient", "n_failed_controls", "lab_n")


def _flag(condition: ibis.expr.types.BooleanValue) -> ibis.Value:
    return condition.fill_null(False).cast("int64")  # noqa: FBT003
