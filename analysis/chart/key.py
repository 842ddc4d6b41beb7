"""The key: what each colour, hatch and symbol means. All entries, drawn or not."""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from matplotlib.patches import Polygon

from analysis.chart.sheet import Sheet, width_of
from analysis.chart.style import INK, LOOKS, NO_DATA_FACE, NO_DATA_HATCH, RULE, SOFT_INK, Look
from probe.model.verdict import STATES
from probe.verdict.words import STATE_WORDS

_SIZE: Final = 7.5
KEY_PATCH_IN: Final = (0.3, 0.17)
_ROW_IN: Final = 0.25
_GAP_IN: Final = 0.2

NO_DATA: Final = Look(NO_DATA_FACE, NO_DATA_HATCH, "#c4c4c4", "")
_MIXED: Final = Look("white", "", RULE, "")
Entries = Sequence[tuple[Look, str]]

STATE_ENTRIES: Final[Entries] = (
    *((LOOKS[state], STATE_WORDS[state]) for state in STATES),
    (NO_DATA, "no data"),
    (_MIXED, "runs of the day differ"),
)


class _Place(NamedTuple):
    look: Look
    words: str
    x: float
    row: int


def _places(width: float, entries: Entries) -> Iterator[_Place]:
    """Flow the entries into rows of a width in inches."""
    x, row = 0.0, 0
    for look, words in entries:
        own = KEY_PATCH_IN[0] + 0.06 + width_of(words, _SIZE)
        if x and x + own > width:
            x, row = 0.0, row + 1
        yield _Place(look, words, x, row)
        x += own + _GAP_IN


def key_height(width: float, entries: Entries = STATE_ENTRIES) -> float:
    """Return the height in inches that a key of a width takes."""
    return _ROW_IN * (1 + max(place.row for place in _places(width, entries)))


def draw_key(
    page: Sheet, x: float, top: float, width: float, *, entries: Entries = STATE_ENTRIES
) -> None:
    """Draw the key below ``top``, from ``x`` on, at most ``width`` wide (inches)."""
    for look, words, offset, row in _places(width, entries):
        left = x + offset
        y = top - row * _ROW_IN - KEY_PATCH_IN[1]
        page.box(left, y, *KEY_PATCH_IN, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
        middle = y + KEY_PATCH_IN[1] / 2
        if look is _MIXED:
            right, upper = left + KEY_PATCH_IN[0], y + KEY_PATCH_IN[1]
            page.axes.add_patch(
                Polygon(
                    [(right, upper), (right - 0.11, upper), (right, upper - 0.11)],
                    facecolor=INK,
                    linewidth=0,
                )
            )
            for edge in (y, upper):
                page.line((left, right), (edge, edge), colour=RULE, width=0.6, dash="-")
            for side in (left, right):
                page.line((side, side), (y, upper), colour=RULE, width=0.6, dash="-")
        elif look.symbol:
            page.text(
                left + KEY_PATCH_IN[0] / 2, middle, look.symbol, size=8, bold=True, ha="center",
                halo=look.face,
            )  # fmt: skip
        page.text(left + KEY_PATCH_IN[0] + 0.06, middle, words, size=_SIZE, colour=SOFT_INK)
