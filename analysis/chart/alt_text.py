"""Charts in words, from the tables that they are drawn from."""

from collections.abc import Sequence

import pandas as pd

from analysis.chart.events import Event, event_words
from analysis.chart.series import SeriesRow, grouped_rows
from analysis.chart.sheet import clean
from analysis.chart.simulated import SPOKEN, simulated
from analysis.chart.timeline import period_words
from probe.model.verdict import STATES
from probe.verdict.words import STATE_WORDS


def timeline_alt_text(table: pd.DataFrame, events: Sequence[Event] = ()) -> str:
    """Say subject, span, states with their days, and n of a timeline."""
    rows = grouped_rows(table)
    first, period = table["day"].min(), period_words(rows)
    last = max(cell.get("until", cell["day"]) for row in rows for cell in row.cells)
    opening = SPOKEN[simulated(table)]
    told = " ".join(_told(row, period) for row in rows)
    runs = int(table["n"].sum())
    dated = " Events: " + "; ".join(event_words(event) for event in events) + "." if events else ""
    return (
        f"{opening}States by {period} from {first} to {last}, {_counted(len(rows), 'row')} of "
        f"target and way, n = {runs:,} runs in all. {told}{dated}"
    )


def _told(row: SeriesRow, period: str) -> str:
    counted = {
        state: sum(1 for cell in row.cells if cell["n"] and cell["state"] == state)
        for state in STATES
    }
    n_cells = len(row.cells)
    parts = [f"{STATE_WORDS[state]} on {n}" for state, n in counted.items() if n]
    empty = n_cells - sum(counted.values())
    if empty:
        parts.append(f"no data on {empty}")
    names = (row.place, row.target_id, row.way)
    name = ", ".join(clean(words)[:80] for words in names if words)
    return f"{name}: {'; '.join(parts)} of {_counted(n_cells, period)}."


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
