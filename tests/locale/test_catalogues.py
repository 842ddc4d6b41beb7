"""Catalogues: complete in every language, compiled, and up to date with the source."""

import gettext
import io
import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probe.cli.consent import MAX_LINES
from probe.locale import ENGLISH, NAMES, Language
from probe.locale.catalogue import CatalogueError, Entry, merged, mo_bytes, read_po, write_po
from probe.locale.extract import (
    FOLDER,
    TEMPLATE,
    UnreadableTextError,
    n_forms,
    template_entries,
)
from probe.model.observation import Tactic
from probe.model.verdict import BenignCause, Mechanism, State
from probe.verdict.words import CAUSE_WORDS, MECHANISM_WORDS, STATE_WORDS, TACTIC_WORDS

LANGUAGES = [code for code in NAMES if code != "en"]
REGENERATE = "run: python -m probe.locale.extract"


def entries(code: str) -> list[Entry]:
    return read_po((FOLDER / f"{code}.po").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def template() -> list[Entry]:
    return template_entries()


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_the_template_is_what_the_source_says(template: list[Entry]) -> None:
    """A text that is new, gone or changed has to be in it."""
    written = (FOLDER / TEMPLATE).read_text(encoding="utf-8")
    assert written == write_po(template), REGENERATE


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_missing_translation_is_an_error(code: str, template: list[Entry]) -> None:
    """Every text, each in all forms that the language has, none of them doubtful or left over."""
    found = entries(code)[1:]

    assert [(one.text, one.many) for one in found] == [
        (one.text, one.many) for one in template[1:]
    ], REGENERATE
    assert [one.text for one in found if not all(form.strip() for form in one.forms)] == []
    assert [one.text for one in found if one.flags] == []
    for one in found:
        assert len(one.forms) == (n_forms(code) if one.many else 1), one.text


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_has_the_same_places_to_fill(code: str) -> None:
    """Names in braces, blanks at the beginning, and words of commands; and no markup."""
    for one in entries(code)[1:]:
        for form in one.forms:
            assert places(form) == places(one.text), one.text
            assert len(form) - len(form.lstrip(" ")) == len(one.text) - len(
                one.text.lstrip(" ")
            ) or one.text.startswith((" ", "; ")), one.text
            assert not set(form) & set("<>&\n\u2066\u2067\u2068\u2069\u202e"), one.text
            for word in ("`reachwatch consent revoke`", "--ways", "--proxy", "OONI", "SHA-256"):
                assert (word in form) == (word in one.text), one.text


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_compiled_catalogue_is_of_this_text(code: str) -> None:
    """What is shipped beside it is byte for byte what it compiles to."""
    assert (FOLDER / f"{code}.mo").read_bytes() == mo_bytes(entries(code)), REGENERATE


@pytest.mark.parametrize("code", LANGUAGES)
def test_gettext_says_what_the_catalogue_says(code: str) -> None:
    """Python's own reader finds every text, and a form for every count."""
    say = Language(code)
    for one in entries(code)[1:]:
        if one.many:
            assert {say.plural(one.text, one.many, n) for n in range(200)} == set(one.forms)
        else:
            assert say(one.text) == one.forms[0]


def test_counts_have_the_forms_of_the_language() -> None:
    """Russian has three, Persian two (here alike), Chinese one."""
    russian = Language("ru")
    said = {n: russian.plural("{n} run", "{n} runs", n).format(n=n) for n in (1, 2, 5, 11, 21, 112)}
    assert list(said.values()) == [
        "1 запуск", "2 запуска", "5 запусков", "11 запусков", "21 запуск", "112 запусков",
    ]  # fmt: skip
    assert Language("zh").plural("{n} run", "{n} runs", 1) == "{n} 次运行"


def test_english_is_the_source() -> None:
    """It has no catalogue, and needs none."""
    assert ENGLISH("reachable") == "reachable"
    assert ENGLISH.plural("{n} run", "{n} runs", 1) == "{n} run"
    assert not (FOLDER / "en.po").exists()


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_two_words_of_a_vocabulary_become_one(code: str) -> None:
    """What is told apart in English is told apart in every language."""
    say = Language(code)
    for words, vocabulary in (
        (STATE_WORDS, State),
        (MECHANISM_WORDS, Mechanism),
        (CAUSE_WORDS, BenignCause),
        (TACTIC_WORDS, Tactic),
    ):
        assert len({say(text) for text in words.values()}) == len(get_args(vocabulary))  # type: ignore[attr-defined] # dicts of texts


@pytest.mark.parametrize("code", NAMES)
def test_a_question_of_eight_lines(code: str) -> None:
    """Each of its lines fits a terminal of 100 columns, so that eight of them are eight."""
    from probe.cli.columns import width_of
    from probe.cli.consent import _QUESTION

    say = Language(code)
    assert len(_QUESTION) + 1 <= MAX_LINES
    assert max(width_of(say(line)) for line in _QUESTION) <= 100


def test_the_page_for_translators_shows_what_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Its block of Python prints the block below it."""
    page = (FOLDER.parents[1] / "docs" / "how-to-translate.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(code, "how-to-translate.md", "exec"), {})
    assert capsys.readouterr().out == shown


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1)


@given(TEXTS, TEXTS, TEXTS)
def test_any_text_survives_writing_and_compiling(text: str, many: str, form: str) -> None:
    """Quotes, backslashes, line ends: written, read, compiled and found again by gettext."""
    # Lines end as Python's do; the source has no other ends inside its texts.
    header = Entry("", forms=("Content-Type: text/plain; charset=UTF-8\n",))
    given = [header, Entry(text, "", (form,)), Entry(f"{text}s", many, (form, text))]
    assert read_po(write_po(given)) == given

    found = gettext.GNUTranslations(io.BytesIO(mo_bytes(given)))
    assert found.gettext(text) == form
    assert found.ngettext(f"{text}s", many, 2) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('#~ msgid "gone"\n#~ msgstr "weg"\n', "line 1"),
        ('msgctxt "menu"\nmsgid "a"\nmsgstr "b"\n', "line 1"),
        ('msgid "a"\nmsgstr "b\n', "line 2"),
        ('msgid "a"\nmsgid "b"\nmsgstr ""\n', "line 2"),
        ('\n\nmsgstr "b"\n', "line 3"),
        ('msgid "a"\nmsgstr 1+1\n', "line 2"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, line: str) -> None:
    """Left-over entries, contexts, broken quotes: none is passed over."""
    with pytest.raises(CatalogueError, match=line):
        read_po(text)


def test_a_changed_text_is_to_be_translated_anew() -> None:
    """Nothing is carried over from one that is alike, and what is gone is dropped."""
    header = Entry("", forms=("Language: xx\n",))
    template = [Entry("", forms=("",)), Entry("new", "", ("",)), Entry("{n} a", "{n} b", ("", ""))]
    before = [header, Entry("old", "", ("alt",)), Entry("{n} a", "{n} b", ("1", "2", "3"))]

    assert merged(template, before, 3) == [
        header, Entry("new", "", ("",)), Entry("{n} a", "{n} b", ("1", "2", "3")),
    ]  # fmt: skip


def test_a_text_that_no_translator_would_see_is_an_error(tmp_path: Path) -> None:
    """An f-string is filled in before it is looked up, so it is never found."""
    module = tmp_path / "probe" / "a.py"
    module.parent.mkdir()
    for text in ('say(f"{n} runs")', 'say.plural(f"{n} run", "{n} runs", n)'):
        module.write_text(text, encoding="utf-8")
        with pytest.raises(UnreadableTextError, match=r"probe/a\.py:1"):
            template_entries(tmp_path)
