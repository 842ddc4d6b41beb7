"""Which language: the option, then our variable, then the system's; and what cannot have it."""

import pytest

from probe.cli.main import main
from probe.cli.render import style_of
from probe.locale import ENGLISH, code_of


@pytest.mark.parametrize(
    ("given", "environment", "code"),
    [
        ("fa", {"REACHWATCH_LANG": "ru", "LANG": "zh_CN.UTF-8"}, "fa"),
        (None, {"REACHWATCH_LANG": "ru", "LC_ALL": "zh_CN.UTF-8"}, "ru"),
        (None, {"REACHWATCH_LANG": "", "LANG": "fa_IR"}, "fa"),
        (None, {"LC_ALL": "ru_RU.UTF-8", "LC_MESSAGES": "fa_IR", "LANG": "zh_CN"}, "ru"),
        (None, {"LC_ALL": "", "LC_MESSAGES": "fa_IR.UTF-8", "LANG": "zh_CN"}, "fa"),
        # The first that is set decides, even if it asks for a language that there is not.
        (None, {"LC_ALL": "C.UTF-8", "LANG": "ru_RU.UTF-8"}, "en"),
        (None, {"LANG": "zh_TW.UTF-8"}, "zh"),
        (None, {"LANG": "ru@latin"}, "ru"),
        (None, {"LANG": "de_DE.UTF-8"}, "en"),
        (None, {"LANG": "POSIX"}, "en"),
        (None, {"LANG": "\udcff"}, "en"),
        (None, {}, "en"),
    ],
)
def test_the_first_that_says_anything_decides(
    given: str | None, environment: dict[str, str], code: str
) -> None:
    assert code_of(given, environment) == code


def test_a_language_that_there_is_not_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An option is bad usage, a variable bad input; both name what there is."""
    for words in (["check", "--lang", "de"], ["report", "--lang", "de", "-o", "x.html"]):
        assert main(words) == 2
        assert "'de'" in capsys.readouterr().err
    monkeypatch.setenv("REACHWATCH_LANG", "de")
    for words in (["check", "--dry-run"], ["report", "-o", "x.html"]):
        assert main(words) == 3
        assert "REACHWATCH_LANG: 'de': expected one of en, ru, fa, zh" in capsys.readouterr().err


def test_ascii_is_english(capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot carry the others; who asked for one by name is told so."""
    assert style_of(ascii_only=True, language="ru").say is ENGLISH
    main(["check", "203.0.113.7", "--dry-run", "--ascii", "--lang", "ru"])
    assert "--lang ru: standard output is ASCII only, so English" in capsys.readouterr().err
