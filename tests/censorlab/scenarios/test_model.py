"""The rows: complete, consistent, and refused with a place when they are not."""

from typing import get_args

import pytest

from censorlab.engines import check_packets
from censorlab.rules import EncryptedDnsDrop, ForgedCertificate, Rule
from censorlab.scenarios import town
from censorlab.scenarios.model import (
    Arrangement,
    BadScenarioError,
    all_scenarios,
    named,
    read_again,
    read_rows,
)
from probe.model.observation import TACTICS
from probe.model.verdict import Mechanism

SCENARIOS = all_scenarios()
NAMES = {scenario.name for scenario in SCENARIOS}

PROXIES_ARE_NOT_IN_THE_TOWN_YET = {"proxy_block"}
"""Mechanisms without a scenario, each with the reason in its name."""

A_PERSONS_OWN = {"none", "socks5", "http_connect", "mtproxy", "withheld"}
"""The direct way, and proxies, which a person names."""

NEVER_THE_LAST_WAY = {"ipv4", "ipv6"}
"""A host that one family reaches is reached; the town has no service with both throughout."""


def test_there_are_enough_and_enough_are_benign() -> None:
    assert len(SCENARIOS) == len(NAMES) >= 60
    assert sum(scenario.is_benign for scenario in SCENARIOS) >= 20


def test_every_mechanism_of_the_vocabulary_has_a_scenario() -> None:
    arranged = {truth.mechanism for scenario in SCENARIOS for truth in scenario.truths}
    assert set(get_args(Mechanism)) - arranged == PROXIES_ARE_NOT_IN_THE_TOWN_YET


def test_every_rule_that_packets_can_express_is_in_a_scenario() -> None:
    used = {type(rule) for scenario in SCENARIOS for rule in scenario.rules}
    unused = set(get_args(Rule)) - used
    names = {rule.__name__ for rule in unused}
    assert names == {ForgedCertificate.__name__, EncryptedDnsDrop.__name__, "TcpRefuse"}, names


def test_every_arrangement_is_in_a_scenario() -> None:
    used = {one for scenario in SCENARIOS for one in scenario.arrangements}
    assert used == set(get_args(Arrangement))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_row_says_what_is_seen_what_is_true_and_what_else_it_could_be(scenario: object) -> None:
    assert scenario.signature
    assert scenario.truths
    assert scenario.is_benign or scenario.rivals
    check_packets(scenario.rules)
    targets = {"*", town.WEB, town.DC_POOL, town.SITE}
    assert {truth.target for truth in scenario.truths} <= targets


def test_a_benign_row_never_accepts_that_something_is_blocked() -> None:
    for scenario in SCENARIOS:
        for truth in scenario.truths:
            if not truth.is_blocked:
                assert not {"blocked", "likely_blocked"} & set(truth.states), scenario.name


def test_a_target_that_no_truth_covers_works() -> None:
    (scenario,) = named(["sni_rst"])
    assert scenario.truth_of(town.WEB).mechanism == "sni_rst"
    assert scenario.truth_of(town.DC_POOL).states == ("ok",)


ROW = """
[[scenario]]
name = "one_two"
title = "A title long enough"
group = "tls"
truths = [{ states = ["ok"] }]
source = "here"
guards = "against a mistake"
"""


@pytest.mark.parametrize(
    ("line", "place"),
    [
        ('rules = [{ rule = "no_such" }]', r"scenario 1 \(one_two\): Invalid value 'no_such'"),
        ('rules = [{ rule = "syn_drop", port = 0 }]', r"at `\$\.rules\[0\]\.port`"),
        ('rules = [{ rule = "ip_drop", addresses = ["@mars"] }]', r"one_two\): '@mars'"),
        ('arrangements = ["a_wish"]', r"at `\$\.arrangements\[0\]`"),
        ("seconds = 3", r"unknown field `seconds`"),
        ("line = { loss = 1.5 }", r"at `\$\.line\.loss`"),
    ],
)
def test_a_bad_row_is_named(line: str, place: str) -> None:
    with pytest.raises(BadScenarioError, match=place) as caught:
        read_rows(ROW + line, "own.toml", town.PLACES)
    assert "own.toml" in str(caught.value)


def test_text_that_is_no_toml_is_named() -> None:
    with pytest.raises(BadScenarioError, match=r"own\.toml: "):
        read_rows("[[scenario]", "own.toml", town.PLACES)


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(BadScenarioError, match="did you mean sni_rst"):
        named(["sni_rts"])


def test_a_row_is_read_with_the_addresses_of_another_topology() -> None:
    again = read_again("syn_drop", {"@service": ("127.10.1.1",)})
    assert again.rules[0].addresses == ("127.10.1.1",)


def test_ways_are_spelled_out_by_groups() -> None:
    """A row names tactics by what is true of them; those that look alike by a group."""
    text = ROW.replace(
        '{ states = ["ok"] }',
        '{ states = ["ok"], ways = { works = ["ech"], does_not = ["@splits"] } }',
    )
    (scenario,) = read_rows(text, "own.toml", town.PLACES)
    assert scenario.truths[0].ways == {
        "ech": "works",
        "segment_split": "does_not",
        "record_split": "does_not",
    }
    assert scenario.ways == {"ech", "segment_split", "record_split"}
    assert scenario.without_ways().ways == frozenset()


@pytest.mark.parametrize(
    ("ways", "place"),
    [
        ('{ works = ["magic"] }', r"one_two\): Invalid enum value 'magic'"),
        ('{ works = ["@magic"] }', r"one_two\): '@magic'"),
        ('{ perhaps = ["ech"] }', r"one_two\): Invalid enum value 'perhaps'"),
        ('{ works = ["tls12"], does_not = ["@hellos"] }', "tls12 twice"),
        ('["ech"]', "one_two"),
        ('{ works = "ech" }', "one_two"),
    ],
)
def test_a_bad_way_is_named(ways: str, place: str) -> None:
    text = ROW.replace('{ states = ["ok"] }', f'{{ states = ["ok"], ways = {ways} }}')
    with pytest.raises(BadScenarioError, match=place):
        read_rows(text, "own.toml", town.PLACES)


def test_every_way_but_a_persons_own_has_a_scenario_in_which_it_works_and_one_in_which_not() -> (
    None
):
    truths = [truth for scenario in SCENARIOS for truth in scenario.truths]
    works = {t for truth in truths for t, result in truth.ways.items() if result != "does_not"}
    fails = {t for truth in truths for t, result in truth.ways.items() if result == "does_not"}
    asked = set(TACTICS) - A_PERSONS_OWN
    assert asked - works == NEVER_THE_LAST_WAY
    assert asked - fails == set()


def test_ways_are_asked_only_where_somebody_blocks() -> None:
    for scenario in SCENARIOS:
        for truth in scenario.truths:
            assert truth.is_blocked or not truth.ways, scenario.name
