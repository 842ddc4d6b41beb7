"""The three answers of a run, in words that claim no more than the verdicts."""

from typing import get_args

import pytest

from facts import Scene
from probe.model.verdict import BenignCause, Mechanism, State, Verdict
from probe.verdict.judge import judge, unmeasured
from probe.verdict.words import (
    CAUSE_WORDS,
    MECHANISM_WORDS,
    STATE_WORDS,
    summarise,
    three_answers,
)
from verdict.cases import CASES, OWN_WORD, Case, presented, ways
from verdict.scenes import EARLY, OK, RESET_HELLO, SILENT, TIMEOUT, A, B, clean, twice, verdict_of


def blocked(scene: Scene) -> Scene:
    return twice(scene, *RESET_HELLO, **EARLY).beside("other_name", *OK, address=A)


def test_every_word_of_the_vocabulary_has_words() -> None:
    """A state, mechanism or cause that cannot be said would be an error for a user."""
    assert set(STATE_WORDS) == set(get_args(State))
    assert set(MECHANISM_WORDS) == set(get_args(Mechanism))
    assert set(CAUSE_WORDS) == set(get_args(BenignCause))


def test_nothing_wrong() -> None:
    """All reachable."""
    answers = three_answers(judge(Scene().controls(None, None).chain(*OK, address=A).rows))
    assert answers.is_it_me.startswith("Nothing is wrong")
    assert "2 of 2 controls" in answers.is_it_me
    assert answers.how == "No blocking seen."
    assert answers.what_works == "The direct way: 1/1 targets."


def test_blocked_and_a_proxy_works() -> None:
    """Not me; how; and the way around with its count."""
    scene = blocked(Scene().controls(None, None))
    steps = (("tcp", None), ("proxy", None), ("tls", None))
    scene.chain(*steps, address=A, tactic="socks5", proxy_id="proxy-1")
    answers = three_answers(judge(scene.rows))

    assert answers.is_it_me.startswith("No:")
    assert MECHANISM_WORDS["sni_rst"] in answers.how
    assert "tls.rst_contrast" in answers.how
    assert answers.what_works.startswith("proxy-1 (socks5): 1/1 targets")


def test_failed_controls_leave_two_lines_empty() -> None:
    """It may be me; nothing is said of blocking."""
    answers = three_answers(judge(blocked(Scene().controls(TIMEOUT, TIMEOUT)).rows))
    assert "no internet connection" in answers.is_it_me
    assert answers.how == answers.what_works == "Not enough data."


def test_one_control_is_not_sure() -> None:
    """Degraded controls do not say no."""
    answers = three_answers(judge(blocked(Scene().controls(None, TIMEOUT)).rows))
    assert answers.is_it_me == "Not sure: only 1 of 2 controls answered."


def test_no_verdicts() -> None:
    """Nothing measured, nothing said."""
    assert set(three_answers([])) == {"Not enough data."}


def test_what_was_not_measured_is_not_called_reachable() -> None:
    """Not enough data is neither blocking nor the lack of it."""
    rows = Scene().controls(None, None).rows
    answers = three_answers(unmeasured(rows, [("a/web", "a", "all_of")]))
    assert answers.how == "Not enough data."
    assert "Nothing is wrong" not in answers.is_it_me


@pytest.mark.parametrize("case", [case for case in CASES if case.mechanism is not None])
def test_a_mechanism_is_said_as_surely_as_it_is_known(case: Case) -> None:
    """A finding is stated; a resemblance is called one."""
    verdict = verdict_of(case.scene())
    assert verdict.mechanism is not None
    is_finding = verdict.state in {"ok", "blocked", "likely_blocked"}

    assert MECHANISM_WORDS[verdict.mechanism] in verdict.summary
    assert ("looks like" in verdict.summary) is not is_finding


def test_a_way_that_is_closed_beside_one_that_works() -> None:
    """Everything works, and something is done to it all the same."""
    answers = three_answers(judge(ways("quic", TIMEOUT, None).rows))
    assert answers.is_it_me.startswith("No:")
    assert MECHANISM_WORDS["quic_sni_drop"] in answers.how
    assert "quic.name_contrast" in answers.how
    assert answers.what_works == "The direct way: 1/1 targets."


def test_a_line_that_explains_it_is_named() -> None:
    """An antivirus on this device, or a line that loses packets."""
    kaspersky = "CN=Kaspersky Anti-Virus Personal Root Certificate,O=AO Kaspersky Lab"
    for scene, cause in (
        (presented(kaspersky), CAUSE_WORDS["local_interception"]),
        (twice(clean(), *SILENT).control("unroutable", ("tcp", None)), "intercepts"),
    ):
        answers = three_answers(judge(scene.rows))
        assert cause in verdict_of(scene).summary
        assert answers.is_it_me.startswith("Perhaps:")
        assert cause in answers.is_it_me


def test_failures_without_a_cause_are_probably_not_mine() -> None:
    """The line is well, and something fails all the same."""
    answers = three_answers(judge(twice(clean(), *SILENT).rows))
    assert answers.is_it_me.startswith("Probably not: 2 of 2 controls answered")


def test_a_block_says_no_whatever_else_is_wrong() -> None:
    """A device that meddles with one target does not explain another's reset name."""
    scene = blocked(clean())
    twice(scene, ("tcp", "host_unreachable"), address=B, target_id="a/other", **OWN_WORD)
    assert three_answers(judge(scene.rows)).is_it_me.startswith("No:")


@pytest.mark.parametrize("rows", [blocked(Scene().controls(None, None)).rows])
def test_a_summary_has_no_addresses(rows: list[object]) -> None:
    """It may be shown to others."""
    (verdict,) = judge(rows)  # type: ignore[arg-type] # observations
    assert isinstance(verdict, Verdict)
    assert A not in summarise(verdict)
    assert summarise(verdict) == verdict.summary
