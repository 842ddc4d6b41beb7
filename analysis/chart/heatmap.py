"""Networks by day: the share that fails, in few classes that also differ in print without colour.

A cell whose interval is too wide to say anything is hatched as insufficient, and one in which
nothing was measured as no data: neither looks like a low share.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from analysis.chart.events import Event, event_words
from analysis.chart.key import NO_DATA
from analysis.chart.rows import Plan, Row, Ruled, cells_by_row, ruled, strip_label
from analysis.chart.scale import compact, percent
from analysis.chart.sheet import clean
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.style import LOOKS, Look, settings
from analysis.chart.tiles import Tiles, step_outline

ROW_IN: Final = 0.26
GAP_IN: Final = 0.03
STRIP_IN: Final = 0.42
STRIP_BAR_IN: Final = 0.3


class ShareClass(NamedTuple):
    """Shares below ``under`` (and not of a class before), and how they look."""

    under: float
    words: str
    look: Look


CLASSES: Final = (
    ShareClass(0.05, "under 5 %", Look("#fff6d5", "", "#fff6d5", "")),
    ShareClass(0.20, "5 to 20 %", Look("#fbd27a", "|", "#b98512", "")),
    ShareClass(0.50, "20 to 50 %", Look("#ec9040", "||", "#a34f00", "")),
    ShareClass(0.80, "50 to 80 %", Look("#b8453c", "|||", "#f0a090", "")),
    ShareClass(1.01, "80 % and more", Look("#4a1430", "||||", "#a5648a", "")),
)
"""From light to dark, so that they keep their order in grey; with more and more upright lines."""

INSUFFICIENT: Final = LOOKS["insufficient"]._replace(symbol="")
KEY: Final = (
    *((one.look, one.words) for one in CLASSES),
    (INSUFFICIENT, "not enough data for a share"),
    (NO_DATA, "no data"),
)


def class_of(share: float) -> ShareClass:
    """Return the class of a share."""
    return next(one for one in CLASSES if share < one.under)


def look_of(cell: dict[str, Any]) -> Look:
    """Return how a cell is drawn."""
    if not cell["n"]:
        return NO_DATA
    return class_of(cell["share"]).look if cell["is_shown"] else INSUFFICIENT


def heatmap(
    table: pd.DataFrame, events: Sequence[Event] = (), *, title: str, source: str, period: str
) -> Figure:
    """Draw shares by network and period.

    Args:
        table: one row per series and period, those without data included, in the order of
            drawing; at least one. Columns: date, until, group (target), name (network), n,
            n_probes, share, is_shown, lab_n.
        events: one bar each above the rows.
        title: a heading.
        source: who measured what, for the caption.
        period: what a cell is of: day, week, month, quarter.
    """
    with settings():
        return _draw(table, events, title=title, source=source, period=period)


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, in its order."""
    return [
        Row(
            group,
            name,
            tuple(f"{sum(c[key] for c in cells):,}" for key in ("n", "n_probes")),
            cells,
        )
        for (group, name), cells in cells_by_row(table).items()
    ]


def _draw(
    table: pd.DataFrame, events: Sequence[Event], *, title: str, source: str, period: str
) -> Figure:
    rows = rows_of(table)
    n_by_column = table.groupby("date", sort=True)["n"].sum().tolist()
    caption = (
        f"Source: {source}. A cell is a {period}: results that fail, of those that decide "
        "anything. Not enough data: controls failed, or the 95 % interval (Jeffreys; repeated "
        "measurements of one probe count as far as they differ) is wider than 60 points. Below: "
        f"n of the rows drawn, up to {max(n_by_column):,} a {period}."
    )
    plan = Plan(
        rows=rows, headings=("n", "probes"), height=ROW_IN, strip_height=STRIP_IN, key=KEY,
        title=title, caption=caption, simulated=simulated(table),
    )  # fmt: skip
    sheet = ruled(plan, events)
    tiles = Tiles()
    for row, bottom in zip(rows, sheet.bottoms, strict=True):
        for look, run in groupby(row.cells, key=look_of):
            cells = list(run)
            x, end = sheet.x(cells[0])[0], sheet.x(cells[-1])[1]
            tiles.add(look, x, bottom + GAP_IN, end - x, ROW_IN - GAP_IN)
    tiles.draw(sheet.page)
    _draw_strip(sheet, rows[0].cells, n_by_column, period)
    return sheet.page.figure


def _draw_strip(
    sheet: Ruled, cells: Sequence[dict[str, Any]], n_by_column: Sequence[int], period: str
) -> None:
    """Draw n of each column as a bar; where there is none, that there is none."""
    most, tiles, bottom = max(n_by_column), Tiles(), sheet.strip
    edges = [sheet.x(cell)[0] for cell in cells] + [sheet.x(cells[-1])[1]]
    heights = [bottom + STRIP_BAR_IN * n / most for n in n_by_column]
    for number, n in enumerate(n_by_column):
        if not n:
            width = edges[number + 1] - edges[number]
            tiles.add(NO_DATA, edges[number], bottom, width, STRIP_BAR_IN)
    tiles.draw(sheet.page)
    outline = step_outline(edges, [bottom] * len(heights), heights)
    sheet.page.axes.add_patch(
        PathPatch(outline, facecolor="#8a9097", linewidth=0, clip_on=False, zorder=1.5)
    )
    strip_label(sheet, f"n per {period}", f"up to {compact(most)}", STRIP_BAR_IN)


def heatmap_alt_text(table: pd.DataFrame, events: Sequence[Event] = (), *, period: str) -> str:
    """Say subject, span, and of each row n and how many cells are of which class."""
    rows = rows_of(table)
    first, last = table["date"].min(), table["until"].max()
    parts = [
        (
            f"{SPOKEN[simulated(table)]}Share of results that fail, by network and {period}, "
            f"{first} to {last}."
        ),
    ]
    for row in rows:
        counts = {words: sum(look_of(c) is look for c in row.cells) for look, words in KEY}
        told = ", ".join(f"{words} in {n}" for words, n in counts.items() if n)
        shown = [cell for cell in row.cells if cell["is_shown"]]
        peak = max(shown, key=lambda cell: cell["share"], default=None)
        most = (
            f", most {percent(peak['share'])} of {peak['decided']} on {peak['date']}"
            if peak
            else ""
        )
        name = ", ".join(clean(words)[:80] for words in (row.group, row.name) if words)
        parts.append(
            f"{name}, n = {row.numbers[0]} of {row.numbers[1]} probes: {told} of {len(row.cells)} "
            f"{period}s{most}."
        )
    inside = [event for event in events if event.touches(first, last)]
    if inside:
        parts.append("Events: " + "; ".join(event_words(event) for event in inside) + ".")
    return " ".join(parts)
