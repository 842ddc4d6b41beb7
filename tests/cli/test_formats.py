"""The formats that CI reads: valid whatever is in them, within their limits, and discreet."""

import csv
import io
import json
import os
import re
import stat
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import RUN, Scene
from probe.cli import check as check_module
from probe.cli.formats.delimited import as_csv, cell
from probe.cli.formats.documents import as_json, as_ndjson
from probe.cli.formats.github import SUMMARY_BYTES, as_annotations, as_summary
from probe.cli.formats.junit import as_junit
from probe.cli.formats.markdown import as_markdown
from probe.cli.formats.prometheus import MAX_TARGETS, as_prometheus
from probe.cli.formats.report import Asked, Report
from probe.cli.formats.wanted import prints_json
from probe.cli.main import main
from probe.model.codec import line_schema
from probe.model.verdict import STATES, State, Verdict
from verdict.passed_on import Stored, direct, directly, runs, telling_words, way

from .reports import LAB, TARGETS, finished, report, run_of, verdict

ALL: dict[str, Callable[[Report], str]] = {
    "json": as_json,
    "ndjson": as_ndjson,
    "csv": as_csv,
    "md": as_markdown,
    "junit": as_junit,
    "prom": as_prometheus,
    "github": as_annotations,
}
HOSTILE = st.text(
    st.one_of(
        st.characters(),
        st.sampled_from("\x00\x08\x1b\r\n\t\u202e\ufffe\ud800<>&\"'`|*_[](){}#@:%,=+-\\"),
    ),
    max_size=40,
)


def hostile_report(text: str) -> Report:
    """A report in which lists and peers say what they like wherever they can say anything."""
    web = msgspec.structs.replace(
        verdict("a/web", "likely_blocked"), failed_members=(text,), summary=text
    )
    encodable = text.encode("utf-8", "replace").decode()
    return report(
        [verdict("a/pool", "ok"), msgspec.structs.replace(web, failed_members=(encodable,),
                                                          summary=encodable)],
        names={"a/pool": text, "a/web": text},
    )  # fmt: skip


# JUnit ------------------------------------------------------------------------


def test_junit_is_of_the_form_that_readers_share() -> None:
    """Elements in order, and the attributes that Ant's schema requires and Jenkins' knows."""
    scene = Scene()
    scene.chain(("tcp", None), ("tls", None), address="192.0.2.7", target_id="a/web")
    states = [verdict("a/pool", "insufficient"), verdict("a/web", "blocked")]
    root = ET.fromstring(as_junit(report(states, scene.rows)))
    (suite,) = root

    assert (root.tag, root.attrib, suite.tag) == ("testsuites", {}, "testsuite")
    assert set(suite.attrib) == {
        *("id", "package", "name", "timestamp", "hostname"),
        *("tests", "failures", "errors", "skipped", "time"),
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.attrib["timestamp"])
    assert suite.attrib["hostname"] == "localhost"
    counts = [suite.attrib[name] for name in ("tests", "failures", "errors", "skipped")]
    assert counts == ["2", "1", "0", "1"]
    tags = [child.tag for child in suite]
    assert tags == ["properties", "testcase", "testcase", "system-out", "system-err"]
    assert {(one.tag, *one.attrib) for one in suite[0]} == {("property", "name", "value")}
    for case in suite.iter("testcase"):
        assert set(case.attrib) == {"name", "classname", "time"}
        (outcome,) = case
        assert outcome.tag in {"failure", "skipped"}
        assert {"type", "message"} >= set(outcome.attrib) >= {"message"}
    # Measured, not made up: the rows of the scene are a tenth of a second apart.
    times = {case.attrib["name"]: case.attrib["time"] for case in suite.iter("testcase")}
    assert times["a/pool"] == "0.000"
    assert float(times["a/web"]) == pytest.approx(scene.rows[-1].t - scene.rows[0].t0, abs=1e-3)
    assert re.fullmatch(r"\d{1,3}\.\d{3}", suite.attrib["time"])


@pytest.mark.parametrize(
    ("state", "fail_on", "outcome"),
    [
        ("ok", None, None),
        ("blocked", None, "failure"),
        ("likely_blocked", None, "failure"),
        ("impaired", None, "failure"),
        ("down", None, "failure"),
        ("insufficient", None, "skipped"),
        ("likely_blocked", "blocked", "failure"),
        ("impaired", "likely_blocked", "skipped"),
        ("down", "impaired", "skipped"),
        ("impaired", "impaired", "failure"),
        ("insufficient", "insufficient", "failure"),
    ],
)
def test_what_a_state_is_in_junit(state: State, fail_on: State | None, outcome: str | None) -> None:
    """Nothing but a working target is ever green."""
    root = ET.fromstring(as_junit(report([verdict("a/web", state)], asked=Asked(fail_on))))
    (case,) = root.iter("testcase")

    assert [child.tag for child in case] == ([] if outcome is None else [outcome])


@given(HOSTILE)
def test_junit_is_well_formed_whatever_it_holds(text: str) -> None:
    """No character that XML 1.0 forbids, and markup is text."""
    root = ET.fromstring(as_junit(hostile_report(text)).encode())

    (failure,) = root.iter("failure")
    shown = "".join(c for c in text if c.isascii() and c.isprintable())
    held = "".join(c for c in (failure.text or "") if c.isascii() and c.isprintable())
    assert shown in held


# Prometheus -------------------------------------------------------------------

SAMPLE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[\d.]+)')


@given(HOSTILE, st.sampled_from(STATES))
def test_every_line_is_a_sample_or_about_one(text: str, state: State) -> None:
    """HELP and TYPE before each metric's samples, in one block, without timestamps."""
    one = msgspec.structs.replace(verdict("a/web", state), service_id=text)
    lines = as_prometheus(
        report([msgspec.structs.replace(one, service_id=text.encode("utf-8", "replace").decode())])
    ).split("\n")

    assert lines.pop() == ""
    blocks: list[str] = []
    for line in lines:
        if line.startswith("# HELP "):
            blocks.append(line.split()[2])
        elif line.startswith("# TYPE "):
            assert line == f"# TYPE {blocks[-1]} gauge"
        else:
            sample = SAMPLE.fullmatch(line)
            assert sample is not None, line
            assert sample[1] == blocks[-1]
    assert len(blocks) == len(set(blocks))


def test_one_state_is_one_and_the_others_are_zero() -> None:
    for state in STATES:
        text = as_prometheus(report([verdict("a/web", state)]))
        found = re.findall(r'_state\{target="a/web",service="a",state="(\w+)"\} ([01])\n', text)
        assert sorted(found) == sorted((one, str(int(one == state))) for one in STATES)


def test_prometheus_client_reads_what_we_write() -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="needs prometheus-client")
    hostile = msgspec.structs.replace(verdict("a/web", "blocked"), service_id='a"\\n\n}')
    text = as_prometheus(report([hostile, verdict("a/pool", "ok")]))

    families = {one.name: one for one in parser.text_string_to_metric_families(text)}

    assert {one.type for one in families.values()} == {"gauge"}
    labels = families["reachwatch_target_mechanism"].samples[0].labels
    assert labels == {"target": "a/web", "service": 'a"\\n\ufffd}', "mechanism": "sni_rst"}
    assert families["reachwatch_run_start_time_seconds"].samples[0].value == 1795521600.0


def test_series_are_bounded() -> None:
    """A list of 5000 targets does not become 50 000 series of somebody's server."""
    text = as_prometheus(report([verdict(f"a/{n}", "blocked") for n in range(5000)]))

    assert text.count("\nreachwatch_target_members{") == MAX_TARGETS
    assert "\nreachwatch_targets 5000\n" in text
    assert f"\nreachwatch_targets_omitted {5000 - MAX_TARGETS}\n" in text
    labels = set(re.findall(r"(\w+)=", re.sub(r'"[^"]*"', "", text)))
    assert labels == {"target", "service", "state", "mechanism", "version", "rules_version", "lab"}


# CSV --------------------------------------------------------------------------


@settings(max_examples=30)
@given(HOSTILE)
def test_csv_has_its_columns_and_no_formula(text: str) -> None:
    """RFC 4180 as `csv` reads it, lines ended by CRLF, the columns of a stored verdict."""
    written = as_csv(hostile_report(text))
    rows = list(csv.reader(io.StringIO(written, newline=""), strict=True))

    assert rows[0] == sorted(line_schema(Verdict)["properties"])
    assert {len(row) for row in rows} == {len(rows[0])}
    assert len(rows) == 3
    assert written.split('"')[0].count("\n") == written.split('"')[0].count("\r\n")
    assert not [one for row in rows for one in row if one[:1] in tuple("=+-@\t\r")]


@pytest.mark.parametrize("start", list("=+-@\t\r"))
def test_a_cell_that_would_be_a_formula_is_text(start: str) -> None:
    assert cell(f"{start}1+1") == f"'{start}1+1"
    assert cell(-1) == -1


# Markdown and GitHub ----------------------------------------------------------


@given(HOSTILE)
def test_markdown_shows_text_as_text(text: str) -> None:
    """A name opens no tag, no link, no cell and no row, and calls nobody."""
    ours = as_markdown(hostile_report("x"))
    theirs = as_markdown(hostile_report(text))

    for mark in "|<[`*@\n":
        assert theirs.count(mark) == ours.count(mark), mark


@given(HOSTILE)
def test_an_annotation_is_one_command(text: str) -> None:
    """What a list says can neither end its command nor begin one."""
    lines = as_annotations(hostile_report(text)).split("\n")

    assert lines.pop() == ""
    assert [line.split(" ")[0] for line in lines] == ["::error", "::notice"]
    assert all(re.fullmatch(r"::\w+ title=[^:,\r\n]*::[^\r\n]*", line) for line in lines)


def test_annotations_keep_their_limit_and_say_what_is_left_out() -> None:
    """Ten of a kind in a step: the tenth counts the rest."""
    states = [verdict(f"a/e{n}", "blocked") for n in range(30)]
    states += [verdict(f"a/w{n}", "insufficient") for n in range(10)]
    lines = as_annotations(report(states)).splitlines()

    kinds = [line.split(" ")[0] for line in lines]
    assert (kinds.count("::error"), kinds.count("::warning")) == (10, 10)
    assert lines[9] == "::error title=reachwatch::and 21 more; the job summary has them"
    assert lines[-2].startswith("::warning title=a/w9::not enough data")


def test_properties_and_messages_are_escaped() -> None:
    """GitHub's own: % in both, colon and comma in properties."""
    odd = msgspec.structs.replace(verdict("a/web", "impaired"), target_id="a:b,c%")

    (error, _) = as_annotations(report([odd])).splitlines()

    assert error.startswith("::error title=a%3Ab%2Cc%25::not working right")


@pytest.mark.parametrize("used", [1000, SUMMARY_BYTES - 3000, SUMMARY_BYTES - 10])
def test_a_summary_fits_beside_what_is_there(used: int) -> None:
    """Within 1 MiB a step; what fails comes first, and the rest is counted."""
    states = [verdict(f"a/{'long' * 15}/{n}", "ok") for n in range(5000)]
    text = as_summary(report([*states, verdict("a/web", "blocked")]), used)

    assert used + len(text.encode()) <= SUMMARY_BYTES
    rows = [line for line in text.splitlines() if line.startswith(("| ✅", "| ❌"))]
    if used == SUMMARY_BYTES - 10:
        assert text == ""
    else:
        assert rows[0].startswith("| ❌ fail | a/web ")
        left_out = re.search(r"^and (\d+) more targets$", text, re.MULTILINE)
        assert len(rows) + int(left_out[1] if left_out else 0) == 5001


# What is passed on ------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(ALL))
@settings(deadline=None, max_examples=10)
@given(found=runs(lab=False))
def test_no_format_says_which_way_works(name: str, found: list[Stored]) -> None:
    """No more of a way that works, or of a proxy, than if nothing had been tried."""
    one, other = found[0], directly(found)[0]
    text, plain = (
        ALL[name](report(it.verdicts, it.observations, run=one.run)).encode() for it in (one, other)
    )

    for word in telling_words([one]):
        whole = re.compile(rb"(?<!\w)" + re.escape(word) + rb"(?!\w)")
        assert len(whole.findall(text)) <= len(whole.findall(plain)), word


def test_a_lab_and_whoever_asks_get_it_all() -> None:
    """Nothing of a simulated network is withheld; nor with --with-ways."""
    verdicts = [direct("a/web"), way("socks5", 4, 4, proxy_id="proxy-1")]
    scene = Scene()
    scene.chain(("tcp", None), address="192.0.2.7", target_id="a/web", tactic="socks5")
    for one in (
        report(verdicts, scene.rows, run=LAB),
        report(verdicts, scene.rows, Asked(with_ways=True)),
    ):
        assert [v["tactic"] for v in json.loads(as_json(one))["verdicts"]] == ["none", "socks5"]
        assert len(json.loads(as_json(one))["observations"]) == 1
        assert "proxy-1 (socks5)" in as_markdown(one)
    kept = report(verdicts, scene.rows)
    assert "socks5" not in as_json(kept) + as_ndjson(kept) + as_csv(kept)
    assert "1 row about ways around is withheld" in as_markdown(kept)


# Places -----------------------------------------------------------------------


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run ``check`` in a folder of its own; it measures nothing and finds a block."""
    (tmp_path / "list.json").write_text(json.dumps(TARGETS))
    monkeypatch.chdir(tmp_path)
    run = finished([verdict("a/pool", "ok"), verdict("a/web", "blocked")], run=RUN)
    monkeypatch.setattr(check_module, "run_check", run_of(run))
    return lambda *words: main(["check", "list.json", "-q", *words])


def test_one_run_writes_many_files(
    check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside the table; JSON and NDJSON files are what standard output would have had."""
    words = [f"--format={name}={name}.out" for name in ALL]

    assert check(*words, "--format=markdown=second.md") == 0
    assert "Is it me?" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.out")} == {f"{name}.out" for name in ALL}
    assert (tmp_path / "second.md").read_text() == (tmp_path / "md.out").read_text()
    check("-f", "json")
    assert capsys.readouterr().out == (tmp_path / "json.out").read_text()
    check("-f", "ndjson=-")
    printed = [json.loads(line)["type"] for line in capsys.readouterr().out.splitlines()]
    filed = [json.loads(line)["type"] for line in (tmp_path / "ndjson.out").read_text().split("\n")
             if line]  # fmt: skip
    assert printed == filed == ["run_started", "run_finished"]


@pytest.mark.parametrize("name", ["csv", "junit", "md", "prom"])
def test_a_format_alone_is_all_of_standard_output(
    check: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert check("-f", name, "-f", f"{name}=file") == 0
    # As bytes, since CSV has line ends of its own.
    assert capsys.readouterr().out.encode() == (tmp_path / "file").read_bytes()


def test_a_format_is_utf_8_whatever_the_locale(check: Callable[..., int], tmp_path: Path) -> None:
    """Its own declaration says so; the terminal's encoding is for what people read."""
    written = io.BytesIO()
    latin = io.TextIOWrapper(written, encoding="latin-1")

    with redirect_stdout(latin):
        assert check("-f", "md", "--format", "md=x.md") == 0

    assert written.getvalue() == (tmp_path / "x.md").read_bytes()
    assert "❌".encode() in written.getvalue()


def test_a_file_is_replaced_whole_and_readable_by_others(
    check: Callable[..., int], tmp_path: Path
) -> None:
    """Another process never sees half of it; a link stays one; the mode is the process's."""
    real = tmp_path / "real.prom"
    real.write_text("old")
    (tmp_path / "link.prom").symlink_to(real)
    with real.open() as still_open:
        assert check("--format", "prom=link.prom") == 0
        assert still_open.read() == "old"
    assert (tmp_path / "link.prom").is_symlink()
    assert real.read_text().startswith("# HELP reachwatch_")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~mask


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_device_is_written_and_not_replaced(
    check: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One that fails late is named; the other files and the results are there."""
    code = check("--format", "csv=/dev/null", "--format", "md=/dev/full", "--format", "junit=j.xml")

    assert code == 3
    assert Path("/dev/null").is_char_device()
    assert Path("/dev/full").is_char_device()
    assert ET.parse(tmp_path / "j.xml").getroot().tag == "testsuites"
    first, second = capsys.readouterr().err.splitlines()
    assert first == "--format md=/dev/full: No space left on device"
    assert second == "the results are kept: results/run.obs.jsonl.gz"


@pytest.mark.parametrize("place", ["nowhere/x", ".", "list.json/x"])
def test_a_place_that_cannot_be_written_costs_no_run(
    check: Callable[..., int],
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """Named before anything is measured, and nothing is left of the others."""
    monkeypatch.setattr(check_module, "run_check", None)

    assert check("--format", "csv=x.csv", "--format", f"junit={place}") == 3
    assert f"--format junit={place}: " in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["list.json"]


def test_a_job_summary_is_appended_and_annotations_are_printed(
    check: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`github` without a path goes where GitHub says; elsewhere there are annotations alone."""
    summary = tmp_path / "summary"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert check("-f", "github") == 0
    assert summary.read_text().startswith("before\n## reachwatch: 2 targets, 1 failed\n")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert check("-f", "github") == 0
    assert capsys.readouterr().out.count("::error title=a/web::blocked") == 2
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "x"))
    assert check("-f", "github") == 3


@pytest.mark.parametrize(
    ("words", "is_json"),
    [
        ("-f json", True),
        ("-fjson", True),
        ("--format=ndjson", True),
        ("--format json=-", True),
        ("--format json=x", False),
        ("-f csv json", False),
        ("-f junit=json", False),
    ],
)
def test_errors_are_json_where_standard_output_is(words: str, *, is_json: bool) -> None:
    assert prints_json(["check", *words.split()]) == is_json
