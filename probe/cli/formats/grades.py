"""What CI makes of a state: passed, failed or skipped."""

from typing import Final, Literal

from probe.model.verdict import BLOCKED_STATES, State
from probe.verdict.words import STATE_WORDS

SEVERITY: Final[tuple[State, ...]] = (
    "ok",
    "insufficient",
    "down",
    "impaired",
    "likely_blocked",
    "blocked",
)
"""From better to worse, for ``--fail-on``."""

Grade = Literal["passed", "failed", "skipped"]


def is_as_bad(state: State, limit: State | None) -> bool:
    """Whether a state is the one that ``--fail-on`` names or a worse one."""
    return limit is not None and SEVERITY.index(state) >= SEVERITY.index(limit)


def grade(
    state: State, fail_on: State | None, mismatch: str | None, *, is_expected: bool
) -> tuple[Grade, str]:
    """Grade a target and say why.

    What ``--expect`` names passes if it is as expected, whatever it is. Of the rest what is
    blocked fails; what is impaired or down fails too, unless ``--fail-on`` is about worse
    states only. What is not known, or is bad and does not matter here, is skipped: nothing
    but a working target, or an expected state, is ever green.
    """
    if mismatch is not None:
        return "failed", mismatch
    words = STATE_WORDS[state]
    if is_as_bad(state, fail_on):
        return "failed", f"as expected, yet --fail-on {fail_on}" if is_expected else words
    if is_expected:
        return "passed", "as expected"
    if state == "ok":
        return "passed", words
    if state in BLOCKED_STATES or (fail_on is None and state != "insufficient"):
        return "failed", words
    return "skipped", words
