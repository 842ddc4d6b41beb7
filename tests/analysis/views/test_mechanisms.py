"""Shares of mechanisms: of decided results, with intervals, and nothing told from too few."""

from typing import Any

import pytest

from analysis.chart.style import save_svg
from analysis.drawn import NoDataError
from analysis.views.mechanisms import pattern_words, view
from legible import assert_legible, words_of
from probe.verdict.words import MECHANISM_WORDS
from small_tables import Row, dataset_of, measured, verdict


def month(n_days: int, per_day: int, failing: dict[str, int], **columns: Any) -> list[Row]:
    """Return days on each of which so many of ``per_day`` runs fail in each way."""
    rows = []
    for number in range(n_days):
        ways = [name for name, n in failing.items() for _ in range(n)]
        for run in range(per_day):
            how: Row = {"state": "blocked", "mechanism": ways[run]} if run < len(ways) else {}
            rows.append(verdict(number, f"{number}-{run}", **how, **columns))
    return rows


def test_shares_are_of_what_was_decided() -> None:
    """A service that is down decides nothing; every k of n has an interval around it."""
    rows = month(3, 20, {"sni_rst": 8, "ip_drop": 4})
    rows += [verdict(0, f"d{n}", "down") for n in range(9)]
    table = view(dataset_of(verdicts=rows)).table
    first = table[table["From"] == table["From"].min()]
    found = {row["Pattern"]: (row["k"], row["n"]) for row in first.to_dict("records")}

    assert found == {"all that fail": (12, 20), "sni_rst": (8, 20), "ip_drop": (4, 20)}
    for row in table.to_dict("records"):
        low, high = (float(part.rstrip("%")) for part in row["95 % interval"].split(" to "))
        assert low <= 100 * row["k"] / row["n"] <= high


def test_thin_days_are_added_up_until_they_tell_something() -> None:
    """One run a day tells nothing of a day; of a month it may."""
    rows = [verdict(n, str(n), "blocked" if n % 2 else "ok", mechanism="sni_rst" if n % 2 else None)
            for n in range(31)]  # fmt: skip
    drawn = view(dataset_of(verdicts=rows))

    assert "by month" in drawn.alt
    assert set(drawn.table["n"]) == {31}


def test_too_few_to_tell_is_said() -> None:
    """No share is drawn of two results; they are counted."""
    rows = [verdict(0, "a", "blocked", mechanism="sni_rst"), verdict(0, "b")]
    drawn = view(dataset_of(verdicts=rows))

    assert "too few results to tell, n=2" in drawn.alt
    assert_legible(drawn.figure)


def test_rare_patterns_become_other_and_none_is_lost() -> None:
    """At most six are drawn by name; the sum stays the sum."""
    failing = {name: 9 - n for n, name in enumerate(sorted(map(str, MECHANISM_WORDS))[:9])}
    drawn = view(dataset_of(verdicts=month(2, 60, failing)))
    first = drawn.table[drawn.table["From"] == drawn.table["From"].min()]
    k = {row["Pattern"]: row["k"] for row in first.to_dict("records")}

    assert len(k) == 1 + 6 + 1
    assert k["other"] == 3 + 2 + 1
    assert k.pop("all that fail") == sum(k.values()) == 45
    assert_legible(drawn.figure)


def test_patterns_are_labelled_where_they_are() -> None:
    """The codes stand in the areas, words in the key."""
    words = words_of(view(dataset_of(verdicts=month(9, 30, {"sni_rst": 18}))).figure)

    assert "sni_rst" in words
    assert f"sni_rst: {MECHANISM_WORDS['sni_rst']}" in words


def test_every_pattern_has_words() -> None:
    """OONI's too; what is of no known form stands for itself."""
    assert pattern_words("tls.reset") == "the TLS handshake is reset"
    assert pattern_words("dns.dns") == "the lookup fails"
    assert pattern_words("mixed") == "fails in several ways"
    assert all(pattern_words(str(name)) for name in MECHANISM_WORDS)
    assert pattern_words("<b>") == ""


@pytest.mark.parametrize("n_days", [1, 1500])
def test_every_span_is_legible_and_small(n_days: int) -> None:
    """With a hostile target, gaps, and OONI beside ours."""
    name = "<script>\n\u202e" + "x" * 500
    rows = [measured(n, f"{n}-{r}", 5 * (r > n % 5), 5, target_id=name)
            for n in range(0, n_days, 1 + n_days // 90) for r in range(12)]  # fmt: skip
    drawn = view(dataset_of(verdicts=month(1, 12, {"ip_drop": 12}), measurements=rows))

    assert_legible(drawn.figure)
    svg = save_svg(drawn.figure)
    assert len(svg) < 150_000
    assert b"<script" not in svg
    assert svg == save_svg(
        view(dataset_of(verdicts=month(1, 12, {"ip_drop": 12}), measurements=rows)).figure
    )


def test_without_data_it_says_what_is_missing() -> None:
    """No empty chart."""
    with pytest.raises(NoDataError, match="no verdicts"):
        view(dataset_of())
