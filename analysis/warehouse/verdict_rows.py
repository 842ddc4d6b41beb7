"""Rows of the table of verdicts -> verdicts as the rules made them, to be put into words.

What a table does not hold is lost: rivals ruled out and by what, and layers of steps that are
no columns. Texts that were lists are split at their spaces, which their items do not have.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from analysis.warehouse.schema import VERDICT_LAYERS
from probe.model.verdict import Verdict

LISTS: Final[dict[str, Callable[[str], Any]]] = {
    "failed_members": str,
    "failed_ports": int,
    "failed_families": int,
    "reasons": str,
    "open_rivals": str,
}
"""Columns that hold several values, and what each is."""

_SAME: Final = (
    "target_id", "service_id", "combination_rule", "tactic", "proxy_id", "state", "mechanism",
    "benign_cause", "stage", "rule_id", "rules_version", "n_ok", "n_total", "attempts",
    "control_state", "controls_ok", "controls_total", "within_hops", "summary",
)  # fmt: skip


class Run(NamedTuple):
    """Whose verdicts they are. ``start_time`` is UTC."""

    run_id: str
    start_time: datetime
    probe_cc: str
    probe_asn: int
    network_type: str | None
    lab: bool


def verdicts_of(rows: Iterable[Mapping[str, Any]]) -> list[tuple[Run, Verdict]]:
    """Return the verdicts that rows hold, in their order.

    Raises:
        msgspec.ValidationError: a row is no verdict of a run.
    """
    return [(_run(row), _verdict(row)) for row in rows]


def _run(row: Mapping[str, Any]) -> Run:
    return Run(
        run_id=row["measurement_id"],
        start_time=row["start_time"],
        probe_cc=row["probe_cc"],
        probe_asn=row["probe_asn"],
        network_type=row["network_type"],
        lab=bool(row["lab"]),
    )


def _verdict(row: Mapping[str, Any]) -> Verdict:
    evidence = None
    if row["evidence_tried"] is not None:
        evidence = {
            "n_failed": row["evidence_failed"],
            "n_tried": row["evidence_tried"],
            "contrast_ok": row["contrast_ok"],
            "contrast_tried": row["contrast_tried"],
        }
    layers = [
        {"step": layer, "n_ok": row[f"{layer}_ok"], "n_total": row[f"{layer}_total"]}
        for layer in VERDICT_LAYERS
        if row[f"{layer}_total"] is not None
    ]
    lists = {
        name: [kind(item) for item in (row[name] or "").split()] for name, kind in LISTS.items()
    }
    return msgspec.convert(
        {
            **{name: row[name] for name in _SAME},
            **lists,
            "with_encrypted_dns": bool(row["with_encrypted_dns"]),
            "evidence": evidence,
            "layers": layers,
        },
        Verdict,
    )
