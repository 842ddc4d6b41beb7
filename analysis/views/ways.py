"""Which ways around work where the direct way fails: a row a way, a column a network and target."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.series import way_words
from analysis.chart.ways import NOT_TRIED_WORDS, ways, ways_alt_text
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.judged import NETWORKS
from analysis.query.ways import way_counts
from analysis.stats.intervals import jeffreys
from analysis.views.cells import MAX_INTERVAL
from analysis.views.sources import counted, network_words, source_words
from probe.model.observation import TACTICS

MAX_COLUMNS: Final = 8
MAX_ROWS: Final = 16
_RESULTS: Final = ("works", "in_part", "fails")

Row = dict[str, Any]
Place = tuple[Any, ...]
"""The values of `NETWORKS`."""
Way = tuple[str, str]
"""Tactic and proxy."""


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:  # noqa: ARG001 - no time axis
    """Draw ways by network and target, over runs in which the direct way fails.

    Raises:
        NoDataError: the direct way fails nowhere, or no way around was tried where it does.
    """
    counts = way_counts(dataset.verdicts).to_pyarrow().to_pylist()
    cells = _cells(counts)
    failing = {place for (place, way), cell in cells.items() if way[0] == "none" and cell["n_bad"]}
    tried: Counter[Place] = Counter()
    for (place, way), cell in cells.items():
        if place in failing and way[0] != "none":
            tried[place] += cell["n"]
    if not failing:
        raise NoDataError("no verdict says that the direct way fails")
    if not tried.total():
        raise NoDataError("no way around was tried where the direct way fails (check --ways)")
    places = sorted(failing, key=lambda place: (-tried[place], _order(place)))
    shown = sorted(places[:MAX_COLUMNS], key=_order)
    found_ways = sorted({way for place, way in cells if place in failing}, key=_way_order)
    frame = pd.DataFrame(
        [
            _cell(cells.get((place, way)), place, way, shown)
            for way in found_ways[:MAX_ROWS]
            for place in shown
        ],
        dtype=object,
    )
    counted_rows = [cell for (place, _), cell in cells.items() if place in failing]
    title = _title(counted_rows)
    return Drawn(
        name="ways",
        title=title,
        figure=ways(frame, title=title, source=_source(cells, places, found_ways)),
        alt=ways_alt_text(frame),
        table=_table(cells, places, found_ways),
        caption="A row is a way at a target in a network: of n runs in which the direct way "
        "fails there and this way was tried, in how many it worked in full, in part, or not. The "
        "direct way itself is of all runs that decided it.",
    )


def _cells(counts: Sequence[Row]) -> dict[tuple[Place, Way], Row]:
    """Gather counts by place and way. ``n`` are runs that tried it; ``n_bad`` not in full."""
    found: dict[tuple[Place, Way], Row] = defaultdict(
        lambda: dict.fromkeys(("works", "in_part", "fails", "untried", "ok", "total", "lab"), 0)
    )
    for row in counts:
        cell = found[tuple(row[name] for name in NETWORKS), (row["tactic"], row["proxy_id"])]
        cell[row["result"]] += row["n"]
        cell["ok"] += row["members_ok"]
        cell["total"] += row["members_total"]
        cell["lab"] += row["lab_n"]
        cell["first"] = min(cell.get("first", row["first"]), row["first"])
        cell["last"] = max(cell.get("last", row["last"]), row["last"])
    for cell in found.values():
        cell["n"] = sum(cell[result] for result in _RESULTS)
        cell["n_bad"] = cell["n"] - cell["works"]
        bounds = jeffreys(cell["works"], cell["n"])
        cell["low"], cell["high"] = float(bounds.low), float(bounds.high)
    return dict(found)


def _order(place: Place) -> tuple[Any, ...]:
    source, probe_cc, probe_asn, _, target_id = place
    return (probe_cc, probe_asn, source, target_id)


def _way_order(way: Way) -> tuple[int, str]:
    known = list(TACTICS)
    return (known.index(way[0]) if way[0] in known else len(known), f"{way[0]} {way[1]}")


def _cell(cell: Row | None, place: Place, way: Way, shown: Sequence[Place]) -> Row:
    _, probe_cc, probe_asn, _, target_id = place
    is_many = len({other[1:3] for other in shown}) > 1
    found = cell or {"n": 0, "works": 0, "in_part": 0, "ok": 0, "total": 0, "lab": 0}
    return {
        "target_id": target_id,
        "place": network_words(probe_cc, probe_asn) if is_many else "",
        "tactic": way[0],
        "proxy_id": way[1],
        "n": found["n"],
        "works": found["works"],
        "in_part": found["in_part"],
        "low": found.get("low", 0.0),
        "high": found.get("high", 1.0),
        "is_shown": found.get("high", 1.0) - found.get("low", 0.0) <= MAX_INTERVAL,
        "members_ok": found["ok"],
        "members_total": found["total"],
        "lab": bool(found["lab"]),
    }


def _title(cells: Sequence[Row]) -> str:
    first = min(cell["first"] for cell in cells)
    last = max(cell["last"] for cell in cells)
    return f"What gets around it, {days_words(first, last)}"


def _source(
    cells: dict[tuple[Place, Way], Row], places: Sequence[Place], found_ways: Sequence[Way]
) -> str:
    n: Counter[str] = Counter()
    for (place, _), cell in cells.items():
        if place in places:
            n[place[0]] += cell["n"]
    words = source_words(n, {place[:3] for place in places}, "verdict")
    more = []
    if len(places) > MAX_COLUMNS:
        more.append(counted(len(places) - MAX_COLUMNS, "more network and target"))
    if len(found_ways) > MAX_ROWS:
        more.append(counted(len(found_ways) - MAX_ROWS, "more way"))
    return words + (f"; {' and '.join(more)} are in the table" if more else "")


def _table(
    cells: dict[tuple[Place, Way], Row], places: Sequence[Place], found_ways: Sequence[Way]
) -> pd.DataFrame:
    rows = []
    for place in sorted(places, key=_order):
        for way in found_ways:
            cell = cells.get((place, way))
            is_tried = cell is not None and cell["n"] > 0
            members = cell is not None and cell["total"] > 0
            rows.append(
                {
                    "Network": network_words(place[1], place[2]),
                    "Target": place[4],
                    "Way": way_words(way[0], way[1] or None),
                    "n": cell["n"] if cell else 0,
                    "In full": cell["works"] if cell and is_tried else NOT_TRIED_WORDS,
                    "In part": cell["in_part"] if cell and is_tried else "",
                    "Not": cell["fails"] if cell and is_tried else "",
                    "95 % interval": f"{cell['low']:.0%} to {cell['high']:.0%}"
                    if cell and is_tried
                    else "",
                    "Members that work": f"{cell['ok']}/{cell['total']}"
                    if cell and members
                    else "",
                }
            )
    return pd.DataFrame(rows)
