"""Tables of somebody else's daily counts (CSV) -> staged rows, one a day and metric."""

import csv
import re
from collections.abc import Iterator
from datetime import date
from math import isfinite
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from analysis.load import Fault
from analysis.warehouse.faults import Faults
from analysis.warehouse.schema import DAILY, arrow_schema
from analysis.warehouse.stage import Stage

MAX_BYTES: Final = 64 * 1024 * 1024
"""A thousand times the largest known; a table of days, not of measurements."""

KINDS: Final = {
    "ooni_counts": ("ok", "dns", "http", "tls", "error", "total"),
    "tor_users": ("users", "lower", "upper", "frac"),
}
"""Kinds of tables, told apart by their columns."""

_MAX_FIELD: Final = 10_000
_COUNTRY: Final = re.compile(r"-([A-Za-z]{2})\.csv$")
_SCHEMA: Final = arrow_schema(DAILY.all_columns)


def import_daily(stage: Stage, path: Path, source_file: str, faults: Faults) -> int:
    """Stage a table's readable rows; return how many."""
    rows: list[dict[str, Any]] = []
    for item in _rows(path):
        if isinstance(item, Fault):
            faults.append(item)
        else:
            rows += [{**row, "source_file": source_file} for row in item]
    if rows:
        stage.connection.register("incoming", pa.Table.from_pylist(rows, schema=_SCHEMA))
        stage.keep(DAILY, "SELECT * FROM incoming", (rows[0]["source"],))
        stage.connection.unregister("incoming")
    return len(rows)


def _rows(path: Path) -> Iterator[list[dict[str, Any]] | Fault]:
    try:
        if path.stat().st_size > MAX_BYTES:
            yield Fault(path, 0, f"more than {MAX_BYTES} bytes")
            return
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield Fault(path, 0, f"not UTF-8: {error.reason} at byte {error.start}")
        return
    except OSError as error:
        yield Fault(path, 0, error.strerror or type(error).__name__)
        return
    lines = text.splitlines()
    header = lines[0].split(",") if lines else []
    kind = next((kind for kind, names in KINDS.items() if {"date", *names} <= set(header)), None)
    if kind is None:
        yield Fault(path, 1, f"not a table of daily counts (columns of {', '.join(KINDS)})")
        return
    named = _COUNTRY.search(path.name)
    for number, line in enumerate(lines[1:], 2):
        if not line.strip():
            continue
        try:
            yield _values(line, header, kind, named[1] if named else "")
        except (ValueError, csv.Error, StopIteration) as error:
            yield Fault(path, number, str(error)[:100])


def _values(line: str, header: list[str], kind: str, named: str) -> list[dict[str, Any]]:
    """Return one row for each metric.

    Raises:
        ValueError, csv.Error, StopIteration: it is no line of such a table.
    """
    if len(line) > _MAX_FIELD:
        raise ValueError(f"a line of more than {_MAX_FIELD} characters")
    values = dict(zip(header, next(csv.reader([line], strict=True)), strict=True))
    day = date.fromisoformat(values["date"])
    country = values.get("country", named).upper()
    if not re.fullmatch("[A-Z]{2}", country):
        raise ValueError(f"not a country: {country[:20]!r}")
    numbers = {name: float(values[name]) for name in KINDS[kind] if values[name]}
    for name, value in numbers.items():
        if not isfinite(value) or value < 0:
            raise ValueError(f"{name} is {value}")
    return [
        {"date": day, "probe_cc": country, "metric": name, "value": value, "source": kind}
        for name, value in numbers.items()
    ]
