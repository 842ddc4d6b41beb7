"""Results in, tables, charts and reports out.

This room knows stored lines, time and how to show shares honestly. It must never
measure, and never change a stored fact; it sees `probe.model` and `probe.verdict`
only, so that a chart cannot depend on how a fact was obtained.

In a notebook::

    import analysis as rw

    df = rw.load("results/")
    rw.timeline(df)

What is named here is imported when it is first used: the command's start must not wait for
matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from analysis.dataset import Dataset as Dataset
    from analysis.dataset import Provenance as Provenance
    from analysis.dataset import as_dataset as as_dataset
    from analysis.dataset import load as load
    from analysis.drawn import Drawn as Drawn
    from analysis.drawn import NoDataError as NoDataError
    from analysis.events import BadEventsError as BadEventsError
    from analysis.events import telegram_events as telegram_events
    from analysis.notebook import centres as centres
    from analysis.notebook import circumvention as circumvention
    from analysis.notebook import coverage as coverage
    from analysis.notebook import draw as draw
    from analysis.notebook import find_onsets as find_onsets
    from analysis.notebook import heatmap as heatmap
    from analysis.notebook import layers as layers
    from analysis.notebook import mechanisms as mechanisms
    from analysis.notebook import onsets as onsets
    from analysis.notebook import speed as speed
    from analysis.notebook import timeline as timeline
    from analysis.notebook import ways as ways
    from analysis.notebook import world as world
    from analysis.result_files import NoResultsError as NoResultsError
    from analysis.views import KINDS as KINDS

_HOMES: Final = {
    "analysis.dataset": ("Dataset", "Provenance", "as_dataset", "load"),
    "analysis.drawn": ("Drawn", "NoDataError"),
    "analysis.events": ("BadEventsError", "telegram_events"),
    "analysis.notebook": (
        "centres", "circumvention", "coverage", "draw",
        "find_onsets", "heatmap", "layers", "mechanisms",
        "onsets", "speed", "timeline", "ways", "world",
    ),
    "analysis.result_files": ("NoResultsError",),
    "analysis.views": ("KINDS",),
}  # fmt: skip
_HOME_OF: Final = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605 - the table above is the list


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
