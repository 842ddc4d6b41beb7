"""One offline HTML page and the chart files of a set of results."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import jinja2
import pandas as pd
from markupsafe import Markup

from analysis.chart.alt_text import matrix_alt_text, timeline_alt_text
from analysis.chart.matrix import matrix
from analysis.chart.series import way_words
from analysis.chart.style import save_png, save_svg
from analysis.chart.timeline import Event, timeline
from analysis.events import events_of
from analysis.load import NoResultsError
from analysis.query.days import day_grid, layer_matrix, phases
from analysis.tables import Loaded, load, verdict_table
from probe.model.codec import encode_line
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.verdict.words import MECHANISM_WORDS, STATE_WORDS, Answers, three_answers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FAULTS_SHOWN: Final = 50


class OutputError(Exception):
    """The output cannot be written, or is of no known kind. Names the path."""


@dataclass(frozen=True)
class Picture:
    """What the results look like: tables for the charts, and where they came from."""

    loaded: Loaded
    grid: pd.DataFrame
    layers: pd.DataFrame
    events: tuple[Event, ...]
    source: str

    def timeline(self) -> "Figure":
        """Draw states over time, blocking and circumvention on one axis."""
        return timeline(self.grid, self.events, source=self.source)

    def matrix(self) -> "Figure":
        """Draw layers by target for each series' last measured day."""
        return matrix(self.layers, source=self.source)


def read_picture(path: Path, events_name: str | None, *, with_ways: bool = False) -> Picture:
    """Read results and events; which ways around work only ``with_ways``.

    Raises:
        NoResultsError: nothing readable; names what is wrong.
        BadEventsError: the events file is bad.
    """
    events = tuple(events_of(events_name)) if events_name else ()
    loaded = load(path, with_ways=with_ways)
    if not loaded.rows:
        reasons = "; ".join(str(fault) for fault in loaded.faults[:3])
        raise NoResultsError(f"{path}: no verdicts to draw{': ' + reasons if reasons else ''}")
    table = verdict_table(loaded.rows)
    try:
        grid = day_grid(table)
    except ValueError as error:
        raise NoResultsError(f"{path}: {error}") from None
    runs = len({run.run_id for run, _ in loaded.rows})
    source = f"reachwatch, {runs} runs, {loaded.facts} observations"
    return Picture(loaded, grid, layer_matrix(table, grid), events, source)


def write_chart(
    kind: str, path: Path, events_name: str | None, output: Path, *, with_ways: bool = False
) -> Loaded:
    """Draw one chart as SVG or PNG; return what was read.

    Raises:
        OutputError, NoResultsError, BadEventsError.
    """
    if output.suffix not in {".svg", ".png"}:
        raise OutputError(f"{output}: expected a name ending in .svg or .png")
    picture = read_picture(path, events_name, with_ways=with_ways)
    figure = picture.timeline() if kind == "timeline" else picture.matrix()
    _write(output, save_svg(figure) if output.suffix == ".svg" else save_png(figure))
    return picture.loaded


def write_report(
    path: Path, events_name: str | None, output: Path, *, with_ways: bool = False
) -> Loaded:
    """Draw the page; return what was read.

    Raises:
        OutputError, NoResultsError, BadEventsError.
    """
    picture = read_picture(path, events_name, with_ways=with_ways)
    _write(output, render(picture).encode())
    return picture.loaded


def write_outputs(path: Path, events_name: str | None, folder: Path) -> list[Path]:
    """Write the page and every chart into a folder; return their paths.

    Raises:
        OutputError, NoResultsError, BadEventsError.
    """
    picture = read_picture(path, events_name)
    written = []
    for name, figure in (("timeline", picture.timeline()), ("matrix", picture.matrix())):
        for suffix, data in ((".svg", save_svg(figure)), (".png", save_png(figure))):
            written.append(folder / f"{name}{suffix}")
            _write(written[-1], data)
    written.insert(0, folder / "report.html")
    _write(written[0], render(picture).encode())
    return written


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def render(picture: Picture) -> str:
    """Return the HTML page: no script, no request, everything escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["state"] = lambda state: STATE_WORDS.get(state, "no data")
    environment.filters["mechanism"] = lambda name: MECHANISM_WORDS.get(name, "")
    environment.filters["way"] = _way
    rows = picture.loaded.rows
    last_run = rows[-1][0]
    last = [verdict for run, verdict in rows if run.run_id == last_run.run_id]
    days = sorted({run.measurement_start_time[:10] for run, _ in rows})
    return environment.get_template("report.html").render(
        headline=_headline(picture, days),
        is_simulated=any(run.lab for run, _ in rows),
        days=days,
        runs=len({run.run_id for run, _ in rows}),
        observations=picture.loaded.facts,
        unfinished=picture.loaded.unfinished,
        last_start=last_run.measurement_start_time,
        answers=three_answers(last),
        worst=_worst_day(picture),
        timeline_svg=_inline(save_svg(picture.timeline()), "timeline"),
        timeline_alt=timeline_alt_text(picture.grid, picture.events),
        matrix_svg=_inline(save_svg(picture.matrix()), "matrix"),
        matrix_alt=matrix_alt_text(picture.layers),
        phases=phases(picture.grid),
        verdicts=last,
        layers=picture.layers.to_dict("records"),
        events=picture.events,
        faults=picture.loaded.faults[:MAX_FAULTS_SHOWN],
        fault_count=len(picture.loaded.faults),
        versions=sorted({run.software_version for run, _ in rows}),
        rules=sorted({verdict.rules_version for _, verdict in rows}),
        lists=sorted({run.targets_sha256 for run, _ in rows}),
        data_sha256=_data_sha256(picture.loaded),
        withheld=bool(picture.loaded.withheld),
    )


def _way(tactic: str, proxy_id: str | None) -> str:
    return f"{proxy_id} ({tactic})" if proxy_id else way_words(tactic, None)


def _inline(svg: bytes, name: str) -> Markup:
    """Put a chart into the page as an image that assistive technology can name.

    The heading and the caption around it name and describe it. Ids inside are
    prefixed: two charts of one page may not share an id.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    for reference in (' id="', 'href="#', "url(#"):
        text = text.replace(reference, f"{reference}{name}-")
    label = f'<svg role="img" aria-labelledby="{name}-title {name}-alt" '
    return Markup(text.replace("<svg ", label, 1))  # noqa: S704 - our own renderer's output, its text escaped by it


def _data_sha256(loaded: Loaded) -> str:
    """Hash the names and bytes of the result files, in order of name.

    Where ways are withheld, hash the lines of the verdicts that are left, which is what
    `results export --kind verdicts` prints: by a hash of the files, what was left out of
    small ones could be found by trying.
    """
    digest = hashlib.sha256()
    if loaded.withheld:
        for row in loaded.rows:
            digest.update(encode_line(*row))
        return digest.hexdigest()
    for path in sorted(loaded.files, key=lambda path: path.name):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _headline(picture: Picture, days: list[str]) -> str:
    """Say finding, span and n in one sentence."""
    grid = picture.grid
    direct = grid[(grid["tactic"] == "none") & (grid["n"] > 0)]
    blocked = direct[direct["state"].isin(BLOCKED_STATES)]
    around = grid[(grid["tactic"] != "none") & (grid["state"] == "ok")]
    measured = direct["day"].nunique()
    span = f"{days[0]} to {days[-1]}" if len(days) > 1 else days[0]
    runs = len({run.run_id for run, _ in picture.loaded.rows})
    if blocked.empty:
        finding = "No blocking was found"
    else:
        names = ", ".join(sorted(set(blocked["target_id"])))
        finding = f"Signs of blocking on {blocked['day'].nunique()} of {measured} measured days"
        finding += f" ({names})"
        if not around.empty:
            finding += f"; a way around worked on {around['day'].nunique()}"
    return f"{finding}, {span}, {runs} runs."


def _worst_day(picture: Picture) -> tuple[str, Answers] | None:
    """Return the answers of the latest run that found blocking, if it is not the last."""
    by_run: dict[str, list[Verdict]] = {}
    starts: dict[str, str] = {}
    for run, verdict in picture.loaded.rows:
        by_run.setdefault(run.run_id, []).append(verdict)
        starts[run.run_id] = run.measurement_start_time
    found = [
        run_id
        for run_id, verdicts in by_run.items()
        if any(v.state in BLOCKED_STATES and v.tactic == "none" for v in verdicts)
    ]
    if not found or found[-1] == list(by_run)[-1]:
        return None
    return starts[found[-1]], three_answers(by_run[found[-1]])
