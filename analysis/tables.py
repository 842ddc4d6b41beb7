"""Typed rows -> one Ibis table of verdicts in the embedded engine (DuckDB)."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa

from analysis.load import Fault, find, read_file
from probe.model.layout import VERDICTS
from probe.model.observation import STEPS
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.verdict.withheld import is_withheld, is_working_way, withhold

_COLUMNS: dict[str, Any] = {
    "day": pa.date32(),
    "start": pa.string(),
    "run_id": pa.string(),
    "target_id": pa.string(),
    "service_id": pa.string(),
    "tactic": pa.string(),
    "proxy_id": pa.string(),
    "state": pa.string(),
    "mechanism": pa.string(),
    "rule_id": pa.string(),
    "rules_version": pa.int32(),
    "n_ok": pa.int32(),
    "n_total": pa.int32(),
    "control_state": pa.string(),
    "lab": pa.bool_(),
    "software_version": pa.string(),
    "targets_sha256": pa.string(),
    **{f"{step}_{part}": pa.int32() for step in STEPS for part in ("ok", "total")},
}
_SCHEMA = pa.schema(list(_COLUMNS.items()))


@dataclass
class Loaded:
    """What a path held. ``facts`` counts observations, ``unfinished`` runs without verdicts.

    ``withheld`` counts observations and verdicts of ways around that ``rows`` and ``facts``
    leave out.
    """

    rows: list[tuple[RunColumns, Verdict]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)
    facts: int = 0
    unfinished: int = 0
    withheld: int = 0


def load(path: Path, *, with_ways: bool = False) -> Loaded:
    """Read every result file under a path; which ways around work only ``with_ways``.

    A run that was killed before it was judged has facts only; it is counted as
    unfinished and takes no part in charts, since half a run misleads.

    Raises:
        NoResultsError: nothing there is a result file.
    """
    loaded = Loaded()
    judged: set[str] = set()
    seen: set[str] = set()
    for file in find(path):
        loaded.files.append(file.path)
        for row in read_file(file, loaded.faults):
            if isinstance(row.value, Verdict):
                loaded.rows.append((row.run, row.value))
                judged.add(row.run.run_id)
            else:
                seen.add(row.run.run_id)
                if not with_ways and is_withheld(row.run, row.value):
                    loaded.withheld += 1
                else:
                    loaded.facts += 1
        if file.kind == VERDICTS and file.is_part:
            loaded.unfinished += 1
    loaded.unfinished += len(seen - judged)
    if not with_ways:
        is_any_working = any(is_working_way(*row) for row in loaded.rows)
        loaded.rows, n_withheld = withhold(loaded.rows, is_any_working=is_any_working)
        loaded.withheld += n_withheld
    loaded.rows.sort(
        key=lambda row: (
            row[0].measurement_start_time,
            row[0].run_id,
            row[1].target_id,
            row[1].tactic != "none",
            row[1].proxy_id or "",
        )
    )
    return loaded


def verdict_table(rows: Iterable[tuple[RunColumns, Verdict]]) -> ibis.Table:
    """Put verdicts into an in-memory table, one row per target, tactic and run."""
    table = pa.Table.from_pylist([_flat(run, verdict) for run, verdict in rows], schema=_SCHEMA)
    connection = duckdb.connect()
    connection.register("verdicts", table)
    return ibis.duckdb.from_connection(connection).table("verdicts")


def _flat(run: RunColumns, verdict: Verdict) -> dict[str, Any]:
    values: dict[str, Any] = {
        name: getattr(verdict, name, None) if hasattr(verdict, name) else getattr(run, name, None)
        for name in _COLUMNS
    }
    values["day"] = date.fromisoformat(run.measurement_start_time[:10])
    values["start"] = run.measurement_start_time
    for layer in verdict.layers:
        values[f"{layer.step}_ok"] = layer.n_ok
        values[f"{layer.step}_total"] = layer.n_total
    return values
