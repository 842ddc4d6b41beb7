"""Counting, intervals, and what is printed of them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.matrix.confusion import as_csv, as_text, confusion, wilson, wrong
from censorlab.matrix.outcome import Outcome


def outcome(truth: str, verdict: str, *, benign: bool, right: bool, alarm: bool = False) -> Outcome:
    return Outcome(
        scenario=f"s_{truth}",
        form="middlebox",
        loss=0.0,
        rtt_s=0.06,
        seed=1,
        target="messenger/web",
        truth=truth,
        is_benign=benign,
        verdict=verdict,
        state="blocked" if alarm else "impaired",
        is_right=right,
        is_false_alarm=alarm,
        seconds=1.0,
        code="x",
    )


OUTCOMES = [
    outcome("sni_rst", "sni_rst", benign=False, right=True),
    outcome("sni_rst", "sni_rst", benign=False, right=True),
    outcome("sni_rst", "~sni_drop", benign=False, right=False),
    outcome("ok", "ok", benign=True, right=True),
    outcome("ok", "ip_drop", benign=True, right=False, alarm=True),
]


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        # Published examples: Newcombe 1998, table I (15 of 148, 1 of 29, 0 of 20).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 0, 0.0, 1.0),
    ],
)
def test_wilson_s_interval_is_the_published_one(hits: int, n: int, low: float, high: float) -> None:
    interval = wilson(hits, n)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


@given(st.integers(0, 500), st.integers(1, 500))
def test_an_interval_holds_its_share_and_stays_within_0_and_1(hits: int, n: int) -> None:
    hits = min(hits, n)
    low, high = wilson(hits, n)
    assert 0 <= low <= hits / n <= high <= 1
    mirrored = wilson(n - hits, n)
    assert mirrored.low == pytest.approx(1 - high)


def test_truths_are_counted_by_verdict() -> None:
    table = confusion(OUTCOMES)
    by_truth = {row.truth: row for row in table.rows}
    assert by_truth["sni_rst"].counts == {"sni_rst": 2, "~sni_drop": 1}
    assert (by_truth["sni_rst"].n, by_truth["sni_rst"].n_right) == (3, 2)
    assert by_truth["ok"].alarm_counts == {"ip_drop": 1}
    assert table.n_false_alarms == 1
    assert table.totals(is_benign=False) == (2, 3)


def test_the_text_has_every_row_its_interval_and_the_false_alarms() -> None:
    text = "\n".join(as_text(confusion(OUTCOMES)))
    assert "2 of 3" in text
    assert "20.8% -  93.9%" in text
    assert "called blocked although nobody blocks: 1 of 2" in text


def test_the_csv_is_the_whole_matrix() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(confusion(OUTCOMES)))))
    assert [row["truth"] for row in rows] == ["sni_rst", "ok"]
    assert (rows[0]["sni_rst"], rows[0]["~sni_drop"], rows[0]["ok"]) == ("2", "1", "0")
    assert rows[1]["n_false_alarms"] == "1"


def test_what_is_wrong_is_listed_by_scenario() -> None:
    assert [line.split()[0] for line in wrong(OUTCOMES)] == ["s_ok", "s_sni_rst"]


@given(st.lists(st.sampled_from(OUTCOMES)))
def test_no_outcome_is_lost_or_counted_twice(outcomes: list[Outcome]) -> None:
    table = confusion(outcomes)
    assert sum(row.n for row in table.rows) == len(outcomes)
    assert sum(row.n_right for row in table.rows) == sum(one.is_right for one in outcomes)
