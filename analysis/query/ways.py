"""What the direct way and each way around came to, counted by network, target and way."""

from typing import Final

import ibis

from analysis.query.judged import FAILING, NETWORKS, UNDECIDED

COLUMNS: Final = (*NETWORKS, "tactic", "proxy_id")
"""``proxy_id`` is never null here: empty where there is none."""

_OF_RULE: Final = {"way.works": "works", "way.partial": "in_part", "way.fails": "fails"}


def way_counts(verdicts: ibis.Table) -> ibis.Table:
    """Count runs by network, target, way and what came of it, where the direct way fails.

    A way around counts in runs in which the direct way to the same target fails: elsewhere it
    gets around nothing. The direct way (tactic ``none``) counts in all runs that decided it.

    Columns: those of `COLUMNS`, result (``works``, ``in_part``, ``fails`` or ``untried``: judged
    without a single member tried), n (runs), members_ok and members_total, first and last (days),
    lab_n.
    """
    direct = verdicts.filter(verdicts.tactic == "none")
    decided = direct.filter(~direct.state.isin(UNDECIDED))
    failing = direct.filter(direct.state.isin(FAILING)).select(
        key_run=direct.measurement_id, key_target=direct.target_id
    )
    around = verdicts.filter(verdicts.tactic != "none")
    ways = around.semi_join(
        failing.distinct(),
        [around.measurement_id == failing.key_run, around.target_id == failing.key_target],
    )
    rows = _rows(decided, _direct_result(decided)).union(_rows(ways, _way_result(ways)))
    return rows.group_by(*COLUMNS, "result").aggregate(
        n=rows.count().cast("int64"),
        members_ok=rows.members_ok.sum().cast("int64"),
        members_total=rows.members_total.sum().cast("int64"),
        lab_n=rows.lab_n.sum().cast("int64"),
        first=rows.date.min(),
        last=rows.date.max(),
    )


def _rows(table: ibis.Table, result: ibis.Value) -> ibis.Table:
    return table.select(
        "date",
        *NETWORKS,
        "tactic",
        proxy_id=table.proxy_id.fill_null(""),
        result=result,
        members_ok=table.n_ok.fill_null(0).cast("int64"),
        members_total=table.n_total.fill_null(0).cast("int64"),
        lab_n=table.lab.fill_null(False).cast("int64"),  # noqa: FBT003
    )


def _direct_result(table: ibis.Table) -> ibis.Value:
    """Return what the direct way came to: ``ok`` is whole; of n members some is in part."""
    return ibis.cases(
        (table.state == "ok", "works"), (table.n_ok.fill_null(0) > 0, "in_part"), else_="fails"
    )


def _way_result(table: ibis.Table) -> ibis.Value:
    """Return what a way came to. A withheld one has no members: its rule says it."""
    by_rule = table.rule_id.fill_null("").cases(*_OF_RULE.items(), else_="untried")
    n_ok, n_total = table.n_ok.fill_null(0), table.n_total.fill_null(0)
    return ibis.cases(
        (table.tactic == "withheld", by_rule),
        (n_total == 0, "untried"),
        (n_ok == n_total, "works"),
        (n_ok > 0, "in_part"),
        else_="fails",
    )
