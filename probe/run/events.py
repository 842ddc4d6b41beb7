"""Progress as a stream of events; whoever prints subscribes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.model.observation import Observation
from probe.model.step import Budget
from probe.model.verdict import Verdict


@dataclass(frozen=True)
class RunStarted:
    """The plan is fixed, and what it costs."""

    run_id: str
    budget: Budget


@dataclass(frozen=True)
class Observed:
    """A step finished and its observation is on disk; ``done`` of ``total`` chains.

    ``columns`` is the line as stored, scrubbed: what may be shown to others.
    """

    observation: Observation
    columns: dict[str, Any]
    done: int
    total: int


@dataclass(frozen=True)
class RunFinished:
    """All facts and verdicts are stored. ``is_usable``: the local network worked."""

    run_id: str
    verdicts: tuple[Verdict, ...]
    verdict_columns: tuple[dict[str, Any], ...]
    observations_path: Path
    is_usable: bool


Event = RunStarted | Observed | RunFinished
