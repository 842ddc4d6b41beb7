"""Text in columns: what it is wide on a terminal, padded, cut and wrapped.

A Chinese character fills two columns, a combining mark and the joiners of Persian none (Unicode
Standard Annex 11). Lines stay in logical order, left to right; a terminal that knows Persian
orders the words itself.
"""

import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

_NEVER_FIRST: Final = frozenset("。，、；：？！）」』…")  # noqa: RUF001 - they are Chinese
"""Marks that may not begin a line of Chinese."""
_NEVER_LAST: Final = frozenset("（「『")  # noqa: RUF001 - they are Chinese
"""And brackets that may not end one."""


def width_of(text: str) -> int:
    """Count the columns that a text fills."""
    return sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def padded(text: str, width: int) -> str:
    """Fill up with blanks on the right."""
    return text + " " * (width - width_of(text))


def cut_to(text: str, width: int, ellipsis: str) -> str:
    """Return a text of at most so many columns, with an ellipsis where it was cut."""
    if width_of(text) <= width:
        return text
    kept = ""
    for character in text:
        if width_of(kept + character) >= width:
            break
        kept += character
    return kept + ellipsis


def wrapped(line: str, width: int, indent: str) -> list[str]:
    """Break a line at blanks, and between Chinese characters; ``indent`` begins what follows."""
    if width_of(line) == len(line):
        return textwrap.wrap(
            line, width, subsequent_indent=indent, drop_whitespace=True, break_on_hyphens=False
        )
    lines = [""]
    for piece in _pieces(line):
        is_full = lines[-1].strip() and width_of(lines[-1] + piece.rstrip()) > width
        if is_full:
            lines[-1] = lines[-1].rstrip()
            lines.append(indent)
        lines[-1] += piece.lstrip() if is_full else piece
    return [*lines[:-1], lines[-1].rstrip()]


def _pieces(line: str) -> Iterator[str]:
    """Split a line where it may be broken."""
    piece = ""
    for before, character in zip(" " + line, line, strict=False):
        is_word_start = before == " " and character != " "
        is_held = character in _NEVER_FIRST | {" "} or before in _NEVER_LAST
        is_wide = 2 in {_width(before), _width(character)}
        if piece and (is_word_start or (is_wide and not is_held)):
            yield piece
            piece = ""
        piece += character
    yield piece


def widest(texts: Sequence[str]) -> int:
    """Return the width of the widest text."""
    return max(map(width_of, texts))
