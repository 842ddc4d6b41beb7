"""How dates of events look: a glyph for each kind, lines and bars between; and their key."""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from analysis.chart.sheet import Sheet, width_of
from analysis.chart.style import INK, RULE, SOFT_INK

Kind = Literal["ordered", "observed", "effective", "lifted"]
KINDS: Final[tuple[Kind, ...]] = ("ordered", "observed", "effective", "lifted")

GLYPH_IN: Final = 0.095
"""Width of a glyph, and least distance of two of one event."""
BAR_IN: Final = 0.075
SIZE: Final = 7.2
"""Of labels and key, in points."""

_MARKERS: Final[dict[Kind, tuple[str, str, float]]] = {
    "ordered": (">", "white", 5.2), "observed": ("o", "white", 5.2),
    "effective": ("o", INK, 5.2), "lifted": ("s", INK, 4.6),
}  # fmt: skip
"""Shape, filling and size: each differs from each other without colour."""
_LASTING_FACE: Final = "#b9c4cc"
_SEEN_FACE: Final = "#f1f3f4"
_ROW_IN: Final = 0.19
_SAMPLE_IN: Final = 0.24
_GAP_IN: Final = 0.17
_HEADING: Final = "Events:"


class Used(NamedTuple):
    """What else than glyphs a chart's events are drawn with."""

    has_range: bool
    has_bar: bool
    is_open: bool
    is_doubtful: bool


class _Place(NamedTuple):
    name: str
    words: str
    x: float
    row: int


def draw_glyph(page: Sheet, kind: Kind, x: float, y: float) -> None:
    """Draw the glyph of a kind of date."""
    marker, face, size = _MARKERS[kind]
    page.axes.plot(
        [x], [y], marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=INK,
        markeredgewidth=0.9, linestyle="none", clip_on=False, zorder=4,
    )  # fmt: skip


def draw_range(page: Sheet, x: tuple[float, float], y: float, *, dash: str, is_cut: bool) -> None:
    """Draw from where to where a date may lie; it ends in a tick unless the axis cuts it."""
    page.line(x, (y, y), colour=INK, width=1.0, dash=dash)
    if not is_cut:
        page.line((x[1], x[1]), (y - 0.035, y + 0.035), colour=INK, width=1.0, dash="-")


def draw_open(page: Sheet, begin: float, end: float, y: float) -> None:
    """Draw that something lasted, until when is not known."""
    page.line((begin, end), (y, y), colour=SOFT_INK, width=1.8, dash=":")


def draw_bar(
    page: Sheet, x: tuple[float, float], y: float, *, is_effective: bool, is_doubtful: bool
) -> None:
    """Draw that something lasted: filled from its effect on, hatched from its observation on."""
    low, high = y - BAR_IN / 2, y + BAR_IN / 2
    if is_doubtful:
        for edge in (low, high):
            page.line(x, (edge, edge), colour=SOFT_INK, width=0.7, dash="--")
        return
    page.box(
        x[0], low, x[1] - x[0], BAR_IN, face=_LASTING_FACE if is_effective else _SEEN_FACE,
        hatch="" if is_effective else "//////", ink=RULE,
    )  # fmt: skip


def draw_cut(page: Sheet, x: float, y: float, *, is_left: bool) -> None:
    """Draw that a bar goes on beyond the axis."""
    page.axes.plot(
        [x], [y], marker=4 if is_left else 5, markersize=4.5, color=SOFT_INK, linestyle="none"
    )


def key_height(used: Used, width: float) -> float:
    """Return the height in inches that the key takes in a width."""
    return _ROW_IN * (1 + max(place.row for place in _places(used, width))) + 0.06


def draw_key(page: Sheet, used: Used, x: float, top: float, width: float) -> None:
    """Draw below ``top`` what glyphs, lines and bars mean."""
    page.text(x, top - _ROW_IN / 2, _HEADING, size=SIZE, bold=True)
    for name, words, offset, row in _places(used, width):
        left = x + offset
        y = top - (row + 0.5) * _ROW_IN
        right = left + _sample_width(name)
        if name == "range":
            draw_range(page, (left, right), y, dash="-", is_cut=False)
        elif name == "bar":
            draw_bar(page, (left, right), y, is_effective=True, is_doubtful=False)
        elif name == "open":
            draw_open(page, left, right, y)
        elif name == "doubt":
            page.text(left, y, "?", size=SIZE, bold=True)
        else:
            kind = next(kind for kind in KINDS if kind == name)
            draw_glyph(page, kind, right - GLYPH_IN / 2, y)
        page.text(right + 0.05, y, words, size=SIZE, colour=SOFT_INK)


def _sample_width(name: str) -> float:
    return _SAMPLE_IN if name in {"range", "bar", "open"} else GLYPH_IN


def _places(used: Used, width: float) -> Iterator[_Place]:
    """Flow the entries into rows of a width in inches."""
    entries = [
        *((str(kind), str(kind)) for kind in KINDS),
        *([("range", "some day of these")] if used.has_range else []),
        *([("bar", "lasted")] if used.has_bar else []),
        *([("open", "end not known")] if used.is_open else []),
        *([("doubt", "low confidence, dashed")] if used.is_doubtful else []),
    ]
    indent = width_of(_HEADING, SIZE, bold=True) + 0.12
    x, row = indent, 0
    for name, words in entries:
        own = _sample_width(name) + 0.05 + width_of(words, SIZE)
        if x > indent and x + own > width:
            x, row = indent, row + 1
        yield _Place(name, words, x, row)
        x += own + _GAP_IN
