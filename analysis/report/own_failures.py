"""What failed on the measurer's own side, or at the service: what must not count as blocking."""

import pandas as pd

from analysis.dataset import Dataset
from analysis.query.found import held, states_and_causes
from analysis.report.headline import share_words
from probe.verdict.words import CAUSE_WORDS, STATE_WORDS

CAPTION = (
    "One row per kind of result. Where controls failed, nothing is said of the target, neither "
    "for nor against; such results are no part of any share of failures on this page."
)
_WITHOUT_CAUSE = "no benign cause found"


def own_failures(dataset: Dataset) -> pd.DataFrame:
    """Return results by whose they are, with n of N and an interval; no row without data."""
    rows = states_and_causes(dataset.verdicts).to_pyarrow().to_pylist()
    counts: dict[tuple[int, str, str], int] = {}
    for row in rows:
        key = _kind(row["control_state"], row["state"], row["benign_cause"])
        counts[key] = counts.get(key, 0) + row["n"]
    theirs = next((source for source in held(dataset.judged) if source.source == "ooni"), None)
    said, silent = (theirs.decided, theirs.n - theirs.decided) if theirs else (0, 0)
    found = [(whose, why, n, sum(counts.values())) for (_, whose, why), n in sorted(counts.items())]
    found += [
        ("OONI: decided", "works or fails", said, said + silent),
        ("OONI: not decided", "no step that tells was done", silent, said + silent),
    ] * bool(said + silent)
    return pd.DataFrame(
        [
            {"Result": whose, "Why": why, "n": n, "of": total, "Share": share_words(n, total)}
            for whose, why, n, total in found
        ],
        columns=["Result", "Why", "n", "of", "Share"],
    )


def _kind(control_state: str, state: str, cause: str) -> tuple[int, str, str]:
    why = CAUSE_WORDS.get(cause, _WITHOUT_CAUSE)  # type: ignore[call-overload] # a word of a file
    if control_state == "failed":
        return 2, "the measurer's own line: controls failed", why
    if state == "down":
        return 1, f"the service's own: {STATE_WORDS['down']}", why
    if state == "insufficient":
        return 3, "not enough data, controls answered", why
    if control_state == "degraded":
        return 4, "told with doubt: only some controls answered", why
    words = STATE_WORDS.get(state, state)  # type: ignore[call-overload] # a word of a file
    return 0, f"told: {words}", why if cause else ""
