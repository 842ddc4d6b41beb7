"""Which members of a target work: a row a data centre, a column a day, n of N of each."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.spans import (
    NO_DATA,
    STRIP_IN,
    Period,
    Written,
    draw_n_strip,
    edges,
    write_all,
)
from analysis.chart.style import BAR, LOOKS, SOFT_INK, Look, settings
from analysis.chart.tiles import Tiles, step_outline
from analysis.chart.time_axis import DayAxis, draw_axis

CELL_IN: Final = 0.44
AREA_IN: Final = (5.5, 11.0)
LABELS_IN: Final = 1.9
ROW_IN: Final = 0.27
GAP_IN: Final = 0.03
HEAD_IN: Final = 0.3
POOL_IN: Final = 0.34
"""Between the members of a target and the row of how many work."""
AXIS_IN: Final = 0.45
KEY_IN: Final = 0.35

FULL: Final = LOOKS["ok"]._replace(symbol="")
PART: Final = LOOKS["impaired"]._replace(symbol="")
NONE: Final = LOOKS["blocked"]._replace(symbol="")
_KEY: Final = (
    (FULL, "worked in every measurement"),
    (PART, "in some: the bar says in how many"),
    (NONE, "in none"),
    (NO_DATA, "no data"),
)

Row = dict[str, Any]


class _Layout(NamedTuple):
    page: Sheet
    axis: DayAxis
    period: str


def centres(
    table: pd.DataFrame, pool: pd.DataFrame, *, title: str, source: str, period: str
) -> Figure:
    """Draw the raster.

    Args:
        table: one row a member and period, empty ones too: target_id, member, date, until, n,
            n_ok, in the order of drawing; at least one.
        pool: one row a target and period: target_id, date, until, n, members_ok,
            members_total, most, lab.
        title: a heading.
        source: who measured what, for the caption.
        period: ``day``, ``week``, …: what a column is.
    """
    with settings():
        return _draw(table, pool, title, source, period)


def _draw(table: pd.DataFrame, pool: pd.DataFrame, title: str, source: str, period: str) -> Figure:
    first, last = table["date"].min(), table["until"].max()
    n_days = (last - first).days + 1
    area = min(max(n_days * CELL_IN, AREA_IN[0]), AREA_IN[1])
    axis = DayAxis(MARGIN_IN + LABELS_IN, min(area / n_days, 1.0), n_days, first)
    targets = list(dict.fromkeys(table["target_id"]))
    members = {t: list(dict.fromkeys(table["member"][table["target_id"] == t])) for t in targets}
    n_rows = sum(map(len, members.values()))
    step = ROW_IN + GAP_IN
    block = HEAD_IN + POOL_IN + STRIP_IN + 0.12
    frame = framed(
        max(axis.right + MARGIN_IN, 8.2),
        len(targets) * block + n_rows * step + AXIS_IN + KEY_IN,
        title, _caption(source), simulated=simulated(pool),
    )  # fmt: skip
    layout = _Layout(frame.page, axis, period)
    y = frame.top
    for target in targets:
        own = {name: _records(table, target, name) for name in members[target]}
        y = _draw_target(layout, target, own, _records(pool, target), y)
    draw_axis(frame.page, axis, y)
    _draw_key(frame.page, frame.bottom + 0.18)
    return frame.page.figure


def _records(table: pd.DataFrame, target: str, member: str | None = None) -> list[Row]:
    own = table[table["target_id"] == target]
    if member is not None:
        own = own[own["member"] == member]
    return [{str(name): item for name, item in row.items()} for row in own.to_dict("records")]


def _draw_target(
    layout: _Layout, target: str, members: dict[str, list[Row]], pool: Sequence[Row], top: float
) -> float:
    """Draw a target's rows below ``top``; return where they end."""
    page = layout.page
    name = shortened(clean(target), LABELS_IN + 3, 9.5, bold=True)
    page.text(MARGIN_IN, top - 0.12, name, size=9.5, bold=True)
    y = top - HEAD_IN
    tiles, words = Tiles(), []
    for member, cells in members.items():
        y -= ROW_IN + GAP_IN
        label = shortened(clean(member), LABELS_IN - 0.2, 8.5)
        page.text(MARGIN_IN + 0.1, y + ROW_IN / 2, label, size=8.5)
        for look, run in groupby(cells, key=_look):
            own = list(run)
            x, width = _reach(layout.axis, own)
            tiles.add(look, x, y, width, ROW_IN)
            if look is PART:
                page.axes.add_patch(PathPatch(_bars(layout.axis, own, y), facecolor=BAR, lw=0))
        words += [_word(layout.axis, cell, y) for cell in cells if cell["n"]]
    tiles.draw(page, zorder=0.9)
    write_all(page, words, 7)
    y -= POOL_IN
    page.text(MARGIN_IN, y + POOL_IN / 2 + 0.04, "n of N that work", size=8, bold=True)
    page.text(MARGIN_IN, y + POOL_IN / 2 - 0.09, "in a measurement", size=7, colour=SOFT_INK)
    _draw_pool(layout, pool, y)
    y -= STRIP_IN
    n = [(Period(cell["date"], cell["until"]), cell["n"]) for cell in pool]
    draw_n_strip(page, layout.axis, n, y, (layout.period, "measurements"))
    return y - 0.12


def _reach(axis: DayAxis, cells: Sequence[Row]) -> tuple[float, float]:
    """Return where neighbouring cells begin, and how wide they are together."""
    return edges(axis, Period(cells[0]["date"], cells[-1]["until"]))


def _bars(axis: DayAxis, cells: Sequence[Row], y: float) -> Path:
    """Return the outline of bars that say in how many measurements a member worked."""
    x = [_reach(axis, [cell])[0] for cell in cells]
    end = sum(_reach(axis, [cells[-1]]))
    tops = [y + ROW_IN * cell["n_ok"] / cell["n"] for cell in cells]
    return step_outline([*x, end], [y] * len(cells), tops)


def _word(axis: DayAxis, cell: Row, y: float) -> Written:
    x, width = _reach(axis, [cell])
    halo = _look(cell).face if _look(cell) is NONE else ""
    return Written(f"{cell['n_ok']}/{cell['n']}", x + width / 2, y + ROW_IN / 2, width, halo)


def _draw_pool(layout: _Layout, pool: Sequence[Row], y: float) -> None:
    """Write how many of how many work; where there is no room, the runs of equal numbers."""
    page, axis = layout.page, layout.axis
    words, gaps = [], Tiles()
    for cell in pool:
        x, width = _reach(axis, [cell])
        if cell["n"]:
            words.append(Written(pool_words(cell), x + width / 2, y + POOL_IN / 2, width))
        else:
            gaps.add(NO_DATA, x, y + 0.04, width, POOL_IN - 0.08)
    gaps.draw(page)
    if words and not write_all(page, words, 7.5, bold=True):
        known = [cell for cell in pool if cell["n"]]
        worst = min(known, key=lambda cell: (cell["members_ok"] / cell["n"], cell["date"]))
        best = max(known, key=lambda cell: (cell["members_ok"] / cell["n"], cell["date"]))
        text = f"{pool_words(worst)} at worst ({worst['date']}), {pool_words(best)} at best"
        if pool_words(worst) == pool_words(best):
            text = f"{pool_words(worst)} wherever there are data"
        page.text(axis.left + 0.04, y + POOL_IN / 2, text, size=7.5, bold=True, halo="white")


def pool_words(cell: Row) -> str:
    """Say how many of how many members work in a measurement: 3/5, or 4.2/5 on the average.

    Never rounded to all or none: cut to one digit, and to no less than the first.
    """
    if cell["members_ok"] % cell["n"] == 0:
        return f"{cell['members_ok'] // cell['n']}/{cell['most']}"
    tenths = max(10 * cell["members_ok"] // cell["n"], 1)
    return f"{tenths // 10}.{tenths % 10}/{cell['most']}"


def _look(cell: Row) -> Look:
    if not cell["n"]:
        return NO_DATA
    if cell["n_ok"] == cell["n"]:
        return FULL
    return PART if cell["n_ok"] else NONE


def _draw_key(page: Sheet, y: float) -> None:
    x = MARGIN_IN
    for look, words in _KEY:
        page.box(x, y - 0.085, 0.3, 0.17, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
        if look is PART:
            page.box(x, y - 0.085, 0.3, 0.08, face=BAR, hatch="", ink=BAR)
        page.text(x + 0.36, y, words, size=7.5, colour=SOFT_INK)
        x += 0.36 + width_of(words, 7.5) + 0.2


def _caption(source: str) -> str:
    return (
        f"Source: {source}. A member works in a measurement if at each step that was tried with "
        "it one try passed; in a cell: in so many of those that tried it. Below: how many work "
        "in a measurement, on the average (cut, not rounded). No cause is judged here."
    )


def centres_alt_text(table: pd.DataFrame, pool: pd.DataFrame, period: str) -> str:
    """Say for each member on how many days it worked in full, in part, not, or was not tried."""
    opening = SPOKEN[simulated(pool)]
    first, last = table["date"].min(), table["until"].max()
    told = []
    for (target, member), own in table.groupby(["target_id", "member"], sort=False):
        has = own["n"] > 0
        full = int((has & (own["n_ok"] == own["n"])).sum())
        none = int((has & (own["n_ok"] == 0)).sum())
        part = int(has.sum()) - full - none
        told.append(
            f"{clean(target)} {clean(member)}: in full in {full}, in part in {part}, not in "
            f"{none}, no data in {int((~has).sum())} of {len(own)} {period}s, n={own['n'].sum()}."
        )
    return (
        f"{opening}Which members of a target worked, by {period} from {first} to {last}. "
        f"{' '.join(told)}"
    )
