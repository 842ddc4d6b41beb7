"""From a dataset to the page: nothing lost, nothing invented, nothing fetched, never too large."""

import base64
import hashlib
import os
import re
from collections.abc import Sequence
from datetime import date, timedelta
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pandas as pd
import pytest

from analysis.chart.events import Event
from analysis.dataset import Dataset, as_dataset, load
from analysis.events import BadEventsError, read_events
from analysis.report import (
    QUESTIONS,
    OutputError,
    render,
    write_outputs,
    write_report,
)
from analysis.report.page import MAX_BYTES, compose, fitted
from analysis.report.provenance import data_sha256
from analysis.result_files import find
from analysis.views import KINDS
from analysis.views import QUESTIONS as OFFERED
from analysis_results import HOSTILE, write_history

DATA = Path(os.environ.get("REACHWATCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
has_data = pytest.mark.skipif(not DATA.exists(), reason=f"needs the real series in {DATA}")

EVENTS = [
    Event(date(2030, 3, 7), f"reset {HOSTILE}", "effective"),
    Event(date(2030, 3, 19), "lifted", "lifted"),
]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A history whose target has markup for a name: no page is made of kind data only."""
    folder = tmp_path_factory.mktemp("history") / "results"
    write_history(folder, target_id=HOSTILE)
    return folder


@pytest.fixture(scope="module")
def dataset(results: Path) -> Dataset:
    return load(results)


@pytest.fixture(scope="module")
def pages(dataset: Dataset) -> dict[str, str]:
    return {question: render(dataset, question=question, events=EVENTS) for question in QUESTIONS}


class Reader(HTMLParser):
    """Collects what a page holds, and everything that could make a browser fetch or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.styled = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}:
                self.references.append(value or "")
            if name.startswith("on"):
                self.references.append(f"{name}={value}")
            if name == "id":
                self.ids.append(value or "")
            self.styled += name == "style"
            self.references.extend(re.findall(r"url\(([^)]*)\)", value or ""))


def test_every_question_that_is_offered_has_a_page() -> None:
    """The command's list, the pages and the charts are one vocabulary."""
    assert list(QUESTIONS) == list(OFFERED)
    assert {kind for question in QUESTIONS.values() for kind in question.kinds} == set(KINDS)


def test_the_overview_gives_the_answers_of_the_latest_run_and_of_the_latest_blocked(
    pages: dict[str, str],
) -> None:
    """Finding, span and n come first; then both runs' answers."""
    page = unescape(pages["overview"])

    assert (
        f"Signs of blocking on 9 of 19 measured days ({HOSTILE}); a way around worked on 3, "
        "2030-03-01 to 2030-03-20, 19 runs."
    ) in page
    assert "Latest run, 2030-03-20 12:00 UTC" in page
    assert "Nothing is wrong: everything measured is reachable; 3 of 3 controls answered." in page
    assert "Latest run with signs of blocking, 2030-03-17 12:00 UTC" in page
    assert "the connection is reset after its name" in page
    assert "proxy-1 (socks5): 1/1 targets" in page


def test_the_measurers_own_failures_are_counted_apart(pages: dict[str, str]) -> None:
    """A run whose controls failed is told as the line's, with n of N and an interval."""
    row = re.search(r"<tr><th[^>]*>the measurer&#39;s own line.*?</tr>", pages["blocked"])

    assert row
    assert "no internet connection" in row[0]
    assert re.search(r">1</td>.*>19</td>.*5\.3 % \(95 % interval .* to .* %\)", row[0])


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_page_refers_to_nothing_outside(pages: dict[str, str], question: str) -> None:
    """No script, no handler, no style of a single element; references stay within the page."""
    text = pages[question]
    reader = Reader(text)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

    assert reader.references
    assert all(reference.startswith("#") for reference in reader.references)
    assert {reference[1:] for reference in reader.references} <= set(reader.ids)
    assert len(set(reader.ids)) == len(reader.ids)
    assert not reader.tags & {
        "script", "iframe", "object", "embed", "link", "base", "form", "img", "image",
        "foreignobject", "animate", "set", "a:href",
    }  # fmt: skip
    assert not reader.styled
    assert f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'" in text
    assert not re.findall(r"@import|url\((?!#)", text)


@pytest.mark.parametrize("question", QUESTIONS)
def test_hostile_text_comes_out_inert(pages: dict[str, str], question: str) -> None:
    """Markup in names and events is text in the page."""
    text = pages[question]
    reader = Reader(text)

    assert "<script" not in text.lower()
    assert "img" not in reader.tags
    assert "&lt;img" in text
    assert not [found for found in reader.references if "alert" in found or "198.51" in found]


def test_simulated_data_are_marked(pages: dict[str, str]) -> None:
    """A page of lab data says so before anything else."""
    for text in pages.values():
        assert text.index("Simulated network") < text.index("<h1>")


def test_two_runs_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    """Page and charts are reproducible, from the files on."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        written = write_outputs(results, None, folder)
        assert [path.name for path in written] == [
            "report.html", "timeline.svg", "timeline.png", "matrix.svg", "matrix.png",
        ]  # fmt: skip

    for name in ("report.html", "timeline.svg", "matrix.svg"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_every_file_is_named_with_its_hash(pages: dict[str, str], results: Path) -> None:
    """The hashes are those of the files, which anybody can check."""
    for file in find(results):
        assert hashlib.sha256(file.path.read_bytes()).hexdigest() in pages["overview"]


def hash_of(text: str) -> str:
    found = re.search(r"Counts, SHA-256</dt><dd><code>([0-9a-f]{64})", text)
    assert found
    return found[1]


def test_the_hash_of_the_counts_is_of_what_was_counted(
    dataset: Dataset, pages: dict[str, str]
) -> None:
    """It is the same on every page of the same data, and another for other data."""
    (of_all,) = {hash_of(text) for text in pages.values()}

    assert data_sha256(dataset) == of_all
    assert data_sha256(dataset.where(last="2030-03-19")) != of_all


def test_the_selection_is_on_the_page(dataset: Dataset) -> None:
    """Who gets a page of some of the data can see that it is of some."""
    text = render(dataset.where(service="messenger", first="2030-03-02"))

    assert "Selected: service messenger; from 2030-03-02." in text


def test_what_has_no_data_is_a_sentence(dataset: Dataset) -> None:
    """A page of nothing is a page: it says of each chart why it is not there."""
    nothing = dataset.where(target="another/one")
    for question, asked in QUESTIONS.items():
        text = render(nothing, question=question)

        assert text.count("Not enough data for this chart: ") == len(asked.kinds)
        assert "No verdicts and no measurements are among the data." in text
        assert "<svg" not in text


def crowd(n_networks: int, n_days: int, name: str = "messenger/web") -> Dataset:
    """Return one verdict a day of each of so many networks, some blocked half of the time."""
    first = date(2028, 1, 1)
    rows = [
        {
            "measurement_id": f"{network * n_days + day:016x}",
            "start_time": pd.Timestamp(first + timedelta(days=day)),
            "date": first + timedelta(days=day),
            "probe_cc": ("RU", "IR", "MM", "TR")[network % 4],
            "probe_asn": 64512 + network,
            "service_id": "messenger",
            "target_id": name,
            "tactic": "none",
            "combination_rule": "all_of",
            "state": "blocked" if network % 3 == 0 and day * 2 > n_days else "ok",
            "mechanism": "sni_rst" if network % 3 == 0 and day * 2 > n_days else None,
            "rule_id": "tls.rst_contrast",
            "rules_version": 4,
            "n_ok": 0, "n_total": 2, "attempts": 2,
            "control_state": "ok", "controls_ok": 3, "controls_total": 3,
        }
        for network in range(n_networks)
        for day in range(n_days)
    ]  # fmt: skip
    return as_dataset(pd.DataFrame(rows))


@pytest.mark.parametrize("question", ["blocked", "when"])
def test_no_page_is_larger_than_500_kb(question: str, many: Dataset) -> None:
    """Sixty networks over two hundred days, names as long as names can be."""
    assert len(render(many, question=question).encode()) <= MAX_BYTES == 500_000


@pytest.fixture(scope="module")
def many() -> Dataset:
    return crowd(60, 200, "<&'\"" * 50)


def test_a_page_that_is_too_large_loses_rows_first_and_charts_last(dataset: Dataset) -> None:
    """Every smaller limit is kept, in the same order; each loss is told, with what has it all."""
    page = compose(dataset)
    whole = fitted(page)
    seen: list[tuple[int, int]] = []
    for most in range(len(whole.encode()), 15_000, -25_000):
        text = fitted(page, most)
        assert len(text.encode()) <= most or not text.count("<svg role")
        seen.append((text.count("<svg role"), text.count("<tr>")))
        left_out = text.count("The chart is left out")
        assert left_out == whole.count("<svg role") - text.count("<svg role")
        if text.count("<tr>") < whole.count("<tr>"):
            assert re.search(r"and \d+ more rows?, left out to keep this page small", text)

    assert seen == sorted(seen, reverse=True)
    assert {charts for charts, _ in seen} >= {0, whole.count("<svg role")}


def test_ten_megabytes_in_a_cell_are_cut() -> None:
    """A name of any length takes so many characters of a page."""
    text = render(crowd(1, 1, "x" * 10_000_000))

    assert len(text.encode()) < 200_000
    assert "x" * 2000 not in text


def test_damage_is_counted_and_named(tmp_path: Path) -> None:
    """Each place that could not be read is on the page, with its reason."""
    folder = tmp_path / "results"
    write_history(folder)
    broken = find(folder)[0].path
    broken.write_bytes(b"not gzip\n" * 3)
    text = render(load(folder))

    assert "Damaged input: " in text
    assert f"<code>{broken.name}:1: " in text


@has_data
def test_measurements_without_controls_get_no_answers() -> None:
    """OONI's real measurements: n and interval, no verdict, and the page says why."""
    text = render(load(DATA / "ooni"))

    assert "None are given: no run of reachwatch, with its controls, is among" in text
    assert re.search(
        r"\d+ results by OONI in \d+ networks, [0-9-]+ to [0-9-]+: \d+ of \d+ fail, "
        r"[0-9.]+ % \(95 % interval [0-9.]+ to [0-9.]+ %\), cause unclear\.",
        text,
    )
    assert "Signs of blocking" not in text
    assert "Simulated network" not in text


@has_data
def test_daily_counts_of_others_are_drawn_and_hashed() -> None:
    """A page of daily counts alone names its files."""
    folder = DATA / "daily"
    paths = [folder / "ooni-data-ru.csv", folder / "tor-data-ru.csv"]
    text = render(load(paths), question="around")

    for path in paths:
        assert hashlib.sha256(path.read_bytes()).hexdigest() in text


def test_what_cannot_be_written_is_named(dataset: Dataset, tmp_path: Path) -> None:
    """A missing folder is an error with its path; an unknown question is one with the known."""
    with pytest.raises(OutputError, match="nowhere"):
        write_report(dataset, tmp_path / "nowhere" / "report.html")
    with pytest.raises(KeyError, match="overview, blocked"):
        render(dataset, question="why")


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b"{", "line 1"),
        (b"{}", r"\$"),
        (b'[{"date": "2030-03-01"}]', r"\$\[0\]"),
        (b'[{"date": "1 March", "label": "x"}]', r"\$\[0\]\.date"),
        (b'[{"date": "2030-03-01", "label": "x", "kind": "rumoured"}]', r"\$\[0\]\.kind"),
        (b'[{"date": "2030-03-01", "label": "x", "who": "me"}]', r"\$\[0\]"),
    ],
)
def test_bad_events_are_named(tmp_path: Path, data: bytes, place: str) -> None:
    """A bad events file is an error with file and place."""
    path = tmp_path / "events.json"
    path.write_bytes(data)

    with pytest.raises(BadEventsError, match=rf"events\.json: .*{place}"):
        read_events(path)


def test_events_are_sorted_by_date(tmp_path: Path) -> None:
    """Events come back in order of time, whatever the file's order."""
    path = tmp_path / "events.json"
    path.write_bytes(
        orjson.dumps([{"date": "2030-03-02", "label": "b"}, {"date": "2030-03-01", "label": "a"}])
    )

    assert [event.label for event in read_events(path)] == ["a", "b"]


def rows_of(text: str, table: str) -> Sequence[str]:
    """Return the rows of a table of the page."""
    found = re.search(rf'{table}-caption"><table.*?</table>', text, re.DOTALL)
    assert found
    return re.findall(r"<tr><th scope=\"row\".*?</tr>", found[0])


def test_events_stand_beside_the_charts_that_they_are_drawn_on(pages: dict[str, str]) -> None:
    """Each with its date, under the word that says what the date is of."""
    rows = rows_of(pages["when"], "events")

    assert len(rows) == 2
    assert "<td>2030-03-19</td>" in rows[1]
