"""Ways around: what is said beside what is true, counted and written."""

import csv
import io

import pytest

from censorlab.matrix.outcome import (
    Answer,
    Cell,
    Judged,
    Outcome,
    Run,
    SaidOfWay,
    WayOutcome,
    outcome_of,
)
from censorlab.matrix.ways import as_csv, as_text, counts, matrix, wrong
from censorlab.scenarios.model import Truth

TRUTH = Truth(
    states=("blocked",),
    mechanism="sni_rst",
    ways={"http3": "works", "ech": "works", "tls12": "does_not", "segment_split": "does_not"},
)
CELL = Cell("sni_rst", "middlebox", 0.0, 0.06, 1)


def said(tactic: str, result: str, target: str | None = "messenger/web") -> SaidOfWay:
    n_ok = {"works": 2, "works_in_part": 1}.get(result, 0)
    return SaidOfWay(target_id=target, tactic=tactic, result=result, n_ok=n_ok, n_total=2)


def outcome(*ways: SaidOfWay) -> Outcome:
    judged = Judged(target_id="messenger/web", state="blocked", mechanism="sni_rst")
    answer = Answer({"messenger/web": judged}, ways)
    return outcome_of(Run(CELL, 1.0, "code", ""), "messenger/web", TRUTH, answer)


OUTCOME = outcome(
    said("tls12", "works_in_part"),
    said("http3", "works"),
    said("chrome", "works"),
    said("segment_split", "does_not"),
    said("ech", "works", "messenger/other"),
    said("segment_split", "works", "messenger/other"),
)


def test_only_what_the_truth_asks_is_compared_and_silence_is_an_answer() -> None:
    """Rows of other targets, and ways of which nothing is true by construction, do not count."""
    assert [(way.tactic, way.said) for way in OUTCOME.ways] == [
        ("segment_split", "does_not"),
        ("tls12", "works_in_part"),
        ("ech", "not_tested"),
        ("http3", "works"),
    ]


@pytest.mark.parametrize(
    ("truth", "result", "right", "hope"),
    [
        ("works", "works", True, False),
        ("works", "works_in_part", False, False),
        ("works", "not_tested", False, False),
        ("works_in_part", "works", False, False),
        ("works_in_part", "works_in_part", True, False),
        ("does_not", "does_not", True, False),
        ("does_not", "not_tested", False, False),
        ("does_not", "works_in_part", False, True),
        ("does_not", "works", False, True),
    ],
)
def test_right_and_false_hope(truth: str, result: str, *, right: bool, hope: bool) -> None:
    way = WayOutcome("http3", truth, result)
    assert (way.is_right, way.is_false_hope) == (right, hope)


def test_each_tactic_is_counted_where_it_works_and_where_it_does_not() -> None:
    assert [tuple(row) for row in counts([OUTCOME, OUTCOME])] == [
        ("segment_split", 0, 0, 2, 2),
        ("tls12", 0, 0, 2, 0),
        ("ech", 2, 0, 0, 0),
        ("http3", 2, 2, 0, 0),
    ]
    assert as_text([OUTCOME])[-1].split() == ["all", "2", "of", "4"]


def test_the_matrix_shows_what_was_said_where_it_is_not_true() -> None:
    (line,) = matrix([OUTCOME])
    assert line == "sni_rst messenger/web: segment_split- tls12-(~) ech+(?) http3+"


def test_differences_are_listed_and_the_csv_has_all() -> None:
    assert [line.split()[2] for line in wrong([OUTCOME])] == ["tls12:", "ech:"]
    rows = list(csv.DictReader(io.StringIO(as_csv([OUTCOME]))))
    assert [(row["tactic"], row["is_right"]) for row in rows] == [
        ("segment_split", "true"),
        ("tls12", "false"),
        ("ech", "false"),
        ("http3", "true"),
    ]
