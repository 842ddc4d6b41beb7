"""A sheet measured in inches, and foreign text made safe to draw on it."""

import unicodedata
from functools import lru_cache
from typing import Final, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from analysis.chart.style import FONT, INK

POINTS_PER_INCH: Final = 72.0

MAX_CHARACTERS: Final = 300
"""More than the widest line of a chart holds; measuring a megabyte takes minutes."""

MAX_MARKS: Final = 2
"""Upon one letter: as many as writing needs, a point and a vowel."""

# Explicit marks of direction would let one label reorder its neighbours.
_BIDI_CONTROLS: Final = frozenset(
    "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)


class Sheet(NamedTuple):
    """A figure with one coordinate system: inches from its lower left corner."""

    figure: Figure
    axes: Axes

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        bold: bool = False,
        colour: str = INK,
        ha: str = "left",
        va: str = "center",
        halo: str | None = None,
        rotation: float = 0.0,
    ) -> None:
        """Write a text; ``size`` in points; ``halo`` clears a hatch behind it."""
        self.axes.text(
            x,
            y,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            color=colour,
            ha=ha,
            va=va,
            rotation=rotation,
            bbox={"facecolor": halo, "linewidth": 0, "pad": 0.8} if halo else None,
        )

    def box(
        self, x: float, y: float, width: float, height: float, *, face: str, hatch: str, ink: str
    ) -> None:
        """Draw a filled, hatched rectangle without an edge."""
        self.axes.add_patch(
            Rectangle(
                (x, y),
                width,
                height,
                facecolor=face,
                edgecolor=ink,
                hatch=hatch,
                linewidth=0,
                clip_on=False,
            )
        )

    def line(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        colour: str,
        width: float,
        dash: str,
    ) -> None:
        """Draw a straight line; ``width`` in points."""
        self.axes.plot(
            x,
            y,
            color=colour,
            linewidth=width,
            linestyle=dash,
            solid_capstyle="butt",
            clip_on=False,
        )


def sheet(width: float, height: float, title: str) -> Sheet:
    """Make an empty sheet, sizes in inches. ``title`` is for the file's metadata."""
    figure = Figure(figsize=(width, height), facecolor="white", dpi=100)
    FigureCanvasAgg(figure)
    figure.set_label(title)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")
    return Sheet(figure, axes)


@lru_cache(maxsize=1)
def _known_characters() -> frozenset[int]:
    font = FT2Font(findfont(FontProperties(family=FONT)))
    return frozenset(font.get_charmap())


def clean(text: str) -> str:
    """Return a text that can be drawn on one line: others' words are untrusted.

    Control characters and line breaks become spaces, marks of direction go, what
    the font lacks becomes a white square, and what no line could hold is cut. Marks
    piled upon one letter would cross the lines above it: two are kept.
    """
    kept: list[str] = []
    marks = 0
    for character in text[:MAX_CHARACTERS]:
        if character in _BIDI_CONTROLS:
            continue
        category = unicodedata.category(character)
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > MAX_MARKS:
            continue
        if category in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
            kept.append(" ")
        else:
            kept.append(character if ord(character) in _known_characters() else "□")
    return " ".join("".join(kept).split())


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, *, bold: bool = False) -> float:
    """Return the width in inches of a text at a size in points."""
    font = FontProperties(family=FONT, weight="bold" if bold else "normal", size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(width) / POINTS_PER_INCH


def shortened(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Cut a clean text to a width in inches, with an ellipsis where it was cut."""
    if width_of(text, size, bold=bold) <= width:
        return text
    while text and width_of(f"{text}…", size, bold=bold) > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def wrapped(text: str, width: float, size: float, lines: int) -> list[str]:
    """Break a clean text into at most ``lines`` lines of a width in inches."""
    found: list[str] = []
    rest = text.split()
    while rest and len(found) < lines:
        taken = 1
        while taken < len(rest) and width_of(" ".join(rest[: taken + 1]), size) <= width:
            taken += 1
        if len(found) == lines - 1:
            taken = len(rest)
        found.append(shortened(" ".join(rest[:taken]), width, size))
        rest = rest[taken:]
    return found
