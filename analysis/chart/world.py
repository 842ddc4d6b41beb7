"""Countries side by side: the share that fails, with its interval, on the same axes for all."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from analysis.chart.events import Event, event_words
from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.key import NO_DATA, draw_key, key_height
from analysis.chart.scale import Scale, percent, share_scale
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.style import INK, LOOKS, RULE, SOFT_INK, Look, settings
from analysis.chart.tiles import Tiles, snapped, step_outline
from analysis.chart.time_axis import DayAxis, draw_axis

WIDTH_IN: Final = 11.5
N_ACROSS: Final = 4
LABELS_IN: Final = 0.5
"""Room left of the first panel for the scale."""
PANEL_IN: Final = 1.0
TITLE_IN: Final = 0.24
GAP_IN: Final = (0.16, 0.1)
AXIS_IN: Final = 0.36
LINE: Final = "#b54f00"
BAND: Final = Look("#f6cfb5", "", LINE, "")
INSUFFICIENT: Final = LOOKS["insufficient"]._replace(symbol="")
KEY: Final = (
    (Look(LINE, "", LINE, ""), "share that fails"),
    (BAND, "its 95 % interval"),
    (INSUFFICIENT, "not enough data for a share"),
    (NO_DATA, "no data"),
)
MAX_EVENTS: Final = 5


class Panel(NamedTuple):
    """A country: its name and its cells in order of day."""

    name: str
    cells: list[dict[str, Any]]

    @property
    def n(self) -> int:
        """Results of all its cells."""
        return sum(cell["n"] for cell in self.cells)

    @property
    def n_probes(self) -> int:
        """Runs or reports of all its cells."""
        return sum(cell["n_probes"] for cell in self.cells)


def world(
    table: pd.DataFrame, events: Sequence[Event] = (), *, title: str, source: str, period: str
) -> Figure:
    """Draw a panel for each country.

    Args:
        table: one row per country and period, those without data included, in the order of
            drawing; at least one. Columns: date, until, name, n, n_probes, failing, decided,
            share, low, high, is_shown, lab_n.
        events: lines through all panels, said in the caption.
        title: a heading.
        source: who measured what, for the caption.
        period: what a step is of: day, week, month, quarter.
    """
    with settings():
        return _draw(table, events, title=title, source=source, period=period)


def panels_of(table: pd.DataFrame) -> list[Panel]:
    """Return the panels of a table, in its order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for record in table.to_dict("records"):
        found.setdefault(record["name"], []).append({str(k): v for k, v in record.items()})
    return [Panel(name, cells) for name, cells in found.items()]


def _draw(
    table: pd.DataFrame, events: Sequence[Event], *, title: str, source: str, period: str
) -> Figure:
    panels = panels_of(table)
    first, last = table["date"].min(), table["until"].max()
    inside = [event for event in events if event.touches(first, last)]
    drawn = sorted(inside, key=lambda event: (event.date, event.label))[:MAX_EVENTS]
    n_down = -(-len(panels) // N_ACROSS)
    step = TITLE_IN + PANEL_IN + GAP_IN[1]
    inner = WIDTH_IN - 2 * MARGIN_IN
    key = key_height(inner, KEY)
    plot = snapped(n_down * step + AXIS_IN + key + 0.2)
    frame = framed(
        WIDTH_IN, plot, title, _caption(source, period, drawn, len(inside)),
        simulated=simulated(table),
    )  # fmt: skip
    wide = snapped((inner - LABELS_IN - (N_ACROSS - 1) * GAP_IN[0]) / N_ACROSS)
    n_days = (last - first).days + 1
    tiles = Tiles()
    for number, panel in enumerate(panels):
        down, across = divmod(number, N_ACROSS)
        left = snapped(MARGIN_IN + LABELS_IN + across * (wide + GAP_IN[0]))
        bottom = snapped(frame.top - (down + 1) * step + GAP_IN[1])
        axis = DayAxis(left, wide / n_days, n_days, first)
        scale = share_scale(1.0, bottom, bottom + PANEL_IN)
        _draw_frame(frame.page, axis, scale, panel, has_scale=not across)
        _draw_panel(frame.page, tiles, axis, scale, panel.cells)
        for event in drawn:
            x = axis.x_within(event.date)
            frame.page.line((x, x), (bottom, bottom + PANEL_IN), colour=INK, width=0.6, dash="--")
        if number + N_ACROSS >= len(panels):
            draw_axis(frame.page, axis, bottom)
    tiles.draw(frame.page)
    draw_key(frame.page, MARGIN_IN, frame.bottom + key + 0.05, inner, entries=KEY)
    return frame.page.figure


def _caption(source: str, period: str, drawn: Sequence[Event], n_inside: int) -> str:
    parts = [
        f"Source: {source}.",
        f"A step is a {period}: results that fail, of those that decide anything.",
        "A share is drawn where its 95 % interval (Jeffreys; repeated measurements of one probe",
        "count as far as they differ) is at most 60 points wide. Panels by that share over all",
        "days, largest first.",
    ]
    if drawn:
        parts.append("Lines: " + " ".join(f"{event_words(event)}." for event in drawn))
    if n_inside > len(drawn):
        parts.append(f"{n_inside - len(drawn)} more events are not drawn.")
    return " ".join(parts)


def _draw_frame(page: Sheet, axis: DayAxis, scale: Scale, panel: Panel, *, has_scale: bool) -> None:
    for tick in (0.0, 0.5, 1.0):
        y = scale.y(tick)
        page.line((axis.left, axis.right), (y, y), colour="#e3e6e8", width=0.6, dash="-")
        if has_scale:
            page.text(axis.left - 0.06, y, percent(tick), size=7, colour=SOFT_INK, ha="right")
    for x in (axis.left, axis.right):
        page.line((x, x), (scale.bottom, scale.top), colour=RULE, width=0.6, dash="-")
    numbers = f"n = {panel.n:,}, {panel.n_probes:,} probes"
    room = axis.right - axis.left
    y = scale.top + TITLE_IN / 2 - 0.02
    page.text(axis.right, y, numbers, size=7, colour=SOFT_INK, ha="right")
    name = shortened(clean(panel.name), room - width_of(numbers, 7) - 0.1, 9, bold=True)
    page.text(axis.left, y, name, size=9, bold=True)


def _draw_panel(
    page: Sheet, tiles: Tiles, axis: DayAxis, scale: Scale, cells: Sequence[dict[str, Any]]
) -> None:
    for kind, run in groupby(cells, key=_kind):
        own = list(run)
        edges = [axis.x(cell["date"]) for cell in own] + [axis.x(own[-1]["until"]) + axis.cell]
        if kind is not None:
            width = edges[-1] - edges[0]
            tiles.add(kind, edges[0], scale.bottom, width, scale.top - scale.bottom)
            continue
        lows, highs = ([scale.y(cell[name]) for cell in own] for name in ("low", "high"))
        outline = step_outline(edges, lows, highs)
        page.axes.add_patch(
            PathPatch(outline, facecolor=BAND.face, linewidth=0, clip_on=False, zorder=1.5)
        )
        xs = [snapped(edge) for edge in edges for _ in range(2)][1:-1]
        ys = [snapped(scale.y(cell["share"])) for cell in own for _ in range(2)]
        page.axes.plot(xs, ys, color=LINE, linewidth=1.3, zorder=2.5, clip_on=False)


def _kind(cell: dict[str, Any]) -> Look | None:
    """Return how a cell without a share is drawn; None for one with a share."""
    if not cell["n"]:
        return NO_DATA
    return None if cell["is_shown"] else INSUFFICIENT


def world_alt_text(table: pd.DataFrame, events: Sequence[Event] = (), *, period: str) -> str:
    """Say subject, span, and of each country n, first, last and largest share, and gaps."""
    first, last = table["date"].min(), table["until"].max()
    parts = [
        (
            f"{SPOKEN[simulated(table)]}Share of results that fail by country and {period}, "
            f"{first} to {last}."
        ),
    ]
    for panel in panels_of(table):
        shown = [cell for cell in panel.cells if cell["is_shown"]]
        told = "no share can be told"
        if shown:
            peak = max(shown, key=lambda cell: cell["share"])
            told = (
                f"{percent(shown[0]['share'])} at first, {percent(shown[-1]['share'])} at last, "
                f"most from {peak['date']}: {percent(peak['share'])} ({percent(peak['low'])} to "
                f"{percent(peak['high'])}, n = {peak['decided']:,})"
            )
        silent = sum(not cell["n"] for cell in panel.cells)
        gaps = f"; no data in {silent} of {len(panel.cells)} {period}s" if silent else ""
        parts.append(
            f"{clean(panel.name)}, n = {panel.n:,} of {panel.n_probes:,} probes: {told}{gaps}."
        )
    inside = [event for event in events if event.touches(first, last)]
    if inside:
        parts.append("Events: " + "; ".join(event_words(event) for event in inside) + ".")
    return " ".join(parts)
