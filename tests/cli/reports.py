"""Reports and finished runs made of verdicts, without a run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from facts import RUN
from probe.cli.formats.report import Asked, Report, make_report
from probe.model.codec import flatten
from probe.model.observation import Observation
from probe.model.step import Budget
from probe.model.target import Targets
from probe.model.vantage import RunColumns
from probe.model.verdict import BLOCKED_STATES, State, Verdict
from probe.run.events import Event, RunFinished, RunStarted
from probe.run.session import RunResult, Settings
from probe.verdict.words import summarise

BUDGET = Budget(sockets=21, bytes=134_000, max_bytes=400_000)
LAB = msgspec.structs.replace(RUN, lab=True)
TARGETS: dict[str, Any] = {
    "schema_version": "1.0",
    "name": "Two targets on this machine",
    "updated": "2030-01-01",
    "services": [{"id": "a", "name": "A", "category_code": "COMT"}],
    "targets": [
        {
            "id": target_id,
            "service": "a",
            "combination_rule": "all_of",
            "name": name,
            "endpoints": [{"address": "127.0.44.1", "port": 9, "probes": ["tcp"]}],
        }
        for target_id, name in (("a/pool", ""), ("a/web", "Web"))
    ],
    "controls": [
        {"id": "c/1", "kind": "known_good", "address": "127.0.44.2", "server_name": "c.example"}
    ],
    "resolvers": [{"id": "r", "protocol": "udp", "address": "127.0.44.3", "port": 9}],
}


def verdict(target_id: str, state: State, **columns: Any) -> Verdict:
    """Return the direct way's verdict."""
    made = Verdict(
        target_id=target_id,
        service_id="a",
        combination_rule="all_of",
        state=state,
        mechanism=columns.pop("mechanism", "sni_rst" if state in BLOCKED_STATES else None),
        rule_id="target.reachable",
        rules_version=4,
        n_ok=2 if state == "ok" else 0,
        n_total=2,
        attempts=2,
        control_state="ok",
        controls_ok=2,
        controls_total=2,
        **columns,
    )
    return msgspec.structs.replace(made, summary=summarise(made))


def finished(
    verdicts: Sequence[Verdict],
    observations: Sequence[Observation] = (),
    *,
    run: RunColumns = RUN,
    is_usable: bool = True,
) -> RunResult:
    """Return a run that ended with these."""
    return RunResult(
        run=run,
        observations=tuple(observations),
        verdicts=tuple(verdicts),
        is_usable=is_usable,
        observations_path=Path("results/run.obs.jsonl.gz"),
        verdicts_path=Path("results/run.verdicts.jsonl.gz"),
    )


def report(
    verdicts: Sequence[Verdict],
    observations: Sequence[Observation] = (),
    asked: Asked | None = None,
    *,
    run: RunColumns = RUN,
    names: dict[str, str] | None = None,
) -> Report:
    """Return what is passed on of a run with these verdicts and observations."""
    targets = msgspec.convert(TARGETS, Targets)
    if names is not None:
        renamed = [msgspec.structs.replace(t, name=names[t.id]) for t in targets.targets]
        targets = msgspec.structs.replace(targets, targets=tuple(renamed))
    return make_report(
        finished(verdicts, observations, run=run),
        asked or Asked(),
        targets=targets,
        budget=BUDGET,
        columns=[orjson.loads(orjson.dumps(flatten(run, one))) for one in verdicts],
        observation_columns=[orjson.loads(orjson.dumps(flatten(run, one))) for one in observations],
    )


def run_of(result: RunResult) -> Callable[..., Any]:
    """Return what stands for `run_check` and ends so without measuring."""

    async def run(_settings: Settings, _network: Any, emit: Callable[[Event], None]) -> RunResult:
        emit(RunStarted(result.run.run_id, BUDGET))
        columns = tuple(flatten(result.run, one) for one in result.verdicts)
        emit(
            RunFinished(
                result.run.run_id,
                result.verdicts,
                columns,
                result.observations_path,
                result.is_usable,
            )
        )
        return result

    return run
