"""Every rule has a row: facts in, and the state, mechanism and count that come out."""

from importlib import resources

import pytest

from facts import Scene
from probe.model.verdict import BLOCKED_STATES
from probe.verdict.judge import unmeasured
from probe.verdict.rules import RULES
from verdict.cases import CASES, Case
from verdict.scenes import TIMEOUT, verdict_of


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(CASES)])
def test_rule(case: Case) -> None:
    """The facts that a rule needs give what it may claim, and reasons that exist."""
    scene = case.scene()
    rows, verdict = scene.rows, verdict_of(scene)

    assert (verdict.rule_id, verdict.state, verdict.mechanism) == case[:3]
    assert (verdict.n_ok, verdict.n_total) == (case.n_ok, case.n_total)
    known = {row.observation_id for row in rows}
    assert verdict.reasons
    assert set(verdict.reasons) <= known
    assert all(set(rival.ruled_out_by) <= known for rival in verdict.rivals)
    assert verdict.summary


@pytest.mark.parametrize("controls_answer", [True, False])
def test_what_was_not_measured(*, controls_answer: bool) -> None:
    """No attempt, no data; with failed controls that is the reason given."""
    rows = Scene().controls(*((None, None) if controls_answer else (TIMEOUT, TIMEOUT))).rows
    (verdict,) = unmeasured(rows, [("a/web", "a", "all_of")])

    assert verdict.state == "insufficient"
    assert verdict.rule_id == ("target.no_data" if controls_answer else "controls.failed")
    assert (verdict.n_ok, verdict.n_total, verdict.attempts) == (0, 0, 0)


def test_every_rule_has_a_row() -> None:
    """A new rule comes with facts that show it, and nothing is shown that is no rule.

    Ways around have scenes of their own (test_circumvention).
    """
    ways = {rule_id for rule_id in RULES if rule_id.startswith("way.")}
    assert {case.rule_id for case in CASES} | {"target.no_data"} | ways == set(RULES)


def test_no_rule_claims_more_than_it_may() -> None:
    """The table of rules holds the most that a rule may claim."""
    for case in CASES:
        assert case.state == RULES[case.rule_id].state


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c.rule_id}" for i, c in enumerate(CASES)])
def test_what_a_finding_rests_on_is_counted(case: Case) -> None:
    """A rule about failures counts them; one that blocks says what it leaves open."""
    verdict = verdict_of(case.scene())
    rule = RULES[case.rule_id]
    if verdict.evidence is not None:
        assert 0 < verdict.evidence.n_failed <= verdict.evidence.n_tried
        assert verdict.evidence.contrast_ok <= verdict.evidence.contrast_tried
    if case.state in BLOCKED_STATES:
        assert verdict.evidence is not None
        assert verdict.stage == rule.stage
        assert verdict.open_rivals == rule.leaves
        assert verdict.rivals or verdict.open_rivals


def test_rules_are_a_table_in_words() -> None:
    """Ids are unique, a blocking rule names a layer, and whatever is left open is said."""
    text = (resources.files("probe.verdict") / "data" / "rules.toml").read_text(encoding="utf-8")
    assert text.count("[[rule]]") == len(RULES)
    for rule_id, rule in RULES.items():
        assert rule.rule_id == rule_id
        assert rule.needs
        assert rule.changes
        assert (rule.state in BLOCKED_STATES) <= (rule.stage is not None)
        # "Likely" is the word for a rival that is not ruled out.
        assert (rule.state == "likely_blocked") <= bool(rule.leaves)
