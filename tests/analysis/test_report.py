"""From result files to the page: nothing lost, nothing invented, nothing fetched."""

import re
from html.parser import HTMLParser
from pathlib import Path

import orjson
import pytest

from analysis.events import BadEventsError, read_events
from analysis.load import NoResultsError, find
from analysis.query.days import day_grid, phases
from analysis.report import OutputError, write_chart, write_outputs, write_report
from analysis.tables import load, verdict_table
from analysis_results import HISTORY, HOSTILE, write_history

WANTED = [(phase.days, phase.state, phase.mechanism) for phase in HISTORY]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    write_history(folder)
    return folder


def test_the_grid_is_dense_and_gaps_are_not_states(results: Path) -> None:
    """Every day between first and last is a row of every series; a gap has n = 0 and no state."""
    grid = day_grid(verdict_table(load(results).rows))
    direct = grid[(grid["target_id"] == "messenger/web") & (grid["tactic"] == "none")]

    assert len(direct) == sum(phase.days for phase in HISTORY)
    assert set(direct[direct["n"] == 0]["state"]) == {None}
    assert (direct["n"] == 0).sum() == sum(p.days for p in HISTORY if p.state is None)


def test_phases_are_found_as_they_were(results: Path) -> None:
    """Consecutive equal days are one phase; the history comes back in order."""
    found = phases(day_grid(verdict_table(load(results).rows)))
    web = [p for p in found if p["target_id"] == "messenger/web" and p["tactic"] == "none"]

    assert [
        ((p["last_day"] - p["first_day"]).days + 1, p["state"], p["mechanism"]) for p in web
    ] == WANTED


def test_a_mixed_day_shows_the_most_frequent_state_and_says_so(tmp_path: Path) -> None:
    """Two runs blocked and one fine: blocked, mixed, n = 3."""
    folder = tmp_path / "results"
    write_history(folder, mixed=True)
    grid = day_grid(verdict_table(load(folder).rows))
    cell = grid[(grid["target_id"] == "messenger/web") & grid["is_mixed"]].iloc[0]

    assert (cell["state"], cell["n"]) == ("blocked", 3)


class References(HTMLParser):
    """Collects everything in a page that could make a browser fetch or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"src", "href", "xlink:href", "action", "data", "srcset", "poster"}:
                self.found.append(value or "")
            if name.startswith("on"):
                self.found.append(f"{name}={value}")
            self.found.extend(re.findall(r"url\(([^)]*)\)", value or ""))


def test_the_page_refers_to_nothing_outside(results: Path, tmp_path: Path) -> None:
    """No script, no handler, and every reference is a fragment of the page itself."""
    page = tmp_path / "report.html"
    write_report(results, None, page)
    text = page.read_text()
    references = References()
    references.feed(text)

    assert references.found
    assert all(reference.startswith("#") for reference in references.found)
    assert not references.tags & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert "default-src 'none'" in text
    assert not re.findall(r"@import|url\((?!#)", text)


def test_hostile_text_comes_out_inert(tmp_path: Path) -> None:
    """Markup in a target id or summary is text in the page."""
    folder = tmp_path / "results"
    write_history(folder, target_id=HOSTILE)
    page = tmp_path / "report.html"
    write_report(folder, None, page)
    text = page.read_text()
    references = References()
    references.feed(text)

    assert "<script" not in text
    assert "img" not in references.tags
    assert "&lt;img" in text


def test_simulated_data_are_marked(results: Path, tmp_path: Path) -> None:
    """A page of lab data says so before anything else."""
    page = tmp_path / "report.html"
    write_report(results, None, page)

    text = page.read_text()

    assert text.index("Simulated network") < text.index("<h1>")


def test_two_runs_give_the_same_bytes(results: Path, tmp_path: Path) -> None:
    """Page and SVG are reproducible."""
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
        write_outputs(results, None, folder)

    for name in ("report.html", "timeline.svg", "matrix.svg"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


@pytest.mark.parametrize("name", ["timeline.svg", "matrix.png"])
def test_one_chart_at_a_time(results: Path, tmp_path: Path, name: str) -> None:
    """`plot` writes SVG or PNG by the output's name."""
    output = tmp_path / name
    write_chart(name.split(".", maxsplit=1)[0], results, None, output)

    assert output.read_bytes()[:4] in {b"<?xm", b"\x89PNG"}


def test_what_cannot_be_written_or_read_is_named(results: Path, tmp_path: Path) -> None:
    """Unknown endings, missing folders and empty inputs are errors with their path."""
    with pytest.raises(OutputError, match=r"chart\.gif"):
        write_chart("timeline", results, None, tmp_path / "chart.gif")
    with pytest.raises(OutputError, match="nowhere"):
        write_report(results, None, tmp_path / "nowhere" / "report.html")
    with pytest.raises(NoResultsError, match="missing"):
        find(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoResultsError, match="empty"):
        write_report(tmp_path / "empty", None, tmp_path / "report.html")


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
