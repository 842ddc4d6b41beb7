"""Members of targets by day: which data centre of a pool works, ours and OONI's alike."""

import functools
import operator
from collections.abc import Sequence
from typing import Final

import ibis

from analysis.warehouse.schema import LAYERS

TARGET: Final = ("source", "service_id", "target_id")


def member_totals(observations: ibis.Table) -> ibis.Table:
    """Count rows of the direct way by target and member.

    Columns: those of `TARGET`, member, n.
    """
    rows = _direct(observations)
    return rows.group_by(*TARGET, "member").aggregate(n=rows.count().cast("int64"))


def member_counts(observations: ibis.Table, targets: Sequence[str]) -> ibis.Table:
    """Count by day in how many measurements each member of some targets worked.

    A member works in a measurement if at each step that was tried with it one try passed, as in
    the warehouse's summary; a name that was found and at which nothing more was tried is no
    member.

    Columns: date, those of `TARGET`, member, n (measurements that tried it), n_ok.
    """
    direct = _direct(observations)
    rows = direct.filter(direct.target_id.isin(list(targets)))
    passed = rows.failure.isnull()
    flags = {
        f"{layer}_{word}": ((rows.step == layer) & condition).cast("int64")
        for layer in LAYERS
        for word, condition in (("ok", passed), ("bad", ~passed))
    }
    narrow = rows.select("date", *TARGET, "member", "measurement_id", **flags)
    # One of each is enough: no step has to be a row of its own in the engine's memory.
    each = narrow.group_by("date", *TARGET, "member", "measurement_id").aggregate(
        **{name: narrow[name].max() for name in flags}
    )
    others = [each[name] for name in flags if not name.startswith("dns_")]
    is_name = (each.dns_ok == 1) & (functools.reduce(operator.add, others) == 0)
    works = [each[f"{layer}_bad"] <= each[f"{layer}_ok"] for layer in LAYERS]
    hosts = each.filter(~is_name).mutate(
        works=functools.reduce(operator.and_, works).cast("int64"),
    )
    return hosts.group_by("date", *TARGET, "member").aggregate(
        n=hosts.count().cast("int64"), n_ok=hosts.works.sum().cast("int64")
    )


def pool_counts(measurements: ibis.Table, targets: Sequence[str]) -> ibis.Table:
    """Add up by day how many members of some targets worked, over measurements.

    Columns: date, those of `TARGET`, n (measurements with data), members_ok, members_total,
    most (members of the measurement that tried most), lab_n.
    """
    rows = measurements.filter(measurements.target_id.isin(list(targets)), measurements.n_total > 0)
    return rows.group_by("date", *TARGET).aggregate(
        n=rows.count().cast("int64"),
        members_ok=rows.n_ok.cast("int64").sum().cast("int64"),
        members_total=rows.n_total.cast("int64").sum().cast("int64"),
        most=rows.n_total.cast("int64").max(),
        lab_n=rows.lab.fill_null(False).cast("int64").sum().cast("int64"),  # noqa: FBT003
    )


def _direct(observations: ibis.Table) -> ibis.Table:
    return observations.filter(
        observations.role == "test",
        observations.tactic == "none",
        observations.follow_up.isnull(),
        observations.proxy_id.isnull(),
        observations.target_id.notnull(),
        observations.member.notnull(),
        observations.step.isin(list(LAYERS)),
        observations.failure.isnull() | (observations.failure_class.fill_null("") != "skipped"),
    )
