"""The report in every language: all of it translated, right to left where that is how one reads."""

import re
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from analysis.chart.events import Event
from analysis.dataset import Dataset, load
from analysis.report import Comparison, Selection, render
from analysis.report.cut import cut
from analysis.report.page import MAX_BYTES
from analysis.report.spoken import Spoken
from analysis_results import HOSTILE, write_history
from chromium_page import CHROMIUM, chromium_tab
from probe.locale import NAMES, Language

LANGUAGES = [code for code in NAMES if code != "en"]
EVENTS = [Event(date(2030, 3, 7), HOSTILE, "effective")]
PERIODS = Comparison(Selection(last="2030-03-09"), Selection(first="2030-03-10"))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("history") / "results"
    write_history(folder, target_id=HOSTILE)
    return load(folder)


@pytest.fixture(scope="module")
def pages(dataset: Dataset) -> dict[str, str]:
    """The overview in each language, with an event of hostile words."""
    return {code: render(dataset, events=EVENTS, say=Language(code)) for code in NAMES}


def body(page: str) -> str:
    """Return what is read, without what is said to be English."""
    text = page[page.index("<body>") :]
    text = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    for tag in ("table", "p", "span", "bdi"):
        text = re.sub(rf'<{tag}[^>]* lang="en".*?</{tag}>', "", text, flags=re.DOTALL)
    return text


def sentences(page: str) -> set[str]:
    """Return what stands between tags that part statements; marks inside one go."""
    text = re.sub(r"</?(bdi|code)[^>]*>", "", body(page))
    return {unescape(part).strip() for part in re.split(r"<[^>]+>", text)} - {""}


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_sentence_of_the_page_stays_english(code: str, pages: dict[str, str]) -> None:
    """What the two pages share is made of ids, numbers and names, not of sentences."""
    shared = sentences(pages[code]) & sentences(pages["en"])
    words = re.compile(r"\b(the|is|of|and|not|are|no|this|what|how|runs|days?)\b", re.IGNORECASE)
    assert [text for text in shared if words.search(text.replace(HOSTILE, ""))] == []


@pytest.mark.parametrize("code", NAMES)
def test_the_page_says_its_language_and_direction(code: str, pages: dict[str, str]) -> None:
    direction = "rtl" if code == "fa" else "ltr"
    assert f'<html lang="{code}" dir="{direction}">' in pages[code]
    is_noted = Language(code)("Charts, what describes them and their tables are in English.")
    assert (is_noted in pages[code]) is (code != "en")
    # What stays English is marked as such, charts' words and tables alike.
    assert len(re.findall(r'<table[^>]* lang="en" dir="ltr"', pages[code])) == 2 * (code != "en")


@pytest.mark.parametrize(("question", "compare"), [("blocked", PERIODS), ("around", None)])
def test_other_pages_hold_to_the_same(
    question: str, compare: Comparison | None, dataset: Dataset
) -> None:
    """Compared, and where charts have no data: within the size, every place of a text filled."""
    page = render(dataset, question=question, compare=compare, say=Language("fa"))

    assert len(page.encode()) <= MAX_BYTES
    assert HOSTILE not in page
    assert not re.search(r"\{\w+\}", body(page))


def test_english_is_what_it_is_without_a_language(dataset: Dataset, pages: dict[str, str]) -> None:
    """Byte for byte."""
    assert render(dataset, events=EVENTS) == pages["en"]


def test_an_id_keeps_its_order_in_persian(pages: dict[str, str]) -> None:
    """Every run of Latin letters is isolated; Persian words and their joiners are whole."""
    persian = body(pages["fa"])

    assert '<bdi dir="ltr">2030-03-' in persian
    assert '<bdi dir="ltr">tls.rst' in persian
    assert "می\u200cکند" in persian
    assert "می کند" not in persian
    assert "<bdi" not in pages["ru"] + pages["zh"] + pages["en"]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("سرویس a/web: مسدود (3/5)", ["a/web", "3/5"]),
        ("اهداف a/web, b/web", ["a/web", "b/web"]),
        ("12.3 % از 40", ["12.3 %", "40"]),
        ("proxy-1 (socks5): 2/2 هدف", ["proxy-1", "socks5", "2/2"]),
        ("هدف", []),
        (" · ", []),
        # What is foreign from end to end keeps its own punctuation.
        ("Blocked; then <b>lifted</b>, twice", ["Blocked; then <b>lifted</b>, twice"]),
    ],
)
def test_latin_runs(text: str, runs: list[str]) -> None:
    """Found whole, and escaped whatever they are."""
    shown = str(Spoken(Language("fa")).apart(text))
    found = re.findall(r'<bdi dir="ltr">(.*?)</bdi>', shown)

    assert [unescape(run) for run in found] == runs
    assert unescape(re.sub(r'<bdi dir="ltr">|</bdi>', "", shown)) == text
    assert "<b>" not in shown


def test_a_cut_keeps_persian_words_whole() -> None:
    """The mark that parts letters of one word is no blank."""
    assert cut("می\u200cکند") == "می\u200cکند"
    assert cut("a\u202eb") == "a b"


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_persian_page_lies_right_to_left(pages: dict[str, str], tmp_path: Path) -> None:
    """On a telephone and a screen: text begins at the right, charts at the left."""
    path = tmp_path / "fa.html"
    path.write_text(pages["fa"], encoding="utf-8")

    def style(selector: str, name: str) -> Any:
        return tab.run(f"getComputedStyle(document.querySelector('{selector}'))['{name}']")

    with chromium_tab(tmp_path / "profile") as tab:
        for width in (320, 1280):
            tab.resize(width)
            tab.open(path)
            tab.run("document.querySelectorAll('details').forEach(one => one.open = true)")
            box = "document.querySelector('h1').getBoundingClientRect()"
            inner, outer = tab.run(
                "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert inner <= outer
            assert tab.run(f"{box}.right") <= outer
            assert tab.run(f"{box}.left") >= 0
        assert style("h1", "direction") == "rtl"
        assert style(".sheet", "direction") == style("code", "direction") == "ltr"
        # Of a translated table the first cell is the rightmost, of a chart's the leftmost.
        first, last = "th:first-child", "th:last-child"
        own, drawn = "[aria-labelledby^=evidence] table", "table[lang=en]"
        for table, is_rtl in ((own, True), (drawn, False)):
            left = [
                tab.run(f"document.querySelector('{table} {one}').getBoundingClientRect().left")
                for one in (first, last)
            ]
            assert (left[0] > left[1]) is is_rtl
