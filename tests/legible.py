"""What a drawn chart says, and whether it can be read."""

from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def words_of(figure: Figure) -> list[str]:
    return [text.get_text() for text in axes_of(figure).texts]


def assert_legible(figure: Figure) -> None:
    """No text lies over another or outside the sheet (to half a pixel)."""
    canvas = figure.canvas
    renderer = canvas.get_renderer()  # type: ignore[attr-defined]  # Agg's own method
    width, height = canvas.get_width_height()
    boxes: list[tuple[Text, float, float, float, float]] = []
    for text in axes_of(figure).texts:
        # The box without the patch that clears the hatch behind it.
        patch = text.get_bbox_patch()
        box = Text.get_window_extent(text, renderer)
        pad = 0.0 if patch is None else 1.2
        boxes.append((text, box.x0 + pad, box.y0 + pad, box.x1 - pad, box.y1 - pad))
    for text, x0, y0, x1, y1 in boxes:
        assert x0 > -0.5, text
        assert y0 > -0.5, text
        assert x1 < width + 0.5, text
        assert y1 < height + 0.5, text
    for (one, *a), (two, *b) in combinations(boxes, 2):
        across = min(a[2], b[2]) - max(a[0], b[0])
        upright = min(a[3], b[3]) - max(a[1], b[1])
        # Line boxes include room for accents above and below most letters.
        assert across < 0.5 or upright < 2.5, (one, two)
