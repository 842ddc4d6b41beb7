"""Networks by day: which share of measurements fails, where that can be said."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.heatmap import heatmap, heatmap_alt_text
from analysis.dataset import Dataset
from analysis.drawn import Drawn
from analysis.query.judged import NETWORKS
from analysis.views.cells import MAX_COLUMNS, SHOWN_WORDS, cells
from analysis.views.places import measured_by, place_words, share_columns
from analysis.views.sources import left_out

MAX_ROWS: Final = 20
"""A chart has to be read, and stay small."""


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw the share that fails by network and day, of the networks with most measurements.

    Raises:
        NoDataError: there is neither a verdict nor a measurement of OONI's.
    """
    found = cells(dataset, most=MAX_COLUMNS // 2, least_shown=0.5)
    frame = found.frame.assign(group=found.frame["target_id"], name=place_words(found.frame))
    sizes = frame.groupby(list(NETWORKS), as_index=False)["n"].sum()
    order = ["target_id", "service_id", "probe_cc", "probe_asn", "source"]
    kept = sizes.sort_values(["n", *order], ascending=[False, *[True] * len(order)])
    kept = kept.head(MAX_ROWS)
    drawn = frame.merge(kept[list(NETWORKS)], on=list(NETWORKS))
    drawn = drawn.sort_values([*order, "date"], ignore_index=True)
    n_more = int(sizes["n"].sum() - kept["n"].sum())
    source = measured_by(frame, "result")
    source += left_out(len(sizes) - len(kept), "more row", n_more)
    days = days_words(found.first, found.last)
    title = f"Share that fails by network and {found.period}, {days}"
    return Drawn(
        name="heatmap",
        title=title,
        figure=heatmap(drawn, events, title=title, source=source, period=found.period),
        alt=heatmap_alt_text(drawn, events, period=found.period),
        table=_table(frame),
        caption=f"A row is a {found.period} of one target in one network, without those in which "
        f"nothing was measured; {SHOWN_WORDS}.",
    )


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    measured = frame[frame["n"] > 0]
    return pd.DataFrame(
        {
            "Target": measured["target_id"],
            "Network": measured["name"],
            **share_columns(measured),
        }
    ).reset_index(drop=True)
