"""``results export``: every line, but for those that say which way around works."""

import contextlib
import csv
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings

from probe.cli.main import main
from probe.model.codec import flatten
from verdict.passed_on import (
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

KINDS = ("observations", "verdicts")


def export(given_runs: Sequence[Stored], *options: str) -> str:
    """Return what the command prints, in this process."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()) as out:
        results = write(Path(name), given_runs)
        with contextlib.redirect_stderr(io.StringIO()):
            assert main(["results", "export", str(results), *options]) == 0
        return out.getvalue()


def rows_of(text: str) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in text.splitlines()]


def count(word: bytes, text: str) -> int:
    return len(re.findall(rb"(?<![\w-])" + re.escape(word) + rb"(?![\w-])", text.encode()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["ndjson", "csv"])
@settings(deadline=None, max_examples=25)
@given(given_runs=runs(lab=False))
def test_no_line_has_a_word_that_tells(kind: str, form: str, given_runs: list[Stored]) -> None:
    """No more of such words than in the lines of a person who tried nothing."""
    options = ("--kind", kind, "--format", form)
    out, plain = export(given_runs, *options), export(directly(given_runs), *options)
    for word in telling_words(given_runs):
        assert count(word, out) == count(word, plain), word


@settings(deadline=None, max_examples=25)
@given(given_runs=runs(lab=False))
def test_with_ways_every_line_is_there(given_runs: list[Stored]) -> None:
    """As it was stored."""
    facts = [(one.run, row) for one in given_runs for row in one.observations]
    for kind, wanted in (("observations", facts), ("verdicts", judged(given_runs))):
        plain = [orjson.loads(orjson.dumps(flatten(*row))) for row in wanted]
        assert rows_of(export(given_runs, "--kind", kind, "--with-ways")) == plain
        table = export(given_runs, "--kind", kind, "--with-ways", "--format", "csv")
        assert len(list(csv.reader(io.StringIO(table)))) == len(wanted) + 1


@settings(deadline=None, max_examples=10)
@given(given_runs=runs(lab=True))
def test_a_simulated_network_is_exported_in_full(given_runs: list[Stored]) -> None:
    """The option makes no difference."""
    for kind in KINDS:
        options = ("--kind", kind)
        assert export(given_runs, *options) == export(given_runs, *options, "--with-ways")


def test_a_run_in_another_file_decides_too() -> None:
    """A way that failed one day and works the next is named for neither."""
    fails = stored(0, [direct("a/web"), way("ech", 0, 4), way("http3", 0, 4)])
    works = stored(1, [direct("a/web"), way("ech", 4, 4), way("http3", 0, 4)])
    told = [row["tactic"] for row in rows_of(export([fails, works], "--kind", "verdicts"))]
    alone = [row["tactic"] for row in rows_of(export([fails], "--kind", "verdicts"))]

    assert told == ["none", "withheld"] * 2
    assert alone == ["none", "ech", "http3"]


def test_stderr_says_how_many_and_show_has_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is read here is read in full."""
    run = stored(0, [direct("a/web"), way("socks5", 4, 4, proxy_id="proxy-1")])
    results = write(tmp_path, [run])
    main(["results", "export", str(results)])
    assert capsys.readouterr().err.startswith("2 rows about ways around are withheld:")
    main(["results", "export", str(results), "--with-ways"])
    assert capsys.readouterr().err == ""
    main(["results", "show", run.run.run_id, "--results", str(results)])
    shown = orjson.loads(capsys.readouterr().out)

    assert len(shown["observations"]) == len(run.observations)
    assert [v["proxy_id"] for v in shown["verdicts"]] == [None, "proxy-1"]
    assert "proxy-1" in shown["answers"]["what_works"]


def test_the_line_that_stands_for_ways_is_one_of_the_format() -> None:
    """It is read back as it was written, and has nothing but what every line of its target has."""
    run = stored(0, [direct("a/web"), way("chrome", 3, 4)])
    _, line = rows_of(export([run], "--kind", "verdicts"))
    plain = msgspec.to_builtins(direct("a/web"))
    differing = {name for name in plain if line[name] != orjson.loads(orjson.dumps(plain[name]))}

    assert (line["tactic"], line["state"], line["rule_id"]) == (
        "withheld",
        "impaired",
        "way.partial",
    )
    assert differing == {
        "tactic", "state", "mechanism", "rule_id", "n_total", "attempts", "summary",
    }  # fmt: skip
