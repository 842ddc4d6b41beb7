"""Periods on a time axis: where they lie, words in them, and n below them."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from analysis.chart.scale import compact
from analysis.chart.sheet import POINTS_PER_INCH, Sheet, width_of
from analysis.chart.style import NO_DATA_FACE, NO_DATA_HATCH, RULE, SOFT_INK, Look
from analysis.chart.tiles import Stamps, Tiles
from analysis.chart.time_axis import DayAxis

STRIP_IN: Final = 0.36
NO_DATA: Final = Look(NO_DATA_FACE, NO_DATA_HATCH, "#c4c4c4", "")

_BARS_IN: Final = 0.2
_N_BAR: Final = Look("#8a9097", "", RULE, "")
_OFTEN: Final = 5
"""From so many uses on a word is drawn once and used again: that is fewer bytes of SVG."""
_MOST_BYTES: Final = (2_000, 400)
"""Of an outline that is used again, and of a text, roughly."""
_ROOM_BYTES: Final = 34_000
_GAP_IN: Final = 0.03
_HALF_DIGIT: Final = 0.365
"""Height of half a digit, in parts of a font's size: letters of both kinds stand on one line."""


class Period(NamedTuple):
    """Days from ``first`` to ``until``, both included."""

    first: date
    until: date


class Written(NamedTuple):
    """A word of ours and the middle of its place, in inches; ``room`` is its width.

    ``halo``: the colour that clears a hatch behind it, if there is one.
    """

    text: str
    x: float
    y: float
    room: float
    halo: str = ""


def edges(axis: DayAxis, period: Period) -> tuple[float, float]:
    """Return where a period begins, and how wide it is, in inches."""
    start = axis.x(period.first)
    return start, axis.x(period.until + timedelta(days=1)) - start


def write_all(page: Sheet, words: Sequence[Written], size: float, *, bold: bool = False) -> bool:
    """Write words into their places; return False, and write none, where most have no room.

    Nor are they written where they would make a large file: then they are in the table.
    """
    fitting = [w for w in words if width_of(w.text, size, bold=bold) + _GAP_IN <= w.room]
    uses = Counter(word.text for word in fitting)
    often = {text for text, n in uses.items() if n >= _OFTEN}
    n_texts = sum(n for text, n in uses.items() if text not in often)
    n_bytes = len(often) * _MOST_BYTES[0] + n_texts * _MOST_BYTES[1]
    if 2 * len(fitting) < len(words) or n_bytes > _ROOM_BYTES:
        return False
    stamps, halos = Stamps(), Tiles()
    for word in fitting:
        if word.halo:
            wide, high = width_of(word.text, size, bold=bold) + 0.04, size / POINTS_PER_INCH
            look = Look(word.halo, "", word.halo, "")
            halos.add(look, word.x - wide / 2, word.y - high / 2, wide, high)
        if word.text in often:
            stamps.add(word.text, word.x, word.y, size=size, bold=bold)
        else:
            base = word.y - _HALF_DIGIT * size / POINTS_PER_INCH
            page.text(
                word.x, base, word.text, size=size, bold=bold, ha="center", va="baseline"
            )  # fmt: skip
    halos.draw(page, zorder=1.5)
    stamps.draw(page)
    return True


def draw_n_strip(
    page: Sheet,
    axis: DayAxis,
    n: Sequence[tuple[Period, int]],
    bottom: float,
    words: tuple[str, str],
) -> None:
    """Draw n of each period as a bar and, where there is room, as a number below it.

    ``words``: the period's name, and of what n is.
    """
    most = max((count for _, count in n), default=0)
    least = min((count for _, count in n if count), default=0)
    base = bottom + STRIP_IN - _BARS_IN
    tiles, numbers = Tiles(), []
    for period, count in n:
        x, width = edges(axis, period)
        if count:
            tiles.add(_N_BAR, x, base, width, _BARS_IN * count / most)
            numbers.append(Written(compact(count), x + width / 2, base - 0.08, width))
    tiles.draw(page)
    page.line((axis.left, axis.right), (base, base), colour=RULE, width=0.6, dash="-")
    if numbers and not write_all(page, numbers, 6.5):
        span = compact(least) if least == most else f"{compact(least)} to {compact(most)}"
        page.text(
            axis.left, base - 0.08, f"n = {span} in each {words[0]} with data", size=6.5,
            colour=SOFT_INK,
        )  # fmt: skip
    page.text(0.25, base + 0.1, f"n per {words[0]}", size=8, bold=True)
    page.text(0.25, base - 0.05, words[1], size=7, colour=SOFT_INK)
