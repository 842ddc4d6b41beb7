"""JSON and NDJSON: a run as documents."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from probe.run.events import Event, Observed, RunFinished, RunStarted
from probe.verdict.words import n_failing, result_of, three_answers, untested

if TYPE_CHECKING:
    from probe.cli.formats.report import Report
    from probe.model.step import Budget
    from probe.model.verdict import Verdict


def as_document(event: Event) -> dict[str, Any]:
    """Return one event as the document that NDJSON has a line for."""
    match event:
        case RunStarted():
            return _started(event.run_id, event.budget)
        case Observed():
            return _observation(event.columns)
        case RunFinished():
            return _finished(
                event.run_id, event.verdicts, event.verdict_columns, is_usable=event.is_usable
            )


def as_json(report: "Report") -> str:
    """Return a run as one document, observations included."""
    return _line({**_summary(report), "observations": report.observations})


def as_ndjson(report: "Report") -> str:
    """Return a run as a line for its start, for each observation and for its end."""
    return "".join(
        (
            _line(_started(report.run.run_id, report.budget)),
            *(_line(_observation(columns)) for columns in report.observations),
            _line(_summary(report)),
        )
    )


def _started(run_id: str, budget: "Budget") -> dict[str, Any]:
    return {
        "schema_version": "1.0",
        "type": "run_started",
        "run_id": run_id,
        "sockets": budget.sockets,
        "bytes": budget.bytes,
    }


def _observation(columns: dict[str, Any]) -> dict[str, Any]:
    # The line's own schema version is the later one, and stands.
    return {"schema_version": "1.0", "type": "observation", **columns}


def _summary(report: "Report") -> dict[str, Any]:
    columns = report.verdict_columns
    return _finished(report.run.run_id, report.verdicts, columns, is_usable=report.is_usable)


def _finished(
    run_id: str,
    verdicts: "Sequence[Verdict]",
    columns: Sequence[dict[str, Any]],
    *,
    is_usable: bool,
) -> dict[str, Any]:
    return {
        "schema_version": "1.0",
        "type": "run_finished",
        "run_id": run_id,
        "is_usable": is_usable,
        "verdicts": columns,
        "answers": three_answers(verdicts)._asdict(),
        "ways": ways_document(verdicts),
    }


def ways_document(verdicts: "Sequence[Verdict]") -> list[dict[str, Any]]:
    """Return the matrix target x tactic; what was not tested is in it, without a target."""
    direct = {v.target_id: n_failing(v) for v in verdicts if v.tactic == "none"}
    known = [
        {
            "target_id": verdict.target_id,
            "tactic": verdict.tactic,
            "proxy_id": verdict.proxy_id,
            "result": result_of(verdict.n_ok, verdict.n_total),
            "n_ok": verdict.n_ok,
            "n_total": verdict.n_total,
            "n_failing": direct.get(verdict.target_id, 0),
            "failed_members": verdict.failed_members,
            "with_encrypted_dns": verdict.with_encrypted_dns,
        }
        for verdict in verdicts
        if verdict.tactic != "none"
    ]
    if any(verdict.tactic == "withheld" for verdict in verdicts):
        return known  # which were tested is withheld too
    unknown = [
        {
            "target_id": None,
            "tactic": tactic,
            "proxy_id": None,
            "result": result_of(0, 0),
            "n_ok": 0,
            "n_total": 0,
            "n_failing": 0,
            "failed_members": (),
            "with_encrypted_dns": False,
        }
        for tactic in untested(verdicts)
    ]
    return known + unknown


def _line(document: dict[str, Any]) -> str:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE).decode()
