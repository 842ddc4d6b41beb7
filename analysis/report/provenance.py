"""Where a page's numbers come from: files, versions, lists, and a hash over what is counted."""

import hashlib
import io
from importlib import metadata
from typing import Final, NamedTuple

import ibis
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from analysis.dataset import Dataset
from analysis.query.found import differing
from analysis.query.grid import cells
from analysis.report.cut import cut
from probe import __version__
from probe.locale import ENGLISH, Language, marked

MAX_FILES: Final = 50
MAX_FAULTS: Final = 50
MAX_VALUES: Final = 20
_DAYS: Final = (marked("from"), marked("to"))
"""Words of a dataset's selection, beside those of its columns."""
_LIBRARIES: Final = ("matplotlib", "duckdb", "ibis-framework", "scipy", "statsmodels")
"""Whose versions can change a number or a byte of a chart."""


class Place(NamedTuple):
    """A place that could not be read."""

    name: str
    number: int
    reason: str


class Origin(NamedTuple):
    """All that the page says of where its numbers come from."""

    selection: tuple[tuple[str, str], ...]
    files: pd.DataFrame
    n_files: int
    facts: tuple[tuple[str, tuple[str, ...]], ...]
    lists: tuple[str, ...]
    data_sha256: str
    libraries: tuple[str, ...]
    version: str
    faults: tuple[Place, ...]
    n_faults: int
    is_withheld: bool


def origin(dataset: Dataset, say: Language = ENGLISH) -> Origin:
    """Gather a dataset's provenance.

    Of a file from which ways around were left out there is no hash: what was left out of a
    small file could be found by trying.
    """
    given = dataset.provenance
    files = pd.DataFrame(
        [
            (
                file.name,
                file.kind,
                file.n_measurements,
                file.n_bad,
                say("withheld") if file.n_withheld else file.sha256,
            )
            for file in given.files
        ],
        columns=[say("File"), say("Kind"), say("Measurements"), say("Bad lines"), "SHA-256"],
    )
    bad = max(given.faults.total, sum(file.n_bad for file in given.files))
    return Origin(
        selection=tuple((say(word), cut(value, 400)) for word, value in dataset.selection),
        files=files,
        n_files=len(given.files),
        facts=tuple(_facts(dataset, say)),
        lists=_values(dataset.verdicts, "targets_sha256"),
        data_sha256=data_sha256(dataset),
        libraries=tuple(f"{name} {metadata.version(name)}" for name in _LIBRARIES),
        version=__version__,
        faults=tuple(
            Place(cut(fault.path.name), fault.number, cut(fault.reason))
            for fault in given.faults[:MAX_FAULTS]
        ),
        n_faults=bad,
        is_withheld=bool(given.n_withheld),
    )


def _facts(dataset: Dataset, say: Language) -> list[tuple[str, tuple[str, ...]]]:
    other = dataset.measurements.filter(dataset.measurements.source == "ooni")
    found = [
        (say("Prober's version"), _values(dataset.verdicts, "software_version")),
        (say("Version of the rules"), _values(dataset.verdicts, "rules_version")),
        (say("OONI's software"), _values(other, "software_name")),
        (say("OONI's versions"), _values(other, "software_version")),
    ]
    return [(name, values) for name, values in found if values]


def _values(table: ibis.Table, column: str) -> tuple[str, ...]:
    values = differing(table, column, MAX_VALUES + 1).to_pyarrow().to_pydict()["value"]
    more = ("…",) if len(values) > MAX_VALUES else ()
    return (*(cut(str(value), 80) for value in values[:MAX_VALUES]), *more)


def data_sha256(dataset: Dataset) -> str:
    """Hash the counts by day, network and target, and others' daily counts, as CSV in order."""
    digest = hashlib.sha256()
    keys = ("date", "probe_cc", "metric", "source")
    daily = dataset.daily.group_by(*keys).aggregate(value=dataset.daily.value.max())
    for expression in (cells(dataset.judged), daily):
        table: pa.Table = expression.to_pyarrow()
        names = sorted(table.column_names)
        table = table.select(names).sort_by([(name, "ascending") for name in names])
        out = io.BytesIO()
        csv.write_csv(table, out)
        digest.update(out.getvalue())
    return digest.hexdigest()
