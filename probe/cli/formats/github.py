"""GitHub Actions: annotations (workflow commands on standard output) and the job summary.

Limits as GitHub documents them: 1 MiB of summary a step, ten annotations of a kind a step.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from probe.cli.formats.markdown import as_markdown
from probe.cli.formats.plain import plain

if TYPE_CHECKING:
    from probe.cli.formats.report import Graded, Report

SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"
SUMMARY_BYTES: Final = 2**20
ANNOTATIONS_OF_A_KIND: Final = 10


def as_summary(report: "Report", bytes_used: int) -> str:
    """Return the section for a summary that has so many bytes already; perhaps nothing."""
    limit = SUMMARY_BYTES - bytes_used
    text = as_markdown(report, limit_bytes=limit)
    return text if len(text.encode()) <= limit else ""


def as_annotations(report: "Report") -> str:
    """Return what failed as errors, what is not known as warnings, the answer as a notice."""
    failed = [one for one in report.direct if one.grade == "failed"]
    skipped = [one for one in report.direct if one.grade == "skipped"]
    lines = [
        *_of_a_kind("error", failed),
        *_of_a_kind("warning", skipped),
        _command("notice", "reachwatch", report.answers.is_it_me),
    ]
    return "".join(f"{line}\n" for line in lines)


def _of_a_kind(kind: str, found: "Sequence[Graded]") -> Iterator[str]:
    fits = len(found) <= ANNOTATIONS_OF_A_KIND
    for one in found if fits else found[: ANNOTATIONS_OF_A_KIND - 1]:
        yield _command(kind, one.verdict.target_id, one.said)
    if not fits:
        rest = len(found) - ANNOTATIONS_OF_A_KIND + 1
        yield _command(kind, "reachwatch", f"and {rest} more; the job summary has them")


def _command(kind: str, title: str, message: str) -> str:
    escaped_title = _escaped(title).replace(":", "%3A").replace(",", "%2C")
    return f"::{kind} title={escaped_title}::{_escaped(message)}"


def _escaped(text: str) -> str:
    # `plain` leaves no line break that could begin a command of its own.
    return plain(text).replace("%", "%25")
