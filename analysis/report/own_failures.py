"""What failed on the measurer's own side, or at the service: what must not count as blocking."""

import pandas as pd

from analysis.dataset import Dataset
from analysis.query.found import held, states_and_causes
from analysis.report.headline import share_words
from probe.locale import ENGLISH, Language, marked
from probe.verdict.words import CAUSE_WORDS, STATE_WORDS

CAPTION = marked(
    "One row per kind of result. Where controls failed, nothing is said of the target, neither "
    "for nor against; such results are no part of any share of failures on this page."
)


def own_failures(dataset: Dataset, say: Language = ENGLISH) -> pd.DataFrame:
    """Return results by whose they are, with n of N and an interval; no row without data."""
    rows = states_and_causes(dataset.verdicts).to_pyarrow().to_pylist()
    counts: dict[tuple[int, str, str], int] = {}
    for row in rows:
        key = _kind(row["control_state"], row["state"], row["benign_cause"], say)
        counts[key] = counts.get(key, 0) + row["n"]
    theirs = next((source for source in held(dataset.judged) if source.source == "ooni"), None)
    said, silent = (theirs.decided, theirs.n - theirs.decided) if theirs else (0, 0)
    found = [(whose, why, n, sum(counts.values())) for (_, whose, why), n in sorted(counts.items())]
    found += [
        (say("OONI: decided"), say("works or fails"), said, said + silent),
        (say("OONI: not decided"), say("no step that tells was done"), silent, said + silent),
    ] * bool(said + silent)
    return pd.DataFrame(
        [(whose, why, n, total, share_words(n, total, say)) for whose, why, n, total in found],
        columns=[say("Result"), say("Why"), "n", say("of"), say("Share")],
    )


def _kind(control_state: str, state: str, cause: str, say: Language) -> tuple[int, str, str]:
    known: str | None = CAUSE_WORDS.get(cause)  # type: ignore[call-overload] # a word of a file
    why = say(known) if known else say("no benign cause found")
    if control_state == "failed":
        return 2, say("the measurer's own line: controls failed"), why
    if state == "down":
        return 1, say("the service's own: {state}").format(state=say(STATE_WORDS["down"])), why
    if state == "insufficient":
        return 3, say("not enough data, controls answered"), why
    if control_state == "degraded":
        return 4, say("told with doubt: only some controls answered"), why
    words: str = STATE_WORDS.get(state, state)  # type: ignore[call-overload] # a word of a file
    return 0, say("told: {state}").format(state=say(words)), why if cause else ""
