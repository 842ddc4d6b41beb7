"""Bytes <-> values. orjson reads and writes; the types validate.

A stored line is flat: the columns of its run and of one observation or verdict.
Each of the three types is defined once; stored form, validation and published
JSON Schema (2020-12) all come from those definitions.
"""

import inspect
from typing import Any, Final, Generic, NamedTuple, TypeVar

import msgspec
import orjson

from probe.model.observation import Observation
from probe.model.target import Targets
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict

Fact = TypeVar("Fact", Observation, Verdict)

MAX_LINE_BYTES: Final = 4 * 1024 * 1024
"""Bound on one stored line: 50 times the largest observation seen (a resolver
flooding 64 KiB datagrams), small enough that a hostile file cannot fill memory."""

SCHEMA_BASE: Final = "https://reachwatch.invalid/schema"


ADDED_IN_1_1: Final = frozenset(
    {
        "follow_up",
        "first_byte_s",
        "icmp_type",
        "icmp_code",
        "icmp_origin",
        "hello_profile",
        "hop_limit",
        "body_text",
        "mtproto_transport",
        "clock_offset_s",
        "open_rivals",
        "evidence",
        "within_hops",
    }
)
"""Columns that lines of schema version 1.0 do not have; there they are null or empty."""

ADDED_IN_1_2: Final = frozenset(
    {
        "hello_split",
        "ech_is_accepted",
        "mtproto_key",
        "config_endpoints",
        "config_expires",
        "with_encrypted_dns",
        "failed_ports",
        "failed_families",
    }
)
"""The same of schema versions 1.0 and 1.1."""

_ABSENT: Final = {"1.0": ADDED_IN_1_1 | ADDED_IN_1_2, "1.1": ADDED_IN_1_2}


class MalformedLineError(ValueError):
    """A stored line is not of its type. The message names the place in the line."""


class Stored(NamedTuple, Generic[Fact]):
    """One stored line: its run's columns and the fact or judgement itself."""

    run: RunColumns
    value: Fact


def encode_line(run: RunColumns, value: Observation | Verdict) -> bytes:
    """Encode one flat JSON line, every key present, newline included."""
    return orjson.dumps(
        flatten(run, value), option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS
    )


def flatten(run: RunColumns, value: Observation | Verdict) -> dict[str, Any]:
    """Return the stored columns of one line as plain values."""
    return {**msgspec.to_builtins(run), **msgspec.to_builtins(value)}


def decode_line(line: bytes, fact_type: type[Fact]) -> Stored[Fact]:
    """Decode one stored line.

    Raises:
        MalformedLineError: naming the JSON path, for anything but a valid line.
    """
    if len(line) > MAX_LINE_BYTES:
        raise MalformedLineError(f"$: line of {len(line)} bytes (limit {MAX_LINE_BYTES})")
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise MalformedLineError(f"$: not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise MalformedLineError(f"$: expected an object, got {type(raw).__name__}")
    run_names = set(RunColumns.__struct_fields__)
    known = run_names | set(fact_type.__struct_fields__)
    for name in raw.keys() - known:
        raise MalformedLineError(f"$.{name}: unknown column")
    # Every key on every line is part of the format (docs/adr/0003): a missing
    # key is a damaged line, not a default.
    version = raw.get("schema_version")
    absent = _ABSENT.get(version, frozenset()) if isinstance(version, str) else frozenset[str]()
    for name in sorted(known - raw.keys() - absent):
        raise MalformedLineError(f"$.{name}: missing column")
    try:
        run = msgspec.convert({k: raw[k] for k in run_names}, RunColumns)
        value = msgspec.convert({k: v for k, v in raw.items() if k not in run_names}, fact_type)
    except msgspec.ValidationError as error:
        raise MalformedLineError(_as_path(str(error))) from None
    return Stored(run, value)


def _as_path(message: str) -> str:
    text, _, place = message.partition(" - at ")
    return f"{place.strip('`') or '$'}: {text}"


def _inlined(schema: dict[str, Any], definitions: dict[str, Any]) -> Any:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        return definitions[reference.rsplit("/", 1)[-1]]
    return schema


def without_indents(schema: Any) -> Any:
    """Return a schema whose descriptions are the same whatever the Python.

    They are docstrings, which lose their indentation from Python 3.13 on.
    """
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(value)
            if key == "description" and isinstance(value, str)
            else without_indents(value)
            for key, value in schema.items()
        }
    return [without_indents(item) for item in schema] if isinstance(schema, list) else schema


def targets_schema() -> dict[str, Any]:
    """JSON Schema of ``targets.json``."""
    schema = without_indents(msgspec.json.schema(Targets))
    top = _inlined(schema, schema["$defs"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_BASE}/targets-1.json",
        **top,
        "$defs": {k: v for k, v in sorted(schema["$defs"].items()) if k != "Targets"},
    }


def line_schema(fact_type: type[Observation] | type[Verdict]) -> dict[str, Any]:
    """JSON Schema of one stored line of observations or verdicts."""
    name = fact_type.__name__
    parts, components = msgspec.json.schema_components(
        (RunColumns, fact_type), ref_template="#/$defs/{name}"
    )
    run, fact = without_indents(list(parts))
    definitions = without_indents(components)
    run = _inlined(run, definitions)
    fact = _inlined(fact, definitions)
    properties = {**run["properties"], **fact["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_BASE}/{name.lower()}-1.json",
        "title": name,
        "description": fact.get("description", ""),
        "type": "object",
        "properties": dict(sorted(properties.items())),
        "required": sorted(properties.keys() - ADDED_IN_1_1 - ADDED_IN_1_2),
        # What came later is on every line since, and on none before.
        "allOf": [
            {
                "if": {"properties": {"schema_version": {"enum": before}}},
                "else": {"required": sorted(properties.keys() & added)},
            }
            for before, added in ((["1.0"], ADDED_IN_1_1), (["1.0", "1.1"], ADDED_IN_1_2))
        ],
        "additionalProperties": False,
        "$defs": {k: v for k, v in sorted(definitions.items()) if k not in {name, "RunColumns"}},
    }
