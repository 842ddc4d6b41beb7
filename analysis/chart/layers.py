"""Where it fails: a row for each target, network and way, n of N in a column for each layer."""

from typing import Any, Final

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.series import value, way_words
from analysis.chart.sheet import Sheet, clean, shortened
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.style import BAR, LOOKS, NO_DATA_FACE, RULE, SOFT_INK, settings
from probe.verdict.words import STATE_WORDS

LAYERS: Final = {"dns": "DNS", "tcp": "TCP", "tls": "TLS", "http": "HTTP", "mtproto": "MTProto"}
"""Columns in wire order, with their headings. The route step has no target."""

NOT_TRIED: Final = "·"
LABELS_IN: Final = 2.2
CELL_IN: Final = (0.85, 0.38)
GAP_IN: Final = 0.08
VERDICT_IN: Final = 3.3
HEADER_IN: Final = 0.3
_BAR_HATCH: Final = "\\\\\\\\"

Row = dict[str, Any]


def layers(table: pd.DataFrame, *, title: str, source: str) -> Figure:
    """Draw layers by target.

    Args:
        table: one row a series, in the order of drawing; at least one. Columns: target_id,
            place (empty where it need not be said), tactic, proxy_id, day, state, mechanism, n,
            n_state (of n, those in that state), lab, and ``<layer>_ok`` and ``<layer>_total`` of
            `LAYERS`.
        title: a heading.
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, title, source)


def _draw(table: pd.DataFrame, title: str, source: str) -> Figure:
    rows = [{str(name): item for name, item in row.items()} for row in table.to_dict("records")]
    step = CELL_IN[1] + GAP_IN
    width = 2 * MARGIN_IN + LABELS_IN + len(LAYERS) * (CELL_IN[0] + GAP_IN) + 0.15 + VERDICT_IN
    frame = framed(
        width, HEADER_IN + len(rows) * step + 0.05, title, _caption(source),
        simulated=simulated(table),
    )  # fmt: skip
    page, top = frame.page, frame.top - HEADER_IN
    left = MARGIN_IN + LABELS_IN
    for number, name in enumerate(LAYERS.values()):
        x = left + number * (CELL_IN[0] + GAP_IN) + CELL_IN[0] / 2
        page.text(x, top + 0.12, name, size=9, bold=True, ha="center")
    verdict_x = left + len(LAYERS) * (CELL_IN[0] + GAP_IN) + 0.15
    page.text(verdict_x, top + 0.12, "State of the last measured day", size=9, bold=True)
    before: Row = {}
    for number, row in enumerate(rows):
        y = top - (number + 1) * step
        middle = y + CELL_IN[1] / 2
        if row["target_id"] != before.get("target_id"):
            page.line(
                (MARGIN_IN, frame.right), (y + step - GAP_IN / 2,) * 2,
                colour="#d5d8db", width=0.8, dash="-",
            )  # fmt: skip
        _draw_label(page, row, before, middle)
        for column, layer in enumerate(LAYERS):
            _draw_share(page, row, layer, left + column * (CELL_IN[0] + GAP_IN), y)
        _draw_verdict(page, row, verdict_x, middle)
        before = row
    return page.figure


def _draw_label(page: Sheet, row: Row, before: Row, y: float) -> None:
    """Name what the row before did not: the target, the network, the way."""
    way = clean(way_words(row["tactic"], value(row["proxy_id"]) or None))
    is_new = row["target_id"] != before.get("target_id")
    if row["tactic"] != "none":
        way = f"↳ {way}"
    if row["place"] and (is_new or row["place"] != before.get("place")):
        way = row["place"] if row["tactic"] == "none" else f"{row['place']} {way}"
    room = LABELS_IN - 0.1
    if not is_new:
        page.text(MARGIN_IN + 0.12, y, shortened(way, room - 0.12, 8), size=8)
        return
    name = shortened(clean(row["target_id"]), room, 9.5, bold=True)
    page.text(MARGIN_IN, y + 0.08, name, size=9.5, bold=True)
    page.text(MARGIN_IN, y - 0.09, shortened(way, room, 8), size=8, colour=SOFT_INK)


def _draw_share(page: Sheet, row: Row, layer: str, x: float, y: float) -> None:
    """Draw n of N as a bar over its whole, and in figures."""
    wide, high = CELL_IN
    n_total = value(row[f"{layer}_total"])
    if not n_total:
        page.text(x + wide / 2, y + high / 2, NOT_TRIED, size=9, colour=SOFT_INK, ha="center")
        return
    n_ok, n_total = int(row[f"{layer}_ok"]), int(n_total)
    page.box(x, y, wide, high, face=NO_DATA_FACE, hatch=_BAR_HATCH, ink="#c9ced4")
    page.box(x, y, wide * n_ok / n_total, high, face=BAR, hatch="", ink=BAR)
    page.axes.plot(
        [x, x + wide, x + wide, x, x], [y, y, y + high, y + high, y],
        color=RULE, linewidth=0.6, clip_on=False,
    )  # fmt: skip
    figures = shortened(f"{n_ok}/{n_total}", wide - 0.06, 9, bold=True)
    page.text(
        x + wide / 2, y + high / 2, figures, size=9, bold=True, ha="center",
        halo="white" if n_ok < n_total else BAR,
    )  # fmt: skip


def _draw_verdict(page: Sheet, row: Row, x: float, y: float) -> None:
    look = LOOKS[row["state"]]
    page.box(x, y - 0.12, 0.3, 0.24, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
    page.text(x + 0.15, y, look.symbol, size=10, bold=True, ha="center", halo=look.face)
    mechanism = value(row["mechanism"])
    words = STATE_WORDS[row["state"]]
    room = VERDICT_IN - 0.4
    page.text(x + 0.4, y + 0.085, shortened(words, room, 8.5, bold=True), size=8.5, bold=True)
    looks = f"{clean(mechanism)}, " if mechanism else ""
    below = f"{looks}{row['day']}, {_n_words(row)}"
    page.text(x + 0.4, y - 0.085, shortened(below, room, 7.5), size=7.5, colour=SOFT_INK)


def _n_words(row: Row) -> str:
    """Say of how many results the state is, where not of all."""
    is_mixed = row["n_state"] < row["n"]
    return f"{int(row['n_state'])} of n={int(row['n'])}" if is_mixed else f"n={int(row['n'])}"


def _caption(source: str) -> str:
    return (
        f"Source: {source}. In a cell: members (of OONI: tries) that passed the layer of those "
        f"that were tried there, summed over the day's n results; {NOT_TRIED} not tried. "
        "A layer is tried only where the one before it passed. The state is the day's most "
        "frequent, ties to the worse."
    )


def layers_alt_text(table: pd.DataFrame) -> str:
    """Say, for each row, n of N of each layer and the verdict."""
    opening = SPOKEN[simulated(table)]
    told = []
    for row in table.to_dict("records"):
        tried = [
            f"{name} {int(row[f'{layer}_ok'])}/{int(row[f'{layer}_total'])}"
            for layer, name in LAYERS.items()
            if value(row[f"{layer}_total"])
        ]
        way = way_words(row["tactic"], value(row["proxy_id"]) or None)
        where = ", ".join(filter(None, (clean(row["target_id"]), row["place"], clean(way))))
        told.append(
            f"{where}, {row['day']}: {', '.join(tried) or 'no layer tried'}; "
            f"{STATE_WORDS[row['state']]}, {_n_words(row)}."
        )
    return (
        f"{opening}What passed each layer, of what was tried there, on each row's last "
        f"measured day. {' '.join(told)}"
    )
