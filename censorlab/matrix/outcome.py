"""One verdict beside the truth, and the file that a sweep can be resumed from."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import orjson
from msgspec import Struct

from censorlab.scenarios.forms import Form
from censorlab.scenarios.model import Truth, WayTruth
from probe.model.observation import TACTICS, Tactic
from probe.model.verdict import BLOCKED_STATES, BenignCause, Mechanism, State

NO_VERDICT = "none"


class BadOutcomesError(ValueError):
    """A file is not one of outcomes; the message names file and line."""


class Cell(NamedTuple):
    """One run: ``loss`` each way as a share, ``rtt_s`` in seconds, beside the scenario's own."""

    scenario: str
    form: Form
    loss: float
    rtt_s: float
    seed: int


class Run(NamedTuple):
    """What the outcomes of a cell share: ``error`` is why a prober gave no verdict."""

    cell: Cell
    seconds: float
    code: str
    error: str


class Judged(Struct, frozen=True):
    """What of a verdict is compared: the columns of a prober's line that matter here."""

    target_id: str
    state: State
    tactic: str = "none"
    mechanism: Mechanism | None = None
    benign_cause: BenignCause | None = None
    rule_id: str = ""
    n_ok: int = 0
    n_total: int = 0


WayResult = Literal["works", "works_in_part", "does_not", "not_tested"]


class SaidOfWay(Struct, frozen=True, kw_only=True):
    """A row of a prober's matrix of targets and ways around."""

    target_id: str | None
    tactic: Tactic
    result: WayResult
    n_ok: int = 0
    n_total: int = 0


class Answer(NamedTuple):
    """What a prober said in one run: verdicts of the direct way by target, and ways."""

    verdicts: dict[str, Judged]
    ways: tuple[SaidOfWay, ...] = ()


class WayOutcome(Struct, frozen=True):
    """What a prober said about a way around, beside what is true."""

    tactic: Tactic
    truth: WayTruth
    said: WayResult
    n_ok: int = 0
    n_total: int = 0

    @property
    def is_right(self) -> bool:
        """Whether that is the same."""
        return self.truth == self.said

    @property
    def is_false_hope(self) -> bool:
        """Whether a way is said to work that does not."""
        return self.truth == "does_not" and self.said in ("works", "works_in_part")


class Outcome(Struct, frozen=True, kw_only=True):
    """What a prober said about one target in one cell.

    ``is_right``: the state is one of the truth's, and so are mechanism and n_ok
    where the truth has them. ``is_false_alarm``: blocked or likely_blocked was
    said, and nobody blocks this target. ``code`` identifies scenario and software.
    ``ways``: those of which the scenario asks something, in the order of the vocabulary.
    """

    scenario: str
    form: Form
    loss: float
    rtt_s: float
    seed: int
    target: str
    truth: str
    is_benign: bool
    verdict: str
    state: str
    rule_id: str = ""
    n_ok: int = 0
    n_total: int = 0
    is_right: bool
    is_false_alarm: bool
    seconds: float
    code: str
    error: str = ""
    ways: tuple[WayOutcome, ...] = ()

    @property
    def cell(self) -> Cell:
        """The run that it comes from."""
        return Cell(self.scenario, self.form, self.loss, self.rtt_s, self.seed)


def label_of(judged: Judged | None) -> str:
    """Name the column of a verdict.

    That is the mechanism that is claimed, ``~`` and the one that it looks like,
    the benign cause of there being no verdict, or the state.
    """
    if judged is None:
        return NO_VERDICT
    if judged.state == "insufficient" and judged.benign_cause is not None:
        return judged.benign_cause
    if judged.mechanism is None:
        return judged.state
    return judged.mechanism if judged.state in BLOCKED_STATES else f"~{judged.mechanism}"


def is_right(truth: Truth, judged: Judged | None) -> bool:
    """Whether a verdict says what is true."""
    if judged is None or judged.state not in truth.states:
        return False
    if truth.is_hidden and judged.state == "ok":
        return True
    if truth.mechanism is not None and judged.mechanism != truth.mechanism:
        return False
    return truth.n_ok is None or judged.n_ok == truth.n_ok


def is_false_alarm(truth: Truth, judged: Judged | None) -> bool:
    """Whether something is called blocked that nobody blocks."""
    return judged is not None and judged.state in BLOCKED_STATES and not truth.is_blocked


def way_outcomes(truth: Truth, target: str, said: Iterable[SaidOfWay]) -> tuple[WayOutcome, ...]:
    """Put what is said of a target's ways beside the truth; silence is "not tested"."""
    rows = {row.tactic: row for row in said if row.target_id == target}
    found = []
    for tactic in (tactic for tactic in TACTICS if tactic in truth.ways):
        row = rows.get(tactic)
        found.append(
            WayOutcome(tactic, truth.ways[tactic], row.result, row.n_ok, row.n_total)
            if row
            else WayOutcome(tactic, truth.ways[tactic], "not_tested")
        )
    return tuple(found)


def outcome_of(run: Run, target: str, truth: Truth, answer: Answer) -> Outcome:
    """Put a verdict beside the truth; a prober without one is never right."""
    judged = answer.verdicts.get(target)
    return Outcome(
        **run.cell._asdict(),
        target=target,
        truth=truth.label,
        is_benign=not truth.is_blocked,
        verdict=label_of(judged),
        state=judged.state if judged else "",
        rule_id=judged.rule_id if judged else "",
        n_ok=judged.n_ok if judged else 0,
        n_total=judged.n_total if judged else 0,
        is_right=is_right(truth, judged),
        is_false_alarm=is_false_alarm(truth, judged),
        seconds=run.seconds,
        code=run.code,
        error=run.error,
        ways=way_outcomes(truth, target, answer.ways),
    )


def read_outcomes(path: Path) -> Iterator[Outcome]:
    """Read the outcomes of an earlier sweep; a last line cut short is left out.

    Raises:
        BadOutcomesError: for any other line that is not an outcome.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            yield msgspec.convert(orjson.loads(line), Outcome)
        except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
            if number == len(lines):
                return
            raise BadOutcomesError(f"{path}:{number}: {error}") from None


def append(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Add outcomes, all of a cell in one write: a cell is in the file or is not.

    A line that an earlier, killed, sweep left without its end is ended first.
    """
    text = b"".join(
        orjson.dumps(msgspec.to_builtins(outcome), option=orjson.OPT_APPEND_NEWLINE)
        for outcome in outcomes
    )
    with path.open("ab") as file:
        file.write(text)


def trim(path: Path) -> None:
    """Take off a last line that a killed sweep left without its end."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        path.write_bytes(whole)
