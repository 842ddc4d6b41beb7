"""Where it fails: each series' last measured day, the layers and the state as they were found."""

import re
from typing import Any

import pytest

from analysis.chart.style import save_svg
from analysis.drawn import NoDataError
from analysis.views.layers import MAX_ROWS, view
from legible import assert_legible, words_of
from small_tables import dataset_of, measured, verdict

BLOCKED: dict[str, Any] = {"state": "blocked", "mechanism": "sni_rst", "tcp_ok": 5, "tcp_total": 5,
           "tls_ok": 2, "tls_total": 5}  # fmt: skip


def test_the_last_day_is_drawn_and_no_other() -> None:
    """Layers are summed over the runs of that day; layers that were not tried are marked."""
    rows = [verdict(0, "a", tcp_ok=1, tcp_total=9), verdict(1, "b", **BLOCKED),
            verdict(1, "c", **BLOCKED)]  # fmt: skip
    drawn = view(dataset_of(verdicts=rows))
    words = words_of(drawn.figure)

    assert [word for word in words if re.fullmatch(r"\d+/\d+", word)] == ["10/10", "4/10"]
    assert words.count("·") == 3
    assert "sni_rst, 2030-03-02, n=2" in words
    assert "TCP 10/10, TLS 4/10; blocked, n=2" in drawn.alt
    assert_legible(drawn.figure)


def test_a_day_of_several_states_says_of_how_many_it_is() -> None:
    """Ties go to the worse; the rest is not hidden."""
    rows = [verdict(0, "a"), verdict(0, "b", **BLOCKED)]
    assert "blocked, 1 of n=2" in view(dataset_of(verdicts=rows)).alt


def test_networks_are_named_where_there_are_several() -> None:
    """And not where there is one; OONI's own have their source beside them."""
    one = view(dataset_of(verdicts=[verdict(0, "a")]))
    both = view(dataset_of(verdicts=[verdict(0, "a")], measurements=[measured(0, "b", 3, 5)]))

    assert not any("AS64500" in word for word in words_of(one.figure))
    assert {"RU AS64500, ours", "RU AS64500, OONI"} <= set(words_of(both.figure))
    assert "like tcp.timeout" not in both.alt
    assert "1 result by OONI and 1 result by reachwatch" in " ".join(words_of(both.figure))


def test_a_way_without_facts_of_its_own_has_no_row() -> None:
    """Its layers are the direct way's."""
    way = verdict(0, "a", tactic="ipv6", n_ok=1, n_total=1)
    proxy = verdict(0, "a", tactic="socks5", proxy_id="p", tcp_ok=1, tcp_total=1)
    drawn = view(dataset_of(verdicts=[verdict(0, "a"), way, proxy]))

    assert list(drawn.table["Way"]) == ["direct", "via SOCKS5 p"]


def test_many_networks_stay_one_page() -> None:
    """The largest are drawn, the others are counted, and all are in the table."""
    rows = [measured(0, f"{asn}-{n}", 5, 5, probe_asn=asn, tcp_ok=5, tcp_total=5)
            for asn in range(1, 61) for n in range(1 + asn % 7)]  # fmt: skip
    drawn = view(dataset_of(measurements=rows))
    words = " ".join(words_of(drawn.figure))

    assert len(drawn.table) == 60
    assert f"{60 - MAX_ROWS} more rows with n = " in words
    assert words.count("5/5") + words.count("35/35") >= 1
    assert_legible(drawn.figure)


def test_hostile_names_are_words() -> None:
    """Any target or proxy is drawn as text over nothing else."""
    names = ["x" * 9999, "<script>alert(1)</script>", "\u202ea\nb\x00", "$a$"]
    proxy: dict[str, Any] = {"tactic": "socks5", "tcp_ok": 1, "tcp_total": 1}
    rows = [verdict(0, "a", target_id=name) for name in names]
    rows += [verdict(0, "a", target_id=name, proxy_id=name, **proxy) for name in names]
    figure = view(dataset_of(verdicts=rows)).figure

    assert_legible(figure)
    assert b"<script" not in save_svg(figure)


def test_without_data_it_says_what_is_missing() -> None:
    """No empty chart."""
    with pytest.raises(NoDataError, match="no verdict"):
        view(dataset_of())
