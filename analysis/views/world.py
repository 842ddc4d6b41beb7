"""Countries side by side: one target, the share that fails, and how sure that is."""

from collections.abc import Sequence
from typing import Final

import pandas as pd

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.world import world, world_alt_text
from analysis.dataset import Dataset
from analysis.drawn import Drawn
from analysis.query.judged import COUNTRIES
from analysis.views.cells import SHOWN_WORDS, cells
from analysis.views.places import SHORT, share_columns
from analysis.views.sources import counted, left_out

MAX_PANELS: Final = 24
"""A chart has to be read, and stay small."""
MAX_COLUMNS: Final = 60

_BY: Final = {"reachwatch": "reachwatch", "ooni": "OONI"}


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:
    """Draw a panel for each country, of the target that most is known about.

    Of targets with equally many results it is the one that fails most; another one can be had
    with ``dataset.where(target=…)``.

    Raises:
        NoDataError: there is neither a verdict nor a measurement of OONI's.
    """
    found = cells(dataset, COUNTRIES, most=MAX_COLUMNS, least_shown=0.5)
    sizes = found.frame.groupby(["service_id", "target_id"], as_index=False)[
        ["decided", "failing", "n"]
    ].sum()
    sizes = sizes.sort_values(
        ["decided", "failing", "n", "target_id", "service_id"],
        ascending=[False, False, False, True, True], ignore_index=True,
    )  # fmt: skip
    target = sizes.loc[0, ["service_id", "target_id"]]
    own = found.frame.merge(target.to_frame().T, on=["service_id", "target_id"])
    frame = _ordered(own)
    kept = frame[frame["rank"] < MAX_PANELS]
    n_countries = len(set(frame["probe_cc"]))
    source = f"{_sources(frame)}, {n_countries} {'country' if n_countries == 1 else 'countries'}"
    n_more = int(frame["n"].sum() - kept["n"].sum())
    source += left_out(int(frame["rank"].max()) + 1 - MAX_PANELS, "more panel", n_more)
    if len(sizes) > 1:
        source += f"; {counted(len(sizes) - 1, 'more target')} not drawn"
    days = days_words(found.first, found.last)
    title = f"Share that fails by country: {target['target_id']}, {days}"
    return Drawn(
        name="world",
        title=title,
        figure=world(kept, events, title=title, source=source, period=found.period),
        alt=world_alt_text(kept, events, period=found.period),
        table=_table(frame),
        caption=f"A row is a {found.period} of {target['target_id']} in one country, without those "
        f"in which nothing was measured; {SHOWN_WORDS}.",
    )


def _sources(frame: pd.DataFrame) -> str:
    sums = frame.groupby("source")["n"].sum().sort_index()
    parts = [
        f"{counted(int(n), 'result')} by {_BY.get(str(name), str(name))}"
        for name, n in sums.items()
    ]
    return " and ".join(parts)


def _ordered(own: pd.DataFrame) -> pd.DataFrame:
    """Add ``name`` and ``rank``: countries by the share that fails over all days, then by n."""
    keys = ["source", "probe_cc"]
    sums = own.groupby(keys, as_index=False)[["failing", "decided", "n"]].sum()
    sums["total"] = sums["failing"] / sums["decided"].where(sums["decided"] > 0)
    sums = sums.sort_values(
        ["total", "n", "probe_cc", "source"], ascending=[False, False, True, True],
        na_position="last",
    )  # fmt: skip
    sums["rank"] = range(len(sums))
    has_sources = len(set(sums["source"])) > 1
    sums["name"] = [
        ("country unknown" if code == "ZZ" else code)
        + (f", {SHORT.get(source, source)}" if has_sources else "")
        for source, code in zip(sums["source"], sums["probe_cc"], strict=True)
    ]
    found = own.merge(sums[[*keys, "rank", "name"]], on=keys)
    return found.sort_values(["rank", "date"], ignore_index=True)


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    measured = frame[frame["n"] > 0]
    return pd.DataFrame({"Country": measured["name"], **share_columns(measured)}).reset_index(
        drop=True
    )
