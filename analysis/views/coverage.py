"""Who measured, and when: what every other chart rests on, silence included."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from analysis.chart.coverage import coverage, coverage_alt_text
from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.coverage import PLACES
from analysis.query.coverage import coverage as count_coverage
from analysis.views.cells import binned, days_of, dense, frame_of, period_for
from analysis.views.places import measured_by
from analysis.views.sources import left_out, network_words

MAX_ROWS: Final = 16
"""A chart has to be read, and stay small."""
MAX_COLUMNS: Final = 80

_GROUPS: Final = {"reachwatch": "Measured with reachwatch", "ooni": "Measured by OONI"}


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw how much was measured by network and day, and how much of it decided nothing.

    Raises:
        NoDataError: there is neither a verdict nor a measurement of OONI's.
    """
    counts = frame_of(count_coverage(dataset.verdicts, dataset.measurements))
    if counts.empty:
        raise NoDataError("no verdict of ours and no measurement by OONI")
    first, last = days_of(counts)
    period = period_for(first, last, MAX_COLUMNS)
    frame = dense(binned(counts, PLACES, period), PLACES, period, first, last)
    sizes = counts.groupby(list(PLACES), as_index=False)["n"].sum()
    kept = sizes.sort_values(["n", *PLACES], ascending=[False, True, True, True]).head(MAX_ROWS)
    order = kept.assign(rank=range(len(kept)))[[*PLACES, "rank"]]
    drawn = frame.merge(order, on=list(PLACES)).sort_values(["source", "rank", "date"])
    drawn = drawn.assign(
        group=drawn["source"].map(_GROUPS).fillna(drawn["source"]),
        name=[
            network_words(cc, asn)
            for cc, asn in zip(drawn["probe_cc"], drawn["probe_asn"], strict=True)
        ],
    ).reset_index(drop=True)
    n_more = int(sizes["n"].sum() - kept["n"].sum())
    source = measured_by(counts, "measurement")
    source += left_out(len(sizes) - len(kept), "more network", n_more)
    title = f"Who measured, and when, {days_words(first, last)}"
    return Drawn(
        name="coverage",
        title=title,
        figure=coverage(drawn, events, title=title, source=source, period=period),
        alt=coverage_alt_text(drawn, events, period=period),
        table=_table(counts, (last - first).days + 1),
        caption="A row is a network, those with most measurements first; of undecided "
        "measurements nothing can be told about any target.",
    )


def _table(counts: pd.DataFrame, n_days: int) -> pd.DataFrame:
    sums = counts.groupby(list(PLACES), as_index=False).agg(
        n=("n", "sum"), n_probes=("n_probes", "sum"), n_insufficient=("n_insufficient", "sum"),
        n_failed_controls=("n_failed_controls", "sum"), days=("date", "nunique"),
        first=("date", "min"), last=("date", "max"),
    )  # fmt: skip
    sums = sums.sort_values(["n", *PLACES], ascending=[False, True, True, True], ignore_index=True)
    return pd.DataFrame(
        {
            "Network": [
                network_words(cc, asn)
                for cc, asn in zip(sums["probe_cc"], sums["probe_asn"], strict=True)
            ],
            "Source": sums["source"],
            "n": sums["n"],
            "Probes": sums["n_probes"],
            "Undecided": sums["n_insufficient"],
            "Controls failed": sums["n_failed_controls"],
            "Days with data": [f"{days} of {n_days}" for days in sums["days"]],
            "First": sums["first"],
            "Last": sums["last"],
        }
    )
