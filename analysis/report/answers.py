"""The three answers of a run, from the rows of its verdicts."""

from typing import Any, NamedTuple

import ibis
import msgspec

from analysis.report.cut import SENTENCE, cut
from analysis.warehouse.verdict_rows import verdicts_of
from probe.locale import ENGLISH, Language
from probe.model.verdict import BLOCKED_STATES, Verdict
from probe.verdict.words import Answers, three_answers


class Told(NamedTuple):
    """A run: when it began, its answers, and the verdicts that they come from."""

    start: str
    answers: Answers
    verdicts: tuple[Verdict, ...]


def latest(verdicts: ibis.Table, say: Language = ENGLISH) -> Told | None:
    """Return the latest run's answers; None where there are no whole verdicts of ours."""
    return _told(verdicts, verdicts, say)


def latest_blocked(verdicts: ibis.Table, say: Language = ENGLISH) -> Told | None:
    """Return the answers of the latest run with signs of blocking on the direct way."""
    signs = verdicts.state.isin(sorted(BLOCKED_STATES)) & (verdicts.tactic == "none")
    return _told(verdicts, verdicts.filter(signs), say)


def _told(verdicts: ibis.Table, among: ibis.Table, say: Language) -> Told | None:
    order = [ibis.desc("start_time"), ibis.desc("measurement_id")]
    found = among.order_by(order).select("start_time", "measurement_id").limit(1)
    picked = found.to_pyarrow().to_pylist()
    if not picked or picked[0]["start_time"] is None:
        return None
    run = picked[0]
    rows: list[dict[str, Any]] = (
        verdicts.filter(verdicts.measurement_id == run["measurement_id"]).to_pyarrow().to_pylist()
    )
    rows.sort(
        key=lambda row: (
            row["target_id"], row["tactic"] != "none", row["tactic"], row["proxy_id"] or "",
        )
    )  # fmt: skip
    try:
        own = tuple(verdict for _, verdict in verdicts_of(rows))
    except msgspec.ValidationError:
        # A frame of somebody's, with the columns that charts need and no more.
        return None
    answers = Answers(*(cut(answer, SENTENCE) for answer in three_answers(own, say)))
    return Told(f"{run['start_time']:%Y-%m-%d %H:%M} UTC", answers, own)
