"""Where it fails: a row for each target, network and way, a column for each layer."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.layers import LAYERS, layers, layers_alt_text
from analysis.chart.series import way_words
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.layers import SERIES, last_layers, last_states
from analysis.views.cells import WORSE
from analysis.views.sources import counted, network_words, source_words
from probe.model.verdict import State
from probe.verdict.words import STATE_WORDS

MAX_ROWS: Final = 12
"""A chart has to be read, and stay small."""

_BY: Final = {"reachwatch": "ours", "ooni": "OONI"}

Row = dict[str, Any]


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:  # noqa: ARG001 - no time axis
    """Draw each series' last measured day.

    Raises:
        NoDataError: there is neither a verdict nor a measurement of OONI's.
    """
    rows = _rows(dataset)
    if not rows:
        raise NoDataError("no verdict of ours and no measurement by OONI")
    drawn = _largest(rows)
    frame = pd.DataFrame(drawn, dtype=object)
    by_source: Counter[str] = Counter()
    for row in rows:
        by_source[row["source"]] += row["n"]
    networks = {(row["probe_cc"], row["probe_asn"]) for row in rows}
    source = source_words(by_source, networks, "result") + ", of each row's last measured day"
    left_out = [row for row in rows if row not in drawn]
    if left_out:
        n = sum(row["n"] for row in left_out)
        source += f"; {counted(len(left_out), 'more row')} with n = {n:,} are in the table"
    title = _title(drawn)
    return Drawn(
        name="layers",
        title=title,
        figure=layers(frame, title=title, source=source),
        alt=layers_alt_text(frame),
        table=_table(rows),
        caption="A row is a target, network and way on its last measured day; n of N passed "
        "the layer of those tried there, summed over that day's n results.",
    )


def _rows(dataset: Dataset) -> list[Row]:
    """Return one record a series, in the order in which they are drawn."""
    states: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in last_states(dataset.verdicts, dataset.measurements).to_pyarrow().to_pylist():
        states[tuple(row[name] for name in SERIES)].append(row)
    sums = last_layers(dataset.verdicts, dataset.measurements).to_pyarrow().to_pylist()
    layers_of = {tuple(row[name] for name in SERIES): row for row in sums}
    found = []
    for key, counts in states.items():
        own = layers_of[key]
        # Ways that are judged over the direct way's facts have no layers of their own.
        if own["tactic"] != "none" and not any(own[f"{layer}_total"] for layer in LAYERS):
            continue
        state, pattern, n_state = _most_frequent(counts)
        found.append(
            {
                **own,
                "day": own["date"],
                "place": network_words(own["probe_cc"], own["probe_asn"]),
                "state": state,
                "mechanism": pattern or None,
                "n": sum(row["n"] for row in counts),
                "n_state": n_state,
                "lab": any(row["lab_n"] for row in counts),
            }
        )
    if len({(row["source"], row["place"]) for row in found}) == 1:
        found = [{**row, "place": ""} for row in found]
    elif len({row["source"] for row in found}) > 1:
        found = [{**row, "place": f"{row['place']}, {_BY[row['source']]}"} for row in found]
    return sorted(found, key=_order)


def _order(row: Row) -> tuple[Any, ...]:
    way = (row["tactic"] != "none", row["tactic"], row["proxy_id"])
    place = (row["probe_cc"], row["probe_asn"], row["source"])
    return (row["target_id"], row["service_id"], *place, *way)


def _most_frequent(counts: Sequence[Row]) -> tuple[State, str, int]:
    """Return the day's most frequent state, ties to the worse, its pattern, and its n."""
    by_state: Counter[State] = Counter()
    for row in counts:
        by_state[row["state"]] += row["n"]
    state = max(by_state, key=lambda name: (by_state[name], WORSE.index(name)))
    patterns: Counter[str] = Counter()
    for row in counts:
        if row["state"] == state:
            patterns[row["pattern"]] += row["n"]
    return state, min(patterns, key=lambda name: (-patterns[name], name)), by_state[state]


def _largest(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are drawn: whole places, those with most results first."""
    places: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        places[(row["target_id"], row["source"], row["probe_cc"], row["probe_asn"])].append(row)
    kept: list[Row] = []
    for _, own in sorted(places.items(), key=lambda item: (-item[1][0]["n"], item[0])):
        kept += own[: MAX_ROWS - len(kept)]
    return sorted(kept, key=_order)


def _title(rows: Sequence[Row]) -> str:
    days = sorted({row["day"] for row in rows})
    span = days_words(days[0], days[-1])
    return f"Where it fails: layers by target, {span}"


def _table(rows: Sequence[Row]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "Target": row["target_id"],
                "Network": network_words(row["probe_cc"], row["probe_asn"]),
                "Source": row["source"],
                "Way": way_words(row["tactic"], row["proxy_id"] or None),
                "Day": row["day"],
                **{
                    name: f"{row[f'{layer}_ok']}/{row[f'{layer}_total']}"
                    if row[f"{layer}_total"]
                    else "not tried"
                    for layer, name in LAYERS.items()
                },
                "State": STATE_WORDS[row["state"]],
                "In that state": row["n_state"],
                "Mechanism": row["mechanism"] or "",
                "n": row["n"],
            }
            for row in rows
        ]
    )
