"""Markdown: three answers, what was expected and is not so, and a table of targets."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from probe import __version__
from probe.cli.formats.plain import plain
from probe.verdict.withheld import notice
from probe.verdict.words import RESULT_WORDS, STATE_WORDS, result_of, ways_of

if TYPE_CHECKING:
    from probe.cli.formats.report import Graded, Report

_MARKS: Final = {"passed": "✅", "failed": "❌", "skipped": "⚪"}
_WORDS: Final = {"passed": "pass", "failed": "fail", "skipped": "skip"}

_SPECIAL: Final = re.compile(r"[\\`*{}\[\]<>#!|~&@$]|:(?=/)|(?<![^\W_])_|_(?![^\W_])")
"""What may mean something to a Markdown reader or in HTML: an @ that would call somebody and
the beginning of a link too. An underscore within a word means nothing."""


def as_markdown(report: "Report", *, limit_bytes: int | None = None) -> str:
    """Return the run as one section, which others may precede and follow.

    With a limit the rows that fail come first, and those for which there is no room are
    counted.
    """
    head = "\n".join(_head(report)) + "\n"
    tail = "\n".join(_tail(report)) + "\n"
    rows = list(report.direct)
    if limit_bytes is not None:
        rows.sort(key=lambda one: ("failed", "skipped", "passed").index(one.grade))
    room = None if limit_bytes is None else limit_bytes - _size(head + tail) - _MORE_BYTES
    shown: list[str] = []
    for row in map(_row, rows):
        if room is not None:
            room -= _size(row)
            if room < 0:
                break
        shown.append(row)
    missing = len(rows) - len(shown)
    more = f"\nand {missing} more targets\n" if missing else ""
    return f"{head}{''.join(shown)}{more}{tail}"


_MORE_BYTES: Final = 40


def _size(text: str) -> int:
    return len(text.encode())


def _head(report: "Report") -> Sequence[str]:
    n_failed = sum(one.grade == "failed" for one in report.direct)
    said = report.answers
    lab = ", simulated network" if report.run.lab else ""
    lines = [
        f"## reachwatch: {len(report.direct)} targets, {n_failed} failed",
        "",
        f"- **Is it me?** {escaped(said.is_it_me)}",
        f"- **How?** {escaped(said.how)}",
        f"- **What works?** {escaped(said.what_works)}",
        "",
    ]
    if report.mismatches:
        lines += ["Not as expected:", ""]
        lines += [f"- {escaped(one.target_id)}: {escaped(str(one))}" for one in report.mismatches][
            :_MAX_LISTED
        ]
        if len(report.mismatches) > _MAX_LISTED:
            lines.append(f"- and {len(report.mismatches) - _MAX_LISTED} more")
        lines.append("")
    run = report.run
    when = f"{run.measurement_start_time}, {report.seconds:.1f} s"
    return [
        *lines,
        f"Run {run.run_id}, {when}, reachwatch {__version__}{lab}",
        "",
        "| | Target | State | Works | Controls | Finding | Rule |",
        "|---|---|---|---|---|---|---|",
    ]


_MAX_LISTED: Final = 50


def _row(one: "Graded") -> str:
    verdict = one.verdict
    name = "" if one.name == verdict.target_id else f" ({escaped(one.name)})"
    n_of = f"{verdict.n_ok}/{verdict.n_total}" if verdict.n_total else "-"
    cells = (
        f"{_MARKS[one.grade]} {_WORDS[one.grade]}",
        f"{escaped(verdict.target_id)}{name}",
        STATE_WORDS[verdict.state],
        n_of,
        f"{verdict.controls_ok}/{verdict.controls_total}",
        escaped(verdict.mechanism or verdict.benign_cause or "-"),
        escaped(verdict.rule_id),
    )
    return f"| {' | '.join(cells)} |\n"


_PLACES_OF_A_WAY: Final = 10


def _tail(report: "Report") -> Sequence[str]:
    lines: list[str] = []
    ways = ways_of(report.verdicts)
    if ways:
        lines += ["", "| Way around | Result | Where |", "|---|---|---|"]
    for way in ways:
        result = RESULT_WORDS[result_of(way.n_ok, way.n_total)]
        where = ", ".join(
            f"{v.target_id} {v.n_ok}/{v.n_total}" for v in way.verdicts[:_PLACES_OF_A_WAY]
        )
        if (more := len(way.verdicts) - _PLACES_OF_A_WAY) > 0:
            where += f", and {more} more"
        lines.append(f"| {escaped(way.name)} | {result} | {escaped(where)} |")
    if report.n_withheld:
        lines += ["", escaped(notice(report.n_withheld))]
    return lines


def escaped(text: str) -> str:
    """Return text that a reader of Markdown shows as it is."""
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", plain(text))
