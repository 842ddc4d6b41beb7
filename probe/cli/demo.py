"""``reachwatch lab demo``: the prober against a scripted history, then the charts.

The lab runs in a process of its own; each day of the history is one ordinary run
of the prober, with the calendar as the only thing that is simulated here.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import orjson
import trio

from probe import __version__
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_BUG, EXIT_OK, CommandError
from probe.cli.inputs import find_proxy, parse_proxy, read_targets
from probe.cli.render import Style, answers
from probe.cli.supervise import run_supervised
from probe.model.vantage import Vantage
from probe.model.verdict import Verdict
from probe.net.api import ProxyAddress
from probe.net.trio_network import TrioNetwork
from probe.plan.build import Options
from probe.run.session import RunResult, Settings, run_check
from probe.store.writer import StoreError

if TYPE_CHECKING:
    from censorlab.history import Phase

MARKER: Final = ".reachwatch-demo"
"""Only a directory that a demo made is ever emptied by a demo."""

NOON: Final = time(12, 0, tzinfo=UTC)


def demo_command(args: argparse.Namespace) -> int:
    """Run the demo; exit 1 if a verdict differs from what the lab arranged."""
    try:
        from analysis.report import OutputError, write_outputs  # noqa: PLC0415 - extras may be absent
        from censorlab.history import HISTORY  # noqa: PLC0415
        from censorlab.process import LabFailedError, LabProcess  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CommandError(
            EXIT_BAD_INPUT,
            [
                f"the demo needs the extras 'analysis' and 'lab' ({error.name} is missing)",
                "pip install 'reachwatch[analysis,lab]'",
            ],
        ) from None
    output = Path(args.output)
    results = _fresh(output) / "results"
    differing: list[str] = []
    shown: list[tuple[str, Sequence[Verdict]]] = []
    truth: list[dict[str, object]] = []

    def measure(lab: LabProcess, phase: "Phase") -> None:
        lab.apply(phase.rules)
        proxies = [find_proxy(parse_proxy(lab.proxy_url))] if phase.proxy else []
        days = [datetime.combine(day, NOON) for day in phase.dates]
        runs = run_supervised(
            lambda: _measure_days(lab.targets_path, results, proxies, days),
            "stopped; what was measured until then is stored",
        )
        for run in runs:
            differing.extend(_differences(phase, run.verdicts))
        truth.append(_truth_of(phase))
        shown.append((phase.title, runs[-1].verdicts))

    try:
        with LabProcess() as lab:
            measured = [phase for phase in HISTORY if phase.truths]
            for number, phase in enumerate(measured, 1):
                _say(f"{number}/{len(measured)}  {phase.first_day}  {phase.title}")
                measure(lab, phase)
                wrong = [line for line in differing if line.startswith(f"{phase.name} ")]
                _say(f"      {'DIFFERS' if wrong else 'as arranged'}: {_states(shown[-1][1])}")
    except LabFailedError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"the lab did not run: {error}"]) from None
    except StoreError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    events = [
        {"date": str(phase.event.date), "label": phase.event.label, "kind": "effective"}
        for phase in HISTORY
    ]
    try:
        (output / "events.json").write_bytes(orjson.dumps(events, option=orjson.OPT_INDENT_2))
        (output / "truth.json").write_bytes(orjson.dumps(truth, option=orjson.OPT_INDENT_2))
        paths = write_outputs(results, str(output / "events.json"), output)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"cannot write {output}: {error.strerror}"]) from None
    except OutputError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    _say("")
    blocked = next((pair for pair in reversed(shown) if len(pair[1]) > 2), shown[-1])
    for title, verdicts in (blocked, shown[-1]):
        _say(f"{title}:")
        _say("\n".join(answers(verdicts, Style(width=None, ascii_only=False, colour=False))))
        _say("")
    _say(f"  Results  {results}")
    for path in paths:
        _say(f"  Written  {path}")
    _say("")
    if differing:
        _say("verdicts that differ from what the lab arranged:")
        _say("\n".join(differing))
        return EXIT_BUG
    _say(f"{len(measured)} of {len(measured)} phases judged as the lab arranged them")
    return EXIT_OK


def _fresh(output: Path) -> Path:
    """Empty a former demo's directory, or make one; never touch anybody else's."""
    try:
        if output.exists():
            if any(output.iterdir()) and not (output / MARKER).exists():
                raise CommandError(
                    EXIT_BAD_INPUT, [f"{output} is not empty and not a demo's: give another -o"]
                )
            shutil.rmtree(output)
        output.mkdir(parents=True)
        (output / MARKER).touch()
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{output}: {error.strerror}"]) from None
    return output


async def _measure_days(
    targets_path: Path, results: Path, proxies: Sequence[ProxyAddress], days: Sequence[datetime]
) -> list[RunResult]:
    """Run the prober once per day, the days of a phase side by side."""
    loaded = read_targets(targets_path)
    runs: dict[datetime, RunResult] = {}
    kinds: list[Literal["socks5"]] = ["socks5" for _ in proxies]

    async def one(day: datetime) -> None:
        settings = Settings(
            targets=loaded.targets,
            targets_sha256=loaded.sha256,
            vantage=Vantage(
                network_type="lab", platform=sys.platform, software_version=__version__
            ),
            results=results,
            options=Options(proxies=tuple(kinds), seed=day.toordinal()),
            proxies=proxies,
            lab=True,
        )
        runs[day] = await run_check(settings, TrioNetwork(lambda: day), lambda _event: None)

    async with trio.open_nursery() as nursery:
        for day in days:
            nursery.start_soon(one, day)
    return [runs[day] for day in days]


def _truth_of(phase: "Phase") -> dict[str, object]:
    return {
        "phase": phase.name,
        "first_day": str(phase.first_day),
        "days": phase.days,
        "truths": [truth._asdict() for truth in phase.truths],
    }


def _differences(phase: "Phase", verdicts: Sequence[Verdict]) -> list[str]:
    """Compare verdicts with what the lab arranged; each line names the phase first."""
    found = {(v.target_id, v.tactic): v for v in verdicts}
    lines = []
    for truth in phase.truths:
        verdict = found.pop((truth.target_id, truth.tactic), None)
        judged = verdict and (
            verdict.state,
            verdict.mechanism,
            verdict.benign_cause,
            verdict.n_ok,
            verdict.n_total,
        )
        arranged = truth[2:]
        if judged != arranged:
            lines.append(f"{phase.name} {truth.target_id} {truth.tactic}: {arranged}, {judged}")
    lines += [f"{phase.name} {target} {tactic}: not arranged" for target, tactic in found]
    return lines


def _states(verdicts: Sequence[Verdict]) -> str:
    return "; ".join(
        f"{v.target_id}{'' if v.tactic == 'none' else ' via ' + v.tactic} {v.state}"
        f"{' ' + v.mechanism if v.mechanism else ''} {v.n_ok}/{v.n_total}"
        for v in verdicts
    )


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
