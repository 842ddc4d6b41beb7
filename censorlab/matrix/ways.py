"""What was said about ways around, beside what is true: scenarios against tactics."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from censorlab.matrix.outcome import Cell, Outcome, WayOutcome
from probe.model.observation import TACTICS

_MARKS: Final = {"works": "+", "works_in_part": "~", "does_not": "-", "not_tested": "?"}


class Count(NamedTuple):
    """Of a tactic: how often it was called what it is, where it works (in part) and where not."""

    tactic: str
    n_effective: int
    n_effective_right: int
    n_useless: int
    n_useless_right: int


def counts(outcomes: Iterable[Outcome]) -> list[Count]:
    """Count by tactic, in the order of the vocabulary."""
    by_tactic: dict[str, list[WayOutcome]] = defaultdict(list)
    for outcome in outcomes:
        for way in outcome.ways:
            by_tactic[way.tactic].append(way)
    found = []
    for tactic in (one for one in TACTICS if one in by_tactic):
        effective = [way.is_right for way in by_tactic[tactic] if way.truth != "does_not"]
        useless = [way.is_right for way in by_tactic[tactic] if way.truth == "does_not"]
        found.append(Count(tactic, len(effective), sum(effective), len(useless), sum(useless)))
    return found


def as_text(outcomes: Iterable[Outcome]) -> list[str]:
    """Write a line for each tactic: how often it was called right."""
    table = counts(outcomes)
    wide = max((len(row.tactic) for row in table), default=3)
    lines = [f"{'way':<{wide}}  works: said so   does not: said so"]
    lines += [
        f"{row.tactic:<{wide}}  {row.n_effective_right:>5} of {row.n_effective:<7} "
        f"{row.n_useless_right:>7} of {row.n_useless}"
        for row in table
    ]
    n = sum(row.n_effective + row.n_useless for row in table)
    n_right = sum(row.n_effective_right + row.n_useless_right for row in table)
    return [*lines, f"{'all':<{wide}}  {n_right} of {n}"]


def matrix(outcomes: Iterable[Outcome]) -> list[str]:
    """Write a line for each scenario, target and seed: each way by truth and what was said.

    ``+`` works, ``~`` works in part, ``-`` does not, ``?`` not tested; a second sign is what
    was said where that is not the truth.
    """
    lines = []
    for outcome in outcomes:
        if outcome.ways:
            marks = " ".join(f"{way.tactic}{_mark(way)}" for way in outcome.ways)
            lines.append(f"{outcome.scenario} {outcome.target}: {marks}")
    return sorted(lines)


def _mark(way: WayOutcome) -> str:
    said = "" if way.is_right else f"({_MARKS[way.said]})"
    return _MARKS[way.truth] + said


def wrong(outcomes: Iterable[Outcome]) -> list[str]:
    """Write a line for each way that was not called what it is."""
    return [
        f"{outcome.scenario} {outcome.target} {way.tactic}: {way.said} "
        f"{way.n_ok}/{way.n_total}, truth: {way.truth}"
        for outcome, way in _pairs(outcomes)
        if not way.is_right
    ]


def as_csv(outcomes: Iterable[Outcome]) -> str:
    """Write a row for each way of each target in each run."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    own = ("target", "tactic", "truth", "said", "n_ok", "n_total", "is_right")
    writer.writerow((*Cell._fields, *own))
    for outcome, way in _pairs(outcomes):
        said = (way.tactic, way.truth, way.said, way.n_ok, way.n_total)
        right = str(way.is_right).lower()
        writer.writerow((*outcome.cell, outcome.target, *said, right))
    return file.getvalue()


def _pairs(outcomes: Iterable[Outcome]) -> Iterator[tuple[Outcome, WayOutcome]]:
    for outcome in outcomes:
        for way in outcome.ways:
            yield outcome, way
