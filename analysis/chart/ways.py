"""The matrix of ways around: a row a way, a column a network and target, n of N runs in each."""

from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.series import way_words
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.style import (
    LOOKS,
    NO_DATA_FACE,
    NO_DATA_HATCH,
    SOFT_INK,
    Look,
    settings,
)

LABELS_IN: Final = 2.2
CELL_IN: Final = (1.15, 0.56)
GAP_IN: Final = 0.06
HEADER_IN: Final = 0.4
KEY_IN: Final = 0.4
LEAST_WIDTH_IN: Final = 8.6

NOT_TRIED_WORDS: Final = "not tried"
RESULT_LOOKS: Final[dict[str, tuple[Look, str]]] = {
    "works": (LOOKS["ok"], "works in every run"),
    "in_part": (LOOKS["impaired"], "in some runs or at some members"),
    "fails": (LOOKS["blocked"], "works in no run"),
    "few": (LOOKS["insufficient"], "too few runs to tell"),
    "untried": (Look(NO_DATA_FACE, NO_DATA_HATCH, "#c4c4c4", ""), NOT_TRIED_WORDS),
}

Row = dict[str, Any]


def result_of(row: Row) -> str:
    """Return the key of `RESULT_LOOKS` that says how a cell came out. Never rounded."""
    if not row["n"]:
        return "untried"
    if not row["is_shown"]:
        return "few"
    if row["works"] == row["n"]:
        return "works"
    return "in_part" if row["works"] or row["in_part"] else "fails"


def ways(table: pd.DataFrame, *, title: str, source: str) -> Figure:
    """Draw the matrix.

    Args:
        table: one row a cell, way by way, each way with the same columns in the same order.
            Columns: tactic, proxy_id (empty: none), target_id, place (empty where it need not
            be said), n (runs that tried it), works and in_part (of these), low and high (of
            works of n), is_shown (whether that says anything), members_ok, members_total (0: not
            known), lab.
        title: a heading.
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, title, source)


def _draw(table: pd.DataFrame, title: str, source: str) -> Figure:
    rows = _records(table)
    heads = list(dict.fromkeys((row["place"], row["target_id"]) for row in rows))
    by_way = [rows[start : start + len(heads)] for start in range(0, len(rows), len(heads))]
    step = (CELL_IN[0] + GAP_IN, CELL_IN[1] + GAP_IN)
    width = max(2 * MARGIN_IN + LABELS_IN + len(heads) * step[0], LEAST_WIDTH_IN)
    frame = framed(
        width, HEADER_IN + len(by_way) * step[1] + KEY_IN, title, _caption(source),
        simulated=simulated(table),
    )  # fmt: skip
    page, top, left = frame.page, frame.top - HEADER_IN, MARGIN_IN + LABELS_IN
    for number, (place, target_id) in enumerate(heads):
        _draw_head(page, left + number * step[0], top, place, target_id)
    for number, cells in enumerate(by_way):
        y = top - (number + 1) * step[1]
        way = clean(way_words(cells[0]["tactic"], cells[0]["proxy_id"] or None))
        is_direct = cells[0]["tactic"] == "none"
        name = "the direct way" if is_direct else way
        room = LABELS_IN - 0.1
        page.text(
            MARGIN_IN, y + CELL_IN[1] / 2, shortened(name, room, 9, bold=is_direct), size=9,
            bold=is_direct,
        )  # fmt: skip
        for column, cell in enumerate(cells):
            _draw_cell(page, cell, left + column * step[0], y)
        if is_direct:
            page.line((MARGIN_IN, frame.right), (y - GAP_IN / 2,) * 2, colour=SOFT_INK, width=0.8,
                      dash="-")  # fmt: skip
    _draw_key(page, frame.bottom + KEY_IN - 0.2)
    return page.figure


def _records(table: pd.DataFrame) -> list[Row]:
    return [{str(name): item for name, item in row.items()} for row in table.to_dict("records")]


def _draw_head(page: Sheet, x: float, top: float, place: str, target_id: str) -> None:
    middle, room = x + CELL_IN[0] / 2, CELL_IN[0]
    target = shortened(clean(target_id), room, 7.5, bold=not place)
    page.text(middle, top + 0.1, target, size=7.5, bold=not place, ha="center")
    if place:
        page.text(
            middle, top + 0.27, shortened(clean(place), room, 8, bold=True), size=8, bold=True,
            ha="center",
        )  # fmt: skip


def _draw_cell(page: Sheet, cell: Row, x: float, y: float) -> None:
    look, _ = RESULT_LOOKS[result_of(cell)]
    page.box(x, y, *CELL_IN, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
    middle = x + CELL_IN[0] / 2
    if not cell["n"]:
        page.text(
            middle, y + CELL_IN[1] / 2, NOT_TRIED_WORDS, size=7, colour=SOFT_INK, ha="center",
            halo=look.face,
        )  # fmt: skip
        return
    halo = look.face if look.hatch else None
    runs = f"{look.symbol} {cell['works']}/{cell['n']}"
    page.text(middle, y + 0.42, runs, size=9.5, bold=True, ha="center", halo=halo)
    interval = f"{cell['low']:.0%} to {cell['high']:.0%}"
    page.text(middle, y + 0.25, interval, size=7, ha="center", halo=halo)
    if cell["members_total"]:
        members = f"members {cell['members_ok']}/{cell['members_total']}"
        text = shortened(members, CELL_IN[0] - 0.06, 6.5)
        page.text(middle, y + 0.1, text, size=6.5, ha="center", halo=halo)


def _draw_key(page: Sheet, y: float) -> None:
    x = MARGIN_IN
    for look, words in RESULT_LOOKS.values():
        page.box(x, y - 0.085, 0.3, 0.17, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
        if look.symbol:
            page.text(x + 0.15, y, look.symbol, size=8, bold=True, ha="center", halo=look.face)
        page.text(x + 0.36, y, words, size=7.5, colour=SOFT_INK)
        x += 0.36 + width_of(words, 7.5) + 0.15


def _caption(source: str) -> str:
    return (
        f"Source: {source}. In a cell: runs in which the way worked at every member tried, of "
        "runs that tried it while the direct way failed; its 95 % interval (too few: wider than "
        "60 points); members that worked over these runs. The direct way: of all runs that "
        "decided it. Not tried is not the same as not working."
    )


def ways_alt_text(table: pd.DataFrame) -> str:
    """Say how each way came out in each network and at each target."""
    rows = _records(table)
    opening = SPOKEN[simulated(table)]
    told: dict[str, list[str]] = {}
    for row in rows:
        name = clean(way_words(row["tactic"], row["proxy_id"] or None))
        where = " ".join(filter(None, (clean(row["place"]), clean(row["target_id"]))))
        words = RESULT_LOOKS[result_of(row)][1]
        if row["n"]:
            words = f"{words}, in full in {row['works']} of n={row['n']} runs"
        told.setdefault(name, []).append(f"{where}: {words}")
    parts = " ".join(f"{name}: {'; '.join(cells)}." for name, cells in told.items())
    return f"{opening}Ways around where the direct way fails, by network and target. {parts}"
