"""``reachwatch results rejudge``: the same facts, the same rules, the same bytes."""

import gzip
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import pytest

from censorlab.process import LabProcess
from censorlab.rules import SniRst
from censorlab.topology import SERVICE_PATTERN
from facts import RUN, Scene
from probe.cli import rejudge
from probe.cli.main import main
from probe.model.codec import decode_line
from probe.model.layout import OBSERVATIONS, VERDICTS
from probe.model.observation import Observation
from probe.model.verdict import Verdict
from probe.store.redact import Redactor
from probe.store.writer import RecordWriter
from probe.verdict import RULES_VERSION
from probe.verdict.judge import judge, unmeasured

from .conftest import Command

A, B = "91.108.56.1", "149.154.167.1"


def write(
    root: Path, kind: str, values: Iterable[Observation | Verdict], *, finish: bool = True
) -> Path:
    with RecordWriter(root, RUN, kind, Redactor(())) as writer:
        for value in values:
            writer.write(value)
        return writer.finish() if finish else writer.path.with_name(writer.path.name + ".part")


def verdicts_of(rows: Sequence[Observation]) -> list[Verdict]:
    """As a run writes them: a target that it did not get to is in them."""
    found = [*judge(rows), *unmeasured(rows, [("a/aside", "a", "any_of")])]
    return sorted(found, key=lambda verdict: verdict.target_id)


def blocked() -> list[Observation]:
    """Blocked by name, with another target and a way around that work."""
    scene = Scene().controls(None, None)
    for _ in range(2):
        scene.chain(("tcp", None), ("tls", "connection_reset"), address=A, tcp_rtt_s=0.1)
    scene.chain(("tcp", None), ("tls", None), address=A, role="contrast", follow_up="other_name")
    scene.chain(("tcp", None), address=B, target_id="a/dc")
    steps = (("tcp", None), ("proxy", None), ("tls", None))
    return scene.chain(*steps, address=A, tactic="socks5", proxy_id="proxy-1").rows


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One run, as it was stored."""
    write(tmp_path, OBSERVATIONS, blocked())
    write(tmp_path, VERDICTS, verdicts_of(blocked()))
    return tmp_path


def bytes_under(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def stored_verdicts(root: Path) -> list[Verdict]:
    (path,) = root.rglob(f"*.{VERDICTS}.*")
    lines = gzip.decompress(path.read_bytes()).splitlines()
    return [decode_line(line, Verdict).value for line in lines]


def change_verdicts(root: Path, **columns: object) -> None:
    """Make the stored verdicts those of other rules."""
    (path,) = root.rglob(f"*.{VERDICTS}.*")
    old = stored_verdicts(root)
    path.unlink()
    write(root, VERDICTS, [msgspec.structs.replace(v, **columns) for v in old])


def test_a_run_in_the_lab_is_judged_again_to_the_same_bytes(
    lab: LabProcess, reachwatch: Command, tmp_path: Path
) -> None:
    """Facts went to disk and back, another process judged them: nothing differs."""
    lab.apply((SniRst(server_name=SERVICE_PATTERN),))
    assert reachwatch("check", str(lab.targets_path)).returncode == 0
    before = bytes_under(tmp_path / "results")
    assert len(before) == 2

    done = reachwatch("results", "rejudge", "--write")

    assert done.returncode == 0, done.stderr
    assert "1 files written" in done.stdout
    assert bytes_under(tmp_path / "results") == before


def test_the_same_rules_write_the_same_bytes(root: Path) -> None:
    """Ways around, and targets without any facts, included."""
    before = bytes_under(root)
    assert main(["results", "rejudge", str(root), "--write", "--rules", str(RULES_VERSION)]) == 0
    assert bytes_under(root) == before


def test_old_verdicts_give_way_only_if_asked(root: Path) -> None:
    """Without --write it is a question; with it, what is stored is what is true now."""
    change_verdicts(root, state="down", mechanism=None, rule_id="tls.old", rules_version=1)
    before = bytes_under(root)

    assert main(["results", "rejudge", str(root)]) == 0
    assert bytes_under(root) == before
    assert main(["results", "rejudge", str(root), "--write"]) == 0

    assert stored_verdicts(root) == verdicts_of(blocked())
    assert set(bytes_under(root)) == set(before)


def test_changes_come_first_with_examples(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """(old state, old mechanism) to (new state, new mechanism), counted; and the rules."""
    (web,) = (v for v in verdicts_of(blocked()) if v.state == "blocked")
    others = [v for v in verdicts_of(blocked()) if v.state != "blocked"]
    old = msgspec.structs.replace(web, state="impaired", mechanism=None, rule_id="tls.old")
    for path in root.rglob(f"*.{VERDICTS}.*"):
        path.unlink()
    moved = msgspec.structs.replace(others[0], rule_id="target.old")
    write(root, VERDICTS, [old, moved, *others[1:]])

    assert main(["results", "rejudge", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["impaired", "blocked", "sni_rst", "1"]
    assert f"  {RUN.run_id} a/web: tls.old -> tls.rst_contrast" in lines
    assert f"  {RUN.run_id} a/aside: target.old -> target.no_data" in lines
    assert "1 say something else, 1 the same by another rule" in lines[-1]

    assert main(["results", "rejudge", str(root), "-f", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["transitions"][0] == {
        "old_state": "impaired",
        "old_mechanism": None,
        "new_state": "blocked",
        "new_mechanism": "sni_rst",
        "verdicts": 1,
    }
    assert document["examples"][0] == {
        "run_id": RUN.run_id,
        "target": "a/web",
        "old_rule": "tls.old",
        "new_rule": "tls.rst_contrast",
    }


def test_only_the_rules_of_this_release_can_judge(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["results", "rejudge", str(root), "--rules", str(RULES_VERSION - 1)]) == 2
    assert f"rules version {RULES_VERSION}" in capsys.readouterr().err


def test_an_unfinished_run_is_judged_and_never_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may still be going on."""
    write(tmp_path, OBSERVATIONS, blocked(), finish=False)
    before = bytes_under(tmp_path)

    assert main(["results", "rejudge", str(tmp_path), "--write"]) == 0

    said = capsys.readouterr().out
    assert "no verdict  blocked sni_rst" in said
    assert "1 runs (1 unfinished)" in said
    assert "0 files written" in said
    assert bytes_under(tmp_path) == before


def test_a_run_that_was_killed_before_it_judged_gets_its_verdicts(tmp_path: Path) -> None:
    """What it had begun to write gives way."""
    write(tmp_path, OBSERVATIONS, blocked())
    part = write(tmp_path, VERDICTS, judge(blocked())[:1], finish=False)

    assert main(["results", "rejudge", str(tmp_path), "--write"]) == 0

    assert not part.exists()
    assert stored_verdicts(tmp_path) == judge(blocked())


@pytest.mark.parametrize("kind", [OBSERVATIONS, VERDICTS])
def test_damage_is_named_and_the_rest_is_judged(
    root: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """And verdicts of whole facts do not give way to those of what is left of them."""
    (path,) = root.rglob(f"*.{kind}.*")
    path.write_bytes(path.read_bytes()[:-30])
    before = bytes_under(root)

    assert main(["results", "rejudge", str(root), "--write"]) == 3

    captured = capsys.readouterr()
    assert f"{path}:" in captured.err
    assert "verdicts not written" in captured.err
    assert "blocked sni_rst" in captured.out
    assert bytes_under(root) == before


def test_a_file_elsewhere_is_judged_and_not_written(
    root: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where its verdicts would belong, nobody looks."""
    (path,) = root.rglob(f"*.{OBSERVATIONS}.*")
    moved = tmp_path_factory.mktemp("elsewhere") / "mine.obs.jsonl.gz"
    shutil.copy(path, moved)

    assert main(["results", "rejudge", str(moved)]) == 0
    assert "blocked sni_rst" in capsys.readouterr().out
    assert main(["results", "rejudge", str(moved), "--write"]) == 3
    assert "not at the place" in capsys.readouterr().err
    assert list(moved.parent.iterdir()) == [moved]


@pytest.mark.parametrize("what", ["missing", "verdicts"])
def test_without_facts_there_is_nothing_to_judge(
    root: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    (verdicts,) = root.rglob(f"*.{VERDICTS}.*")
    path = verdicts if what == "verdicts" else root / "missing"
    assert main(["results", "rejudge", str(path)]) == 3
    assert str(path) in capsys.readouterr().err


def test_a_file_larger_than_any_run_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All facts of a run are judged at once, and memory is bounded."""
    monkeypatch.setattr(rejudge, "MAX_FACTS", 3)
    assert main(["results", "rejudge", str(root)]) == 3
    assert "more than 3 facts" in capsys.readouterr().err


def test_an_address_that_was_scrubbed_is_none(tmp_path: Path) -> None:
    """A resolver that answers with the volunteer's router: its address was never stored."""
    rows = Scene().controls(None, None).chain(("tcp", "connection_refused"), address="10.0.0.1")
    stored = [msgspec.structs.replace(row, address="[..]") for row in rows.rows[-1:]]
    write(tmp_path, OBSERVATIONS, [*rows.rows[:-1], *stored])

    assert main(["results", "rejudge", str(tmp_path), "--write"]) == 0

    (verdict,) = stored_verdicts(tmp_path)
    assert (verdict.state, verdict.n_ok, verdict.n_total) == ("impaired", 0, 1)


def test_facts_of_an_older_schema_get_verdicts_of_this_one(tmp_path: Path) -> None:
    """Their new columns are in no schema of version 1.0."""
    path = write(tmp_path, OBSERVATIONS, blocked())
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    old = [json.dumps({**line, "schema_version": "1.0"}) + "\n" for line in lines]
    path.write_bytes(gzip.compress("".join(old).encode()))

    assert main(["results", "rejudge", str(tmp_path), "--write"]) == 0

    (written,) = tmp_path.rglob(f"*.{VERDICTS}.*")
    first = json.loads(gzip.decompress(written.read_bytes()).splitlines()[0])
    assert first["schema_version"] == RUN.schema_version
