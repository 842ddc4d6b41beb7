"""Daily tables of others: counts of measurements by outcome, and users of Tor by country."""

import csv
import re
from collections.abc import Collection, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

MAX_BYTES: Final = 64 * 1024 * 1024
"""More than Tor's table of all countries since 2011."""
MAX_DAYS: Final = 40 * 366
"""A wrong year would otherwise make a grid of a million days."""
MAX_CHARACTERS: Final = 4096
"""Longest line; a day's counts take a hundred."""

COUNTS: Final = ("ok", "dns", "http", "tls", "error", "total")
FAILED: Final = ("dns", "http", "tls")
"""Outcomes that look like interference, by the layer where it shows."""

_NUMBER: Final = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_COUNTRY: Final = re.compile(r"[A-Za-z]{2}|\?\?|", re.ASCII)


class BadTableError(ValueError):
    """The file is not such a table. Names the file, the line and the column."""


class _Row(NamedTuple):
    line: int
    cells: dict[str, str]


def read_counts(path: Path) -> pd.DataFrame:
    """Read counts by day: columns ``ok,dns,http,tls,error,date,total``, in any order.

    ``total`` is the sum of ``ok``, ``dns``, ``http`` and ``tls``; ``error`` counts beside it
    what says nothing. A first column without a name is ignored.

    Returns:
        One row per day from the first to the last, in order: ``day`` (datetime64), the six
        counts (int64), ``is_listed``. Where the table has no row for a day, nothing was
        measured: counts are 0 and ``is_listed`` is False.

    Raises:
        BadTableError: naming file, line and column.
    """
    found: dict[date, dict[str, float]] = {}
    for row in _rows(path, ("date", *COUNTS)):
        day = _day(path, row)
        counts = {name: _number(path, row, name, is_whole=True) for name in COUNTS}
        if sum(counts[name] for name in ("ok", *FAILED)) != counts["total"]:
            raise _bad(path, row, "total", "is not ok + dns + http + tls")
        if day in found:
            raise _bad(path, row, "date", f"{day} once more")
        found[day] = counts
    days = _dense(path, found)
    frame = pd.DataFrame({"day": pd.to_datetime(days)})
    for name in COUNTS:
        frame[name] = pd.array([int(found.get(day, {}).get(name, 0)) for day in days], "int64")
    frame["is_listed"] = [day in found for day in days]
    return frame


def read_tor_users(path: Path) -> pd.DataFrame:
    """Read Tor's users by day and country: ``date,country,users,lower,upper,frac``.

    ``users`` estimates clients connected at the same time; ``lower`` and ``upper`` are the
    range that Tor Metrics expects from earlier days, no interval of the estimate. ``frac``
    is how many per cent of relays reported. Lines that begin with ``#`` are skipped.

    Returns:
        One row per country and day from its first to its last, in order: ``country``
        (upper case), ``day`` (datetime64), ``users`` (Int64), ``lower``, ``upper``
        (Float64), ``frac`` (Int64); missing where the table has none.

    Raises:
        BadTableError: naming file, line and column.
    """
    found: dict[str, dict[date, dict[str, float | None]]] = {}
    for row in _rows(path, ("date", "country", "users", "lower", "upper", "frac")):
        country = row.cells["country"].strip().upper()
        if not _COUNTRY.fullmatch(country):
            raise _bad(path, row, "country", "expected two letters")
        day = _day(path, row)
        cells: dict[str, float | None] = {
            "users": _number(path, row, "users", is_whole=True),
            "frac": _optional(path, row, "frac", is_whole=True),
            "lower": _optional(path, row, "lower", is_whole=False),
            "upper": _optional(path, row, "upper", is_whole=False),
        }
        if day in found.setdefault(country, {}):
            raise _bad(path, row, "date", f"{day} of {country or 'all countries'} once more")
        found[country][day] = cells
    frames = []
    for country, by_day in sorted(found.items()):
        days = _dense(path, by_day)
        frame = pd.DataFrame({"country": country, "day": pd.to_datetime(days)})
        kinds = {"users": "Int64", "lower": "Float64", "upper": "Float64", "frac": "Int64"}
        for name, kind in kinds.items():
            frame[name] = pd.array([by_day.get(day, {}).get(name) for day in days], kind)
        frames.append(frame)
    if not frames:
        raise BadTableError(f"{path}: no days")
    return pd.concat(frames, ignore_index=True)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[_Row]:
    lines = iter(_lines(path))
    header_line, header = next(lines, (1, []))
    names = [name.strip() for name in header]
    missing = [name for name in columns if name not in names]
    if missing:
        raise BadTableError(f"{path}: line {header_line}: no column {missing[0]!r}")
    if len(set(names)) < len(names):
        raise BadTableError(f"{path}: line {header_line}: two columns of the same name")
    for line, cells in lines:
        if len(cells) != len(names):
            raise BadTableError(f"{path}: line {line}: {len(cells)} cells, not {len(names)}")
        yield _Row(line, dict(zip(names, cells, strict=True)))


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadTableError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise BadTableError(f"{path}: more than {MAX_BYTES} bytes")
    # One line at a time: a quote that never closes damages its own line only.
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip() or line.startswith(b"#"):
            continue
        if len(line) > MAX_CHARACTERS:
            raise BadTableError(f"{path}: line {number}: more than {MAX_CHARACTERS} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            yield number, next(csv.reader([text], strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadTableError(f"{path}: line {number}: {error}") from None


def _day(path: Path, row: _Row) -> date:
    text = row.cells["date"].strip()
    try:
        if _DAY.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise _bad(path, row, "date", "expected a day such as 2022-03-01")


def _optional(path: Path, row: _Row, name: str, *, is_whole: bool) -> float | None:
    if row.cells[name].strip() in {"", "NA"}:
        return None
    return _number(path, row, name, is_whole=is_whole)


def _number(path: Path, row: _Row, name: str, *, is_whole: bool) -> float:
    text = row.cells[name].strip()
    number = float(text) if _NUMBER.fullmatch(text) else None
    if number is None or (is_whole and not number.is_integer()):
        raise _bad(path, row, name, f"expected a {'whole ' if is_whole else ''}number from 0 on")
    return number


def _bad(path: Path, row: _Row, column: str, words: str) -> BadTableError:
    return BadTableError(f"{path}: line {row.line}, column {column}: {words}")


def _dense(path: Path, found: Collection[date]) -> list[date]:
    if not found:
        raise BadTableError(f"{path}: no days")
    first, last = min(found), max(found)
    n_days = (last - first).days + 1
    if n_days > MAX_DAYS:
        raise BadTableError(f"{path}: from {first} to {last} are more than {MAX_DAYS} days")
    return [first + timedelta(days=number) for number in range(n_days)]
