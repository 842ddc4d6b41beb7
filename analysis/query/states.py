"""States by day of every series: the direct way of all sources, and ours around it."""

from functools import reduce
from operator import and_, or_
from typing import Any, Final

import ibis

from analysis.query.judged import NETWORKS, judged, judged_ours

SERIES: Final = (*NETWORKS, "tactic", "proxy_id")
"""A row of a timeline: one target in one network by one way."""


def states(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    """Return one row per run, target and way, in the columns of `judged`, tactic and proxy_id.

    The direct way's tactic is ``none``; ``proxy_id`` is empty where there is no proxy.
    """
    direct = judged(verdicts, measurements)
    direct = direct.mutate(tactic=ibis.literal("none"), proxy_id=ibis.literal(""))
    around = verdicts.filter(verdicts.tactic != "none")
    ways = judged_ours(around, tactic=around.tactic, proxy_id=around.proxy_id.fill_null(""))
    return direct.union(ways)


def series_totals(table: ibis.Table) -> ibis.Table:
    """Count the rows of `states` by series. Columns: those of `SERIES`, n, first, last."""
    return table.group_by(*SERIES).aggregate(
        n=table.count().cast("int64"), first=table.date.min(), last=table.date.max()
    )


def day_states(table: ibis.Table) -> ibis.Table:
    """Count the rows of `states` by day, series and what was found.

    Columns: date, those of `SERIES`, state, mechanism (null where none is named), n_ok and
    n_total (0 where no member was tried), n, lab_n.
    """
    named = table.select(
        "date",
        *SERIES,
        "state",
        mechanism=table.pattern,
        n_ok=table.n_ok.fill_null(0),
        n_total=table.n_total.fill_null(0),
        lab_n=table.lab.fill_null(False).cast("int64"),  # noqa: FBT003
    )
    return named.group_by("date", *SERIES, "state", "mechanism", "n_ok", "n_total").aggregate(
        n=named.count().cast("int64"), lab_n=named.lab_n.sum().cast("int64")
    )


def among(table: ibis.Table, keys: list[dict[str, Any]]) -> ibis.Table:
    """Return the rows whose columns are those of any of the keys, of which there is one."""
    return table.filter(
        reduce(or_, (reduce(and_, (table[k] == v for k, v in key.items())) for key in keys))
    )
