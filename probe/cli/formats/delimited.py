"""CSV (RFC 4180): a line for each verdict, with the columns of a stored one."""

import csv
import io
from typing import TYPE_CHECKING, Any, Final

import orjson

from probe.model.codec import line_schema
from probe.model.verdict import Verdict

if TYPE_CHECKING:
    from probe.cli.formats.report import Report

_FORMULA: Final = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # full-width forms too


def as_csv(report: "Report") -> str:
    """Return the verdicts that are passed on, as `results export --kind verdicts` has them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, sorted(line_schema(Verdict)["properties"]))
    writer.writeheader()
    for columns in report.verdict_columns:
        writer.writerow({name: cell(value) for name, value in columns.items()})
    return text.getvalue()


def cell(value: Any) -> Any:
    """Write nested values as JSON; let no text begin a formula in a spreadsheet."""
    if isinstance(value, list | tuple | dict):
        return orjson.dumps(value).decode() if value else ""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
