"""Dated events: the shipped file, a user's own, and what of them a chart draws."""

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import orjson

from analysis.chart.events import Dated, Event
from analysis.event_model import DatedEvent, EventsFile, Kind, faults_of

MAX_BYTES: Final = 1024 * 1024
"""Largest events file; thirty times that of Telegram worldwide."""
SHIPPED: Final = "telegram-events.json"
_LEADING: Final[tuple[Kind, ...]] = ("effective", "observed", "ordered", "lifted")
"""Which date names an event: rather what happened than what was decided."""


class BadEventsError(ValueError):
    """The file is not a list of events. Names the file and the JSON path."""


class _Entry(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The simple form: one day, one label."""

    date: date
    label: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    kind: Literal["ordered", "observed", "effective", "lifted"] = "effective"


def read_events(path: Path) -> list[Event]:
    """Read what a chart draws, from a file of either form.

    The simple form is ``[{"date": "2030-03-01", "label": "…", "kind": "effective"}, …]``,
    the full one docs/schema/events-1.json. Events without a date are not among the result.

    Raises:
        BadEventsError: naming the place.
    """
    document = _read(path)
    if isinstance(document, EventsFile):
        return chart_events(document.events)
    found = [Event(date=entry.date, label=entry.label, kind=entry.kind) for entry in document]
    return sorted(found, key=lambda event: (event.date, event.label))


def read_dated_events(path: Path) -> tuple[DatedEvent, ...]:
    """Read a file of the full form.

    Raises:
        BadEventsError: naming the place; also for a file of the simple form.
    """
    document = _read(path)
    if not isinstance(document, EventsFile):
        raise BadEventsError(f"{path}: $: expected an object as in docs/schema/events-1.json")
    return document.events


def events_of(name: str, countries: Collection[str] = ()) -> list[Event]:
    """Return what a chart draws: of ``telegram``, the shipped list, or of a file.

    Args:
        name: ``telegram``, or the file's name.
        countries: those that the data are of. Of the shipped list only their events are
            taken; all of them where none is given, or one is unknown (``ZZ``).

    Raises:
        BadEventsError: naming the place.
    """
    if name != "telegram":
        return read_events(Path(name))
    known = None if not countries or "ZZ" in countries else countries
    return chart_events(select(telegram_events(), countries=known))


def telegram_events() -> tuple[DatedEvent, ...]:
    """Return the shipped events: Telegram worldwide, by first date."""
    data = resources.files("analysis").joinpath("data", SHIPPED).read_bytes()
    document = _parsed(data, SHIPPED)
    assert isinstance(document, EventsFile)
    return document.events


def select(
    events: Iterable[DatedEvent],
    *,
    countries: Collection[str] | None = None,
    services: Collection[str] | None = None,
    first: date | None = None,
    last: date | None = None,
) -> tuple[DatedEvent, ...]:
    """Keep events of some countries and services that touch a period.

    None does not filter. An event touches the period if any day from its first date to its
    last lies in it; one without an end is not taken to last. Events without a date are kept
    only where no period is given.
    """
    kept = []
    for event in events:
        if countries is not None and not set(countries) & set(event.countries):
            continue
        if services is not None and not set(services) & set(event.services):
            continue
        span = event.span
        if first is not None and (span is None or span.last < first):
            continue
        if last is not None and (span is None or span.first > last):
            continue
        kept.append(event)
    return tuple(kept)


def chart_events(events: Iterable[DatedEvent]) -> list[Event]:
    """Return events as charts draw them, by date; those without a date are left out.

    Labels begin with the countries' codes where they are not all of one country.
    """
    dated = [event for event in events if event.dates]
    is_one_country = len({event.countries for event in dated}) <= 1
    found = [_chart_event(event, is_one_country=is_one_country) for event in dated]
    return sorted(found, key=lambda event: (event.date, event.label))


def _chart_event(event: DatedEvent, *, is_one_country: bool) -> Event:
    dates = event.dates
    lead = next(kind for kind in _LEADING if kind in dates)
    lasted = event.category == "interference" and lead in {"effective", "observed"}
    return Event(
        date=dates[lead].first,
        label=event.label if is_one_country else f"{'+'.join(event.countries)} {event.label}",
        kind=lead,
        last=dates[lead].last if dates[lead].last > dates[lead].first else None,
        others=tuple(
            Dated(kind, when.first, when.last) for kind, when in dates.items() if kind != lead
        ),
        is_doubtful=event.confidence == "low",
        is_open=lasted and "lifted" not in dates,
    )


def _read(path: Path) -> EventsFile | Sequence[_Entry]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadEventsError(f"{path}: {error.strerror}") from None
    return _parsed(data, str(path))


def _parsed(data: bytes, name: str) -> EventsFile | Sequence[_Entry]:
    if len(data) > MAX_BYTES:
        raise BadEventsError(f"{name}: more than {MAX_BYTES} bytes")
    try:
        document = orjson.loads(data)
        if isinstance(document, list):
            return msgspec.convert(document, list[_Entry])
        found = msgspec.convert(document, EventsFile)
    except orjson.JSONDecodeError as error:
        raise BadEventsError(
            f"{name}: not JSON: line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at ")
        raise BadEventsError(f"{name}: {place.strip('`') or '$'}: {text}") from None
    fault = next(faults_of(found.events), None)
    if fault is not None:
        raise BadEventsError(f"{name}: {fault[0]}: {fault[1]}")
    return found
