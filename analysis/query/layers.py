"""Where each target fails: layers of its last measured day, ours and OONI's alike."""

from typing import Final

import ibis

from analysis.query.judged import NETWORKS, judged
from analysis.warehouse.schema import LAYERS

SERIES: Final = (*NETWORKS, "tactic", "proxy_id")
"""``proxy_id`` is never null here: empty where there is none."""

_COLUMNS: Final = tuple(f"{layer}_{word}" for layer in LAYERS for word in ("ok", "total"))


def last_states(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    """Count what was found on each series' last measured day.

    Columns: date, those of `SERIES`, state, pattern (empty where none is named), n, lab_n.
    """
    rows = _states(verdicts, measurements)
    counts = rows.group_by("date", *SERIES, "state", "pattern").aggregate(
        n=rows.count().cast("int64"), lab_n=rows.lab_n.sum().cast("int64")
    )
    return _on_last_day(counts)


def last_layers(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    """Add up what passed each layer on each series' last measured day.

    Columns: date, those of `SERIES`, and ``<layer>_ok`` and ``<layer>_total``: members; of OONI
    rows of the step.
    """
    own = verdicts.select(*_series(verdicts), **_sums(verdicts))
    theirs = measurements.filter(measurements.source == "ooni")
    rows = own.union(theirs.select(*_direct(theirs), **_sums(theirs)))
    sums = rows.group_by("date", *SERIES).aggregate(
        **{name: rows[name].sum().cast("int64") for name in _COLUMNS}
    )
    return _on_last_day(sums)


def _states(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    direct = judged(verdicts, measurements)
    ways = verdicts.filter(verdicts.tactic != "none")
    return direct.select(*_direct(direct), *_found(direct, direct.pattern)).union(
        ways.select(*_series(ways), *_found(ways, ways.mechanism))
    )


def _found(table: ibis.Table, pattern: ibis.Value) -> list[ibis.Value]:
    return [
        table.state,
        pattern.fill_null("").name("pattern"),
        table.lab.fill_null(False).cast("int64").name("lab_n"),  # noqa: FBT003
    ]


def _direct(table: ibis.Table) -> list[ibis.Value]:
    names = [table[name] for name in ("date", *NETWORKS)]
    return [*names, ibis.literal("none").name("tactic"), ibis.literal("").name("proxy_id")]


def _series(table: ibis.Table) -> list[ibis.Value]:
    names = [table[name] for name in ("date", *NETWORKS, "tactic")]
    return [*names, table.proxy_id.fill_null("").name("proxy_id")]


def _sums(table: ibis.Table) -> dict[str, ibis.Value]:
    return {name: table[name].fill_null(0).cast("int64") for name in _COLUMNS}


def _on_last_day(counts: ibis.Table) -> ibis.Table:
    last = counts.group_by(*SERIES).aggregate(last_day=counts.date.max())
    # Renamed so that the joined table has each name once, in every dialect.
    keyed = last.rename({f"key_{name}": name for name in SERIES})
    conditions = [counts[name] == keyed[f"key_{name}"] for name in SERIES]
    joined = counts.inner_join(keyed, [*conditions, counts.date == keyed.last_day])
    return joined.select(*counts.columns)
