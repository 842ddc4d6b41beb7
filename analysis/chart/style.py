"""How states look, and figures as bytes that are the same every time.

A state is a colour, a hatch and a symbol: any one of the three is enough. Colours
are those of Okabe and Ito, "Color Universal Design" (2008).
"""

import io
from contextlib import AbstractContextManager
from typing import Final, NamedTuple

from matplotlib import style as mpl_style
from matplotlib.figure import Figure

from probe.model.verdict import State

FONT: Final = "DejaVu Sans"
"""Shipped with matplotlib: the same letters on every machine."""

INK: Final = "#1b1b1b"
SOFT_INK: Final = "#4a4f55"
RULE: Final = "#8a9097"
NO_DATA_FACE: Final = "#f4f4f4"
NO_DATA_HATCH: Final = "////"
BAR: Final = "#56b4e9"

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
    "impaired": Look("#f7f0a0", "||", "#b5a800", "◐"),
    "down": Look("#dfa9c6", "++", "#a3527c", "▼"),
    "insufficient": Look("#dcdcdc", "---", "#9a9a9a", "?"),
}
"""Okabe and Ito's bluish green, vermilion, orange, yellow and reddish purple,
lightened so that black text on them keeps a contrast above 7:1 (WCAG 2.2, 1.4.6)."""


def settings() -> AbstractContextManager[None]:
    """Return a context with matplotlib's own defaults and ours, whatever the user's are."""
    return mpl_style.context(["default", _SETTINGS])


def save_svg(figure: Figure) -> bytes:
    """Return the figure as SVG 1.1, the same bytes for the same figure.

    The figure's label becomes the document's title.
    """
    data = io.BytesIO()
    metadata = {"Title": str(figure.get_label()), "Date": None, "Creator": None}
    with settings():
        figure.savefig(data, format="svg", metadata=metadata)
    return data.getvalue()


def save_png(figure: Figure, dpi: float = 160) -> bytes:
    """Return the figure as PNG, the same bytes for the same figure and libraries.

    160 pixels an inch: sharp at the width of a page on a dense display.
    """
    data = io.BytesIO()
    metadata = {"Title": str(figure.get_label()), "Software": None}
    with settings():
        figure.savefig(data, format="png", dpi=dpi, metadata=metadata)
    return data.getvalue()
