"""Views: one module a chart, from a dataset to a figure, its words and its table.

A view asks the queries, applies the statistics and hands a frame to its chart.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from analysis.chart.events import Event
    from analysis.dataset import Dataset
    from analysis.drawn import Drawn

KINDS: Final = {
    "timeline": "states by day, a row for each target and network, and ways around",
    "heatmap": "share of measurements that fail, network by day",
    "mechanisms": "how it fails: shares of mechanisms by day, with intervals",
    "circumvention": "blocking and circumvention on one time axis, with events",
    "centres": "data centres that answer, n of N, by day",
    "onsets": "when blocking began and ended, with intervals",
    "speed": "latency and throughput against the controls",
    "ways": "which ways around work in which network",
    "layers": "where it fails: layers by target",
    "coverage": "who measured, and when",
    "world": "countries side by side",
}
"""Every chart by the name that a command or a notebook calls it, and what it shows."""

QUESTIONS: Final = {
    "overview": "the three answers, states by day, where it fails",
    "blocked": "is it me or is it censorship",
    "how": "how it is done",
    "around": "what gets around it",
    "when": "when it began and ended",
}
"""Every page that `analysis.report` makes, and what it answers."""


def view(kind: str, dataset: "Dataset", events: "Sequence[Event]" = ()) -> "Drawn":
    """Draw a chart of a dataset.

    Raises:
        KeyError: there is no such chart.
        NoDataError: nothing here from which it could be drawn.
    """
    if kind not in KINDS:
        raise KeyError(f"{kind}: expected one of {', '.join(KINDS)}")
    draw: Callable[[Dataset, Sequence[Event]], Drawn] = import_module(f"analysis.views.{kind}").view
    return draw(dataset, events)
