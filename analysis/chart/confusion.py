"""What was true against what was said: counts, and how often it was right, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from matplotlib.figure import Figure

from analysis.chart.sheet import Sheet, clean, sheet, shortened, width_of, wrapped
from analysis.chart.style import NO_DATA_FACE, RULE, SOFT_INK, settings

CELL_IN: Final = (0.34, 0.26)
LABELS_IN: Final = 1.75
RIGHT_IN: Final = 2.6
MARGIN_IN: Final = 0.3
TITLE_IN: Final = 0.75
GROUP_IN: Final = 0.34
CAPTION_LINE_IN: Final = 0.15

RIGHT_FACE: Final = "#4fbf9f"
WRONG_FACE: Final = "#f2c14e"
ALARM_FACE: Final = "#e98a4d"
"""Of Okabe and Ito's colours, lightened; each with a mark or hatch of its own."""


class Share(Protocol):
    """The ends of an interval of a share."""

    @property
    def low(self) -> float:
        """The least."""

    @property
    def high(self) -> float:
        """The most."""


class Row(Protocol):
    """One truth: how often, how often right, and the verdicts by label."""

    @property
    def truth(self) -> str:
        """What was arranged."""

    @property
    def is_benign(self) -> bool:
        """Whether nobody blocks."""

    @property
    def n(self) -> int:
        """Verdicts."""

    @property
    def n_right(self) -> int:
        """Right ones."""

    @property
    def n_false_alarms(self) -> int:
        """Those that call blocked what nobody blocks."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Verdicts by label."""

    @property
    def right_counts(self) -> Mapping[str, int]:
        """Right ones by label."""

    @property
    def alarm_counts(self) -> Mapping[str, int]:
        """False alarms by label."""

    @property
    def right(self) -> Share:
        """Interval of the share of right ones."""


class Table(Protocol):
    """Rows and the labels of the columns."""

    @property
    def rows(self) -> Sequence[Row]:
        """One for each truth."""

    @property
    def columns(self) -> Sequence[str]:
        """Labels of verdicts."""

    @property
    def n_false_alarms(self) -> int:
        """In all."""


def confusion_chart(table: Table, source: str) -> Figure:
    """Draw a confusion matrix: truths down, verdicts across, right ones marked.

    Args:
        table: at least one row; ``~`` before a label means "looks like, not claimed".
        source: who measured what, for the caption.
    """
    with settings():
        return _draw(table, clean(source))


def _draw(table: Table, source: str) -> Figure:
    groups = [
        (title, [row for row in table.rows if row.is_benign == is_benign])
        for title, is_benign in (("Somebody blocks", False), ("Nobody blocks", True))
    ]
    groups = [(title, rows) for title, rows in groups if rows]
    wide = len(table.columns) * CELL_IN[0]
    width = 2 * MARGIN_IN + LABELS_IN + wide + 0.2 + RIGHT_IN
    caption = wrapped(_caption(source), width - 2 * MARGIN_IN, 7.5, 6)
    header = max(width_of(label, 8) for label in table.columns) + 0.15
    n_rows = sum(len(rows) for _, rows in groups)
    body = n_rows * CELL_IN[1] + len(groups) * GROUP_IN
    height = TITLE_IN + header + body + 0.2 + len(caption) * CAPTION_LINE_IN + MARGIN_IN
    title = shortened("What was arranged, and what was said", width - 2 * MARGIN_IN, 13, bold=True)
    page = sheet(width, height, title)
    page.text(MARGIN_IN, height - 0.3, title, size=13, bold=True)
    page.text(MARGIN_IN, height - 0.56, "SIMULATED NETWORK", size=9, bold=True, colour="#8a3b00")
    left, top = MARGIN_IN + LABELS_IN, height - TITLE_IN - header
    for number, label in enumerate(table.columns):
        x = left + (number + 0.5) * CELL_IN[0]
        page.text(x, top + 0.06, label, size=8, ha="center", va="bottom", rotation=90)
    share_x = left + wide + 0.2
    page.text(share_x, top + 0.06, "right, n, 95 % interval", size=8, bold=True, va="bottom")
    y = top
    for group, rows in groups:
        y -= GROUP_IN
        page.text(MARGIN_IN, y + 0.1, group, size=9, bold=True)
        for row in rows:
            y -= CELL_IN[1]
            _draw_row(page, row, table.columns, left, y)
            _draw_share(page, row, share_x, y)
    for number, line in enumerate(caption):
        page.text(
            MARGIN_IN, y - 0.2 - number * CAPTION_LINE_IN, line, size=7.5, colour=SOFT_INK, va="top"
        )
    return page.figure


def _draw_row(page: Sheet, row: Row, columns: Sequence[str], left: float, y: float) -> None:
    middle = y + CELL_IN[1] / 2
    name = shortened(clean(row.truth), LABELS_IN - 0.1, 8.5)
    page.text(left - 0.08, middle, name, size=8.5, ha="right")
    for number, label in enumerate(columns):
        x = left + number * CELL_IN[0]
        count = row.counts.get(label, 0)
        inset = (x + 0.015, y + 0.015, CELL_IN[0] - 0.03, CELL_IN[1] - 0.03)
        if not count:
            page.box(*inset, face=NO_DATA_FACE, hatch="", ink=NO_DATA_FACE)
            continue
        alarms = row.alarm_counts.get(label, 0)
        if alarms:
            face, hatch, ink = ALARM_FACE, "xxx", "#b54f00"
        elif row.right_counts.get(label, 0) == count:
            face, hatch, ink = RIGHT_FACE, "", "#009e73"
        else:
            face, hatch, ink = WRONG_FACE, "\\\\\\", "#c78900"
        page.box(*inset, face=face, hatch=hatch, ink=ink)
        page.text(x + CELL_IN[0] / 2, middle, str(count), size=8, bold=True, ha="center", halo=face)


def _draw_share(page: Sheet, row: Row, x: float, y: float) -> None:
    """Draw the interval on a scale from 0 to 1, and in figures."""
    long, middle = 1.1, y + CELL_IN[1] / 2
    for share in (0.0, 0.5, 1.0):
        page.line((x + share * long,) * 2, (y, y + CELL_IN[1]), colour=RULE, width=0.4, dash=":")
    page.line(
        (x + row.right.low * long, x + row.right.high * long),
        (middle, middle), colour="#1b1b1b", width=1.6, dash="-",
    )  # fmt: skip
    at = x + row.n_right / row.n * long
    page.box(at - 0.025, middle - 0.05, 0.05, 0.1, face="#1b1b1b", hatch="", ink="#1b1b1b")
    figures = f"{row.n_right}/{row.n}  {row.right.low:.0%}-{row.right.high:.0%}"
    page.text(x + long + 0.12, middle, figures, size=8)


def _caption(source: str) -> str:
    return (
        f"Source: {source}. Counts of verdicts, one for each target and run. Plain: right; "
        "slanted hatch: not, or not always, right; crossed hatch: called blocked although "
        "nobody blocks. A mechanism alone: claimed (blocked or likely blocked); with ~: what a "
        "failure looks like, without the claim. Intervals: Wilson's score."
    )
