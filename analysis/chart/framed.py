"""What surrounds every plot: a heading, the banner of a simulation, and a caption."""

from typing import Final, NamedTuple

from analysis.chart.sheet import Sheet, clean, sheet, shortened, wrapped
from analysis.chart.simulated import Simulated
from analysis.chart.style import SOFT_INK
from analysis.chart.timeline import draw_banner

MARGIN_IN: Final = 0.25
TITLE_IN: Final = 0.75
CAPTION_LINE_IN: Final = 0.15
_CAPTION_LINES: Final = 6


class Framed(NamedTuple):
    """A sheet with its words on it, and the room left for a plot, in inches."""

    page: Sheet
    left: float
    right: float
    bottom: float
    top: float


def framed(
    width: float, plot: float, heading: str, caption: str, *, simulated: Simulated
) -> Framed:
    """Make a sheet around a plot of a height in inches; both texts may hold foreign words."""
    room = width - 2 * MARGIN_IN
    title = shortened(clean(heading), room, 13, bold=True)
    # Cleaned sentence by sentence: a text is cut where no line could hold it.
    sentences = ". ".join(clean(sentence) for sentence in caption.split(". "))
    lines = wrapped(sentences, room, 7.5, _CAPTION_LINES)
    below = MARGIN_IN + len(lines) * CAPTION_LINE_IN + 0.1
    height = below + plot + TITLE_IN
    page = sheet(width, height, title)
    page.text(MARGIN_IN, height - 0.3, title, size=13, bold=True)
    draw_banner(page, MARGIN_IN, height - 0.56, simulated)
    for number, line in enumerate(lines):
        y = below - 0.1 - number * CAPTION_LINE_IN
        page.text(MARGIN_IN, y, line, size=7.5, colour=SOFT_INK, va="top")
    return Framed(page, MARGIN_IN, width - MARGIN_IN, below, height - TITLE_IN)
