"""Citizen Lab's test lists: CSV with url, category_code, date_added, source, notes.

Format: github.com/citizenlab/test-lists; data CC BY-NC-SA 4.0, which goes along.
"""

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from probe.wire.lists.places import BadPlaceError, read_place
from probe.wire.lists.row import OTHER_CATEGORY, BadListError, ReadList, Row, bounded
from probe.wire.lists.words import day_of, kept_value

SOURCE: Final = "Citizen Lab test list"
LICENSE: Final = "CC-BY-NC-SA-4.0"

_CATEGORY: Final = re.compile(r"[A-Z]{3,5}")


def read_citizenlab(text: str, *, private: bool) -> ReadList:
    """Read a list.

    Raises:
        BadListError: not CSV, a quote that never closes, or no column ``url``.
    """
    rows = bounded(_rows(text, private=private))
    newest = max((day_of(row.kept.get("date_added")) for row in rows), default="")
    return ReadList(rows=rows, source=SOURCE, license=LICENSE, updated=newest)


def _rows(text: str, *, private: bool) -> Iterator[Row]:
    started = 1
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip().lower() for name in next(lines, [])]
        if "url" not in header:
            raise BadListError("line 1: no column 'url'")
        started = lines.line_num + 1
        for fields in lines:
            if any(fields):
                yield _row(f"line {started}", header, fields, private=private)
            started = lines.line_num + 1
    except csv.Error as error:
        # A quote that never closes swallows the rest: where the row begins is what helps.
        raise BadListError(f"line {started}: the row that begins here: {error}") from None


def _row(at: str, header: list[str], fields: list[str], *, private: bool) -> Row:
    if len(fields) != len(header):
        reason = f"{len(fields)} fields where the first line has {len(header)}"
        return Row(at=at, reason=reason, kept=kept_value({"fields": fields}))
    known = dict(zip(header, fields, strict=True))
    url = known.pop("url")
    code = known.get("category_code", "")
    category = code if _CATEGORY.fullmatch(code) else OTHER_CATEGORY
    kept = kept_value({name: value for name, value in known.items() if value})
    try:
        endpoint, notes = read_place(url, private=private)
    except BadPlaceError as error:
        return Row(at=at, reason=str(error), kept=kept | kept_value({"url": url}))
    return Row(at=at, endpoint=endpoint, notes=notes, category=category, kept=kept)
