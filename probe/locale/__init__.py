"""Languages for people: a translator that is handed to whatever renders something for them.

There is no language of the process. Whoever renders for a person is given a `Language`; what
is stored or read by programs is made without one and is English on every machine. English is
the language of the source: its texts are the keys of the catalogues beside this file.
"""

import gettext
import os
from collections.abc import Mapping
from typing import Final

ENVIRONMENT: Final = "REACHWATCH_LANG"
NAMES: Final = {"en": "English", "ru": "русский", "fa": "فارسی", "zh": "简体中文"}
"""Every language by its code (BCP 47), as those who speak it call it."""

_RIGHT_TO_LEFT: Final = frozenset({"fa"})
_SYSTEM: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides, by POSIX."""


class Language:
    """One language: call it with an English text to get the person's.

    Texts are whole sentences with named placeholders, filled in after they are translated:
    ``say("{ok} of {total} controls answered").format(ok=1, total=2)``.
    """

    def __init__(self, code: str) -> None:
        """Take a code of `NAMES`.

        Raises:
            KeyError: there is no such language.
        """
        self.name = NAMES[code]
        self.code = code
        self.direction = "rtl" if code in _RIGHT_TO_LEFT else "ltr"
        self._catalogue = gettext.NullTranslations()
        if code != "en":
            from importlib.resources import files  # noqa: PLC0415 - start-up time

            with files(__name__).joinpath(f"{code}.mo").open("rb") as file:
                self._catalogue = gettext.GNUTranslations(file)

    def __call__(self, text: str) -> str:
        """Translate a text."""
        return self._catalogue.gettext(text) if text else ""

    def plural(self, one: str, many: str, n: int) -> str:
        """Translate a sentence with a count in it, in the form that the language has for it."""
        return self._catalogue.ngettext(one, many, n)

    @property
    def is_english(self) -> bool:
        """Nothing has to be said about parts that stay English."""
        return self.code == "en"


ENGLISH: Final = Language("en")


def marked(text: str) -> str:
    """Return a text unchanged: here it is only written down, and translated where it is said."""
    return text


def code_of(given: str | None, environment: Mapping[str, str] = os.environ) -> str:
    """Return which language to use: the option's, the variable's, or the system's.

    Raises:
        ValueError: the variable names a language that there is not.
    """
    if given is not None:
        return given
    if named := environment.get(ENVIRONMENT):
        if named not in NAMES:
            raise ValueError(f"{ENVIRONMENT}: {named!r}: expected one of {', '.join(NAMES)}")
        return named
    system = next((environment[name] for name in _SYSTEM if environment.get(name)), "")
    # ru_RU.UTF-8, zh_TW, fa: who reads traditional Chinese reads simplified sooner than English.
    code = system.partition(".")[0].partition("@")[0].partition("_")[0].lower()
    return code if code in NAMES else "en"
