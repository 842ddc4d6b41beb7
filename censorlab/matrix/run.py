"""One cell: a scenario on the stage, a prober's command in it, its verdicts beside the truth."""

import hashlib
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec
import orjson

from censorlab.matrix.outcome import Answer, Cell, Judged, Outcome, Run, SaidOfWay, outcome_of
from censorlab.packet.line import Line
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.forms import STAGES
from censorlab.scenarios.model import Scenario
from censorlab.scenarios.stage import TARGET_IDS, Stage
from censorlab.world.world import WorldFailedError

PROBER_LIMIT_S: Final = 90.0
"""Twice what the slowest honest run takes; then it has failed."""

ProberWords = Callable[[str, str, int], Sequence[str]]
"""From a targets file, a results folder and a seed to the command that measures.

It prints JSON lines on standard output; the last has a ``verdicts`` list, and a
``ways`` list if it tried any.
"""


class Prober(NamedTuple):
    """What is tested: ``version`` changes when its verdicts may."""

    words: ProberWords
    version: str


def line_of(scenario: Scenario, cell: Cell) -> Line:
    """Return the scenario's own line, longer and lossier by the cell's.

    A router's kernel delays nothing: that form has no round trip of the cell's.
    """
    own = scenario.line
    rtt_s = 0.0 if cell.form == "independent" else cell.rtt_s
    return msgspec.structs.replace(
        own,
        delay_s=own.delay_s + rtt_s / 2,
        loss=1 - (1 - own.loss) * (1 - cell.loss),
    )


def code_of(scenario: Scenario, prober: Prober) -> str:
    """Return what identifies the scenario as written, and the software that judges it."""
    text = orjson.dumps(msgspec.to_builtins(scenario)) + prober.version.encode()
    return hashlib.sha256(text).hexdigest()[:16]


def run_cell(
    scenario: Scenario, cell: Cell, prober: Prober, authorities: Authorities
) -> list[Outcome]:
    """Measure one cell; a prober without verdicts has an outcome for each target too.

    Raises:
        UnsupportedSystemError: if this machine cannot have namespaces.
        MissingProgramError: if a peer is not installed.
        NeedsPacketsError, NeedsEngineError: if the form cannot express the scenario.
    """
    started = time.monotonic()
    target_ids: tuple[str, ...] = TARGET_IDS
    try:
        with STAGES[cell.form](scenario, line_of(scenario, cell), cell.seed, authorities) as ready:
            started = time.monotonic()
            target_ids = ready.target_ids
            answer, error = _measure(ready, cell, prober)
    except WorldFailedError as failure:
        answer, error = Answer({}), str(failure)
    seconds = time.monotonic() - started
    run = Run(cell, round(seconds, 3), code_of(scenario, prober), error)
    return [outcome_of(run, target, scenario.truth_of(target), answer) for target in target_ids]


def _measure(ready: Stage, cell: Cell, prober: Prober) -> tuple[Answer, str]:
    words = prober.words(ready.targets, ready.results, cell.seed)
    try:
        done = ready.run_client(words, timeout_s=PROBER_LIMIT_S)
    except subprocess.TimeoutExpired:
        return Answer({}), f"no verdict in {PROBER_LIMIT_S:.0f} s"
    lines = done.stdout.splitlines()
    try:
        document = orjson.loads(lines[-1])
        judged = msgspec.convert(document["verdicts"], list[Judged])
        ways = msgspec.convert(document.get("ways", []), tuple[SaidOfWay, ...])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        said = (done.stderr or done.stdout)[-300:].strip()
        return Answer({}), f"no verdicts ({type(error).__name__}), exit {done.returncode}: {said}"
    direct = {one.target_id: one for one in judged if one.tactic == "none"}
    return Answer(direct, ways), ""
