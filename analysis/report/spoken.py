"""The language of a page: translated texts, and Latin words that keep their order in Persian.

In a page that runs from right to left, an id such as ``telegram/web: 3/5`` would come out in
pieces, each of them on another side of the punctuation. Every run of Latin letters and digits
is therefore isolated (``<bdi dir="ltr">``), wherever it came from. Other pages stay as they are.
"""

import re
from typing import Any, Final

from markupsafe import Markup, escape

from probe.locale import Language

_WORD: Final = r"[+\-#]?[A-Za-z0-9](?:[!-~…]*[A-Za-z0-9…%])?"
_RUN: Final = re.compile(rf"{_WORD}(?:(?:[:.]?|\x22,) {_WORD})*(?: %)?")
"""Joined over colons and the commas of a call, not over those that part one id from another."""
_RIGHT_TO_LEFT: Final = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff]")
_PLACE: Final = re.compile(r"(\{\w+\})")


class Spoken:
    """What a template needs of a language. All that it returns is escaped."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._isolates = language.direction == "rtl"

    def __call__(self, text: str, /, **values: Any) -> Markup:
        """Translate a text of ours and fill in values, which are escaped."""
        return self._filled(self.language(text), values)

    def plural(self, one: str, many: str, n: int, /, **values: Any) -> Markup:
        """Translate a sentence with a count; ``{n}`` is the count with its thousands apart."""
        return self._filled(self.language.plural(one, many, n), {"n": f"{n:,}", **values})

    def apart(self, text: str | Markup) -> Markup:
        """Return a text that is shown as it is, its Latin runs isolated where that is needed."""
        if isinstance(text, Markup):
            return text
        if not self._isolates:
            return escape(text)
        if not _RIGHT_TO_LEFT.search(text):
            # A foreign text as a whole: an event's name, with its own punctuation.
            return _isolated(text) if _RUN.search(text) else escape(text)
        found = []
        at = 0
        for run in _RUN.finditer(text):
            found += [escape(text[at : run.start()]), _isolated(run[0])]
            at = run.end()
        return Markup("").join([*found, escape(text[at:])])

    def _filled(self, text: str, values: dict[str, Any]) -> Markup:
        if not self._isolates:
            # A text of ours, with quotes as a page of ours has them.
            return Markup(text).format(**values)  # noqa: S704 - a catalogue's; no text there has markup
        parts = []
        for part in _PLACE.split(text):
            if _PLACE.fullmatch(part):
                value = values[part[1:-1]]
                parts.append(self.apart(value if isinstance(value, Markup) else str(value)))
            else:
                parts.append(self.apart(part))
        return Markup("").join(parts)


def _isolated(text: str) -> Markup:
    return Markup('<bdi dir="ltr">{}</bdi>').format(text)
