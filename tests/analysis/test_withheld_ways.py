"""Pages and charts that are passed on do not say which way around works."""

import argparse
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings

from analysis.chart.style import save_svg
from analysis.cli import (
    EXIT_OK,
    configure_plot,
    configure_report,
    plot_command,
    report_command,
)
from analysis.dataset import Dataset, load
from analysis.drawn import NoDataError
from analysis.report import render
from analysis.views import view
from verdict.passed_on import (
    TARGETS,
    Stored,
    direct,
    directly,
    runs,
    stored,
    telling_words,
    way,
    write,
)


def loaded(given_runs: Sequence[Stored], *, with_ways: bool = False) -> Dataset:
    with tempfile.TemporaryDirectory() as name:
        return load(write(Path(name) / "results", given_runs), with_ways=with_ways)


def drawn(given_runs: Sequence[Stored], *, with_ways: bool = False) -> dict[str, bytes]:
    """Return the page and charts of some runs; a chart's words are comments in its file."""
    dataset = loaded(given_runs, with_ways=with_ways)
    charts = {"overview": render(dataset).encode()}
    for kind in ("timeline", "layers", "ways"):
        with suppress(NoDataError):
            charts[kind] = save_svg(view(kind, dataset).figure)
    return charts


def count(word: bytes, data: bytes) -> int:
    return len(re.findall(rb"(?<![\w-])" + re.escape(word) + rb"(?![\w-])", data))


@settings(deadline=None, max_examples=2)
@given(runs(lab=False))
def test_no_output_has_a_word_that_tells(given_runs: list[Stored]) -> None:
    """They have no more of such words than those of a person who tried nothing."""
    outputs, plain = drawn(given_runs), drawn(directly(given_runs))
    for word in telling_words(given_runs):
        for name, data in outputs.items():
            assert count(word, data) == count(word, plain.get(name, b"")), (name, word)


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
    assert b"a way around (withheld)" in outputs[0]["overview"]
    assert b"a way around worked on 1" in outputs[0]["overview"]
    assert b"Which ways around work is withheld from this page" in outputs[0]["overview"]


def test_who_asks_for_ways_has_them() -> None:
    """Every name is in the page and in the charts."""
    outputs = drawn(tried("socks5", "proxy-3"), with_ways=True)

    assert b"proxy-3 (socks5)" in outputs["overview"]
    assert b"proxy-3" in outputs["ways"]
    assert b"via SOCKS5 proxy-3" in outputs["timeline"]
    assert b"withheld" not in b"".join(outputs.values())


def test_a_way_without_a_proxy_is_named_as_people_know_it() -> None:
    """No chart says that it goes by a proxy."""
    page = render(loaded(tried("record_split", None), with_ways=True))

    assert "hello split into records" in page
    assert "via record_split" not in page


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


def test_no_hash_is_given_of_what_was_left_out() -> None:
    """What is missing from a small file could be found by trying; other files keep theirs."""
    page = render(loaded([*tried("ech", None), stored(5, [direct(TARGETS[0])])]))
    hashes = re.findall(r"<td[^>]*>([0-9a-f]{64}|withheld)</td></tr>", page)

    assert hashes.count("withheld") == 4
    assert len([found for found in hashes if found != "withheld"]) == 2
