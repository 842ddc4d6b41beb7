"""How it fails over time: shares of patterns, stacked, with the interval of their sum."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.scale import Scale, percent, share_scale
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.spans import NO_DATA, STRIP_IN, Period, draw_n_strip, edges
from analysis.chart.style import INK, LOOKS, RULE, SOFT_INK, Look, settings
from analysis.chart.tiles import Tiles, step_outline
from analysis.chart.time_axis import DayAxis, draw_axis

AREA_IN: Final = 8.0
LABELS_IN: Final = 1.9
PANEL_IN: Final = 1.35
STRIP_GAP_IN: Final = 0.07
GAP_IN: Final = 0.25
AXIS_IN: Final = 0.5
KEY_ROW_IN: Final = 0.24

PATTERN_LOOKS: Final = (
    Look("#e98a4d", "xxx", "#b54f00", ""),
    Look("#8cc8ef", "///", "#0072b2", ""),
    Look("#f2c14e", "--", "#8f6200", ""),
    Look("#dfa9c6", "\\\\\\", "#a3527c", ""),
    Look("#8fd6bf", "+++", "#00755a", ""),
    Look("#f7f0a0", "|||", "#8d8300", ""),
)
"""Okabe and Ito's colours, lightened, each with a hatch of its own."""
OTHER_LOOK: Final = Look("#e6e6e6", "/-", "#777777", "")
_FEW: Final = LOOKS["insufficient"]._replace(symbol="")

Row = dict[str, Any]


class Pattern(NamedTuple):
    """A pattern: its code, and what it is in words."""

    code: str
    words: str
    look: Look


class _Layout(NamedTuple):
    page: Sheet
    axis: DayAxis
    patterns: Sequence[Pattern]
    period: str


def mechanisms(
    table: pd.DataFrame, patterns: Sequence[Pattern], *, title: str, source: str, period: str
) -> Figure:
    """Draw a panel for each target.

    Args:
        table: one row a panel and period, empty ones too, in the order of drawing; at least
            one. Columns: panel (its name), date, until, n (all), decided, share with low and
            high, is_shown, lab, and the number of failing results of each pattern under its
            code; they add up to failing.
        patterns: what is stacked, from below.
        title: a heading.
        source: who measured what, for the caption.
        period: ``day``, ``week``, …: what a column is.
    """
    with settings():
        return _draw(table, patterns, title, source, period)


def _draw(
    table: pd.DataFrame, patterns: Sequence[Pattern], title: str, source: str, period: str
) -> Figure:
    panels = list(dict.fromkeys(table["panel"]))
    first, last = table["date"].min(), table["until"].max()
    n_days = (last - first).days + 1
    axis = DayAxis(MARGIN_IN + LABELS_IN, min(AREA_IN / n_days, 1.0), n_days, first)
    width = 2 * MARGIN_IN + LABELS_IN + AREA_IN + 0.15
    key = list(_key_places(patterns, width - 2 * MARGIN_IN))
    key_height = KEY_ROW_IN * (1 + max(row for *_, row in key)) + 0.1
    block = PANEL_IN + STRIP_GAP_IN + STRIP_IN + GAP_IN
    frame = framed(
        width, len(panels) * block + AXIS_IN + key_height, title, _caption(source, period),
        simulated=simulated(table),
    )  # fmt: skip
    layout = _Layout(frame.page, axis, patterns, period)
    y = frame.top
    for panel in panels:
        own = table[table["panel"] == panel].to_dict("records")
        cells = [{str(name): item for name, item in row.items()} for row in own]
        _draw_panel(layout, panel, cells, y - PANEL_IN)
        y -= block
        n = [(Period(cell["date"], cell["until"]), cell["decided"]) for cell in cells]
        draw_n_strip(frame.page, axis, n, y + GAP_IN, (period, "decided results"))
    draw_axis(frame.page, axis, y + 0.12)
    for look, words, x, row in key:
        base = frame.bottom + key_height - 0.1 - (row + 1) * KEY_ROW_IN
        frame.page.box(MARGIN_IN + x, base, 0.3, 0.17, face=look.face, hatch=look.hatch,
                       ink=look.hatch_ink)  # fmt: skip
        frame.page.text(MARGIN_IN + x + 0.36, base + 0.085, words, size=7.5, colour=SOFT_INK)
    return frame.page.figure


def _draw_panel(layout: _Layout, panel: str, cells: Sequence[Row], bottom: float) -> None:
    page, axis = layout.page, layout.axis
    shown = [cell for cell in cells if cell["is_shown"]]
    highest = max((cell["high"] for cell in shown), default=1.0)
    scale = share_scale(highest, bottom, bottom + PANEL_IN - 0.1)
    lines = [shortened(clean(part), LABELS_IN - 0.5, 9, bold=True) for part in panel.split("\n")]
    for number, line in enumerate(lines):
        page.text(MARGIN_IN, scale.top - 0.06 - 0.17 * number, line, size=9 - number,
                  bold=not number)  # fmt: skip
    tiles = Tiles()
    for look, run in groupby(cells, key=_empty_look):
        own = list(run)
        if look is not None:
            x, width = edges(axis, Period(own[0]["date"], own[-1]["until"]))
            tiles.add(look, x, bottom, width, scale.top - bottom)
    tiles.draw(page, zorder=0.8)
    _draw_scale(page, axis, scale)
    for neighbours in _runs(cells):
        _draw_stack(layout, neighbours, scale)
    _draw_labels(layout, cells, scale)
    _draw_whiskers(page, axis, shown, scale)


def _empty_look(cell: Row) -> Look | None:
    if cell["is_shown"]:
        return None
    return _FEW if cell["n"] else NO_DATA


def _draw_scale(page: Sheet, axis: DayAxis, scale: Scale) -> None:
    ticks = scale.ticks if len(scale.ticks) <= 4 else scale.ticks[::2]
    for tick in ticks:
        y = scale.y(tick)
        page.line((axis.left, axis.right), (y, y), colour="#d9dde0", width=0.5, dash="-")
        page.text(axis.left - 0.06, y, percent(tick), size=7, colour=SOFT_INK, ha="right")
    page.line((axis.left,) * 2, (scale.bottom, scale.top), colour=RULE, width=0.8, dash="-")


def _runs(cells: Sequence[Row]) -> Iterator[list[Row]]:
    for is_shown, run in groupby(cells, key=lambda cell: bool(cell["is_shown"])):
        if is_shown:
            yield list(run)


def _levels(cell: Row, patterns: Sequence[Pattern]) -> list[float]:
    """Return where the patterns' shares begin and end, from zero on."""
    ends = np.cumsum([cell[pattern.code] for pattern in patterns]) / cell["decided"]
    return [0.0, *map(float, ends)]


def _draw_stack(layout: _Layout, run: Sequence[Row], scale: Scale) -> None:
    """Draw neighbouring periods: one outline for each pattern that is in them."""
    starts = [edges(layout.axis, Period(cell["date"], cell["until"]))[0] for cell in run]
    end = sum(edges(layout.axis, Period(run[-1]["date"], run[-1]["until"])))
    levels = [_levels(cell, layout.patterns) for cell in run]
    for number, pattern in enumerate(layout.patterns):
        if not any(cell[pattern.code] for cell in run):
            continue
        outline = step_outline(
            [*starts, end],
            [scale.y(own[number]) for own in levels],
            [scale.y(own[number + 1]) for own in levels],
        )
        look = pattern.look
        layout.page.axes.add_patch(
            PathPatch(outline, facecolor=look.face, edgecolor=look.hatch_ink, hatch=look.hatch,
                      linewidth=0, zorder=1.2)
        )  # fmt: skip


def _draw_labels(layout: _Layout, cells: Sequence[Row], scale: Scale) -> None:
    """Name each pattern once, in the period where it is largest, if there is room."""
    taken: list[tuple[float, float, float]] = []
    for number, pattern in enumerate(layout.patterns):
        shown = [cell for cell in cells if cell["is_shown"] and cell[pattern.code]]
        if not shown:
            continue
        top = max(shown, key=lambda cell: (cell[pattern.code] / cell["decided"], cell["date"]))
        low, high = (scale.y(level) for level in _levels(top, layout.patterns)[number : number + 2])
        x, width = edges(layout.axis, Period(top["date"], top["until"]))
        text = shortened(clean(pattern.code), 1.6, 7, bold=True)
        half = width_of(text, 7, bold=True) / 2 + 0.04
        # Beside the whisker, where there is room for both.
        middle = x + width * (0.25 if width > 4 * half else 0.5)
        middle = min(max(middle, layout.axis.left + half), layout.axis.right - half)
        y = (low + high) / 2
        is_free = all(abs(y - other) > 0.14 or abs(middle - at) > half + wide
                      for at, other, wide in taken)  # fmt: skip
        if high - low >= 0.12 and is_free:
            layout.page.text(middle, y, text, size=7, bold=True, ha="center",
                             halo=pattern.look.face)  # fmt: skip
            taken.append((middle, y, half))


def _draw_whiskers(page: Sheet, axis: DayAxis, shown: Sequence[Row], scale: Scale) -> None:
    """Draw the interval of the sum: one line for all, for a file's sake."""
    xs: list[float] = []
    ys: list[float] = []
    for cell in shown:
        x, width = edges(axis, Period(cell["date"], cell["until"]))
        xs += [x + width / 2, x + width / 2, np.nan]
        ys += [scale.y(cell["low"]), scale.y(cell["high"]), np.nan]
    if xs:
        page.axes.plot(xs, ys, color=INK, linewidth=1.1, solid_capstyle="butt", zorder=2.5)


def _key_places(
    patterns: Sequence[Pattern], width: float
) -> Iterator[tuple[Look, str, float, int]]:
    entries = [(p.look, clean(f"{p.code}: {p.words}" if p.words else p.code)) for p in patterns]
    entries += [(_FEW, "too few to tell"), (NO_DATA, "no data")]
    x, row = 0.0, 0
    for look, words in entries:
        text = shortened(words, width - 0.4, 7.5)
        own = 0.36 + width_of(text, 7.5)
        if x and x + own > width:
            x, row = 0.0, row + 1
        yield look, text, x, row
        x += own + 0.2


def _caption(source: str, period: str) -> str:
    return (
        f"Source: {source}. Shares of decided results of each {period} by how they fail; what is "
        "left is reachable. Line: 95 % interval of the sum; those of each pattern are in the table."
    )


def mechanisms_alt_text(table: pd.DataFrame, patterns: Sequence[Pattern], period: str) -> str:
    """Say for each panel n, the range of the sum's share, and each pattern's share of all."""
    opening = SPOKEN[simulated(table)]
    first, last = table["date"].min(), table["until"].max()
    told = []
    for panel, own in table.groupby("panel", sort=False):
        decided, shown = int(own["decided"].sum()), own[own["is_shown"]]
        name = clean(str(panel))
        if shown.empty:
            told.append(f"{name}: too few results to tell, n={decided}.")
            continue
        parts = [
            f"{clean(p.code)} {percent(own[p.code].sum() / decided)}"
            for p in patterns
            if own[p.code].sum()
        ]
        told.append(
            f"{name}, n={decided}: {', '.join(parts) or 'nothing fails'} of all; by {period} "
            f"{percent(shown['share'].min())} to {percent(shown['share'].max())} fail; "
            f"{int((own['n'] == 0).sum())} of {len(own)} {period}s have no data."
        )
    return (
        f"{opening}Shares of results by how they fail, by {period} from {first} to {last}. "
        f"{' '.join(told)}"
    )
