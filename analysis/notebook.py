"""What ``import analysis as rw`` offers: load, select, draw, and take tables out.

A chart is drawn of a `Dataset`, or of a frame of one of its tables (pandas, polars, Arrow,
DuckDB), so that what was filtered or joined elsewhere can be drawn too.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from analysis.chart.events import Event
from analysis.dataset import Dataset, Frame, as_dataset
from analysis.event_model import DatedEvent
from analysis.events import chart_events, events_of
from analysis.views import KINDS, view

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.drawn import Drawn
    from analysis.onset_search import Onsets

Events = str | Path | Sequence[Event] | Sequence[DatedEvent] | None
"""``"telegram"`` for the shipped list, a file of events, events themselves, or none."""


class Chart(Protocol):
    """A function that draws one kind of chart.

    Raises:
        NoDataError: nothing here from which it could be drawn.
        TypeError: a frame of no known table.
        BadEventsError: the events file is bad.
    """

    def __call__(self, data: Dataset | Frame, *, events: Events = None) -> "Figure":
        """Return the figure; show it, or save it with ``figure.savefig``."""


def draw(kind: str, data: Dataset | Frame, *, events: Events = None) -> "Drawn":
    """Draw a chart and return it with its words and the table that it was drawn from.

    Raises:
        KeyError: there is no such chart.
        NoDataError, TypeError, BadEventsError: as `Chart`.
    """
    dataset = as_dataset(data)
    return view(kind, dataset, _events(events, dataset))


def find_onsets(data: Dataset | Frame, *, events: Events = None) -> "list[Onsets]":
    """Find when blocking began and ended, as tables: networks' series, and countries' by day.

    Raises:
        NoDataError: nothing that decides anything.
        TypeError, BadEventsError: as `Chart`.
    """
    from analysis.views.onsets import found_in  # noqa: PLC0415 - half a second of scipy

    dataset = as_dataset(data)
    return found_in(dataset, _events(events, dataset))


def _events(events: Events, dataset: Dataset) -> list[Event]:
    if events is None:
        return []
    if isinstance(events, str | Path):
        return events_of(str(events), dataset.countries())
    drawable = [event for event in events if isinstance(event, Event)]
    dated = [event for event in events if isinstance(event, DatedEvent)]
    return sorted([*drawable, *chart_events(dated)], key=lambda event: (event.date, event.label))


def _chart(kind: str) -> Chart:
    def chart(data: Dataset | Frame, *, events: Events = None) -> "Figure":
        return draw(kind, data, events=events).figure

    chart.__name__ = chart.__qualname__ = kind
    chart.__doc__ = f"Draw {KINDS[kind]}; see `Chart`."
    return chart


timeline = _chart("timeline")
heatmap = _chart("heatmap")
mechanisms = _chart("mechanisms")
circumvention = _chart("circumvention")
centres = _chart("centres")
onsets = _chart("onsets")
speed = _chart("speed")
ways = _chart("ways")
layers = _chart("layers")
coverage = _chart("coverage")
world = _chart("world")
