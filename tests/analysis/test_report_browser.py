"""The pages in a real browser: they show, ask nobody for anything, and are open to everybody."""

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from analysis.chart.events import Event
from analysis.dataset import load
from analysis.report import Comparison, Selection, write_report
from analysis_results import HOSTILE, write_history
from chromium_page import CHROMIUM, Tab, chromium_tab

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium"),
]

NAMES = ("overview", "compared")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pages of a history with a hostile name: the overview, and two periods compared."""
    folder = tmp_path_factory.mktemp("pages")
    write_history(folder / "results", target_id=HOSTILE)
    dataset = load(folder / "results")
    events = [Event(date(2030, 3, 7), HOSTILE, "effective")]
    write_report(dataset, folder / "overview.html", events=events)
    periods = Comparison(Selection(last="2030-03-09"), Selection(first="2030-03-10"))
    write_report(dataset, folder / "compared.html", question="blocked", compare=periods)
    return folder


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium_tab(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(params=NAMES)
def page(request: pytest.FixtureRequest, folder: Path, tab: Tab) -> Path:
    path = folder / f"{request.param}.html"
    tab.media()
    tab.resize(1280)
    tab.open(path)
    return path


def requests(tab: Tab) -> list[str]:
    found = [event for event in tab.heard if event.get("method") == "Network.requestWillBeSent"]
    return [event["params"]["request"]["url"] for event in found]


def complaints(tab: Tab) -> list[Any]:
    """Return errors, messages and violations of the page's policy."""
    methods = {"Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"}
    return [event["params"] for event in tab.heard if event.get("method") in methods]


def test_a_page_shows_and_asks_nobody(page: Path, tab: Tab) -> None:
    """The page itself is all that is asked for; nothing is refused, nothing complains."""
    tab.run("0")

    assert requests(tab) == [page.as_uri()]
    assert complaints(tab) == []
    assert "Signs of blocking on" in tab.run("document.body.innerText")
    assert tab.run("document.querySelectorAll('figure svg').length") >= 2
    # The policy lets exactly this style sheet in.
    assert tab.run("getComputedStyle(document.querySelector('figure')).margin") == "0px"


def test_the_policy_would_stop_what_the_escaping_let_through(folder: Path, tab: Tab) -> None:
    """Markup put in by force is refused: no script runs, no picture is asked for."""
    path = folder / "forced.html"
    forced = (
        '<script>document.title = "run"</script><p style="color: red" onclick="0">x</p>'
        '<img src="http://198.51.100.1/x.png" onerror="document.title = 1"><style>p{}</style>'
    )
    text = (folder / "overview.html").read_text()
    path.write_text(text.replace("<h1>", f"{forced}<h1>"))
    tab.open(path)
    tab.run("0")

    assert len([entry for entry in complaints(tab) if "Security Policy" in str(entry)]) >= 4
    assert "reachwatch report" in tab.run("document.title")


@pytest.mark.parametrize("width", [320, 640, 1280])
def test_nothing_sticks_out(page: Path, tab: Tab, width: int) -> None:
    """From a telephone, and 1280 pixels at 400 and 200 per cent, only charts and tables scroll."""
    tab.resize(width)
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    inner, outer = tab.run(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )

    assert inner <= outer


def luminance(colour: str) -> float:
    """Return the relative luminance (WCAG 2.2) of ``rgb(r, g, b)``."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


COLOURS = """(() => { const paper = getComputedStyle(document.body).backgroundColor;
const found = {};
for (const one of document.querySelectorAll('p, a, dt, dd, th, td, li, summary, caption, h1, h2')) {
  let under = one, face = 'rgba(0, 0, 0, 0)';
  while (under && face === 'rgba(0, 0, 0, 0)') {
    face = getComputedStyle(under).backgroundColor; under = under.parentElement; }
  found[getComputedStyle(one).color + '|' + face] = one.tagName; }
return [paper, Object.keys(found)]; })()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_in_both_schemes(page: Path, tab: Tab, scheme: str) -> None:
    """Every text keeps 4.5 to 1 (WCAG 2.2, 1.4.3); charts stay on white."""
    tab.media(scheme=scheme)
    paper, pairs = tab.run(COLOURS)
    assert (luminance(paper) < 0.1) == (scheme == "dark")
    for pair in pairs:
        high, low = sorted(map(luminance, pair.split("|")), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair
    sheet = "getComputedStyle(document.querySelector('.sheet')).backgroundColor"
    assert tab.run(sheet) == "rgb(255, 255, 255)"


HIDDEN = """[...document.querySelectorAll('details > :not(summary)')]
.filter(one => one.checkVisibility({contentVisibilityAuto: true}) === false
  || one.getBoundingClientRect().height === 0).length"""


def test_print_opens_what_is_folded_and_cuts_nothing(page: Path, tab: Tab) -> None:
    """On screen tables are folded; on paper all are there, and none is clipped."""
    assert tab.run(HIDDEN) > 0
    tab.media("print")
    # 182 mm between the margins of A4.
    tab.resize(688)

    assert tab.run(HIDDEN) == 0
    clipped = "[...document.querySelectorAll('.scroll, .sheet')].map(one => [one.scrollWidth, "
    for inner, outer in tab.run(f"{clipped}one.clientWidth])"):
        assert inner <= outer + 1
    assert tab.run("getComputedStyle(document.querySelector('nav')).display") == "none"
    assert tab.pdf().startswith(b"%PDF")


def test_everything_has_a_name_for_those_who_do_not_see_it(page: Path, tab: Tab) -> None:
    """Charts are named and described, tables, groups and landmarks named, headings in order."""
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    nodes = tab.named()
    of: dict[str, list[dict[str, str]]] = {}
    for node in nodes:
        of.setdefault(node["role"], []).append(node)
    charts = of.get("image", []) + of.get("img", [])

    assert len(charts) == tab.run("document.querySelectorAll('figure svg').length") >= 2
    assert all(node["name"].startswith("Chart: ") and node["description"] for node in charts)
    assert len({node["name"] for node in charts}) == len(charts)
    assert len(of["table"]) == tab.run("document.querySelectorAll('table').length") >= 4
    assert all(node["name"] for role in ("table", "region") for node in of.get(role, []))
    # A folding is a group of its own, which its summary names.
    groups = [node["name"] for node in of["group"] if node["name"]]
    assert len(groups) == tab.run("document.querySelectorAll('[role=group]').length") >= 6
    assert {role: len(of[role]) for role in ("main", "banner", "navigation", "contentinfo")} == {
        "main": 1, "banner": 1, "navigation": 1, "contentinfo": 1,
    }  # fmt: skip
    assert of["rowheader"]
    assert of["columnheader"]
    levels = tab.run("[...document.querySelectorAll('h1, h2, h3')].map(one => +one.tagName[1])")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert tab.run("document.documentElement.lang") == "en"


NUMBERED = """(() => { const all = [...document.querySelectorAll('a, summary, [tabindex="0"]')]
.filter(one => one.checkVisibility());
all.forEach((one, number) => one.dataset.number = number); return all.length; })()"""


def test_the_keyboard_reaches_everything_in_order(page: Path, tab: Tab) -> None:
    """Tab goes through links, foldings and what scrolls, from the skip link on, and shows where."""
    tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
    n_stops = tab.run(NUMBERED)
    reached = []
    for _ in range(n_stops):
        tab.press_tab()
        reached.append(int(tab.run("document.activeElement.dataset.number")))
        if len(reached) == 1:
            assert tab.run("document.activeElement.getBoundingClientRect().left") >= 0
            style = tab.run("getComputedStyle(document.activeElement).outlineStyle")
            assert style == "solid"

    assert reached == list(range(n_stops))
