"""The terminal in every language: columns stay columns, lines stay short, nothing is English."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli.columns import cut_to, padded, width_of, wrapped
from probe.cli.inputs import select_targets
from probe.cli.render import Style, answers, header, table, ways
from probe.locale import NAMES, Language
from probe.model.step import Budget
from probe.model.verdict import Verdict
from probe.verdict.judge import judge
from verdict.cases import CASES

LANGUAGES = [code for code in NAMES if code != "en"]


@pytest.fixture(scope="module")
def judged() -> list[list[Verdict]]:
    return [judge(case.scene().rows) for case in CASES]


class Listed(Language):
    """A language that remembers what it had no words for."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.missing: set[str] = set()
        self._catalogue.add_fallback(self)  # type: ignore[arg-type] # gettext asks it what it lacks

    def gettext(self, text: str) -> str:
        self.missing.add(text)
        return text

    def ngettext(self, one: str, many: str, n: int) -> str:
        return self.gettext(one)


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("width", [48, 60, 120])
def test_columns_and_width_hold(code: str, width: int, judged: list[list[Verdict]]) -> None:
    """Every line ends within the terminal; in each table the states begin at one column."""
    targets = select_targets([]).targets
    say = Listed(code)
    style = Style(width=width, ascii_only=False, colour=False, say=say)
    for verdicts in judged:
        rows = table(verdicts, targets, style)
        said = [*rows, *ways(verdicts, style), *answers(verdicts, style)]
        long = [line for line in said if width_of(line) > width]
        assert long == []
        starts = {
            width_of(row[: row.index(glyph)])
            for row in rows[1:]
            for glyph in "●✖▲?"
            if f" {glyph} " in row
        }
        assert len(starts) <= 1, rows
    said = header(targets, Budget(sockets=60, bytes=400_000, max_bytes=900_000), style)
    assert max(map(width_of, said)) <= width
    assert say.missing == set()


@pytest.mark.parametrize("code", LANGUAGES)
def test_ids_and_numbers_are_not_translated(code: str, judged: list[list[Verdict]]) -> None:
    """Rules, targets and n of N are in every language what they are in English."""
    pipe = {
        name: Style(width=None, ascii_only=False, colour=False, say=Language(name))
        for name in ("en", code)
    }
    for verdicts in judged:
        said, english = ("\n".join(answers(verdicts, pipe[name])) for name in (code, "en"))
        for verdict in verdicts:
            for word in (verdict.rule_id, verdict.target_id):
                assert (word in said) == (word in english)
        digits = [
            sorted(filter(str.isascii, filter(str.isdigit, text))) for text in (said, english)
        ]
        # "Yes/No" sentences keep every number; words such as "another" have none of their own.
        assert digits[0] == digits[1]


@pytest.mark.parametrize(
    ("text", "width"),
    [
        ("abc", 3),
        ("заблокировано", 13),
        ("封锁", 4),
        ("\uff08SNI\uff09", 7),
        ("می‌کند", 5),
        ("e\u0301", 1),
    ],
)
def test_what_a_text_fills(text: str, width: int) -> None:
    """Two columns for a Chinese character, none for a mark or a joiner."""
    assert width_of(text) == width
    assert width_of(padded(text, 20)) == 20


WORDS = st.text("ab 封锁\uff0c。می‌کندя", min_size=1, max_size=120)


@given(WORDS, st.integers(10, 60))
def test_wrapping_loses_nothing_and_keeps_the_width(text: str, width: int) -> None:
    """All but blanks is there, in order; only a word that is longer by itself sticks out."""
    lines = wrapped(text, width, "  ")

    assert "".join("".join(lines).split()) == "".join(text.split())
    if all(width_of(word) < 8 for word in text.split()):
        # A mark that may not begin a line stays with the character before it.
        assert all(width_of(line) <= width + 2 for line in lines)


def test_brackets_stay_with_what_they_hold() -> None:
    """Nor does a line begin with a comma."""
    assert wrapped("加密的\uff08ECH\uff09\uff0c好", 8, "") == [
        "加密的",
        "\uff08ECH\uff09\uff0c",
        "好",
    ]


@given(WORDS, st.integers(2, 60))
def test_what_is_cut_fits(text: str, width: int) -> None:
    """And is cut only where it would not fit."""
    cut = cut_to(text, width, "…")

    assert width_of(cut) <= width
    assert (cut == text) == (width_of(text) <= width)
    assert unicodedata.category(cut[0]) != "Mn" or cut[0] == text[0]
