"""Who measured, and when: a bar of n for each network and day, and apart what decided nothing."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from analysis.chart.events import Event, event_words
from analysis.chart.key import NO_DATA
from analysis.chart.rows import Plan, Row, Ruled, cells_by_row, ruled
from analysis.chart.sheet import clean
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.style import LOOKS, SOFT_INK, Look, settings
from analysis.chart.tiles import Tiles, step_outline

ROW_IN: Final = 0.42
BAR_IN: Final = 0.24
STRIP_IN: Final = 0.09
_LEAST_IN: Final = 0.04
"""Height of a bar of one measurement: it can be seen."""

BARS: Final = Look("#0072b2", "", "#0072b2", "")
MANY: Final = LOOKS["insufficient"]._replace(hatch="-----", symbol="")
SOME: Final = Look("#ececec", "-", "#9a9a9a", "")
GAP: Final = NO_DATA
KEY: Final = (
    (BARS, "n measurements (log scale)"),
    (GAP, "no data"),
    (MANY, "below a bar: half or more decided nothing"),
    (SOME, "below a bar: some decided nothing"),
)


def coverage(
    table: pd.DataFrame, events: Sequence[Event] = (), *, title: str, source: str, period: str
) -> Figure:
    """Draw who measured when.

    Args:
        table: one row per place and period, those without data included, in the order of
            drawing; at least one. Columns: date, until, source, group, name (network), n,
            n_probes, n_insufficient, n_failed_controls, lab_n.
        events: one bar each above the rows.
        title: a heading.
        source: who measured what, for the caption.
        period: what a bar is of: day, week, month, quarter.
    """
    with settings():
        return _draw(table, events, title=title, source=source, period=period)


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, in its order, with their totals."""
    totals = ["n", "n_probes", "n_insufficient"]
    # OONI has no controls of ours: a column of noughts would say that none failed.
    totals += ["n_failed_controls"] if has_controls(table) else []
    return [
        Row(
            group,
            name,
            (
                *(f"{sum(cell[key] for cell in cells):,}" for key in totals),
                f"{sum(cell['n'] > 0 for cell in cells)}/{len(cells)}",
            ),
            cells,
        )
        for (group, name), cells in cells_by_row(table).items()
    ]


def has_controls(table: pd.DataFrame) -> bool:
    """Whether any of it was measured with controls of ours."""
    return bool((table["source"] == "reachwatch").any())


def _draw(
    table: pd.DataFrame, events: Sequence[Event], *, title: str, source: str, period: str
) -> Figure:
    rows = rows_of(table)
    most = int(table["n"].max())
    controls = ", of these those whose controls failed" if has_controls(table) else ""
    caption = (
        f"Source: {source}. A bar is the n of a {period}, from 1 to {most:,} on one log scale. "
        "Right: measurements, probes (runs, or reports of OONI's), measurements that decided "
        f"nothing about any target{controls}, {period}s with data."
    )
    headings = ["n", "probes", "undecided", *(["controls"] if controls else []), f"{period}s"]
    plan = Plan(
        rows=rows, headings=tuple(headings), height=ROW_IN, strip_height=0.06, key=KEY,
        title=title, caption=caption, simulated=simulated(table),
    )  # fmt: skip
    sheet = ruled(plan, events)
    tiles = Tiles()
    for row, bottom in zip(rows, sheet.bottoms, strict=True):
        _draw_row(sheet, tiles, row, bottom + 0.04, most)
    tiles.draw(sheet.page)
    return sheet.page.figure


def _draw_row(sheet: Ruled, tiles: Tiles, row: Row, bottom: float, most: int) -> None:
    base = bottom + STRIP_IN + 0.02
    for has_data, run in groupby(row.cells, key=lambda cell: cell["n"] > 0):
        cells = list(run)
        x, end = sheet.x(cells[0])[0], sheet.x(cells[-1])[1]
        if not has_data:
            tiles.add(GAP, x, bottom, end - x, BAR_IN + STRIP_IN + 0.02)
            continue
        heights = [base + _height(cell["n"], most) for cell in cells]
        edges = [sheet.x(cell)[0] for cell in cells] + [end]
        outline = step_outline(edges, [base] * len(cells), heights)
        sheet.page.axes.add_patch(
            PathPatch(outline, facecolor=BARS.face, linewidth=0, clip_on=False, zorder=1.5)
        )
        for look, part in groupby(cells, key=_strip):
            if look is not None:
                own = list(part)
                left, right = sheet.x(own[0])[0], sheet.x(own[-1])[1]
                tiles.add(look, left, bottom, right - left, STRIP_IN)
    sheet.page.line((sheet.axis.left, sheet.axis.right), (base, base), colour=SOFT_INK, width=0.4,
                    dash="-")  # fmt: skip


def _height(n: int, most: int) -> float:
    return _LEAST_IN + (BAR_IN - _LEAST_IN) * (math.log(n) / math.log(most) if most > 1 else 1.0)


def _strip(cell: dict[str, Any]) -> Look | None:
    if not cell["n_insufficient"]:
        return None
    return MANY if 2 * cell["n_insufficient"] >= cell["n"] else SOME


def coverage_alt_text(table: pd.DataFrame, events: Sequence[Event] = (), *, period: str) -> str:
    """Say subject, span, and of each row its totals and its longest silence."""
    first, last = table["date"].min(), table["until"].max()
    parts = [
        f"{SPOKEN[simulated(table)]}Measurements by network and {period}, {first} to {last}.",
    ]
    for row in rows_of(table):
        n, n_probes, undecided, *failed, measured = row.numbers
        controls = f" ({failed[0]} for failed controls)" if failed else ""
        gaps = [
            len(list(run)) for silent, run in groupby(row.cells, lambda c: not c["n"]) if silent
        ]
        longest = f", longest gap {max(gaps)}" if gaps else ""
        name = ", ".join(clean(words)[:80] for words in (row.group, row.name) if words)
        parts.append(
            f"{name}: {n} measurements by {n_probes} probes, {undecided} decided nothing"
            f"{controls}; data on {measured} {period}s{longest}."
        )
    inside = [event for event in events if event.touches(first, last)]
    if inside:
        parts.append("Events: " + "; ".join(event_words(event) for event in inside) + ".")
    return " ".join(parts)
