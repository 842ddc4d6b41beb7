"""Many cells and repeated words in few bytes: one outline for each look, one mark for each word.

A chart of 24 rows by 60 days has 1440 cells. An SVG element for each would be half a megabyte.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from analysis.chart.sheet import POINTS_PER_INCH, Sheet, width_of
from analysis.chart.style import FONT, INK, Look

_STEPS: Final = 4 * POINTS_PER_INCH
"""Corners lie on quarters of a point: two digits in a file, and less than can be seen."""

_CAP_HEIGHT: Final = 0.73
"""Of the font's digits and capitals, in parts of its size."""


def snapped(inches: float) -> float:
    """Return a length that is short in a file: the nearest quarter of a point."""
    return round(inches * _STEPS) / _STEPS


class Box(NamedTuple):
    """A rectangle in inches from the lower left corner."""

    x: float
    y: float
    width: float
    height: float


class Tiles:
    """Rectangles by look, drawn as one outline for each, in the order of first use."""

    def __init__(self) -> None:
        self._boxes: dict[Look, list[Box]] = {}

    def add(self, look: Look, x: float, y: float, width: float, height: float) -> None:
        """Add a rectangle, in inches."""
        self._boxes.setdefault(look, []).append(Box(x, y, width, height))

    def draw(self, page: Sheet, zorder: float = 1.0) -> None:
        """Draw all of them."""
        for look, boxes in self._boxes.items():
            corners = [_corners(box) for box in boxes]
            codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
            outline = Path(np.concatenate(corners), codes * len(boxes))
            page.axes.add_patch(
                PathPatch(
                    outline, facecolor=look.face, edgecolor=look.hatch_ink,
                    hatch=look.hatch or None, linewidth=0, clip_on=False, zorder=zorder,
                )
            )  # fmt: skip


def _corners(box: Box) -> np.ndarray:
    left, right = snapped(box.x), snapped(box.x + box.width)
    low, high = snapped(box.y), snapped(box.y + box.height)
    return np.array([(left, low), (right, low), (right, high), (left, high), (left, low)])


class Word(NamedTuple):
    """A word as it is drawn; ``size`` in points."""

    text: str
    size: float
    is_bold: bool
    colour: str


class Stamps:
    """Short words of ours that recur, each drawn once and used at its places.

    A word's mark has the word for its label.
    """

    def __init__(self) -> None:
        self._places: dict[Word, list[tuple[float, float]]] = {}

    def add(
        self, text: str, x: float, y: float, *, size: float, bold: bool = False, colour: str = INK
    ) -> None:
        """Write a word around a place, in inches."""
        self._places.setdefault(Word(text, size, bold, colour), []).append((x, y))

    def draw(self, page: Sheet, zorder: float = 3.0) -> None:
        """Draw all of them."""
        for word, places in self._places.items():
            outline = _outline(word)
            xs, ys = zip(*((snapped(x), snapped(y)) for x, y in places), strict=True)
            page.axes.add_line(
                Line2D(
                    xs, ys, linestyle="none", marker=outline, label=word.text,
                    # A marker of this size has the outline's own measures.
                    markersize=2 * float(np.abs(outline.vertices).max()),
                    markerfacecolor=word.colour, markeredgewidth=0, clip_on=False, zorder=zorder,
                )
            )  # fmt: skip


def _outline(word: Word) -> Path:
    font = FontProperties(family=FONT, weight="bold" if word.is_bold else "normal")
    path = TextPath((0, 0), word.text, size=word.size, prop=font)
    wide = width_of(word.text, word.size, bold=word.is_bold) * POINTS_PER_INCH
    centre = (wide / 2, word.size * _CAP_HEIGHT / 2)
    return Path(np.round(path.vertices - centre, 2), path.codes)


def seams(page: Sheet, places: Sequence[tuple[float, float]], height: float) -> None:
    """Draw white lines upwards from places, between neighbouring cells, in inches."""
    xs = [x for place, _ in places for x in (snapped(place), snapped(place), np.nan)]
    ys = [y for _, low in places for y in (snapped(low), snapped(low + height), np.nan)]
    page.axes.plot(xs, ys, color="white", linewidth=0.6, clip_on=False, zorder=1.1)


def corners(page: Sheet, places: Sequence[tuple[float, float, float]]) -> None:
    """Draw a mark in the upper right corner of cells: right, top and side in inches."""
    if not places:
        return
    points = [
        (snapped(x), snapped(y))
        for right, top, side in places
        for x, y in ((right, top), (right - side, top), (right, top - side), (right, top))
    ]
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(places)
    page.axes.add_patch(
        PathPatch(Path(points, codes), facecolor=INK, linewidth=0, clip_on=False, zorder=1.2)
    )


def step_outline(edges: Sequence[float], lows: Sequence[float], highs: Sequence[float]) -> Path:
    """Return the outline of steps between two heights; one edge more than steps, in inches."""
    xs = np.repeat([snapped(edge) for edge in edges], 2)[1:-1]
    upper = np.repeat([snapped(y) for y in highs], 2)
    lower = np.repeat([snapped(y) for y in lows], 2)
    there = np.column_stack([xs, upper])
    back = np.column_stack([xs, lower])[::-1]
    if (lower == lower[0]).all():
        # Corners on a straight line are bytes that nobody sees.
        back = back[[0, -1]]
    points = np.concatenate([there, back, there[:1]])
    codes = [Path.MOVETO, *[Path.LINETO] * (len(points) - 2), Path.CLOSEPOLY]
    return Path(points, codes)
