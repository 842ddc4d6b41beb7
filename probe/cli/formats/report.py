"""What of a run is passed on in a file or a format made for others to read."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from probe.cli.expect import Expectations, Mismatch, mismatches
from probe.cli.formats.grades import Grade, grade
from probe.model.codec import flatten
from probe.model.vantage import RunColumns
from probe.model.verdict import State, Verdict
from probe.verdict.withheld import is_withheld, withhold
from probe.verdict.words import Answers, summarise, three_answers

if TYPE_CHECKING:
    from probe.model.observation import Observation
    from probe.model.step import Budget
    from probe.model.target import Targets
    from probe.run.session import RunResult


@dataclass(frozen=True)
class Asked:
    """What was asked of the run beyond measuring."""

    fail_on: State | None = None
    expected: Expectations | None = None
    with_ways: bool = False


@dataclass(frozen=True, kw_only=True)
class Graded:
    """The direct way's verdict on one target, and what CI makes of it.

    ``seconds`` run from its first observation's start to its last one's end; targets are
    measured side by side, so they do not add up to the run's.
    """

    verdict: Verdict
    name: str
    grade: Grade
    why: str
    seconds: float

    @property
    def said(self) -> str:
        """The verdict in words, and why it has its grade."""
        words = summarise(self.verdict)
        return words if words.startswith(self.why) else f"{self.why}; {words}"


@dataclass(frozen=True, kw_only=True)
class Report:
    """A finished run as others may read it; every text in it is as stored, scrubbed.

    Of ways around it holds what ``results export`` passes on; ``n_withheld`` counts
    the rest.
    """

    run: RunColumns
    is_usable: bool
    budget: "Budget"
    verdicts: tuple[Verdict, ...]
    observations: tuple[dict[str, Any], ...]
    direct: tuple[Graded, ...]
    mismatches: tuple[Mismatch, ...]
    n_withheld: int
    seconds: float

    @cached_property
    def answers(self) -> Answers:
        """The three answers."""
        return three_answers(self.verdicts)

    @cached_property
    def verdict_columns(self) -> list[dict[str, Any]]:
        """The verdicts as lines of results have them."""
        return [flatten(self.run, verdict) for verdict in self.verdicts]


def make_report(
    result: "RunResult",
    asked: Asked,
    *,
    targets: "Targets",
    budget: "Budget",
    columns: Sequence[dict[str, Any]],
    observation_columns: Sequence[dict[str, Any]],
) -> Report:
    """Gather a report.

    Args:
        result: the run as it ended.
        asked: what decides over failures and over what is withheld.
        targets: the list that was measured, for its names.
        budget: what the plan said it costs.
        columns: the verdicts as stored.
        observation_columns: the observations as stored, or none where no format has them.
    """
    scrubbed = [_verdict_of(line) for line in columns]
    rows, n_withheld = [(result.run, verdict) for verdict in scrubbed], 0
    if not asked.with_ways:
        rows, n_withheld = withhold(rows, is_any_working=False)
    # An unusable line says nothing about any target, so nothing differs from what is expected.
    expected = asked.expected if result.is_usable else None
    differing = mismatches(expected or {}, scrubbed)
    reasons = {mismatch.target_id: str(mismatch) for mismatch in differing}
    names = {target.id: target.name or target.id for target in targets.targets}
    seconds = _seconds(result.observations)
    direct = []
    for verdict in scrubbed:
        if verdict.tactic == "none":
            is_expected = verdict.target_id in (expected or {})
            graded, why = grade(
                verdict.state,
                asked.fail_on,
                reasons.get(verdict.target_id),
                is_expected=is_expected,
            )
            direct.append(
                Graded(
                    verdict=verdict,
                    name=names.get(verdict.target_id, verdict.target_id),
                    grade=graded,
                    why=why,
                    seconds=seconds.get(verdict.target_id, 0.0),
                )
            )
    return Report(
        run=result.run,
        is_usable=result.is_usable,
        budget=budget,
        verdicts=tuple(verdict for _, verdict in rows),
        observations=tuple(
            line
            for line, row in zip(observation_columns, result.observations, strict=False)
            if asked.with_ways or not is_withheld(result.run, row)
        ),
        direct=tuple(direct),
        mismatches=differing,
        n_withheld=n_withheld,
        seconds=max((row.t for row in result.observations), default=0.0),
    )


def _verdict_of(columns: dict[str, Any]) -> Verdict:
    own = Verdict.__struct_fields__
    return msgspec.convert({name: columns[name] for name in own}, Verdict)


def _seconds(observations: "Sequence[Observation]") -> dict[str, float]:
    spans: dict[str, tuple[float, float]] = {}
    for row in observations:
        if row.target_id is not None and row.tactic == "none":
            first, last = spans.get(row.target_id, (row.t0, row.t))
            spans[row.target_id] = (min(first, row.t0), max(last, row.t))
    return {target: last - first for target, (first, last) in spans.items()}
