"""Latency and throughput by day, the target's beside those of the controls of the same day."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from analysis.chart.framed import MARGIN_IN, framed
from analysis.chart.scale import Scale, log_scale, three_digits
from analysis.chart.sheet import Sheet, clean, shortened, width_of
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.spans import NO_DATA, Period, Written, edges, write_all
from analysis.chart.style import INK, RULE, SOFT_INK, Look, settings
from analysis.chart.tiles import Tiles
from analysis.chart.time_axis import DayAxis, draw_axis

AREA_IN: Final = 8.0
LABELS_IN: Final = 2.25
HEAD_IN: Final = 0.28
STRIP_IN: Final = 0.95
RATIO_IN: Final = 0.2
GAP_IN: Final = 0.12
AXIS_IN: Final = 0.5
KEY_IN: Final = 0.35
MEDIAN_IN: Final = 0.022

KIND_WORDS: Final = {
    "tcp": "Connecting (TCP)", "rtt": "Round trip (kernel)", "tls": "TLS handshake",
    "rate": "Throughput of bodies",
}  # fmt: skip
TARGET: Final = Look("#8cc8ef", "", "#0072b2", "")
CONTROL: Final = Look("#e3c9a8", "\\\\\\\\", "#8a5a1e", "")
_TARGET_MEDIAN: Final = Look("#004c78", "", "#004c78", "")
_CONTROL_MEDIAN: Final = Look("#5c3608", "", "#5c3608", "")
NO_CONTROL: Final = NO_DATA._replace(hatch="--", hatch_ink="#9a9a9a")
_ALONE: Final = "ooni"

Row = dict[str, Any]


class _Layout(NamedTuple):
    page: Sheet
    axis: DayAxis
    period: str


def speed(table: pd.DataFrame, *, title: str, source: str, period: str) -> Figure:
    """Draw strips.

    Args:
        table: one row a strip and period, empty ones too, in the order of drawing; at least
            one with data. Columns: target_id, where (the network, in words), source, kind, date,
            until, n, low, middle, high (quantiles 0.1, 0.5, 0.9; seconds, or bytes a second; NaN
            without data), control_n, control_low, control_middle, control_high, ratio,
            ratio_low, ratio_high (NaN without a control), lab.
        title: a heading.
        source: who measured what, for the caption.
        period: ``day``, ``week``, …: what a column is.
    """
    with settings():
        return _draw(table, title, source, period)


def _draw(table: pd.DataFrame, title: str, source: str, period: str) -> Figure:
    strips = _strips(table)
    first, last = table["date"].min(), table["until"].max()
    n_days = (last - first).days + 1
    axis = DayAxis(MARGIN_IN + LABELS_IN, min(AREA_IN / n_days, 1.2), n_days, first)
    n_series = len({series for series, _, _ in strips})
    plot = n_series * HEAD_IN + len(strips) * (STRIP_IN + RATIO_IN + GAP_IN) + AXIS_IN + KEY_IN
    width = max(axis.right + MARGIN_IN, 8.6)
    frame = framed(width, plot, title, _caption(source), simulated=simulated(table))
    layout = _Layout(frame.page, axis, period)
    y, before = frame.top, ""
    for series, kind, cells in strips:
        if series != before:
            y -= HEAD_IN
            _draw_head(frame.page, cells[0], y + 0.12, width - 2 * MARGIN_IN)
        y -= STRIP_IN + RATIO_IN + GAP_IN
        _draw_strip(layout, kind, cells, y + RATIO_IN + GAP_IN)
        before = series
    draw_axis(frame.page, axis, y + 0.06)
    _draw_key(frame.page, frame.bottom + 0.16)
    return frame.page.figure


def _draw_head(page: Sheet, cell: Row, y: float, room: float) -> None:
    where = clean(cell["where"])
    most = min(room - width_of(where, 8) - 0.6, 4.5)
    name = shortened(clean(cell["target_id"]), most, 9.5, bold=True)
    page.text(MARGIN_IN, y, name, size=9.5, bold=True)
    # Letters are drawn on whole pixels: a little wider than they measure, or less so.
    x = MARGIN_IN + 1.06 * width_of(name, 9.5, bold=True) + 0.15
    page.text(x, y - 0.01, where, size=8, colour=SOFT_INK)


def _strips(table: pd.DataFrame) -> list[tuple[str, str, list[Row]]]:
    rows = [{str(name): item for name, item in row.items()} for row in table.to_dict("records")]
    return [
        (series, kind, list(own))
        for (series, kind), own in groupby(rows, key=lambda row: (_series(row), row["kind"]))
    ]


def _series(row: Row) -> str:
    return f"{clean(row['target_id'])}, {row['where']}"


def unit_of(kind: str) -> tuple[str, float]:
    """Return the unit in which a kind is written, and how many of it make one of the table's."""
    return ("kB/s", 1e-3) if kind == "rate" else ("ms", 1e3)


def _draw_strip(layout: _Layout, kind: str, cells: Sequence[Row], bottom: float) -> None:
    page, axis = layout.page, layout.axis
    scale = _scale(kind, cells, bottom)
    _draw_words(layout, kind, cells, bottom)
    _draw_scale(page, axis, scale, kind)
    strip, ratios = _Strip(scale, Tiles(), Tiles()), []
    is_alone = all(cell["source"] == _ALONE for cell in cells)
    for has_data, run in groupby(cells, key=lambda cell: cell["n"] > 0):
        own = list(run)
        if not has_data:
            x, width = edges(axis, Period(own[0]["date"], own[-1]["until"]))
            strip.boxes.add(NO_DATA, x, bottom, width, STRIP_IN)
            continue
        for cell in own:
            x, width = edges(axis, Period(cell["date"], cell["until"]))
            part = width * (0.8 if is_alone else 0.42)
            factor = unit_of(kind)[1]
            numbers = [factor * cell[name] for name in ("low", "middle", "high")]
            strip.add((TARGET, _TARGET_MEDIAN), numbers, (x, part))
            if cell["control_n"]:
                numbers = [factor * cell[f"control_{q}"] for q in ("low", "middle", "high")]
                place = (x + width * 0.46, part)
                strip.add((CONTROL, _CONTROL_MEDIAN), numbers, place)
                ratios.append(
                    Written(ratio_words(cell), x + width / 2, bottom - RATIO_IN / 2, width)
                )
            elif not is_alone:
                strip.boxes.add(NO_CONTROL, x + width * 0.46, bottom, part, STRIP_IN)
    strip.boxes.draw(page, zorder=1.2)
    strip.medians.draw(page, zorder=2.5)
    written = bool(ratios) and write_all(page, ratios, 6.5)
    said = _ratio_range(cells, layout.period) if ratios and not written else ""
    if is_alone:
        said = "OONI measures no controls: these times are of the target alone"
    elif not ratios:
        said = "no control measured: nothing to compare with"
    if said:
        page.text(axis.left, bottom - RATIO_IN / 2, said, size=7, colour=SOFT_INK)


class _Strip(NamedTuple):
    """What is drawn of a strip: boxes, and above them bars at the medians."""

    scale: Scale
    boxes: Tiles
    medians: Tiles

    def add(
        self, looks: tuple[Look, Look], numbers: Sequence[float], place: tuple[float, float]
    ) -> None:
        """Add a box from the first to the last number, and a bar at the middle one."""
        low, middle, high = map(self.scale.y, numbers)
        x, width = place
        self.boxes.add(looks[0], x, low, width, max(high - low, MEDIAN_IN))
        self.medians.add(looks[1], x, middle - MEDIAN_IN / 2, width, MEDIAN_IN)


def ratio_words(cell: Row) -> str:
    """Say how many times above or below the control's median, where the interval excludes 1."""
    if cell["ratio_low"] > 1:
        return f"▲{_short(cell['ratio'])}"
    return f"▼{_short(1 / cell['ratio'])}" if cell["ratio_high"] < 1 else "≈"


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 9.95 else f"{number:.1f}"


def _ratio_range(cells: Sequence[Row], period: str) -> str:
    known = [cell for cell in cells if cell["n"] and cell["control_n"]]
    low = min(known, key=lambda cell: (cell["ratio"], cell["date"]))
    high = max(known, key=lambda cell: (cell["ratio"], cell["date"]))
    n_up = sum(cell["ratio_low"] > 1 for cell in known)
    n_down = sum(cell["ratio_high"] < 1 for cell in known)
    return (
        f"{low['ratio']:.2g} to {high['ratio']:.2g} times the controls' median; told "
        f"from it in {n_up} {period}s above and {n_down} below, of {len(known)}"
    )


def _scale(kind: str, cells: Sequence[Row], bottom: float) -> Scale:
    factor = unit_of(kind)[1]
    names = ["low", "high"]
    known = [factor * cell[name] for cell in cells if cell["n"] for name in names]
    known += [
        factor * cell[f"control_{name}"]
        for cell in cells
        if cell["n"] and cell["control_n"]
        for name in names
    ]
    return log_scale(min(known), max(known), bottom, bottom + STRIP_IN)


def _draw_scale(page: Sheet, axis: DayAxis, scale: Scale, kind: str) -> None:
    every = -(-len(scale.ticks) // 4)
    for tick in scale.ticks[::every]:
        y = scale.y(tick)
        page.line((axis.left, axis.right), (y, y), colour="#d9dde0", width=0.5, dash="-")
        text = f"{tick:,.10g} {unit_of(kind)[0]}"
        page.text(axis.left - 0.06, y, text, size=6.5, colour=SOFT_INK, ha="right")
    page.line((axis.left,) * 2, (scale.bottom, scale.top), colour=RULE, width=0.8, dash="-")


def _draw_words(layout: _Layout, kind: str, cells: Sequence[Row], bottom: float) -> None:
    lines = [
        f"n = {_span(cells, 'n')} a {layout.period}",
        f"controls: n = {_span(cells, 'control_n')}",
    ]
    top = bottom + STRIP_IN - 0.08
    room = LABELS_IN - 0.75
    name = shortened(KIND_WORDS[kind], room + 0.1, 8, bold=True)
    layout.page.text(MARGIN_IN, top, name, size=8, bold=True)
    for number, line in enumerate(lines):
        text = shortened(line, room, 7)
        layout.page.text(MARGIN_IN, top - 0.17 - 0.14 * number, text, size=7, colour=SOFT_INK)


def _span(cells: Sequence[Row], name: str) -> str:
    known = [int(cell[name]) for cell in cells if cell["n"] and cell[name]]
    if not known:
        return "0"
    return f"{min(known):,}" if min(known) == max(known) else f"{min(known):,} to {max(known):,}"


def _draw_key(page: Sheet, y: float) -> None:
    x = MARGIN_IN
    for look, words in (
        (TARGET, "target"), (CONTROL, "controls of the same network"),
        (NO_CONTROL, "no control measured"), (NO_DATA, "no data"),
    ):  # fmt: skip
        page.box(x, y - 0.085, 0.3, 0.17, face=look.face, hatch=look.hatch, ink=look.hatch_ink)
        if look in {TARGET, CONTROL}:
            page.line((x, x + 0.3), (y, y), colour=INK, width=1.4, dash="-")
        page.text(x + 0.36, y, words, size=7.5, colour=SOFT_INK)
        x += 0.36 + width_of(words, 7.5) + 0.2


def _caption(source: str) -> str:
    return (
        f"Source: {source}. Boxes: 10 to 90 % of values, bar: median (log scales), of steps that "
        "passed. ▲ ▼: so many times above or below the controls' median, where the 95 % interval "
        "excludes 1; ≈ where it does not. Farther is slower too: look for changes."
    )


def speed_alt_text(table: pd.DataFrame, period: str) -> str:
    """Say for each strip n, the range of medians, and how they compare with the controls."""
    opening = SPOKEN[simulated(table)]
    told = []
    for series, kind, cells in _strips(table):
        known = [cell for cell in cells if cell["n"]]
        unit, factor = unit_of(kind)
        medians = [factor * cell["middle"] for cell in known]
        compared = [cell for cell in known if cell["control_n"]]
        ratios = (
            f"{_ratio_range(cells, period)}" if compared else "no control measured to compare with"
        )
        told.append(
            f"{series}, {KIND_WORDS[kind]}: medians {three_digits(min(medians))} to "
            f"{three_digits(max(medians))} {unit}, n={sum(cell['n'] for cell in known)}, data in "
            f"{len(known)} of {len(cells)} {period}s; {ratios}."
        )
    first, last = table["date"].min(), table["until"].max()
    return f"{opening}Latency and throughput by {period} from {first} to {last}. {' '.join(told)}"
