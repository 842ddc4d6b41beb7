"""A page: sections put into HTML, and made smaller in a fixed order until it fits."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Final, NamedTuple

import jinja2
from markupsafe import Markup

from analysis.chart.events import Event
from analysis.dataset import Dataset
from analysis.report.answers import Told, latest, latest_blocked
from analysis.report.comparison import Comparison
from analysis.report.differences import caption, difference_table, differences
from analysis.report.headline import Headline, headline
from analysis.report.own_failures import CAPTION as OWN_CAPTION
from analysis.report.own_failures import own_failures
from analysis.report.provenance import MAX_FILES, Origin, origin
from analysis.report.questions import COMPARISON_LIMITS, LIMITS, QUESTIONS, Question
from analysis.report.sections import (
    MAX_ROWS,
    Section,
    chart_sections,
    events_table,
    evidence_table,
)
from analysis.report.spoken import Spoken
from analysis.report.table import PageTable, page_table
from probe.locale import ENGLISH, Language

MAX_BYTES: Final = 500_000
"""Of a page, whatever the data: it is sent by mail, and opened on a telephone."""

_ROWS: Final = (MAX_ROWS, 100, 50, 20, 10)
"""Rows of each table, tried in this order. Then charts go, the last one first; then all rows."""


class Plan(NamedTuple):
    """How much is shown: rows of each table, and sections with charts, from the first on."""

    rows: int
    charts: int


@dataclass(frozen=True)
class Page:
    """All that a page says, before it is known how much of it fits."""

    question: Question
    is_compared: bool
    headlines: tuple[tuple[str, Headline], ...]
    """Of each side; of the whole, under no name, where nothing is compared."""
    told: Told | None
    told_blocked: Told | None
    sections: tuple[Section, ...]
    files: PageTable
    origin: Origin
    limits: tuple[str, ...]
    language: Language

    @property
    def is_simulated(self) -> bool:
        """Any of it is of the lab."""
        return any(headline.is_simulated for _, headline in self.headlines)

    @property
    def is_partly_real(self) -> bool:
        """Any of it is of a real network."""
        sources = chain.from_iterable(headline.sources for _, headline in self.headlines)
        return any(source.lab_n < source.n for source in sources)

    @property
    def is_unjudged(self) -> bool:
        """The three answers are asked for, and only others' measurements are there."""
        is_overview = self.question is QUESTIONS["overview"] and not self.is_compared
        return is_overview and self.told is None and bool(self.headlines[0][1].sources)

    @property
    def charts(self) -> list[list[str]]:
        """Names of the charts of each section; those of a comparison stay or go together."""
        found = [
            [part.name for part in section.parts if part.drawing is not None]
            for section in self.sections
        ]
        return [names for names in found if names]


def compose(
    dataset: Dataset,
    question: str = "overview",
    events: Sequence[Event] = (),
    compare: Comparison | None = None,
    say: Language = ENGLISH,
) -> Page:
    """Ask everything and draw everything that a page shows.

    Raises:
        KeyError: there is no such question.
        ValueError: a side of the comparison names a day that is none.
    """
    if question not in QUESTIONS:
        raise KeyError(f"{question}: expected one of {', '.join(QUESTIONS)}")
    asked = QUESTIONS[question]
    sides = [("", dataset)]
    sections: list[Section] = []
    told = told_blocked = None
    if compare is not None:
        parts = {"A": compare.a, "B": compare.b}
        sides = [
            (f"{letter}: {part.words(say)}", part.of(dataset)) for letter, part in parts.items()
        ]
        sections.append(_differences(sides[0][1], sides[1][1], say))
    elif question == "overview":
        told = latest(dataset.verdicts, say)
        told_blocked = latest_blocked(dataset.verdicts, say)
        if told is not None and told_blocked is not None and told_blocked.start == told.start:
            told_blocked = None
    sections += chart_sections(asked.kinds, sides, events, say)
    if told is not None:
        title = say("What the answers rest on")
        sections.append(Section("evidence-section", title, tables=(evidence_table(told, say),)))
    if question == "blocked":
        sections += [_own_failures(side, part, n, say) for n, (side, part) in enumerate(sides)]
    if events:
        title = say("What happened")
        sections.append(Section("events-section", title, tables=(events_table(events, say),)))
    known = origin(dataset, say)
    return Page(
        question=asked,
        is_compared=compare is not None,
        headlines=tuple((side, headline(part, say)) for side, part in sides),
        told=told,
        told_blocked=told_blocked,
        sections=tuple(sections),
        files=page_table(
            known.files, "files", say("Files that were read"),
            say(
                "One row per file, in order of name. Measurements: runs or measurements that it "
                "gave."
            ),
            most=MAX_FILES,
        ),
        origin=known,
        limits=tuple(
            map(say, (*asked.limits, *(COMPARISON_LIMITS if compare else ()), *LIMITS))
        ),
        language=say,
    )  # fmt: skip


def _differences(a: Dataset, b: Dataset, say: Language) -> Section:
    table = page_table(
        difference_table(differences(a, b), say), "differences", say("Differences by target"),
        caption(say), most=MAX_ROWS, is_open=True,
    )  # fmt: skip
    return Section(
        "differences-section",
        say("Differences between A and B"),
        "" if table.rows else say("Not enough data: neither side has a measurement."),
        tables=(table,) if table.rows else (),
    )


def _own_failures(side: str, dataset: Dataset, number: int, say: Language) -> Section:
    table = page_table(
        own_failures(dataset, say), f"own-{number}", say("Results by whose they are"),
        say(OWN_CAPTION), most=MAX_ROWS, is_open=True,
    )  # fmt: skip
    return Section(
        f"own-section-{number}",
        say("The measurer's own failures, and the service's") + (f", {side}" if side else ""),
        "" if table.rows else say("Not enough data: there are no verdicts and no measurements."),
        tables=(table,) if table.rows else (),
    )


def fitted(page: Page, most: int = MAX_BYTES) -> str:
    """Return the HTML of at most ``most`` bytes: fewer rows, then fewer charts, then no rows."""
    charts = len(page.charts)
    plans = [Plan(rows, charts) for rows in _ROWS]
    plans += [Plan(_ROWS[-1], fewer) for fewer in range(charts - 1, -1, -1)]
    text = ""
    for plan in (*plans, Plan(0, 0)):
        text = _html(page, plan)
        if len(text.encode()) <= most:
            break
    return text


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("analysis", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def _style() -> tuple[Markup, str]:
    """Return the style sheet, and the policy's word for exactly this one."""
    environment = _environment()
    assert environment.loader is not None
    text = environment.loader.get_source(environment, "report.css")[0].strip()
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"  # noqa: S704 - our own file


def _html(page: Page, plan: Plan) -> str:
    style, style_hash = _style()
    drawn = frozenset(chain.from_iterable(page.charts[: plan.charts]))
    letters: dict[str, Markup] = {}
    for part in chain.from_iterable(section.parts for section in page.sections):
        if part.drawing is not None and part.name in drawn:
            letters.update(part.drawing.letters)
    template = _environment().get_template("report.html")
    say = Spoken(page.language)
    return template.render(
        page=page,
        say=say,
        apart=say.apart,
        language=page.language,
        style=style,
        style_hash=style_hash,
        rows=plan.rows,
        drawn=drawn,
        letters=[letters[name] for name in sorted(letters)],
        limit_kb=MAX_BYTES // 1000,
    )
