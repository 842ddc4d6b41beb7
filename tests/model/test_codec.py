"""A stored line gives back what was stored; a damaged one is refused by name."""

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import mutation
from model.values import values_of
from probe.model.codec import (
    ADDED_IN_1_1,
    ADDED_IN_1_2,
    MAX_LINE_BYTES,
    MalformedLineError,
    decode_line,
    encode_line,
    flatten,
)
from probe.model.observation import DnsAnswer, DnsResponse, Observation
from probe.model.vantage import RunColumns, Vantage
from probe.model.verdict import Verdict

RUN = RunColumns(
    run_id="0123456789abcdef",
    measurement_start_time="2026-11-20T10:00:00Z",
    targets_sha256="0" * 64,
)
OBSERVATION = Observation(
    observation_id="o00001",
    chain_id="c00001",
    step="dns",
    role="test",
    service_id="s",
    target_id="s/a",
    combination_rule="any_of",
    control_id=None,
    endpoint_id="a.example:443",
    member="a.example:443",
    t0=0.5,
    t=1.25,
    failure=None,
)
VERDICT = Verdict(
    target_id="s/a",
    service_id="s",
    combination_rule="any_of",
    state="ok",
    rule_id="all_ok",
    rules_version=1,
    n_ok=1,
    n_total=1,
    attempts=1,
    control_state="ok",
    controls_ok=2,
    controls_total=2,
)
STORED = [OBSERVATION, VERDICT]
either_type = pytest.mark.parametrize("fact_type", [Observation, Verdict])
either_value = pytest.mark.parametrize("value", STORED, ids=["observation", "verdict"])


def refusal(line: bytes, fact_type: type[Any]) -> str | None:
    """Decode, and return how the line was refused: by a message with a path, or not."""
    try:
        decode_line(line, fact_type)
    except MalformedLineError as error:
        message = str(error)
    else:
        return None
    assert message.startswith("$")
    return message


@either_type
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_round_trip(fact_type: type[Any], data: st.DataObject) -> None:
    """What is encoded decodes to itself, on one line."""
    run, value = data.draw(values_of(RunColumns)), data.draw(values_of(fact_type))
    line = encode_line(run, value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line, fact_type) == (run, value)


@either_value
def test_every_key_is_on_every_line(value: Observation | Verdict) -> None:
    """Defaults are written out: a reader needs no knowledge of them."""
    line = orjson.loads(encode_line(RUN, value))
    assert set(line) == {*RunColumns.__struct_fields__, *value.__struct_fields__}
    assert list(line) == sorted(line)


def test_columns_do_not_collide() -> None:
    """A line is flat: no column of a run is also one of a fact."""
    for fact_type in (Observation, Verdict):
        assert not set(RunColumns.__struct_fields__) & set(fact_type.__struct_fields__)


def test_vantage_has_no_address() -> None:
    """Nothing in a run's columns can hold the volunteer's address."""
    assert set(Vantage.__struct_fields__) == {
        "probe_cc",
        "probe_asn",
        "network_type",
        "platform",
        "software_version",
    }


@either_value
def test_systematic_damage(value: Observation | Verdict) -> None:
    """Any node deleted, doubled or replaced: a value or `MalformedLineError` with a path."""
    document = orjson.loads(orjson.dumps(flatten(RUN, value)))
    refused = 0
    for path in list(mutation.paths(document)):
        mutants = [mutation.replaced(document, path, v) for v in mutation.REPLACEMENTS]
        if path:
            mutants += [mutation.deleted(document, path), mutation.doubled(document, path)]
        for mutant in mutants:
            refused += refusal(orjson.dumps(mutant), type(value)) is not None
    assert refused > 200


@either_value
@given(
    place=st.integers(0, 400),
    bytes_put=st.binary(max_size=3),
    end=st.none() | st.integers(0, 1000),
)
def test_damaged_bytes(
    value: Observation | Verdict, place: int, bytes_put: bytes, end: int | None
) -> None:
    """Bytes overwritten or cut off: a value or `MalformedLineError`."""
    line = encode_line(RUN, value)
    refusal(line[:place] + bytes_put + line[place + len(bytes_put) : end], type(value))


@given(st.binary())
def test_any_bytes(line: bytes) -> None:
    """Bytes that were never a line are refused."""
    with pytest.raises(MalformedLineError, match=r"^\$"):
        decode_line(line, Observation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"state": "fine"}, r"\$\.state: Invalid enum value 'fine'"),
        ({"attempts": -1}, r"\$\.attempts: Expected `int` >= 0"),
        ({"colour": "red"}, r"\$\.colour: unknown column"),
        ({"layers": [{"step": "tcp"}]}, r"\$\.layers\[0\]: Object missing required field `n_ok`"),
        ({"run_id": "xyz"}, r"\$\.run_id: Expected `str` matching regex"),
    ],
)
def test_damage_is_named(change: dict[str, Any], message: str) -> None:
    """The error names the place in the line and the fault."""
    with pytest.raises(MalformedLineError, match=message):
        decode_line(orjson.dumps({**flatten(RUN, VERDICT), **change}), Verdict)


def test_missing_column_is_damage() -> None:
    """A missing key is not read as a default."""
    line = flatten(RUN, VERDICT)
    del line["summary"]
    with pytest.raises(MalformedLineError, match=r"\$\.summary: missing column"):
        decode_line(orjson.dumps(line), Verdict)


ADDED = {"1.0": ADDED_IN_1_1 | ADDED_IN_1_2, "1.1": ADDED_IN_1_2}
either_version = pytest.mark.parametrize("version", ADDED)


def old_line(value: Observation | Verdict, version: str) -> dict[str, Any]:
    """A line as an earlier version wrote it."""
    line = {**flatten(RUN, value), "schema_version": version}
    return {name: item for name, item in line.items() if name not in ADDED[version]}


@either_version
@either_value
def test_lines_of_earlier_versions_are_read(value: Observation | Verdict, version: str) -> None:
    """The columns that they do not have are null or empty."""
    stored = decode_line(orjson.dumps(old_line(value, version)), type(value))
    assert stored.value == value
    assert stored.run.schema_version == version
    for name in ADDED[version] & set(value.__struct_fields__):
        assert not getattr(stored.value, name)


@either_version
@either_value
def test_a_line_of_an_earlier_version_may_have_a_new_column(
    value: Observation | Verdict, version: str
) -> None:
    """As one that was written between the two versions."""
    for name in ADDED[version] & set(value.__struct_fields__):
        line = {**old_line(value, version), name: flatten(RUN, value)[name]}
        assert decode_line(orjson.dumps(line), type(value)).value == value


@either_version
@either_value
def test_columns_of_an_earlier_version_are_on_every_line(
    value: Observation | Verdict, version: str
) -> None:
    """Whatever the version, a missing one of them is damage."""
    for name in old_line(value, version).keys() - {"schema_version"}:
        line = old_line(value, version)
        del line[name]
        assert refusal(orjson.dumps(line), type(value)) == f"$.{name}: missing column"


@either_value
def test_new_columns_are_on_the_lines_of_their_version(value: Observation | Verdict) -> None:
    """A line that says so has them."""
    for name in ADDED["1.0"] & set(value.__struct_fields__):
        line = flatten(RUN, value)
        assert line["schema_version"] == "1.2"
        del line[name]
        assert refusal(orjson.dumps(line), type(value)) == f"$.{name}: missing column"


def test_every_new_column_is_one() -> None:
    """The lists name columns of facts, each with a default."""
    columns = set(Observation.__struct_fields__) | set(Verdict.__struct_fields__)
    assert columns >= ADDED["1.0"]
    assert not set(RunColumns.__struct_fields__) & ADDED["1.0"]


@pytest.mark.parametrize("version", ["0.9", "1.3", "2.0", 1.1, None])
def test_other_versions_are_refused(version: object) -> None:
    """By a later program, or by none."""
    line = {**flatten(RUN, VERDICT), "schema_version": version}
    with pytest.raises(MalformedLineError, match=r"\$\.schema_version: "):
        decode_line(orjson.dumps(line), Verdict)


def test_oversized_line() -> None:
    """A line beyond the bound is refused before it is parsed."""
    with pytest.raises(MalformedLineError, match="line of 4194305 bytes"):
        decode_line(b" " * (MAX_LINE_BYTES + 1), Verdict)


def answer(value: str, kind: str = "A") -> DnsAnswer:
    return DnsAnswer(type=kind, value=value, ttl_s=60, is_bogon=False, is_expected=None)


def test_accepted_addresses() -> None:
    """A stub takes the first valid response, forged or not, and skips names."""
    responses = tuple(
        DnsResponse(
            t=0.1, rcode="NOERROR", is_valid=is_valid, answers=answers, size_bytes=60, ip_ttl=64
        )
        for is_valid, answers in (
            (False, (answer("192.0.2.1"),)),
            (True, (answer("b.example", "CNAME"), answer("192.0.2.2"))),
            (True, (answer("192.0.2.3"),)),
        )
    )
    observation = Observation(
        **{name: getattr(OBSERVATION, name) for name in OBSERVATION.__struct_fields__}
        | {"responses": responses}
    )
    assert observation.accepted_addresses() == ("192.0.2.2",)
    assert OBSERVATION.accepted_addresses() == ()
