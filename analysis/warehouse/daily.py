"""Tables of somebody else's daily counts (CSV) -> staged rows, one a day and metric."""

import csv
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from analysis.result_files import Fault
from analysis.warehouse.faults import Faults
from analysis.warehouse.schema import DAILY, arrow_schema
from analysis.warehouse.stage import Stage

MAX_BYTES: Final = 64 * 1024 * 1024
"""More than Tor's table of all countries since 2011; a table of days, not of measurements."""

KINDS: Final = {
    "ooni_counts": ("ok", "dns", "http", "tls", "error", "total"),
    "tor_users": ("users", "lower", "upper", "frac"),
}
"""Kinds of tables, told apart by their columns."""

_MAX_FIELD: Final = 10_000
_COUNTRY: Final = re.compile(r"-([A-Za-z]{2})\.csv$", re.ASCII)
_CODE: Final = re.compile(r"[A-Z]{2}", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_YEARS: Final = range(2000, 2100)
_FRACTIONS: Final = ("lower", "upper")
_UNKNOWN: Final = ("", "NA")
_OF_ALL: Final = ("", "??")
"""What Tor calls all countries together, and those it does not know: no country's rows."""
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
        stage.keep(DAILY, pa.Table.from_pylist(rows, schema=_SCHEMA), (rows[0]["source"],))
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
    # One line at a time: a quote that never closes damages its own line only.
    lines = enumerate(re.split(r"\r\n|\n|\r", text), 1)
    filled = ((n, line) for n, line in lines if line.strip() and not line.startswith("#"))
    number, first = next(filled, (1, ""))
    header = [name.strip() for name in first.split(",")]
    kind = next((kind for kind, names in KINDS.items() if {"date", *names} <= set(header)), None)
    if kind is None:
        yield Fault(path, number, f"not a table of daily counts (columns of {', '.join(KINDS)})")
        return
    if len(set(header)) < len(header):
        yield Fault(path, number, "two columns of the same name")
        return
    named = _COUNTRY.search(path.name)
    seen: set[tuple[date, str]] = set()
    for number, line in filled:
        try:
            found = _values(line, header, kind, named[1] if named else "")
            if found:
                place = found[0]["date"], found[0]["probe_cc"]
                if place in seen:
                    yield Fault(path, number, f"{place[0]} of {place[1]} once more")
                    continue
                seen.add(place)
                yield found
        except (ValueError, csv.Error, StopIteration) as error:
            yield Fault(path, number, str(error)[:100])


def _values(line: str, header: list[str], kind: str, named: str) -> list[dict[str, Any]]:
    """Return one row for each metric; none if the line is of no country.

    Raises:
        ValueError, csv.Error, StopIteration: it is no line of such a table.
    """
    if len(line) > _MAX_FIELD:
        raise ValueError(f"a line of more than {_MAX_FIELD} characters")
    cells = next(csv.reader([line], strict=True))
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells, not {len(header)}")
    values = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    day = _day(values["date"])
    country = values.get("country", named).upper()
    if "country" in values and country in _OF_ALL:
        return []
    if not _CODE.fullmatch(country):
        raise ValueError(f"not a country: {country[:20]!r}")
    numbers = {
        name: _number(name, values[name]) for name in KINDS[kind] if values[name] not in _UNKNOWN
    }
    if kind == "ooni_counts":
        if missing := [name for name in KINDS[kind] if name not in numbers]:
            raise ValueError(f"no number of {missing[0]}")
        # ``error`` counts what says nothing, beside the total.
        if sum(numbers[name] for name in ("ok", "dns", "http", "tls")) != numbers["total"]:
            raise ValueError("total is not ok + dns + http + tls")
    return [
        {"date": day, "probe_cc": country, "metric": name, "value": value, "source": kind}
        for name, value in numbers.items()
    ]


def _day(text: str) -> date:
    day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    if day is None or day.year not in _YEARS:
        raise ValueError(f"not a day such as 2022-03-01: {text[:20]!r}")
    return day


def _number(name: str, text: str) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else None
    if number is None or (name not in _FRACTIONS and not number.is_integer()):
        raise ValueError(f"{name}: expected a number from 0 on, got {text[:20]!r}")
    return number
