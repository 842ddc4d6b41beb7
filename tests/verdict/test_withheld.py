"""What is passed on says that a way around works, and nothing of which."""

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.model.verdict import Verdict
from probe.verdict.withheld import (
    Judged,
    Passed,
    is_withheld,
    is_working_way,
    notice,
    withhold,
)
from probe.verdict.words import three_answers, untested
from verdict.passed_on import TARGETS, WAYS, Stored, direct, judged, runs, stored, way, ways

REAL = runs(lab=False)
TARGET = st.sampled_from(TARGETS)


def passed(rows: list[Judged]) -> Passed:
    return withhold(rows, is_any_working=any(is_working_way(*row) for row in rows))


@given(st.data())
def test_which_way_works_makes_no_difference(data: st.DataObject) -> None:
    """Other ways, other proxies, more that fail: the same is passed on."""
    one = [direct(target) for target in TARGETS] + [way("ech", 2, 2, data.draw(TARGET))]
    one += [verdict for target in TARGETS for verdict in data.draw(ways(target))]
    other = [
        verdict if verdict.tactic == "none" else way(
            data.draw(st.sampled_from(WAYS)), 2 * verdict.n_ok, 2 * verdict.n_total,
            verdict.target_id, data.draw(st.sampled_from([None, "proxy-1", "proxy-9"])),
        )
        for verdict in one
    ]  # fmt: skip
    tried = [verdict.target_id for verdict in one if verdict.tactic != "none"]
    other += [way("full", 0, 4, target) for target in data.draw(st.lists(st.sampled_from(tried)))]
    seen = [passed(judged([stored(0, sorted(rows, key=_direct_first))])) for rows in (one, other)]

    assert seen[0].rows == seen[1].rows


def _direct_first(verdict: Verdict) -> tuple[str, bool]:
    return verdict.target_id, verdict.tactic != "none"


@given(REAL)
def test_no_verdict_names_a_way_that_works_anywhere(given_runs: list[Stored]) -> None:
    """Neither where it works nor where it fails; and no proxy is told from another."""
    rows = judged(given_runs)
    works = {verdict.tactic for run, verdict in rows if is_working_way(run, verdict)}
    left = passed(rows)

    assert not works & {verdict.tactic for _, verdict in left.rows}
    assert {verdict.proxy_id for _, verdict in left.rows} == {None}


@given(REAL)
def test_those_that_fail_are_told_unless_they_would_tell_which_does_not(
    given_runs: list[Stored],
) -> None:
    """All fail: all stay. One works: none stays, since those missing would be known."""
    rows = judged(given_runs)
    tried = [verdict.tactic for _, verdict in rows if verdict.tactic != "none"]
    left = passed(rows)
    told = [verdict.tactic for _, verdict in left.rows if verdict.tactic != "none"]
    if any(is_working_way(*row) for row in rows):
        where = {(run.run_id, v.target_id) for run, v in rows if v.tactic != "none"}
        assert told == ["withheld"] * len(where)
        assert left.n_withheld == len(tried)
    else:
        assert told == tried
        assert left.n_withheld == 0


@given(REAL)
def test_the_direct_way_stays_and_what_was_withheld_once_stays_so(given_runs: list[Stored]) -> None:
    """Nothing else is touched, and doing it twice does nothing more."""
    rows = judged(given_runs)
    once = passed(rows).rows

    assert [row for row in once if row[1].tactic == "none"] == [
        row for row in rows if row[1].tactic == "none"
    ]
    assert passed(once) == (once, 0)


@given(runs(lab=True))
def test_a_simulated_network_has_no_secrets(given_runs: list[Stored]) -> None:
    """Nothing of the lab is withheld."""
    rows = judged(given_runs)

    assert passed(rows) == (rows, 0)
    assert not any(is_withheld(one.run, row) for one in given_runs for row in one.observations)


@given(REAL)
def test_facts_of_ways_stay_here_whether_they_work_or_not(given_runs: list[Stored]) -> None:
    """The direct way's facts alone are passed on."""
    for one in given_runs:
        for row in one.observations:
            assert is_withheld(one.run, row) is (row.tactic != "none")


def test_a_proxy_is_kept_back_whatever_its_tactic_is_called() -> None:
    """A row that names a proxy belongs to a way, though it may not say so."""
    one = stored(0, [direct("a/web")])
    row = msgspec.structs.replace(one.observations[0], proxy_id="proxy-1")
    verdict = msgspec.structs.replace(direct("a/web"), proxy_id="proxy-1", n_ok=1)

    assert is_withheld(one.run, row)
    assert [v.proxy_id for _, v in passed([(one.run, verdict)]).rows] == [None]


@pytest.mark.parametrize(
    ("n_ok", "state", "answer"),
    [
        (4, "ok", "Ways around, not named here, work for 1 of 2 targets."),
        (3, "impaired", "Ways around, not named here, work in part for 1 of 2 targets."),
    ],
)
def test_the_answer_says_that_something_works(n_ok: int, state: str, answer: str) -> None:
    """In full and in part are told apart; where nothing works counts as a target."""
    rows = [direct("a/pool"), way("ech", 0, 4, "a/pool"), direct("a/web")]
    rows += [way("socks5", n_ok, 4, proxy_id="proxy-1"), way("http3", 1, 4)]
    left = [verdict for _, verdict in passed(judged([stored(0, rows)])).rows]

    assert three_answers(left).what_works == answer
    assert [v.state for v in left if v.tactic == "withheld"] == ["impaired", state]


def test_counts_are_given_where_nothing_works_and_nowhere_else() -> None:
    """A chart tells nothing from something; of what works, numbers could tell which it is."""
    rows = [direct("a/pool"), way("ech", 0, 3, "a/pool"), direct("a/web"), way("ech", 2, 3)]
    left = passed(judged([stored(0, rows)])).rows

    assert [(v.n_ok, v.n_total) for _, v in left if v.tactic == "withheld"] == [(0, 4), (0, 0)]


def test_what_is_withheld_is_no_way_to_try() -> None:
    """It is not among those that a run has not tested."""
    assert "withheld" not in untested([direct("a/web")])


@pytest.mark.parametrize(("n", "words"), [(1, "1 row .* is .* it"), (2, "2 rows .* are .* them")])
def test_the_notice_counts_says_why_and_how(n: int, words: str) -> None:
    """One line for stderr."""
    assert re.match(words, notice(n))
    assert "--with-ways" in notice(n)
