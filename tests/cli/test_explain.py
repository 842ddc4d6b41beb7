"""``reachwatch explain`` as a user runs it, over stored runs."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from facts import RUN, Scene
from probe.cli.main import main
from probe.model.layout import OBSERVATIONS, VERDICTS
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict
from probe.store.redact import Redactor
from probe.store.writer import RecordWriter
from probe.verdict.judge import judge
from probe.verdict.rules import RULES

from .conftest import ROOT

A = "91.108.56.1"
OTHER = msgspec.structs.replace(RUN, run_id="fedcba9876543210")


def write(root: Path, run: RunColumns, kind: str, values: Iterable[Observation | Verdict]) -> Path:
    with RecordWriter(root, run, kind, Redactor(())) as writer:
        for value in values:
            writer.write(value)
        return writer.finish()


def blocked() -> Scene:
    """The web is reset after its name, the other target works."""
    scene = Scene().controls(None, None)
    for _ in range(2):
        scene.chain(("tcp", None), ("tls", "connection_reset"), address=A, tcp_rtt_s=0.1)
    scene.chain(("tcp", None), ("tls", None), address=A, role="contrast", follow_up="other_name")
    return scene.chain(("tcp", None), address="149.154.167.1", target_id="a/dc")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, in the directory that is taken by default: one blocked, one fine."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "results"
    fine = Scene().controls(None, None).chain(("tcp", None), ("tls", None), address=A)
    for run, scene in ((RUN, blocked()), (OTHER, fine)):
        write(root, run, OBSERVATIONS, scene.rows)
        write(root, run, VERDICTS, judge(scene.rows))
    return root


@pytest.mark.parametrize("rule_id", ["tls.rst_contrast", "target.no_data"])
def test_a_rule_in_plain_words(capsys: pytest.CaptureFixture[str], rule_id: str) -> None:
    """The row of the table, and all of it."""
    assert main(["explain", rule_id]) == 0

    said = " ".join(capsys.readouterr().out.split())
    rule = RULES[rule_id]
    for text in (rule.rule_id, rule.needs, rule.excludes, *rule.leaves, rule.changes, rule.source):
        assert text in said


def test_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """A mechanism or cause means something; a state is said by some rules too."""
    for word in ("sni_rst", "captive_portal"):
        assert main(["explain", word]) == 0
        assert capsys.readouterr().out.startswith(f"{word} (")
    assert main(["explain", "blocked"]) == 0
    assert "tls.rst_contrast" in capsys.readouterr().out


def test_a_run_is_explained_by_what_is_wrong(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each verdict that is not ok; the run by the beginning of its id, too."""
    assert main(["explain", RUN.run_id]) == 0
    whole = capsys.readouterr().out
    assert main(["explain", RUN.run_id[:6], "--results", str(results)]) == 0

    assert capsys.readouterr().out == whole
    assert "a/web: blocked" in whole
    assert "a/dc" not in whole
    for heading in ("Seen", "Rule", "Counted", "Ruled out", "Source"):
        assert f"\n  {heading}\n" in whole


def test_a_run_without_fault_says_so(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", OTHER.run_id]) == 0
    assert "its verdicts are ok, all 1" in capsys.readouterr().out


def test_one_verdict_is_asked_for_by_its_target(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also one that is ok: it has facts and a rule as well."""
    assert main(["explain", f"{RUN.run_id}:a/dc"]) == 0
    said = capsys.readouterr().out
    assert "a/dc: reachable" in said
    assert "target.reachable" in said
    assert "a/web" not in said


def test_json_is_one_document_with_the_same_parts(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", RUN.run_id, "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["type"], document["run_id"]) == ("explanation", RUN.run_id)
    (verdict,) = document["verdicts"]
    assert verdict["rule_id"] == "tls.rst_contrast"
    assert len(verdict["facts"]) == 3
    for name, kind in (("tls.rst_contrast", "rule"), ("sni_rst", "word")):
        assert main(["explain", name, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out)["type"] == kind


def test_lines_fit_and_ascii_is_ascii(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """76 columns everywhere, for every rule; without symbols if asked."""
    for name in (*RULES, "insufficient", RUN.run_id):
        assert main(["explain", name, "--ascii"]) == 0
        said = capsys.readouterr().out
        assert said.isascii()
        assert max(map(len, said.splitlines())) <= 76


@pytest.mark.parametrize(
    ("wanted", "close"),
    [
        ("tls.rst_contrst", "tls.rst_contrast"),
        ("sni_rts", "sni_rst"),
        (f"{RUN.run_id}:a/wbe", "a/web"),
        ("0123456789abcdee", RUN.run_id),
    ],
)
def test_what_is_unknown_is_a_usage_error_with_what_is_near(
    results: Path, capsys: pytest.CaptureFixture[str], wanted: str, close: str
) -> None:
    assert main(["explain", wanted]) == 2
    captured = capsys.readouterr()
    assert f"did you mean {close}" in captured.err
    assert captured.out == ""


def test_a_beginning_that_two_runs_share(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither is guessed."""
    twin = msgspec.structs.replace(RUN, run_id="0123ffffffffffff")
    write(results, twin, VERDICTS, judge(blocked().rows))
    assert main(["explain", "0123"]) == 2
    assert "2 runs" in capsys.readouterr().err


def test_what_cannot_be_explained_is_bad_input(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No results; a run that was killed before it judged; a damaged file, as far as it goes."""
    assert main(["explain", RUN.run_id, "--results", "missing"]) == 3
    for path in results.rglob(f"*{OTHER.run_id}.verdict*"):
        path.unlink()
    assert main(["explain", OTHER.run_id]) == 3
    assert "results rejudge" in capsys.readouterr().err
    (facts,) = results.rglob(f"*{RUN.run_id}.obs*")
    facts.write_bytes(facts.read_bytes()[:-40])
    assert main(["explain", RUN.run_id]) == 3
    captured = capsys.readouterr()
    assert "a/web: blocked" in captured.out
    assert str(facts) in captured.err.replace("results/v1", f"{results}/v1")


def test_the_page_on_reading_verdicts_speaks_of_rules_that_there_are() -> None:
    """Its worked example ages with the table."""
    page = (ROOT / "docs" / "how-to-read-a-verdict.md").read_text(encoding="utf-8")
    said = " ".join(page.replace("·", " ").split())
    (rule_id,) = set(re.findall(r"\b((?:dns|tcp|tls|http)\.[a-z_]+)\b", page))
    rule = RULES[rule_id]
    for text in (rule.needs, rule.excludes, *rule.leaves, rule.changes, rule.source):
        assert text in said


def test_hostile_words_do_not_reach_the_terminal(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server chooses the title of its page."""
    scene = blocked()
    row = next(one for one in scene.rows if one.failure is not None)
    scene.rows[scene.rows.index(row)] = msgspec.structs.replace(row, failure_detail="\x1b[2J\r\n")
    run = msgspec.structs.replace(RUN, run_id="aa" * 8)
    write(results, run, OBSERVATIONS, scene.rows)
    write(results, run, VERDICTS, judge(scene.rows))
    assert main(["explain", run.run_id]) == 0
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "connection_reset (?[2J??) after" in " ".join(said.split())
