"""Dated events for a chart's time axis, read from a JSON file."""

from datetime import date
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import orjson

from analysis.chart.timeline import Event

MAX_BYTES: Final = 1024 * 1024
"""Largest events file; a thousand times a long history's."""


class BadEventsError(ValueError):
    """The file is not a list of events. Names the file and the JSON path."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    date: date
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    kind: Literal["ordered", "observed", "effective"] = "effective"


def read_events(path: Path) -> list[Event]:
    """Read ``[{"date": "2030-03-01", "label": "…", "kind": "effective"}, …]``.

    Raises:
        BadEventsError: naming the place.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadEventsError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise BadEventsError(f"{path}: more than {MAX_BYTES} bytes")
    try:
        entries = msgspec.convert(orjson.loads(data), list[_Entry])
    except orjson.JSONDecodeError as error:
        raise BadEventsError(
            f"{path}: not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        raise BadEventsError(f"{path}: {place.strip('`') or '$'}: {text}") from None
    found = [Event(date=entry.date, label=entry.label, kind=entry.kind) for entry in entries]
    return sorted(found, key=lambda event: (event.date, event.label))
