"""The sections of a page: each chart with its words and its table, or why there is none."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from analysis.chart.events import Event
from analysis.dataset import Dataset
from analysis.drawn import NoDataError
from analysis.event_model import KINDS as EVENT_KINDS
from analysis.report.answers import Told
from analysis.report.cut import SENTENCE, cut
from analysis.report.figure import Drawing
from analysis.report.headline import span_words
from analysis.report.table import PageTable, page_table
from analysis.views import KINDS, view
from probe.locale import ENGLISH, Language, marked
from probe.model.verdict import Verdict
from probe.verdict.words import MECHANISM_WORDS, STATE_WORDS, TACTIC_WORDS

MAX_ROWS: Final = 200
"""Rows of a table on a page, at most: more are read by programs."""

SHEET_PT: Final = 860.0
"""Least width of a sheet: a small chart is not blown up to the width of the page."""


@dataclass(frozen=True)
class Part:
    """A chart with its words and its table; or ``missing``, which says, in English, why not.

    ``side`` says whose it is in a comparison. ``width`` is its sheet's, in points: the same for
    two charts of a comparison, so that they are drawn to one scale.
    """

    name: str
    kind: str
    title: str
    alt: str = ""
    drawing: Drawing | None = None
    table: PageTable | None = None
    missing: str = ""
    side: str = ""
    width: float = SHEET_PT


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. ``name`` is unique on the page."""

    name: str
    title: str
    lead: str = ""
    parts: tuple[Part, ...] = ()
    tables: tuple[PageTable, ...] = ()


def chart_sections(
    kinds: Sequence[str],
    sides: Sequence[tuple[str, Dataset]],
    events: Sequence[Event],
    say: Language = ENGLISH,
) -> list[Section]:
    """Draw each chart of each side (one, with no name, where nothing is compared)."""
    found = []
    for number, kind in enumerate(kinds):
        names = [kind] if len(sides) == 1 else [f"{kind}-{letter}" for letter in "ab"]
        # Letters of its own begin the ids in each drawing; they are thousands, so short.
        prefixes = [f"{letter}{chr(ord('a') + number)}" for letter in "ab"]
        parts = [
            _part(kind, (name, prefix), side, dataset, events, say=say)
            for name, prefix, (side, dataset) in zip(names, prefixes, sides, strict=False)
        ]
        widest = max(SHEET_PT, *(part.drawing.width for part in parts if part.drawing), 0.0)
        parts = [replace(part, width=widest) for part in parts]
        is_own = len(parts) == 1 and say.is_english
        title = parts[0].title if is_own else _plain_title(kind, say)
        found.append(Section(f"chart-{kind}", title, parts=tuple(parts)))
    return found


def _plain_title(kind: str, say: Language) -> str:
    title = say(KINDS[kind])
    return title[:1].upper() + title[1:]


def _part(
    kind: str,
    names: tuple[str, str],
    side: str,
    dataset: Dataset,
    events: Sequence[Event],
    *,
    say: Language,
) -> Part:
    name, prefix = names
    try:
        drawn = view(kind, dataset, events)
    except NoDataError as error:
        why = cut(str(error), SENTENCE).rstrip(".")
        return Part(name, kind, _plain_title(kind, say), missing=why, side=side)
    return Part(
        name,
        kind,
        cut(drawn.title),
        alt=cut(drawn.alt, SENTENCE),
        drawing=Drawing(drawn.figure, name, prefix),
        table=page_table(
            drawn.table, f"{name}-table", say("The numbers drawn, as a table"), drawn.caption,
            most=MAX_ROWS,
        )._replace(is_drawn=True),
        side=side,
    )  # fmt: skip


def evidence_table(told: Told, say: Language = ENGLISH) -> PageTable:
    """Return the verdicts behind a run's answers."""
    caption = say(
        "One row per target and way of the run of {start}. Reasons are observations of its "
        "record; reachwatch explain tells them, the rule, and what it ruled out."
    )
    return page_table(
        pd.DataFrame([_verdict_row(verdict, say) for verdict in told.verdicts], dtype=object),
        "evidence",
        say("Verdicts of the latest run"),
        caption.format(start=told.start),
        most=MAX_ROWS,
    )


CONTROL_WORDS: Final = {
    "ok": marked("ok"),
    "degraded": marked("degraded"),
    "failed": marked("failed"),
}


def _verdict_row(verdict: Verdict, say: Language) -> dict[str, Any]:
    way = say(TACTIC_WORDS[verdict.tactic])
    controls = say(CONTROL_WORDS[verdict.control_state])
    reasons = " ".join(verdict.reasons[:8]) + (" …" if verdict.reasons[8:] else "")
    is_unnamed = verdict.tactic == "withheld" and not verdict.n_total
    return {
        say("Target"): verdict.target_id,
        say("Way"): f"{verdict.proxy_id} ({way})" if verdict.proxy_id else way,
        say("State"): say(STATE_WORDS[verdict.state]),
        say("Mechanism"): say(MECHANISM_WORDS[verdict.mechanism]) if verdict.mechanism else None,
        say("Working"): None if is_unnamed else f"{verdict.n_ok}/{verdict.n_total}",
        say("Rule"): verdict.rule_id,
        say("Controls"): say(", ").join(
            (controls, f"{verdict.controls_ok}/{verdict.controls_total}")
        ),
        say("Reasons"): reasons or None,
    }


def events_table(events: Sequence[Event], say: Language = ENGLISH) -> PageTable:
    """Return the events that are drawn on time axes."""
    rows = []
    for event in events:
        dates = {dated.kind: span_words(dated.first, dated.last, say) for dated in event.dates}
        rows.append(
            {
                say("Event"): event.label,
                **{say(kind).capitalize(): dates.get(kind) for kind in EVENT_KINDS},
                say("Confidence"): say("low") if event.is_doubtful else None,
            }
        )
    return page_table(
        pd.DataFrame(rows, dtype=object),
        "events",
        say("Events drawn on time axes"),
        say(
            "One row per event given with the report. That it lies near a change does not make it "
            "its cause."
        ),
        most=MAX_ROWS,
    )
