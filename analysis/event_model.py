"""Events as they are stored: dates of an order, of its observation, effect and end.

These types are the events file (docs/schema/events-1.json is generated from them), the
shipped one and a user's own. What a type cannot say is in `faults_of`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from probe.model.codec import SCHEMA_BASE, without_indents
from probe.model.target import Identifier
from probe.model.verdict import Mechanism

Category = Literal["order", "interference", "circumvention", "context"]
Confidence = Literal["high", "medium", "low"]
Kind = Literal["ordered", "observed", "effective", "lifted"]
KINDS: Final[tuple[Kind, ...]] = ("ordered", "observed", "effective", "lifted")

Label = Annotated[str, Meta(min_length=1, max_length=60)]
Title = Annotated[str, Meta(min_length=1, max_length=200)]
Note = Annotated[str, Meta(max_length=500)]
CountryCode = Annotated[str, Meta(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2.")]
Quantity = Annotated[float, Meta(ge=0, le=1e12)]


class Range(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some day between two, both of them included."""

    first: date = field(name="from")
    last: date = field(name="to")


When = date | Range


class Source(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who says so. A source without an address is named as it was cited."""

    title: Title
    url: Annotated[str, Meta(pattern=r"^https?://[^\s<>\"]+$", max_length=500)] | None = None


class Figure(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A number that was told; ``low`` and ``high`` differ where sources disagree."""

    what: Title
    low: Quantity
    high: Quantity
    unit: Annotated[str, Meta(min_length=1, max_length=40)]
    when: When | None = None
    note: Note = ""


class DatedEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One thing that happened, with up to four dates.

    ``category``: a legal act; interference, which lasts; a way around that came or went;
    anything else that a reader of a chart should know. A date is null where it is not
    known. ``never_effective``: an order of which it is known that nobody carried it out.
    ``dates_note`` explains dates that are out of order or missing. ``mechanism`` is null
    where none of the project's words says it; then ``mechanism_note`` does.
    """

    id: Identifier
    category: Category
    countries: Annotated[tuple[CountryCode, ...], Meta(min_length=1, max_length=50)]
    region: Note = ""
    label: Label
    services: Annotated[tuple[Identifier, ...], Meta(min_length=1, max_length=50)]
    targets: Annotated[tuple[Identifier, ...], Meta(max_length=50)] = ()
    ordered: When | None = None
    observed: When | None = None
    effective: When | None = None
    lifted: When | None = None
    never_effective: bool = False
    dates_note: Note = ""
    mechanism: Mechanism | None = None
    mechanism_note: Note = ""
    confidence: Confidence
    figures: Annotated[tuple[Figure, ...], Meta(max_length=50)] = ()
    note: Note = ""
    sources: Annotated[tuple[Source, ...], Meta(min_length=1, max_length=50)]

    @property
    def dates(self) -> dict[Kind, Range]:
        """The dates that are known, in the order of `KINDS`, each as a range."""
        found: dict[Kind, Range] = {}
        for kind in KINDS:
            when: When | None = getattr(self, kind)
            if when is not None:
                found[kind] = as_range(when)
        return found

    @property
    def span(self) -> Range | None:
        """From the first of all dates to the last; None where no date is known."""
        dates = self.dates.values()
        if not dates:
            return None
        return Range(first=min(when.first for when in dates), last=max(when.last for when in dates))


class EventsFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole of an events file."""

    schema_version: Literal["1.0"]
    name: Title
    updated: date | None = None
    licence: Annotated[str, Meta(max_length=100)] = ""
    note: Note = ""
    events: Annotated[tuple[DatedEvent, ...], Meta(max_length=5000)]


def as_range(when: When) -> Range:
    """Return a known day as a range of one day."""
    return when if isinstance(when, Range) else Range(first=when, last=when)


def events_schema() -> dict[str, Any]:
    """JSON Schema of an events file."""
    schema = without_indents(msgspec.json.schema(EventsFile))
    definitions: dict[str, Any] = schema["$defs"]
    top = definitions.pop("EventsFile")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_BASE}/events-1.json",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def faults_of(events: tuple[DatedEvent, ...]) -> Iterator[tuple[str, str]]:
    """Yield JSON path and words for all that the types let pass and is wrong."""
    places: dict[str, int] = {}
    for number, event in enumerate(events):
        place = f"$.events[{number}]"
        if event.id in places:
            yield f"{place}.id", f"{event.id!r} is also that of $.events[{places[event.id]}]"
        places.setdefault(event.id, number)
        for code in event.countries:
            if code not in COUNTRY_CODES:
                yield f"{place}.countries", f"{code!r} is no ISO 3166-1 code"
        yield from _date_faults(event, place)
        for index, figure in enumerate(event.figures):
            if figure.low > figure.high:
                yield f"{place}.figures[{index}]", "low is above high"
            if figure.when is not None and as_range(figure.when).first > as_range(figure.when).last:
                yield f"{place}.figures[{index}].when", "from is after to"


def _date_faults(event: DatedEvent, place: str) -> Iterator[tuple[str, str]]:
    dates = event.dates
    for kind, when in dates.items():
        if when.first > when.last:
            yield f"{place}.{kind}", "from is after to"
    if event.never_effective:
        if event.ordered is None:
            yield f"{place}.ordered", "what never took effect was ordered some day"
        for kind in ("observed", "effective"):
            if kind in dates:
                yield f"{place}.{kind}", "has a date, although never_effective is true"
    if event.dates_note:
        return
    if not dates:
        yield place, "has no date, and no dates_note that says why"
    # Observation and effect have no order: users notice before anybody announces.
    for earlier, later in (
        ("ordered", "observed"), ("ordered", "effective"), ("ordered", "lifted"),
        ("observed", "lifted"), ("effective", "lifted"),
    ):  # fmt: skip
        if earlier in dates and later in dates and dates[earlier].first > dates[later].last:
            yield f"{place}.{later}", f"is before {earlier}, and no dates_note says why"


_CODES = """
AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN
BO BQ BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ
DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL
GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM
JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME
MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP
NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD
SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO
TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
"""
COUNTRY_CODES: Final = frozenset(_CODES.split())
"""ISO 3166-1 alpha-2, with XK as it is used for Kosovo."""
