"""Charts in words, from the tables that they are drawn from."""

from collections.abc import Sequence

import pandas as pd

from analysis.chart.events import Event, event_words
from analysis.chart.matrix import LAYERS
from analysis.chart.series import SeriesRow, grouped_rows, value
from probe.model.verdict import STATES
from probe.verdict.words import STATE_WORDS


def timeline_alt_text(table: pd.DataFrame, events: Sequence[Event] = ()) -> str:
    """Say subject, span, states with their days, and n of a timeline."""
    first, last = table["day"].min(), table["day"].max()
    n_days = (last - first).days + 1
    simulated = "Simulated network. " if table["lab"].any() else ""
    rows = grouped_rows(table)
    told = " ".join(_told(row, n_days) for row in rows)
    runs = int(table["n"].sum())
    dated = " Events: " + "; ".join(event_words(event) for event in events) + "." if events else ""
    return (
        f"{simulated}States by day from {first} to {last}, {_counted(len(rows), 'row')} of target "
        f"and way, {runs} verdicts. {told}{dated}"
    )


def _told(row: SeriesRow, n_days: int) -> str:
    counted = {
        state: sum(1 for cell in row.cells if cell["n"] and cell["state"] == state)
        for state in STATES
    }
    parts = [f"{STATE_WORDS[state]} on {n}" for state, n in counted.items() if n]
    empty = n_days - sum(counted.values())
    if empty:
        parts.append(f"no data on {empty}")
    return f"{row.target_id}, {row.way}: {'; '.join(parts)} of {_counted(n_days, 'day')}."


def matrix_alt_text(table: pd.DataFrame) -> str:
    """Say, per target and way, n of N of each layer and the verdict."""
    simulated = "Simulated network. " if table["lab"].any() else ""
    told = []
    for row in grouped_rows(table):
        cell = row.cells[0]
        layers = [
            f"{name} {int(cell[f'{layer}_ok'])}/{int(cell[f'{layer}_total'])}"
            for layer, name in LAYERS.items()
            if value(cell[f"{layer}_total"])
        ]
        told.append(
            f"{row.target_id}, {row.way}, {cell['day']}: {', '.join(layers) or 'no layer tried'}; "
            f"{STATE_WORDS[cell['state']]}, {_counted(int(cell['n']), 'run')}."
        )
    return (
        f"{simulated}Members that passed each layer, of those tried there, on each row's last "
        f"measured day. {' '.join(told)}"
    )


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
