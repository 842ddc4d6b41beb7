"""One rule applied to one member."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from probe.model.observation import Observation, Step
from probe.model.verdict import Evidence, Mechanism, Rival, State
from probe.verdict.rules import RULES


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a rule says, and what it rests on."""

    rule_id: str
    mechanism: Mechanism | None
    reasons: tuple[str, ...]
    rivals: tuple[Rival, ...] = ()
    evidence: Evidence | None = None
    depends_on_silence: bool = False
    failed_ports: tuple[int, ...] = ()
    failed_families: tuple[Literal[4, 6], ...] = ()

    @property
    def state(self) -> State:
        """The most the rule may claim."""
        return RULES[self.rule_id].state

    @property
    def stage(self) -> Step | None:
        """The layer that the rule speaks of."""
        return RULES[self.rule_id].stage


def found(
    rule_id: str,
    mechanism: Mechanism | None,
    failed: Iterable[Observation],
    *,
    passed: Iterable[Observation] = (),
    missed: Iterable[Observation] = (),
    tried: int | None = None,
    rivals: tuple[Rival, ...] = (),
    depends_on_silence: bool = False,
) -> Finding:
    """Build a finding: rows that failed as the rule says, and contrasts that passed.

    ``missed`` are contrasts that did not pass. ``tried`` counts the tries of which
    ``failed`` are those that failed.
    """
    bad = list({row.observation_id: row for row in failed}.values())
    good = list({row.observation_id: row for row in passed}.values())
    ill = {row.observation_id for row in missed}
    return Finding(
        rule_id=rule_id,
        mechanism=mechanism,
        reasons=tuple(sorted({*(row.observation_id for row in (*bad, *good)), *ill})),
        rivals=rivals,
        evidence=Evidence(
            n_failed=len(bad),
            n_tried=len(bad) if tried is None else tried,
            contrast_ok=len(good),
            contrast_tried=len(good) + len(ill),
        ),
        depends_on_silence=depends_on_silence,
    )


def ruled_out(cause: str, rows: Iterable[Observation]) -> Rival:
    """Name a rival explanation and the observations that rule it out."""
    return Rival(cause=cause, ruled_out_by=tuple(sorted({row.observation_id for row in rows})))
