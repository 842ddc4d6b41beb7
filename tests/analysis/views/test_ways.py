"""Ways around count where the direct way fails; not tried is not the same as not working."""

import pytest

from analysis.drawn import NoDataError
from analysis.views.ways import MAX_COLUMNS, view
from legible import assert_legible, words_of
from small_tables import Row, dataset_of, verdict


def blocked(number: int, run: str, **columns: object) -> Row:
    return verdict(number, run, "blocked", **columns)


def way(number: int, run: str, n_ok: int, n_total: int, **columns: object) -> Row:
    state = "ok" if n_total and n_ok == n_total else "impaired"
    row = verdict(number, run, state, tactic="record_split", n_ok=n_ok, n_total=n_total)
    return row | columns


def cell(rows: list[Row], way_words: str) -> Row:
    table = view(dataset_of(verdicts=rows)).table
    (found,) = table[table["Way"] == way_words].to_dict("records")
    return {str(name): value for name, value in found.items()}


SPLIT = "hello split into records"


def test_runs_in_which_the_direct_way_works_do_not_count() -> None:
    """A proxy that works where everything works gets around nothing."""
    rows = [blocked(0, "a"), way(0, "a", 5, 5), verdict(1, "b"), way(1, "b", 5, 5)]
    found = cell(rows, SPLIT)

    assert (found["n"], found["In full"], found["Members that work"]) == (1, 1, "5/5")
    direct = cell(rows, "direct")
    assert (direct["n"], direct["In full"]) == (2, 1)


def test_in_part_is_neither_in_full_nor_not() -> None:
    """Members are n of N, never rounded."""
    rows = [blocked(0, "a"), way(0, "a", 3, 5), blocked(1, "b"), way(1, "b", 0, 5)]
    found = cell(rows, SPLIT)

    assert (found["In full"], found["In part"], found["Not"]) == (0, 1, 1)
    assert found["95 % interval"].startswith("0% to ")


def test_not_tried_is_not_failed() -> None:
    """Neither a way that was judged without a try nor one that is only tried elsewhere."""
    rows = [
        blocked(0, "a"), way(0, "a", 0, 0), blocked(0, "b", probe_asn=64501),
        way(0, "b", 5, 5, probe_asn=64501),
    ]  # fmt: skip
    drawn = view(dataset_of(verdicts=rows))
    of = {
        row["Network"]: row for row in drawn.table[drawn.table["Way"] == SPLIT].to_dict("records")
    }

    assert of["RU AS64500"]["In full"] == "not tried"
    assert of["RU AS64501"]["In full"] == 1
    assert words_of(drawn.figure).count("not tried") == 2  # the cell, and the key
    assert "telegram/dc_pool: not tried" in drawn.alt


def test_few_runs_are_not_green() -> None:
    """One of one says next to nothing: its interval is most of the scale."""
    one = view(dataset_of(verdicts=[blocked(0, "a"), way(0, "a", 5, 5)]))
    rows = [row for n in range(5) for row in (blocked(n, str(n)), way(n, str(n), 5, 5))]
    five = view(dataset_of(verdicts=rows))

    assert "? 1/1" in words_of(one.figure)
    assert "✓ 5/5" in words_of(five.figure)
    assert "works in every run, in full in 5 of n=5 runs" in five.alt


def test_a_withheld_way_is_told_as_withheld() -> None:
    """Its rule says that one works; its members stay unknown."""
    told = {"tactic": "withheld", "n_ok": 0, "n_total": 0}
    rows = []
    for n, (rule, state) in enumerate(
        [("way.works", "ok"), ("way.partial", "impaired"), ("way.fails", "impaired"),
         ("target.no_data", "insufficient")]
    ):  # fmt: skip
        rows += [blocked(n, str(n)), verdict(n, str(n), state, rule_id=rule, **told)]
    found = cell(rows, "a way around (withheld)")

    assert (found["n"], found["In full"], found["In part"], found["Not"]) == (3, 1, 1, 1)
    assert found["Members that work"] == ""


def test_where_the_direct_way_works_there_is_no_column() -> None:
    """Networks that block nothing are not in the way of those that do."""
    rows = [blocked(0, "a"), way(0, "a", 5, 5), verdict(0, "b", probe_asn=7)]
    assert set(view(dataset_of(verdicts=rows)).table["Network"]) == {"RU AS64500"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [([verdict(0, "a")], "direct way fails"), ([blocked(0, "a")], "no way around was tried"),
     ([], "direct way fails")],
)  # fmt: skip
def test_without_data_it_says_what_is_missing(rows: list[Row], words: str) -> None:
    """Nothing fails, or nothing was tried: two different things."""
    with pytest.raises(NoDataError, match=words):
        view(dataset_of(verdicts=rows))


def test_many_networks_and_hostile_names_stay_legible() -> None:
    """Those that tried most are drawn; the rest is counted and in the table."""
    rows = [
        row
        for asn in range(1, 41)
        for row in (
            blocked(0, f"{asn}", probe_asn=asn, target_id="<b>\n\u202e" + "x" * 999),
            way(0, f"{asn}", 5, 5, probe_asn=asn, target_id="<b>\n\u202e" + "x" * 999),
            way(0, f"{asn}", 1, 5, probe_asn=asn, target_id="<b>\n\u202e" + "x" * 999,
                tactic="socks5", proxy_id="p\n" * 500),
        )
    ]  # fmt: skip
    drawn = view(dataset_of(verdicts=rows))

    assert_legible(drawn.figure)
    assert f"{40 - MAX_COLUMNS} more network" in " ".join(words_of(drawn.figure))
    assert len(drawn.table) == 40 * 3
