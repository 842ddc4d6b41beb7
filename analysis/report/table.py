"""Tables of a page: cells as people read them, and only so many rows."""

from datetime import date, datetime
from typing import Any, Final, NamedTuple

import pandas as pd

from analysis.report.cut import cut

MAX_COLUMNS: Final = 24
NOTHING: Final = "\N{EN DASH}"


class PageTable(NamedTuple):
    """A table of texts. ``name`` is unique on the page; ``is_number`` tells columns of numbers."""

    name: str
    summary: str
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]
    n_all: int
    is_open: bool = False
    is_drawn: bool = False
    """The numbers of a chart, in English as the chart is."""

    def shown(self, most: int) -> tuple[tuple[str, ...], ...]:
        """Return the first rows."""
        return self.rows[:most]

    def n_more(self, most: int) -> int:
        """Count the rows that are not shown."""
        return self.n_all - min(most, len(self.rows))


def page_table(
    frame: pd.DataFrame, name: str, summary: str, caption: str, *, most: int, is_open: bool = False
) -> PageTable:
    """Return the first ``most`` rows of a frame as texts."""
    columns = list(frame.columns)[:MAX_COLUMNS]
    head = frame[columns].head(most)
    values = [[_plain(value) for value in head[column].tolist()] for column in columns]
    return PageTable(
        name,
        summary,
        cut(caption, 600),
        tuple(cut(str(column)) for column in columns),
        tuple(zip(*(map(_words, column) for column in values), strict=True)),
        tuple(_is_numeric(column) for column in values),
        len(frame),
        is_open,
    )


def _plain(value: Any) -> Any:
    return None if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)) else value


def _is_numeric(values: list[Any]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in known
    )


def _words(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.3g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d}" if (value.hour, value.minute) == (0, 0) else f"{value:%F %R}"
    if isinstance(value, date):
        return value.isoformat()
    return cut(str(value))
