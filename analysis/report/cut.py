"""Foreign text cut to a length: one cell of ten megabytes must not become a page."""

import unicodedata
from typing import Final

from analysis.chart.sheet import MAX_MARKS

CELL: Final = 200
"""Characters of a cell or a name; a domain name has at most 253, and most have 20."""
SENTENCE: Final = 1500
"""Characters of what a chart says in words, or of an answer."""
_NON_JOINER: Final = "\u200c"
"""Parts two letters within a Persian word; a blank in its place would make two words of it."""


def cut(text: str, length: int = CELL) -> str:
    """Return a text with an ellipsis where it was cut; what no page may hold becomes a space.

    Marks piled upon one letter would cover the rows above it: as many are kept as on a chart.
    """
    found: list[str] = []
    marks = 0
    for character in text[: length + 1]:
        marks = marks + 1 if unicodedata.category(character) in {"Mn", "Me"} else 0
        if marks <= MAX_MARKS:
            is_shown = character.isprintable() or character in {"\n", _NON_JOINER}
            found.append(character if is_shown else " ")
    kept = "".join(found)
    return kept if len(kept) <= length else f"{kept[:length].rstrip()}…"
