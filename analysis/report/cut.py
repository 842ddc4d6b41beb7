"""Foreign text cut to a length: one cell of ten megabytes must not become a page."""

from typing import Final

CELL: Final = 200
"""Characters of a cell or a name; a domain name has at most 253, and most have 20."""
SENTENCE: Final = 1500
"""Characters of what a chart says in words, or of an answer."""


def cut(text: str, length: int = CELL) -> str:
    """Return a text with an ellipsis where it was cut; what no page may hold becomes a space."""
    kept = "".join(
        character if character.isprintable() or character == "\n" else " "
        for character in text[: length + 1]
    )
    return kept if len(kept) <= length else f"{kept[:length].rstrip()}…"
