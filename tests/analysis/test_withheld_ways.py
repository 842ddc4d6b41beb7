"""Pages and charts that are passed on do not say which way around works."""

import argparse
import hashlib
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings

from analysis.cli import (
    EXIT_OK,
    configure_plot,
    configure_report,
    plot_command,
    report_command,
)
from analysis.report import write_chart, write_report
from analysis.tables import load
from verdict.passed_on import (
    TARGETS,
    Stored,
    direct,
    directly,
    judged,
    runs,
    stored,
    telling_words,
    way,
    write,
)


def page_of(given_runs: Sequence[Stored], *, with_ways: bool = False) -> bytes:
    """Return the page of some runs; both charts are in it, their words as comments."""
    with tempfile.TemporaryDirectory() as name:
        results, page = write(Path(name) / "results", given_runs), Path(name) / "page"
        write_report(results, None, page, with_ways=with_ways)
        return page.read_bytes()


def drawn(given_runs: Sequence[Stored], *, with_ways: bool = False) -> dict[str, bytes]:
    """Return the page and both charts of some runs."""
    found = {"page": page_of(given_runs, with_ways=with_ways)}
    with tempfile.TemporaryDirectory() as name:
        results = write(Path(name) / "results", given_runs)
        for kind in ("timeline", "matrix"):
            chart = Path(name) / f"{kind}.svg"
            write_chart(kind, results, None, chart, with_ways=with_ways)
            found[kind] = chart.read_bytes()
        return found


def count(word: bytes, data: bytes) -> int:
    return len(re.findall(rb"(?<![\w-])" + re.escape(word) + rb"(?![\w-])", data))


@settings(deadline=None, max_examples=5)
@given(runs(lab=False))
def test_no_output_has_a_word_that_tells(given_runs: list[Stored]) -> None:
    """The page has no more of such words than that of a person who tried nothing."""
    page, plain = page_of(given_runs), page_of(directly(given_runs))
    for word in telling_words(given_runs):
        assert count(word, page) == count(word, plain), word


def tried(tactic: str, proxy_id: str | None) -> list[Stored]:
    """Return a day on which a way works and one on which it does not."""
    pool, web = TARGETS
    works = [direct(pool), direct(web), way(tactic, 4, 4, web, proxy_id)]
    fails = [direct(pool), way(tactic, 0, 4, pool, proxy_id), direct(web)]
    return [stored(0, works), stored(1, fails)]


def test_every_byte_is_the_same_whichever_way_works() -> None:
    """That includes the hashes, counts and pictures of words."""
    outputs = [drawn(tried(*names)) for names in (("socks5", "proxy-3"), ("record_split", None))]

    assert outputs[0] == outputs[1]
    assert b"a way around (withheld)" in outputs[0]["page"]
    assert b"a way around worked on 1" in outputs[0]["page"]


def test_who_asks_for_ways_has_them() -> None:
    """Every name is in the page and in the chart over time."""
    given_runs = tried("socks5", "proxy-3")
    outputs = drawn(given_runs, with_ways=True)

    assert b"proxy-3 (socks5)" in outputs["page"]
    assert b"via SOCKS5 proxy-3" in outputs["timeline"]
    assert b"withheld" not in b"".join(outputs.values())


def test_a_way_without_a_proxy_is_named_as_people_know_it() -> None:
    """No chart says that it goes by a proxy."""
    page = page_of(tried("record_split", None), with_ways=True)

    assert b"hello split into records" in page
    assert b"via record_split" not in page


@settings(max_examples=20, deadline=None)
@given(runs(lab=False))
def test_with_ways_every_row_is_loaded(given_runs: list[Stored]) -> None:
    """Nothing is left out or merged, and every fact counts."""
    with tempfile.TemporaryDirectory() as name:
        loaded = load(write(Path(name), given_runs), with_ways=True)

    assert sorted(map(repr, loaded.rows)) == sorted(map(repr, judged(given_runs)))
    assert loaded.facts == sum(len(one.observations) for one in given_runs)
    assert loaded.withheld == 0


def command(kind: str, *arguments: str | Path) -> int:
    parser = argparse.ArgumentParser()
    (configure_report if kind == "report" else configure_plot)(parser)
    run = report_command if kind == "report" else plot_command
    return run(parser.parse_args([str(argument) for argument in arguments]))


def test_the_commands_say_what_they_withhold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on stderr with the number of rows, why, and the option; with it, none."""
    results = write(tmp_path / "results", tried("ech", None))
    page, chart = tmp_path / "page.html", tmp_path / "chart.svg"
    # Two verdicts, and two facts of each.
    words = "6 rows about ways around are withheld: who blocks would learn what to block next"

    assert command("report", results, "-o", page) == EXIT_OK
    assert capsys.readouterr().err.startswith(words)
    assert command("plot", "timeline", results, "-o", chart) == EXIT_OK
    assert capsys.readouterr().err.startswith(words)
    assert command("report", results, "-o", page, "--with-ways") == EXIT_OK
    assert command("plot", "timeline", results, "-o", chart, "--with-ways") == EXIT_OK
    assert capsys.readouterr().err == ""


def test_the_hash_is_that_of_the_lines_that_are_exported(tmp_path: Path) -> None:
    """Who has both can tell that they belong together, and learns nothing else."""
    results = write(tmp_path / "results", tried("ech", None))
    page = tmp_path / "page.html"
    loaded = write_report(results, None, page)
    lines = b"".join(
        orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)
        for row in exported(results)
    )

    assert loaded.withheld == 6
    assert hashlib.sha256(lines).hexdigest() in page.read_text()


def exported(results: Path) -> list[dict[str, object]]:
    import contextlib
    import io

    from probe.cli.main import main

    with contextlib.redirect_stdout(io.StringIO()) as out:
        main(["results", "export", str(results), "--kind", "verdicts"])
    return [orjson.loads(line) for line in out.getvalue().splitlines()]
