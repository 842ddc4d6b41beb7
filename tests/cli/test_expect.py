"""``--expect FILE``: what may be in it, and what is named if it is not so."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli import check as check_module
from probe.cli.errors import CommandError
from probe.cli.expect import MAX_EXPECT_BYTES, Expected, mismatches, read_expectations
from probe.cli.main import main
from probe.model.verdict import STATES, State

from .reports import TARGETS, finished, run_of, verdict

Check = Callable[..., int]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run ``check`` with expectations; it measures nothing and finds a block by name."""
    (tmp_path / "list.json").write_text(json.dumps(TARGETS))
    monkeypatch.chdir(tmp_path)
    run = finished([verdict("a/pool", "ok"), verdict("a/web", "blocked")])
    monkeypatch.setattr(check_module, "run_check", run_of(run))

    def command(document: object, *words: str) -> int:
        (tmp_path / "expect.json").write_text(json.dumps(document))
        return main(["check", "list.json", "-q", "--expect", "expect.json", *words])

    return command


@given(st.sampled_from(STATES), st.sets(st.sampled_from(STATES), min_size=1))
def test_a_target_is_as_expected_if_its_state_is_among_those(
    state: State, wanted: set[State]
) -> None:
    found = mismatches({"a/web": Expected(state=tuple(wanted))}, [verdict("a/web", state)])

    assert bool(found) == (state not in wanted)


@pytest.mark.parametrize(
    ("expected", "code"),
    [
        ({"a/web": "blocked"}, 0),
        ({"a/web": ["blocked", "likely_blocked"], "a/pool": "ok"}, 0),
        ({"a/web": {"state": "blocked"}}, 0),
        ({"a/web": {"state": ["blocked"], "mechanism": "sni_rst"}}, 0),
        ({"a/web": {"state": "blocked", "mechanism": ["sni_drop", "sni_rst"]}}, 0),
        ({"a/web": {"state": "blocked", "mechanism": "sni_drop"}}, 11),
        ({"a/web": "likely_blocked"}, 11),
        ({"a/pool": ["down", "impaired"]}, 11),
    ],
)
def test_the_forms_of_an_expectation(check: Check, expected: object, code: int) -> None:
    assert check(expected) == code


def test_each_mismatch_is_named(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, in JUnit and in annotations, with what was expected and what was found."""
    expected = {"a/pool": "blocked", "a/web": {"state": "blocked", "mechanism": "ip_drop"}}

    assert check(expected, "--format", "junit=j.xml", "--format", "github") == 11

    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "a/pool: expected blocked, found ok",
        "a/web: expected blocked ip_drop, found blocked sni_rst",
    ]
    failures = [one.attrib["message"] for one in ET.parse(tmp_path / "j.xml").iter("failure")]
    assert [line.partition(";")[0] for line in failures] == [
        "expected blocked, found ok",
        "expected blocked ip_drop, found blocked sni_rst",
    ]
    assert said.out.count("::error ") == 2


def test_what_is_expected_passes_however_bad_it_is(check: Check, tmp_path: Path) -> None:
    """A lab's block that is found is a test that passes; a target not named fails as ever."""
    assert check({"a/web": "blocked"}, "--format", "junit=j.xml") == 0
    assert list(ET.parse(tmp_path / "j.xml").iter("failure")) == []
    assert check({"a/pool": "ok"}, "--format", "junit=j.xml") == 0
    assert len(list(ET.parse(tmp_path / "j.xml").iter("failure"))) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "expect.json: not JSON: "),
        ("[]", "expect.json: $: expected an object"),
        ("{}", "expect.json: $: expected an object"),
        ('{"a/web": "fine"}', "expect.json: $[\"a/web\"]: Invalid enum value 'fine'"),
        ('{"a/web": []}', 'expect.json: $["a/web"]: no state is named'),
        ('{"a/web": ["ok", "fine"]}', "expect.json: $[\"a/web\"][1]: Invalid enum value 'fine'"),
        ('{"a/web": 1}', 'expect.json: $["a/web"]: Expected `str | array`, got `int`'),
        ('{"a/web": {"mechanism": "sni_rst"}}', "missing required field `state`"),
        ('{"a/web": {"state": "ok", "mechanism": "x"}}', '$["a/web"].mechanism: Invalid enum'),
        ('{"a/web": {"state": "ok", "stage": "tls"}}', "contains unknown field `stage`"),
        ('{"\\u202e": 1}', "expect.json: $["),
    ],
)
def test_a_bad_file_is_named_with_the_place(text: str, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "expect.json"
    path.write_text(text)

    with pytest.raises(CommandError) as raised:
        read_expectations(path)

    assert raised.value.exit_code == 3
    assert problem in raised.value.lines[0]


def test_a_file_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "expect.json"
    with path.open("wb") as file:
        file.truncate(MAX_EXPECT_BYTES + 1)

    with pytest.raises(CommandError, match="larger than"):
        read_expectations(path)


def test_an_unknown_target_costs_no_run(
    check: Check, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typo would otherwise be an expectation that always holds."""
    monkeypatch.setattr(check_module, "run_check", None)

    assert check({"a/wbe": "ok"}) == 3
    assert capsys.readouterr().err == (
        'expect.json: $["a/wbe"]: not among the targets of this run (did you mean a/web?)\n'
    )
