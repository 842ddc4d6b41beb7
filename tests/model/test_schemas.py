"""The published schemas are those of the types, and agree with the decoder."""

from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model import mutation
from model.values import values_of
from probe.model.codec import (
    ADDED_IN_1_1,
    MalformedLineError,
    decode_line,
    flatten,
    line_schema,
    targets_schema,
)
from probe.model.observation import Observation
from probe.model.target import Targets
from probe.model.validate import _WORDS, schema_validator
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict

FOLDER = Path(__file__).parents[2] / "docs" / "schema"
SCHEMAS = {
    "targets": targets_schema(),
    "observation": line_schema(Observation),
    "verdict": line_schema(Verdict),
}
RENEWED_BY = {
    "targets": "reachwatch targets schema > docs/schema/targets-1.json",
    "observation": "reachwatch results schema observation > docs/schema/observation-1.json",
    "verdict": "reachwatch results schema verdict > docs/schema/verdict-1.json",
}
VERSIONS = get_args(get_type_hints(RunColumns)["schema_version"])
FACTS: dict[str, type[Any]] = {"observation": Observation, "verdict": Verdict}


def is_decoded(document: object, fact_type: type[Any]) -> bool:
    """Whether the decoder takes the line."""
    try:
        decode_line(orjson.dumps(document), fact_type)
    except MalformedLineError:
        return False
    return True


@pytest.mark.parametrize("name", SCHEMAS)
def test_published_schema_is_fresh(name: str) -> None:
    """docs/schema has what the types say now."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    fresh = orjson.dumps(SCHEMAS[name], option=options)
    # Compared before the assert: explaining how two such texts differ takes minutes.
    is_fresh = (FOLDER / f"{name}-1.json").read_bytes() == fresh
    assert is_fresh, f"stale; renew it with: {RENEWED_BY[name]}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_a_schema(name: str) -> None:
    """Each is valid JSON Schema 2020-12, and closed: no key passes unseen."""
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["additionalProperties"] is False
    assert SCHEMAS[name]["$id"].endswith(f"/{name}-1.json")


def test_every_keyword_of_the_targets_schema_has_words() -> None:
    """A keyword without words would turn a fault in a list into a bug of ours."""
    silent = {"$ref", "properties", "items"}  # they delegate
    annotations = {"title", "description", "default", "$defs", "$id", "$schema"}
    told_apart = {"required", "additionalProperties"}
    used: set[str] = set()

    def visit(schema: dict[str, Any]) -> None:
        used.update(schema)
        for group in ("properties", "$defs"):
            for inner in schema.get(group, {}).values():
                visit(inner)
        if "items" in schema:
            visit(schema["items"])

    visit(targets_schema())
    assert used - silent - annotations - told_apart <= set(_WORDS)


@pytest.mark.parametrize("name", FACTS)
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_lines_and_mutants_are_judged_alike(name: str, data: st.DataObject) -> None:
    """The schema and the decoder accept the same lines of either version, whole or damaged."""
    version = data.draw(st.sampled_from(VERSIONS))
    run = msgspec.structs.replace(data.draw(values_of(RunColumns)), schema_version=version)
    value = data.draw(values_of(FACTS[name]))
    document = orjson.loads(orjson.dumps(flatten(run, value)))
    if version == "1.0":
        document = {key: kept for key, kept in document.items() if key not in ADDED_IN_1_1}
    validator = schema_validator(SCHEMAS[name])
    assert validator.is_valid(document)
    path = data.draw(st.sampled_from([p for p in mutation.paths(document) if p]))
    for mutant in (
        mutation.deleted(document, path),
        mutation.doubled(document, path),
        mutation.replaced(document, path, data.draw(st.sampled_from(mutation.REPLACEMENTS))),
    ):
        assert validator.is_valid(mutant) == is_decoded(mutant, FACTS[name])


@pytest.mark.parametrize("name", FACTS)
@pytest.mark.parametrize("version", VERSIONS)
@settings(deadline=None, max_examples=3)
@given(data=st.data())
def test_what_a_version_added_may_be_absent_from_earlier_lines_alone(
    name: str, version: str, data: st.DataObject
) -> None:
    """The schema asks each version for what it has, as the decoder does."""
    run = msgspec.structs.replace(data.draw(values_of(RunColumns)), schema_version=version)
    document = orjson.loads(orjson.dumps(flatten(run, data.draw(values_of(FACTS[name])))))
    added = sorted(ADDED_IN_1_1 & document.keys())
    assert added
    for missing in added:
        lacking = {key: kept for key, kept in document.items() if key != missing}
        assert schema_validator(SCHEMAS[name]).is_valid(lacking) is (version == "1.0")
        assert is_decoded(lacking, FACTS[name]) is (version == "1.0")


@settings(deadline=None, max_examples=50)
@given(targets=values_of(Targets))
def test_any_targets_validate(targets: Targets) -> None:
    """Whatever the types allow, the schema allows."""
    document = orjson.loads(orjson.dumps(msgspec.to_builtins(targets)))
    schema_validator(SCHEMAS["targets"]).validate(document)
