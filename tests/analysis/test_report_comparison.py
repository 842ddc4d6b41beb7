"""Two sides of one dataset: differences with intervals, n on both sides, and honest words."""

import re
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.dataset import Dataset, as_dataset
from analysis.report import Comparison, ComparisonError, Selection, comparison_of, render
from analysis.report.differences import difference_table, differences

FIRST = date(2028, 1, 1)


def rows(target: str, asn: int, failed: int, n: int, *, day: date = FIRST) -> list[dict[str, Any]]:
    """Return OONI's measurements of one network, so many of them failed, each by its own probe."""
    return [
        {
            "source": "ooni",
            "measurement_id": f"{target}-{asn}-{number}",
            "run_id": f"{target}-{asn}-{number}",
            "date": day + timedelta(days=number % 5),
            "probe_cc": "RU" if asn % 2 else "IR",
            "probe_asn": asn,
            "service_id": "telegram",
            "target_id": target,
            "outcome": "failed" if number < failed else "ok",
            "failed_step": "tcp" if number < failed else None,
            "failure_class": "timeout" if number < failed else None,
            "n_ok": 0 if number < failed else 1,
            "n_total": 1,
        }
        for number in range(n)
    ]


def two_networks(counts: dict[str, tuple[int, int, int, int]]) -> tuple[Dataset, Dataset]:
    """Return both sides of targets with (failed, n) in AS1 and (failed, n) in AS2."""
    found = [
        row
        for target, (k_a, n_a, k_b, n_b) in counts.items()
        for row in rows(target, 1, k_a, n_a) + rows(target, 2, k_b, n_b)
    ]
    whole = as_dataset(pd.DataFrame(found))
    return whole.where(asn=1), whole.where(asn=2)


def test_words_follow_interval_and_n() -> None:
    """All against none differs; alike does not; three measurements, or none, are not enough."""
    counts = {
        "a/blocked": (0, 60, 55, 60),
        "b/alike": (30, 60, 31, 60),
        "c/few": (0, 60, 2, 3),
        "d/one_side": (0, 60, 0, 0),
    }
    found = differences(*two_networks(counts))
    told = dict(zip(found["target_id"], found["words"], strict=True))

    assert told == {
        "a/blocked": "differs",
        "b/alike": "no difference seen",
        "c/few": "not enough data",
        "d/one_side": "not enough data",
    }
    assert list(found["target_id"])[:2] == ["a/blocked", "b/alike"]
    assert found["low"][0] > 0.8
    assert found["low"][1] < 0 < found["high"][1]
    assert found["p"].isna().tolist() == [False, False, True, True]


def test_no_share_stands_without_n_and_interval() -> None:
    """Every share has its interval beside it and its n; n is that of the measurements."""
    rng = np.random.default_rng(5)
    counts = {}
    for number in range(300):
        n_a, n_b = (int(n) for n in rng.integers(0, 40, 2) * (rng.random(2) < 0.8))
        k_a, k_b = int(rng.integers(0, n_a + 1)), int(rng.integers(0, n_b + 1))
        counts[f"t{number}"] = (k_a, n_a, k_b, n_b)
    found = difference_table(differences(*two_networks(counts)))
    share = re.compile(r"[0-9.]+ % \([0-9.]+ to [0-9.]+ %\)|not enough data \(.*\)|no data")

    assert set(found["In words"]) == {"differs", "no difference seen", "not enough data"}
    for row in found.to_dict("records"):
        n_a, n_b = counts[row["Target"]][1::2]
        assert (row["n in A"], row["n in B"]) == (n_a, n_b)
        for side in "AB":
            assert share.fullmatch(row[f"Fails in {side}"])
            assert (row[f"Fails in {side}"] == "no data") == (row[f"n in {side}"] == 0)
        assert (row["Difference"] is None) == (row["In words"] == "not enough data")


def drawn_counts(
    rng: np.random.Generator, shares: tuple[float, float], n: int, targets: int
) -> Any:
    failed = [rng.binomial(n, share, targets) for share in shares]
    return {f"t{i:03}": (int(failed[0][i]), n, int(failed[1][i]), n) for i in range(targets)}


@pytest.mark.parametrize("shares", [(0.05, 0.05), (0.1, 0.4)])
def test_intervals_hold_what_they_promise(shares: tuple[float, float]) -> None:
    """Of simulated differences with a known truth, 93 to 98 % lie in their intervals."""
    counts = drawn_counts(np.random.default_rng(6), shares, 50, 400)
    found = differences(*two_networks(counts))
    truth = shares[1] - shares[0]
    covered = ((found["low"] <= truth) & (truth <= found["high"])).mean()

    assert 0.93 <= covered <= 0.98


def test_among_many_targets_that_are_alike_none_differs() -> None:
    """p-values are adjusted: four hundred equal targets do not make twenty findings."""
    counts = drawn_counts(np.random.default_rng(7), (0.3, 0.3), 50, 400)

    assert not (differences(*two_networks(counts))["words"] == "differs").any()


def test_measurements_by_one_probe_count_for_less() -> None:
    """The same counts by two probes a side are less certain than by sixty."""
    many = pd.DataFrame(rows("t", 1, 20, 60) + rows("t", 2, 40, 60)).assign(date=FIRST)
    few = many.assign(run_id=[f"{asn}-{failed}" for asn, failed in zip(
        many["probe_asn"], many["outcome"], strict=True)])  # fmt: skip
    widths = []
    for frame in (many, few):
        whole = as_dataset(frame)
        found = differences(whole.where(asn=1), whole.where(asn=2))
        widths.append((found["high_a"] - found["low_a"])[0])

    assert widths[1] > 1.5 * widths[0]


@pytest.fixture(scope="module")
def whole() -> Dataset:
    return as_dataset(
        pd.DataFrame(
            [
                *rows("telegram/web", 1, 2, 60),
                *rows("telegram/web", 2, 50, 60),
                *rows("telegram/web", 1, 50, 60, day=FIRST + timedelta(days=10)),
            ]
        )
    )


def test_a_page_compares_two_networks(whole: Dataset) -> None:
    """Both sides are named, drawn one above the other to one scale, and their difference told."""
    text = render(
        whole, question="overview", compare=Comparison(Selection(asn=1), Selection(asn=2))
    )
    widths = re.findall(r'<svg[^>]* viewBox="0 0 (\d+) ', text)

    assert "A: AS1. 120 results by OONI in 1 network" in text
    assert "B: AS2. 60 results by OONI in 1 network" in text
    assert text.index("Differences between A and B") < text.index("<svg")
    assert "A difference can be that alone; no cause of any difference is shown here." in text
    assert len(widths) == 4
    assert widths[0] == widths[1]
    assert widths[2] == widths[3]
    assert re.search(r"<td>\+40\.0 \(\+2[0-9.]+ to \+5[0-9.]+\)</td>.*<td>differs</td>", text)


def test_a_page_compares_two_periods_and_says_where_one_is_empty(whole: Dataset) -> None:
    """A side without data is told in words; nothing is made up for it."""
    given = Selection(first="2028-01-01", last="2028-01-05", asn=1)
    text = render(whole, compare=comparison_of(given, "2030-01-01..2030-01-05"))

    assert "B: AS1, 2030-01-01 to 2030-01-05. No verdicts and no measurements are among" in text
    assert "<td>not enough data</td>" in text
    assert "<td>no data</td>" in text


@pytest.mark.parametrize(
    ("given", "text", "b"),
    [
        (
            Selection(first="2022-02-01", last="2022-02-28", country="RU"),
            "2022-03-01..2022-03-31",
            Selection(first=date(2022, 3, 1), last=date(2022, 3, 31), country="RU"),
        ),
        (Selection(asn=8402, country="RU"), "as12345", Selection(asn=12345)),
        (Selection(country=["RU"], target="t"), "ir", Selection(country="IR", target="t")),
    ],
)
def test_b_is_a_but_for_what_is_compared(given: Selection, text: str, b: Selection) -> None:
    """A period, a network or a country takes the place of the one selected."""
    assert comparison_of(given, text) == Comparison(given, b)


@pytest.mark.parametrize(
    ("given", "text", "words"),
    [
        (Selection(), "2022-03-01..2022-03-31", "give --from and --to"),
        (Selection(), "AS1", "give --network"),
        (Selection(), "IR", "give --country"),
        (Selection(), "yesterday", "expected a period, a network or a country"),
        (Selection(first="2022-01-01", last="2022-01-02"), "2022-02-30..2022-03-01", "expected"),
        (Selection(first="2022-01-01", last="2022-01-02"), "2022-03-02..2022-03-01", "ends before"),
    ],
)
def test_what_cannot_be_compared_says_why(given: Selection, text: str, words: str) -> None:
    """The message names what was given and what is missing."""
    with pytest.raises(ComparisonError, match=words):
        comparison_of(given, text)
