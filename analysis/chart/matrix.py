"""Where it fails: one row per target and way, one column per layer, n of N in each."""

from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart.series import SeriesRow, draw_labels, grouped_rows, value
from analysis.chart.sheet import Sheet, clean, sheet, shortened, wrapped
from analysis.chart.style import BAR, LOOKS, NO_DATA_FACE, RULE, SOFT_INK, settings
from probe.verdict.words import STATE_WORDS

LAYERS: Final = {
    "dns": "DNS",
    "tcp": "TCP",
    "proxy": "Proxy",
    "tls": "TLS",
    "http": "HTTP",
    "mtproto": "MTProto",
}
"""Columns in wire order, with their headings. The route step has no target."""

NOT_TRIED: Final = "·"
LABELS_IN: Final = 1.9
CELL_IN: Final = (0.85, 0.42)
GAP_IN: Final = 0.08
VERDICT_IN: Final = 3.3
MARGIN_IN: Final = 0.25
TITLE_IN: Final = 0.75
HEADER_IN: Final = 0.3
CAPTION_LINE_IN: Final = 0.15


def matrix(table: pd.DataFrame, *, title: str | None = None, source: str) -> Figure:
    """Draw layers by target.

    Args:
        table: one row per series with the columns of
            `analysis.query.days.layer_matrix`; at least one row.
        title: a heading; by default one that says what is shown.
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, title, clean(source))


def _draw(table: pd.DataFrame, title: str | None, source: str) -> Figure:
    rows = grouped_rows(table)
    days = sorted({row.cells[0]["day"] for row in rows})
    span = f"{days[0]}" if len(days) == 1 else f"{days[0]} to {days[-1]}"
    heading = clean(title) if title else f"Where it fails: layers by target, {span}"
    step = CELL_IN[1] + GAP_IN
    width = 2 * MARGIN_IN + LABELS_IN + len(LAYERS) * (CELL_IN[0] + GAP_IN) + 0.15 + VERDICT_IN
    heading = shortened(heading, width - 2 * MARGIN_IN, 13, bold=True)
    lines = wrapped(_caption(source), width - 2 * MARGIN_IN, 7.5, 6)
    is_simulated = bool(table["lab"].any())
    height = (
        TITLE_IN + HEADER_IN + len(rows) * step + 0.15 + len(lines) * CAPTION_LINE_IN + MARGIN_IN
    )
    page = sheet(width, height, heading)
    page.text(MARGIN_IN, height - 0.3, heading, size=13, bold=True)
    if is_simulated:
        page.text(
            MARGIN_IN, height - 0.56, "SIMULATED NETWORK", size=9, bold=True, colour="#8a3b00"
        )
    top = height - TITLE_IN - HEADER_IN
    left = MARGIN_IN + LABELS_IN
    for number, name in enumerate(LAYERS.values()):
        x = left + number * (CELL_IN[0] + GAP_IN) + CELL_IN[0] / 2
        page.text(x, top + 0.12, name, size=9, bold=True, ha="center")
    verdict_x = left + len(LAYERS) * (CELL_IN[0] + GAP_IN) + 0.15
    page.text(verdict_x, top + 0.12, "Verdict of the last measured day", size=9, bold=True)
    for number, row in enumerate(rows):
        y = top - (number + 1) * step
        is_first = not number or row.target_id != rows[number - 1].target_id
        if is_first:
            page.line(
                (MARGIN_IN, width - MARGIN_IN), (y + step - GAP_IN / 2,) * 2,
                colour="#d5d8db", width=0.8, dash="-",
            )  # fmt: skip
        middle = y + CELL_IN[1] / 2
        draw_labels(page, row, MARGIN_IN, middle, LABELS_IN, is_first=is_first)
        for column, layer in enumerate(LAYERS):
            _draw_share(page, row.cells[0], layer, left + column * (CELL_IN[0] + GAP_IN), y)
        _draw_verdict(page, row, verdict_x, middle)
    for number, line in enumerate(lines):
        y = top - len(rows) * step - 0.15 - number * CAPTION_LINE_IN
        page.text(MARGIN_IN, y, line, size=7.5, colour=SOFT_INK, va="top")
    return page.figure


def _draw_share(page: Sheet, cell: dict[str, Any], layer: str, x: float, y: float) -> None:
    """Draw n of N as a bar over its whole, and in figures."""
    wide, high = CELL_IN
    n_total = value(cell[f"{layer}_total"])
    if not n_total:
        page.text(x + wide / 2, y + high / 2, NOT_TRIED, size=9, colour=SOFT_INK, ha="center")
        return
    n_ok, n_total = int(cell[f"{layer}_ok"]), int(n_total)
    page.box(x, y, wide, high, face=NO_DATA_FACE, hatch="\\\\\\\\", ink="#c9ced4")
    page.box(x, y, wide * n_ok / n_total, high, face=BAR, hatch="", ink=BAR)
    for edge in (y, y + high):
        page.line((x, x + wide), (edge, edge), colour=RULE, width=0.6, dash="-")
    for side in (x, x + wide):
        page.line((side, side), (y, y + high), colour=RULE, width=0.6, dash="-")
    page.text(
        x + wide / 2, y + high / 2, f"{n_ok}/{n_total}", size=10, bold=True, ha="center",
        halo="white" if n_ok < n_total else BAR,
    )  # fmt: skip


def _draw_verdict(page: Sheet, row: SeriesRow, x: float, y: float) -> None:
    cell = row.cells[0]
    state = cell["state"]
    look = LOOKS[state]
    page.box(x, y - 0.12, 0.3, 0.24, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
    page.text(x + 0.15, y, look.symbol, size=10, bold=True, ha="center", halo=look.face)
    mechanism = value(cell["mechanism"])
    words = STATE_WORDS[state]
    room = VERDICT_IN - 0.4
    page.text(x + 0.4, y + 0.085, shortened(words, room, 8.5, bold=True), size=8.5, bold=True)
    looks = f"{mechanism}, " if mechanism else ""
    below = f"{looks}{cell['day']}, n={int(cell['n'])} {'run' if cell['n'] == 1 else 'runs'}"
    page.text(x + 0.4, y - 0.085, shortened(below, room, 7.5), size=7.5, colour=SOFT_INK)


def _caption(source: str) -> str:
    return (
        f"Source: {source}. In a cell: members that passed the layer of those that were tried "
        f"there, summed over the day's runs (n); {NOT_TRIED} not tried. "
        "A layer is tried only where the one before it passed."
    )
