"""Pages and charts as files."""

from collections.abc import Sequence
from pathlib import Path

from analysis.chart.events import Event
from analysis.chart.files import write, write_chart
from analysis.dataset import Dataset, load
from analysis.events import events_of
from analysis.report.comparison import Comparison
from analysis.report.page import compose, fitted
from analysis.views import view
from probe.locale import ENGLISH, Language


def render(
    dataset: Dataset,
    *,
    question: str = "overview",
    events: Sequence[Event] = (),
    compare: Comparison | None = None,
    say: Language = ENGLISH,
) -> str:
    """Return one HTML page: no script, no request, everything escaped, at most 500 KB.

    The same data give the same bytes.

    Raises:
        KeyError: there is no such question.
        ValueError: a side of the comparison names a day that is none.
    """
    return fitted(compose(dataset, question, events, compare, say=say))


def write_report(
    dataset: Dataset,
    output: Path,
    *,
    question: str = "overview",
    events: Sequence[Event] = (),
    compare: Comparison | None = None,
    say: Language = ENGLISH,
) -> None:
    """Write one HTML page.

    Raises:
        OutputError: it cannot be written.
        KeyError, ValueError: as `render`.
    """
    page = render(dataset, question=question, events=events, compare=compare, say=say)
    write(output, page.encode())


def write_outputs(results: Path, events_name: str | None, folder: Path) -> list[Path]:
    """Write the overview and its charts into a folder; return their paths.

    Raises:
        OutputError, NoResultsError, BadEventsError, NoDataError.
    """
    dataset = load(results)
    events = events_of(events_name) if events_name else []
    written = [folder / "report.html"]
    write_report(dataset, written[0], events=events)
    for name, kind in (("timeline", "timeline"), ("matrix", "layers")):
        drawn = view(kind, dataset, events)
        for suffix in (".svg", ".png"):
            written.append(folder / f"{name}{suffix}")
            write_chart(drawn, written[-1])
    return written
