"""Prometheus' text format, for the textfile collector of node_exporter.

Metrics, units and labels are stable: docs/how-to-use-in-ci.md lists them. Nothing has a
timestamp, since the collector refuses them; `reachwatch_run_start_time_seconds` tells
how old the file is. No label has a value for each run, an address or a free text.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final

from probe.cli.formats.plain import plain
from probe.model.verdict import STATES

if TYPE_CHECKING:
    from probe.cli.formats.report import Report

MAX_TARGETS: Final = 1000
"""At most ten series each; a list may have 5000 targets, and a server keeps every series."""

Sample = tuple[dict[str, str], float]


def as_prometheus(report: "Report") -> str:
    """Return the run as samples; states and mechanisms are labels of series that are 1 or 0."""
    return "".join(line for metric in _metrics(report) for line in _written(*metric))


def _metrics(report: "Report") -> Iterator[tuple[str, str, Iterable[Sample]]]:
    run = report.run
    shown = report.direct[:MAX_TARGETS]
    first = report.direct[0].verdict
    labels = [{"target": one.verdict.target_id, "service": one.verdict.service_id} for one in shown]
    yield (
        "target_state",
        "Whether the verdict on the target is this state (1) or not (0).",
        [
            ({**own, "state": state}, float(one.verdict.state == state))
            for own, one in zip(labels, shown, strict=True)
            for state in sorted(STATES)
        ],
    )
    yield (
        "target_mechanism",
        "What the interference with the target is, or looks like; no series where none is named.",
        [
            ({**own, "mechanism": one.verdict.mechanism}, 1.0)
            for own, one in zip(labels, shown, strict=True)
            if one.verdict.mechanism is not None
        ],
    )
    for name, text, values in (
        (
            "target_members",
            "Members of the target that were judged.",
            [float(one.verdict.n_total) for one in shown],
        ),
        (
            "target_members_working",
            "Members of the target that work.",
            [float(one.verdict.n_ok) for one in shown],
        ),
        (
            "target_duration_seconds",
            "Time from the first observation of the target to its last.",
            [one.seconds for one in shown],
        ),
    ):
        yield name, text, list(zip(labels, values, strict=True))
    start = datetime.fromisoformat(run.measurement_start_time).timestamp()
    rules = str(first.rules_version)
    info = {"version": run.software_version, "rules_version": rules, "lab": str(run.lab).lower()}
    for name, text, own, value in (
        ("targets", "Targets of the run.", {}, float(len(report.direct))),
        (
            "targets_omitted",
            f"Targets without series here, beyond the first {MAX_TARGETS}.",
            {},
            float(len(report.direct) - len(shown)),
        ),
        ("controls", "Known-good hosts that were asked.", {}, float(first.controls_total)),
        ("controls_answered", "Known-good hosts that answered.", {}, float(first.controls_ok)),
        (
            "run_usable",
            "Whether the local network worked (1); if not (0), no state says anything.",
            {},
            float(report.is_usable),
        ),
        ("run_start_time_seconds", "Start of the run in Unix time, to the minute.", {}, start),
        ("run_duration_seconds", "Time that measuring took.", {}, report.seconds),
        ("run_info", "Which software and rules judged.", info, 1.0),
    ):
        yield name, text, [(own, value)]


def _written(name: str, text: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP reachwatch_{name} {text}\n# TYPE reachwatch_{name} gauge\n"
    for labels, value in samples:
        pairs = ",".join(f'{label}="{_escaped(said)}"' for label, said in labels.items())
        braces = f"{{{pairs}}}" if pairs else ""
        number = f"{value:.3f}".rstrip("0").rstrip(".")
        yield f"reachwatch_{name}{braces} {number}\n"


def _escaped(text: str) -> str:
    return plain(text).replace("\\", "\\\\").replace('"', '\\"')
