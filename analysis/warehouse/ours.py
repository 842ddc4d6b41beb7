"""Our result files -> staged rows. Their lines are checked by their own types."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow as pa

from analysis.result_files import Fault, read_numbered
from analysis.warehouse.failure_class import class_sql
from analysis.warehouse.faults import Faults
from analysis.warehouse.schema import MEASUREMENTS, OBSERVATIONS, VERDICTS, Column, arrow_schema
from analysis.warehouse.stage import Stage
from analysis.warehouse.summary_sql import summary_sql
from analysis.warehouse.verdict_rows import LISTS
from probe.model import layout
from probe.model.layout import ResultFile
from probe.model.observation import Certificate, Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.verdict.withheld import is_withheld, withhold

_BATCH: Final = 50_000
"""Rows turned into columns at a time: a hundred megabytes. A run is in one batch unless it
alone is longer."""

_OWN: Final = (
    Column("n", "BIGINT", "number of the run in this build"),
    Column("source", "VARCHAR", "`reachwatch`"),
)
_SUMMED: Final = MEASUREMENTS.columns.index(
    next(column for column in MEASUREMENTS.columns if column.name == "n_ok")
)
_OBS: Final = arrow_schema((*_OWN, *OBSERVATIONS.columns))
_VERDICTS: Final = arrow_schema((*_OWN, *VERDICTS.columns))
_META: Final = arrow_schema(
    (
        *_OWN,
        *(c for c in MEASUREMENTS.columns[:_SUMMED] if c.name not in {"service_id", "target_id"}),
    )
)

_LIMITS: Final[dict[str, int]] = {"INTEGER": 2**31, "BIGINT": 2**63}
_OBS_LIMITS, _VERDICT_LIMITS = (
    [(column.name, _LIMITS[column.type]) for column in table.columns if column.type in _LIMITS]
    for table in (OBSERVATIONS, VERDICTS)
)

Row = dict[str, Any]


class Importer:
    """Stages files one after another; nothing is whole before ``finish``.

    Of a run that is in two files, the first one's lines are taken. ``n_withheld`` counts the
    rows about ways around that were left out, by ``source_file``.
    """

    def __init__(self, stage: Stage, faults: Faults, *, with_ways: bool) -> None:
        self.n_measurements: Counter[str] = Counter()
        self.n_withheld: Counter[str] = Counter()
        self.n_rows = 0
        self._stage = stage
        self._faults = faults
        self._with_ways = with_ways
        self._runs: dict[tuple[str, str], str] = {}
        self._numbers: dict[str, int] = {}
        self._meta: list[Row] = []
        self._obs: list[Row] = []
        self._verdicts: list[Row] = []

    @property
    def n_runs(self) -> int:
        """Runs of which anything was staged."""
        return len({run_id for _, run_id in self._runs})

    def add(self, file: ResultFile, source_file: str) -> None:
        """Take a file's lines."""
        if file.kind == layout.VERDICTS:
            self._add_verdicts(file, source_file)
        else:
            self._add_observations(file, source_file)
        if len(self._obs) + len(self._verdicts) + len(self._meta) >= _BATCH:
            self.finish()

    def finish(self) -> None:
        """Stage what waits."""
        if self._meta:
            self._register("meta", self._meta, _META)
            self._register("obs", self._obs, _OBS)
            self._stage.run(f"UPDATE obs SET failure_class = {class_sql('failure')}")  # noqa: S608
            self.n_rows += self._stage.keep_steps(
                "reachwatch", "SELECT * FROM obs", summary_sql(is_ooni=False)
            )
            self._meta, self._obs, self._numbers = [], [], {}
        if self._verdicts:
            self._register("judged", self._verdicts, _VERDICTS)
            self._stage.keep_by_month(VERDICTS, "reachwatch", "SELECT * FROM judged")
            self.n_rows += len(self._verdicts)
            self._verdicts = []

    def _register(self, name: str, rows: Sequence[Row], schema: pa.Schema) -> None:
        connection = self._stage.connection
        connection.register("incoming", pa.Table.from_pylist(list(rows), schema=schema))
        self._stage.run(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM incoming")  # noqa: S608
        connection.unregister("incoming")

    def _is_first(self, kind: str, run: RunColumns, source_file: str) -> bool:
        return self._runs.setdefault((kind, run.run_id), source_file) == source_file

    def _add_observations(self, file: ResultFile, source_file: str) -> None:
        for line, (run, value) in read_numbered(file, self._faults):
            if not isinstance(value, Observation):
                continue
            row = _observation_row(run, value, 0, source_file)
            if problem := _too_large(row, _OBS_LIMITS):
                self._faults.append(Fault(file.path, line, problem))
                continue
            if not self._is_first("obs", run, source_file):
                continue
            number = self._numbers.get(run.run_id)
            if number is None:
                number = self._numbers[run.run_id] = len(self._numbers)
                self._meta.append(_meta_row(run, number, source_file))
                self.n_measurements[source_file] += 1
            if self._with_ways or not is_withheld(run, value):
                self._obs.append(row | {"n": number})
            else:
                self.n_withheld[source_file] += 1
            if len(self._obs) >= 4 * _BATCH:
                self.finish()

    def _add_verdicts(self, file: ResultFile, source_file: str) -> None:
        """Take verdicts, less which ways around work unless they are asked for.

        Each file is treated as if a way worked somewhere: what is imported later must not
        change what earlier files were allowed to say.
        """
        judged = []
        for line, (run, value) in read_numbered(file, self._faults):
            if not isinstance(value, Verdict):
                continue
            if problem := _too_large(_verdict_row(run, value, source_file), _VERDICT_LIMITS):
                self._faults.append(Fault(file.path, line, problem))
            elif self._is_first("verdict", run, source_file):
                judged.append((run, value))
        if not self._with_ways:
            judged, n_withheld = withhold(judged, is_any_working=True)
            self.n_withheld[source_file] += n_withheld
        self.n_measurements[source_file] += len({run.run_id for run, _ in judged})
        self._verdicts += [_verdict_row(run, verdict, source_file) for run, verdict in judged]


def _too_large(row: Row, limits: Sequence[tuple[str, int]]) -> str | None:
    """Say which number is larger than its column; JSON's have no bound."""
    for name, limit in limits:
        if not -limit <= (row.get(name) or 0) < limit:
            return f"$.{name}: {str(row[name])[:30]} is too large"
    return None


def _who(run: RunColumns, n: int, source_file: str) -> Row:
    start = datetime.fromisoformat(run.measurement_start_time).replace(tzinfo=None)
    return {
        "n": n,
        "source": "reachwatch",
        "measurement_id": run.run_id,
        "source_file": source_file,
        "start_time": start,
        "date": start.date(),
        "probe_cc": run.probe_cc,
        "probe_asn": run.probe_asn,
        "lab": run.lab,
        "test_name": "reachwatch",
    }


def _meta_row(run: RunColumns, n: int, source_file: str) -> Row:
    return {
        **_who(run, n, source_file),
        "run_id": run.run_id,
        "network_type": run.network_type,
        "platform": run.platform,
        "software_name": "reachwatch",
        "software_version": run.software_version,
        "resolver_asn": 0,
    }


def _observation_row(run: RunColumns, value: Observation, n: int, source_file: str) -> Row:
    headers = {header.name.lower(): header.value for header in value.headers}
    valid = next((response for response in value.responses if response.is_valid), None)
    return {
        **{name: getattr(value, name, None) for name in _OBS.names},
        **_who(run, n, source_file),
        "answers": " ".join(answer.value for answer in valid.answers) if valid else None,
        **(_certificate_columns(value.peer_certificates)),
        "server": headers.get("server"),
        "location": headers.get("location"),
    }


def _certificate_columns(chain: Sequence[Certificate]) -> Row:
    if not chain:
        return {}
    leaf = chain[0]
    return {
        "certificate_sha256": leaf.sha256,
        "certificate_subject": leaf.subject,
        "certificate_issuer": leaf.issuer,
        "certificate_names": " ".join(leaf.subject_alt_names),
        "certificate_not_before": _time(leaf.not_before),
        "certificate_not_after": _time(leaf.not_after),
        "certificate_chain_length": len(chain),
        "certificate_chain_sha256": " ".join(one.sha256 for one in chain),
    }


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _verdict_row(run: RunColumns, verdict: Verdict, source_file: str) -> Row:
    evidence = verdict.evidence
    layers = {
        f"{layer.step}_{word}": value
        for layer in verdict.layers
        for word, value in (("ok", layer.n_ok), ("total", layer.n_total))
    }
    return {
        **{name: getattr(verdict, name, getattr(run, name, None)) for name in _VERDICTS.names},
        **{name: value for name, value in layers.items() if name in _VERDICTS.names},
        **_who(run, 0, source_file),
        **{
            name: " ".join(str(item).replace(" ", "_") for item in getattr(verdict, name))
            for name in LISTS
        },
        "evidence_failed": evidence.n_failed if evidence else None,
        "evidence_tried": evidence.n_tried if evidence else None,
        "contrast_ok": evidence.contrast_ok if evidence else None,
        "contrast_tried": evidence.contrast_tried if evidence else None,
    }
