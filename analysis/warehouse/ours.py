"""One of our result files -> staged rows. Its lines are checked by their own types."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from analysis.load import Fault, read_file
from analysis.warehouse.failure_class import class_sql
from analysis.warehouse.ooni import Counts
from analysis.warehouse.schema import LAYERS, MEASUREMENTS, OBSERVATIONS, VERDICTS, Table
from analysis.warehouse.stage import Stage
from probe.model.codec import Stored
from probe.model.layout import ResultFile
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.verdict.withheld import is_withheld, withhold

_BATCH: Final = 20_000
"""Rows turned into columns at a time: a few ten megabytes."""

_ARROW: Final = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
    "DATE": pa.date32(),
}
_OBS: Final = pa.schema(
    [("n", pa.int64()), ("source", pa.string())]
    + [(column.name, _ARROW[column.type]) for column in OBSERVATIONS.columns]
)
_VERDICTS: Final = pa.schema(
    [("n", pa.int64()), ("source", pa.string())]
    + [(column.name, _ARROW[column.type]) for column in VERDICTS.columns]
)
_META: Final = pa.schema(
    [("n", pa.int64()), ("source", pa.string())]
    + [
        (column.name, _ARROW[column.type])
        for column in MEASUREMENTS.columns
        if column.name
        not in {"service_id", "target_id", "n_ok", "n_total", "outcome", "failed_step"}
        and not column.name.startswith(tuple(f"{layer}_" for layer in LAYERS))
        and column.name not in {"failure", "failure_class"}
    ]
)

Row = dict[str, Any]


def import_observations(
    stage: Stage, file: ResultFile, source_file: str, faults: list[Fault], *, with_ways: bool
) -> Counts:
    """Stage a file of observations. A file holds one run, however many lines."""
    runs: dict[str, Row] = {}
    n_rows = 0
    stage.run(f"CREATE OR REPLACE TEMP TABLE obs AS {_empty(_OBS)}")
    rows = _observations(
        read_file(file, faults), stage, runs, source_file, with_ways=with_ways
    )
    while batch := list(islice(rows, _BATCH)):
        incoming = pa.Table.from_pylist(batch, schema=_OBS)
        stage.connection.register("incoming", incoming)
        stage.run(
            f"INSERT INTO obs BY NAME SELECT * REPLACE ({class_sql('failure')} AS failure_class) "  # noqa: S608
            "FROM incoming"
        )
        stage.connection.unregister("incoming")
        n_rows += len(batch)
    stage.connection.register("incoming", pa.Table.from_pylist(list(runs.values()), schema=_META))
    stage.run("CREATE OR REPLACE TEMP TABLE meta AS SELECT * FROM incoming")
    stage.connection.unregister("incoming")
    stage.keep_steps()
    return Counts(len(runs), n_rows)


def import_verdicts(
    stage: Stage, file: ResultFile, source_file: str, faults: list[Fault], *, with_ways: bool
) -> Counts:
    """Stage a file of verdicts, less which ways around work unless ``with_ways``.

    Each file is treated as if a way worked somewhere: what is imported later must not
    change what earlier files were allowed to say.
    """
    judged: list[tuple[RunColumns, Verdict]] = [
        (row.run, row.value) for row in read_file(file, faults) if isinstance(row.value, Verdict)
    ]
    if not with_ways:
        judged = withhold(judged, is_any_working=True).rows
    stage.number += 1
    rows = [_verdict_row(run, verdict, stage.number, source_file) for run, verdict in judged]
    if rows:
        _keep(stage, VERDICTS, pa.Table.from_pylist(rows, schema=_VERDICTS))
    return Counts(len({run.run_id for run, _ in judged}), len(rows))


def _keep(stage: Stage, table: Table, rows: pa.Table) -> None:
    stage.connection.register("incoming", rows)
    stage.keep(table, "SELECT *, CAST(start_time AS DATE) AS date FROM incoming")
    stage.connection.unregister("incoming")


def _observations(
    lines: Iterable[Stored[Observation] | Stored[Verdict]],
    stage: Stage,
    runs: dict[str, Row],
    source_file: str,
    *,
    with_ways: bool,
) -> Iterator[Row]:
    for run, value in lines:
        if not isinstance(value, Observation):
            continue
        if run.run_id not in runs:
            stage.number += 1
            runs[run.run_id] = {
                **_who(run, source_file, stage.number),
                "test_name": "reachwatch",
                "run_id": run.run_id,
                "network_type": run.network_type,
                "platform": run.platform,
                "software_name": "reachwatch",
                "software_version": run.software_version,
                "resolver_asn": 0,
            }
        if with_ways or not is_withheld(run, value):
            yield _observation_row(run, value, runs[run.run_id]["n"], source_file)


def _who(run: RunColumns, source_file: str, n: int) -> Row:
    return {
        "n": n,
        "source": "reachwatch",
        "measurement_id": run.run_id,
        "source_file": source_file,
        "start_time": datetime.fromisoformat(run.measurement_start_time).replace(tzinfo=None),
        "probe_cc": run.probe_cc,
        "probe_asn": run.probe_asn,
        "lab": run.lab,
    }


def _observation_row(run: RunColumns, value: Observation, n: int, source_file: str) -> Row:
    row = {name: getattr(value, name, None) for name in _OBS.names}
    headers = {header.name.lower(): header.value for header in value.headers}
    valid = next((response for response in value.responses if response.is_valid), None)
    return {
        **row,
        **_who(run, source_file, n),
        "test_name": "reachwatch",
        "answers": " ".join(answer.value for answer in valid.answers) if valid else None,
        "certificate_sha256": value.peer_certificates[0].sha256
        if value.peer_certificates
        else None,
        "server": headers.get("server"),
        "location": headers.get("location"),
    }


def _verdict_row(run: RunColumns, verdict: Verdict, n: int, source_file: str) -> Row:
    row = {name: getattr(verdict, name, getattr(run, name, None)) for name in _VERDICTS.names}
    layers = {
        f"{layer.step}_{word}": value
        for layer in verdict.layers
        for word, value in (("ok", layer.n_ok), ("total", layer.n_total))
    }
    return {
        **row,
        **_who(run, source_file, n),
        "failed_members": " ".join(verdict.failed_members),
        **{name: value for name, value in layers.items() if name in _VERDICTS.names},
    }


def _empty(schema: pa.Schema) -> str:
    words = {kind: name for name, kind in _ARROW.items()}
    columns = ", ".join(f'CAST(NULL AS {words[field.type]}) AS "{field.name}"' for field in schema)
    return f"SELECT {columns} WHERE false"  # noqa: S608 - names of our own
