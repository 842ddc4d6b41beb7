"""How states look, and figures as bytes that are the same every time.

A state is a colour, a hatch and a symbol: any one of the three is enough. Colours
are those of Okabe and Ito, "Color Universal Design" (2008).
"""

import io
import unicodedata
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Final, NamedTuple

from matplotlib import style as mpl_style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font
from matplotlib.patches import Rectangle
from matplotlib.textpath import text_to_path

from probe.model.verdict import State

FONT: Final = "DejaVu Sans"
"""Shipped with matplotlib: the same letters on every machine."""

INK: Final = "#1b1b1b"
SOFT_INK: Final = "#4a4f55"
RULE: Final = "#8a9097"
NO_DATA_FACE: Final = "#f4f4f4"
NO_DATA_HATCH: Final = "////"
BAR: Final = "#56b4e9"

POINTS_PER_INCH: Final = 72.0

_SETTINGS: Final = {
    "font.family": FONT,
    "text.parse_math": False,  # a label with two dollar signs is a label
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "reachwatch",  # ids would otherwise be random
    "svg.fonttype": "path",  # the page that shows it may have no DejaVu Sans
}


class Look(NamedTuple):
    """How a state is drawn. ``hatch_ink`` is darker than ``face`` and lighter than text."""

    face: str
    hatch: str
    hatch_ink: str
    symbol: str


LOOKS: Final[dict[State, Look]] = {
    "ok": Look("#4fbf9f", "", "#009e73", "✓"),
    "blocked": Look("#e98a4d", "xxx", "#b54f00", "✕"),
    "likely_blocked": Look("#f2c14e", "\\\\\\", "#c78900", "⊗"),
    "impaired": Look("#f7f0a0", "...", "#9a9000", "◐"),
    "down": Look("#dfa9c6", "++", "#a3527c", "▼"),
    "insufficient": Look("#dcdcdc", "---", "#9a9a9a", "?"),
}
"""Okabe and Ito's bluish green, vermilion, orange, yellow and reddish purple,
lightened so that black text on them keeps a contrast above 7:1 (WCAG 2.2, 1.4.6)."""

# Explicit marks of direction would let one label reorder its neighbours.
_BIDI_CONTROLS: Final = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def settings() -> AbstractContextManager[None]:
    """Return a context with matplotlib's own defaults and ours, whatever the user's are."""
    return mpl_style.context(["default", _SETTINGS])


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
            Rectangle((x, y), width, height, facecolor=face, edgecolor=ink, hatch=hatch, linewidth=0)
        )

    def line(
        self, x: tuple[float, float], y: tuple[float, float], *, colour: str, width: float, dash: str
    ) -> None:
        """Draw a straight line; ``width`` in points."""
        self.axes.plot(x, y, color=colour, linewidth=width, linestyle=dash, solid_capstyle="butt")


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


def save_svg(figure: Figure) -> bytes:
    """Return the figure as SVG 1.1, the same bytes for the same figure."""
    buffer = io.BytesIO()
    metadata = {"Title": str(figure.get_label()), "Date": None, "Creator": None}
    with settings():
        figure.savefig(buffer, format="svg", metadata=metadata)
    return buffer.getvalue()


def save_png(figure: Figure, dpi: int = 160) -> bytes:
    """Return the figure as PNG, the same bytes for the same figure and libraries.

    160 dots per inch: sharp at the width of a page on a dense display.
    """
    buffer = io.BytesIO()
    metadata = {"Title": str(figure.get_label()), "Software": None}
    with settings():
        figure.savefig(buffer, format="png", dpi=dpi, metadata=metadata)
    return buffer.getvalue()


@lru_cache(maxsize=1)
def _known_characters() -> frozenset[int]:
    font = FT2Font(findfont(FontProperties(family=FONT)))
    return frozenset(font.get_charmap())


def clean(text: str) -> str:
    """Return a text that can be drawn on one line: others' words are untrusted.

    Control characters and line breaks become spaces, marks of direction go, and
    what the font lacks becomes a white square.
    """
    kept = []
    for character in text:
        if character in _BIDI_CONTROLS:
            continue
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
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
        while (
            taken < len(rest) and width_of(" ".join(rest[: taken + 1]), size) <= width
        ):
            taken += 1
        if len(found) == lines - 1:
            taken = len(rest)
        found.append(shortened(" ".join(rest[:taken]), width, size))
        rest = rest[taken:]
    return found
