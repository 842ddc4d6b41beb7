"""``reachwatch lab --ways``: what is printed and written of ways around, and how it ends."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from censorlab.matrix.outcome import Answer, Cell, Judged, Outcome, Run, SaidOfWay, outcome_of
from censorlab.matrix.run import Prober
from censorlab.scenarios.model import Scenario, named
from probe.cli import lab
from probe.cli.main import main

(SNI_RST,) = named(["sni_rst"])


def said(http3: str, tls12: str) -> list[Outcome]:
    """What a prober would say that knows of two ways only."""
    ways = tuple(
        SaidOfWay(target_id="messenger/web", tactic=tactic, result=result, n_ok=1, n_total=2)
        for tactic, result in (("http3", http3), ("tls12", tls12))
    )
    judged = Judged(target_id="messenger/web", state="blocked", mechanism="sni_rst")
    run = Run(Cell("sni_rst", "middlebox", 0.0, 0.06, 1), 1.0, "code", "")
    truth = SNI_RST.truth_of("messenger/web")
    return [outcome_of(run, "messenger/web", truth, Answer({"messenger/web": judged}, ways))]


@pytest.mark.parametrize(("tls12", "code"), [("does_not", 0), ("not_tested", 0), ("works", 10)])
def test_exit_10_where_a_way_is_said_to_work_that_does_not(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tls12: str,
    code: int,
) -> None:
    """What was not tested is a difference, and no false promise."""

    def measured(*_: Any) -> Iterator[tuple[Scenario, list[Outcome]]]:
        yield SNI_RST, said("works", tls12)

    monkeypatch.setattr(lab, "_measured", measured)
    assert main(["lab", "matrix", "sni_rst", "--quick", "--ways", "-o", str(tmp_path)]) == code
    shown = capsys.readouterr()
    assert ("said to work, and does not: sni_rst messenger/web tls12" in shown.err) == (code == 10)
    difference = f"messenger/web tls12: {tls12} 1/2, truth: does_not"
    assert (difference in shown.out) == (tls12 != "does_not")
    rows = list(csv.DictReader((tmp_path / "ways.csv").read_text().splitlines()))
    found = {row["tactic"]: (row["truth"], row["said"], row["is_right"]) for row in rows}
    assert found["http3"] == ("works", "works", "true")
    assert found["ech"] == ("works", "not_tested", "false")
    assert found["tls12"][1] == tls12


def test_on_loopback_ways_are_tried_and_nothing_is_asked_of_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The prober gets the option; of a town without its peers no truth is known.

    The one here measures nothing, which is no success.
    """

    def words(_targets: str, _results: str, _seed: int) -> Sequence[str]:
        script = "import sys; raise SystemExit(f'given {sys.argv[1:]}')"
        return [sys.executable, "-c", script]

    monkeypatch.setattr(lab, "_prober", lambda: Prober(words, "x"))
    form = ["--form", "loopback"]
    assert main(["lab", "matrix", "sni_rst", "--quick", "--ways", "-o", str(tmp_path), *form]) == 3
    shown = capsys.readouterr()
    assert "given ['--ways']" in shown.out
    assert "not compared" in shown.err
    assert (tmp_path / "ways.csv").read_text().count("\n") == 1
