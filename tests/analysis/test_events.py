"""Events files: the shipped one and a user's own, of both forms; what is wrong is named."""

import re
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from analysis.chart.events import Dated, Event
from analysis.event_model import DatedEvent, EventsFile, Range, Source, events_schema
from analysis.events import (
    SHIPPED,
    BadEventsError,
    chart_events,
    read_dated_events,
    read_events,
    select,
    telegram_events,
)

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "docs" / "schema" / "events-1.json"
VALIDATOR = Draft202012Validator(
    events_schema(), format_checker=Draft202012Validator.FORMAT_CHECKER
)
RENEWED_BY = """python -c "from analysis.event_model import events_schema as s; import orjson, sys;
sys.stdout.buffer.write(orjson.dumps(s(), option=orjson.OPT_INDENT_2|orjson.OPT_APPEND_NEWLINE))"
> docs/schema/events-1.json"""

BLOCK: dict[str, Any] = {
    "id": "xx-block",
    "category": "interference",
    "countries": ["ID"],
    "label": "Blocked",
    "services": ["messenger"],
    "ordered": "2030-03-01",
    "effective": {"from": "2030-03-02", "to": "2030-03-04"},
    "lifted": "2030-04-01",
    "mechanism": "ip_drop",
    "confidence": "high",
    "sources": [{"title": "A newspaper"}],
}


def document(*events: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"schema_version": "1.0", "name": "Made up", "events": list(events), **more}


def saved(folder: Path, content: object) -> Path:
    path = folder / "events.json"
    path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return path


def event(**changes: Any) -> DatedEvent:
    base: dict[str, Any] = {
        "id": "xx",
        "category": "interference",
        "countries": ("ID",),
        "label": "Blocked",
        "services": ("messenger",),
        "confidence": "high",
        "sources": (Source(title="A newspaper"),),
    }
    return DatedEvent(**{**base, **changes})


def test_shipped_events_cover_the_world_in_order() -> None:
    """Every country of the survey; by first date; two orders are known to be without effect."""
    events = telegram_events()

    assert {code for event in events for code in event.countries} == set(
        "AZ BH BR BY CN CU ES ET ID IQ IR KE NP PK RU TH VE VN".split()  # noqa: SIM905
    )
    assert len(select(events, countries=["RU"])) >= 22
    firsts = [event.span.first for event in events if event.span]
    assert firsts == sorted(firsts)
    unheeded = [event for event in events if event.never_effective]
    assert {event.countries for event in unheeded} == {("BR",), ("ES",)}
    assert all(event.ordered and event.lifted and not event.effective for event in unheeded)


def test_shipped_events_keep_what_is_not_known_apart() -> None:
    """Counts that disagree are ranges; a mechanism without a word of ours is told in a note."""
    events = {event.id: event for event in telegram_events()}

    millions = [
        (figure.low, figure.high)
        for figure in events["ru-2018-clouds"].figures
        if figure.high > 10_000_000
    ]
    assert millions == [(16_000_000, 20_000_000)]
    lasting = [event for event in events.values() if event.category == "interference"]
    assert all(event.mechanism or event.mechanism_note for event in lasting)
    assert all(event.dates or event.dates_note for event in events.values())
    assert all(event.region for key, event in events.items() if "dagestan" in key or "south" in key)


def test_shipped_file_is_licensed_and_part_of_the_package() -> None:
    """CC0, inside the package's folder, and as the published schema says."""
    path = ROOT / "analysis" / "data" / SHIPPED
    told = orjson.loads(path.read_bytes())

    assert told["licence"] == "CC0-1.0"
    VALIDATOR.validate(told)
    assert read_dated_events(path) == telegram_events()


def test_published_schema_is_fresh() -> None:
    """docs/schema has what the types say now, and is closed."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    is_fresh = SCHEMA.read_bytes() == orjson.dumps(events_schema(), option=options)
    assert is_fresh, f"stale; renew it with: {RENEWED_BY}"
    Draft202012Validator.check_schema(events_schema())
    assert events_schema()["additionalProperties"] is False


def test_the_simple_form_is_still_read(tmp_path: Path) -> None:
    """A list of day, label and kind; effective if nothing is said."""
    path = saved(
        tmp_path,
        [{"date": "2030-03-02", "label": "b"},
         {"date": "2030-03-01", "label": "a", "kind": "ordered"}],
    )  # fmt: skip

    assert read_events(path) == [
        Event(date(2030, 3, 1), "a", "ordered"),
        Event(date(2030, 3, 2), "b", "effective"),
    ]


def test_the_full_form_becomes_bars(tmp_path: Path) -> None:
    """The leading date is the effect's; the others follow it."""
    assert read_events(saved(tmp_path, document(BLOCK))) == [
        Event(
            date(2030, 3, 2),
            "Blocked",
            "effective",
            last=date(2030, 3, 4),
            others=(
                Dated("ordered", date(2030, 3, 1), date(2030, 3, 1)),
                Dated("lifted", date(2030, 4, 1), date(2030, 4, 1)),
            ),
        )
    ]


@pytest.mark.parametrize(
    ("changes", "place", "words"),
    [
        ({"mechanism": "magic"}, "$.events[0].mechanism", "magic"),
        ({"category": "rumour"}, "$.events[0].category", "rumour"),
        ({"confidence": "certain"}, "$.events[0].confidence", "certain"),
        ({"countries": ["Russia"]}, "$.events[0].countries[0]", "regex"),
        ({"countries": ["UK"]}, "$.events[0].countries", "no ISO 3166-1 code"),
        ({"countries": []}, "$.events[0].countries", "length"),
        ({"label": "x" * 61}, "$.events[0].label", "60"),
        ({"colour": "red"}, "$.events[0]", "colour"),
        ({"sources": []}, "$.events[0].sources", "length"),
        ({"sources": [{"title": "x", "url": "javascript:x"}]}, "$.events[0].sources[0].url", ""),
        ({"ordered": "yesterday"}, "$.events[0].ordered", "Invalid"),
        ({"ordered": "2030-02-30"}, "$.events[0].ordered", "Invalid"),
        ({"ordered": {"from": "2030-03-01"}}, "$.events[0].ordered", "to"),
        ({"effective": {"from": "2030-03-04", "to": "2030-03-02"}}, "$.events[0].effective", ""),
        ({"ordered": "2030-03-05"}, "$.events[0].effective", "before ordered"),
        ({"lifted": "2030-02-01"}, "$.events[0].lifted", "before"),
        ({"never_effective": True}, "$.events[0].effective", "never_effective"),
        ({"ordered": None, "effective": None, "lifted": None}, "$.events[0]", "no date"),
        (
            {"figures": [{"what": "x", "unit": "y", "low": 2, "high": 1}]},
            "$.events[0].figures[0]",
            "low is above high",
        ),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, changes: dict[str, Any], place: str, words: str
) -> None:
    """File, JSON path, and what is wrong."""
    path = saved(tmp_path, document({**BLOCK, **changes}))

    with pytest.raises(BadEventsError) as raised:
        read_events(path)
    assert str(raised.value).startswith(f"{path}: {place}")
    assert words in str(raised.value)


def test_dates_out_of_order_pass_if_they_are_explained(tmp_path: Path) -> None:
    """A note says why; also why there is none at all."""
    early = {**BLOCK, "lifted": "2030-02-01", "dates_note": "The court annulled it backwards."}
    unknown = {
        **{key: BLOCK[key] for key in BLOCK.keys() - {"ordered", "effective", "lifted"}},
        "id": "xx-unknown", "dates_note": "Not verified.",
    }  # fmt: skip
    path = saved(tmp_path, document(early, unknown))

    assert len(read_dated_events(path)) == 2
    assert len(read_events(path)) == 1


def test_an_id_is_given_once(tmp_path: Path) -> None:
    """The second one is named, and where the first is."""
    with pytest.raises(BadEventsError, match=r"\$\.events\[1\]\.id: .*\$\.events\[0\]"):
        read_events(saved(tmp_path, document(BLOCK, BLOCK)))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"7", "$: Expected `object`"),
        (b'[{"date": "2030-03-01"}]', "$[0]: "),
        (b'{"schema_version": "9.0", "name": "x", "events": []}', "$.schema_version"),
        (b" " * (1024 * 1024 + 1), "more than 1048576 bytes"),
    ],
)
def test_what_is_no_events_file_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """One clear error, whatever the file is."""
    with pytest.raises(BadEventsError, match=re.escape(words)):
        read_events(saved(tmp_path, content))
    with pytest.raises(BadEventsError, match="No such file"):
        read_events(tmp_path / "missing.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
    | st.sampled_from(["2030-03-01", "RU", "observed", "high", "\ud7ff", "NaN"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from([*BLOCK, "events", "from", "to", "date"]), inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(name=st.sampled_from([*BLOCK, "figures", "note", "region"]), content=JSON)
def test_whatever_a_field_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: object
) -> None:
    """No other exception; and what is read, the published schema takes as well."""
    changed = document({**BLOCK, name: content})
    path = saved(tmp_path_factory.getbasetemp(), changed)
    with suppress(BadEventsError):
        read_events(path)
        VALIDATOR.validate(changed)


def test_events_are_selected_by_country_service_and_period() -> None:
    """Any of the countries and services; any day of its own within the period."""
    one = event(id="a", observed=date(2030, 1, 1), lifted=date(2030, 12, 31))
    two = event(id="b", countries=("RU", "BY"), ordered=date(2031, 1, 1))
    three = event(id="c", services=("other", "messenger"))
    everything = (one, two, three)

    assert select(everything) == everything
    assert select(everything, countries=["BY", "DE"]) == (two,)
    assert select(everything, services=["other"]) == (three,)
    assert select(everything, first=date(2030, 6, 1), last=date(2030, 6, 2)) == (one,)
    assert select(everything, first=date(2031, 1, 1)) == (two,)
    assert select(everything, last=date(2029, 12, 31)) == ()


def test_a_chart_leads_with_what_happened() -> None:
    """Effect before observation before order; countries where there are several; no end, open."""
    order = event(id="a", category="order", countries=("ES",), ordered=date(2030, 1, 1))
    block = event(
        id="b", observed=date(2030, 2, 1), confidence="low",
        ordered=Range(first=date(2030, 1, 1), last=date(2030, 1, 31)),
    )  # fmt: skip
    nothing = event(id="c", dates_note="Not known.")

    first, second = chart_events([block, nothing, order])
    assert first == Event(date(2030, 1, 1), "ES Blocked", "ordered")
    assert second == Event(
        date(2030, 2, 1), "ID Blocked", "observed", is_doubtful=True,
        is_open=True, others=(Dated("ordered", date(2030, 1, 1), date(2030, 1, 31)),),
    )  # fmt: skip
    assert chart_events([block])[0].label == "Blocked"


def test_types_say_what_the_schema_publishes() -> None:
    """Each field of an event is in the schema, and no other."""
    fields = set(EventsFile.__struct_encode_fields__)
    assert fields == set(events_schema()["properties"])
    assert set(DatedEvent.__struct_encode_fields__) == set(
        events_schema()["$defs"]["DatedEvent"]["properties"]
    )
