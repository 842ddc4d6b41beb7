"""``reachwatch lab``: simulated censors to look at, to run commands in, and to be judged by."""

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

import msgspec
import orjson

import censorlab
import probe
from censorlab.authority import new_authority
from censorlab.engines import NeedsPacketsError
from censorlab.kernel.errors import NeedsEngineError
from censorlab.matrix import ways
from censorlab.matrix.confusion import as_csv, as_text, confusion, wrong
from censorlab.matrix.outcome import BadOutcomesError, Cell, Outcome
from censorlab.matrix.run import Prober, code_of, line_of, run_cell
from censorlab.matrix.sweep import FULL, QUICK, cells, sweep
from censorlab.process import LabFailedError
from censorlab.scenarios.cast import Authorities
from censorlab.scenarios.forms import STAGES, Form, inexpressible, missing_for_packets
from censorlab.scenarios.model import BadScenarioError, Scenario, all_scenarios, named
from censorlab.servers.program import MissingProgramError
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import WorldFailedError
from probe import __version__
from probe.cli.consent import ENVIRONMENT
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAIL_ON,
    EXIT_OK,
    EXIT_TERMINATED,
    EXIT_USAGE,
    CommandError,
)
from probe.verdict import RULES_VERSION

OUTCOMES: Final = "outcomes.ndjson"
JOBS_PER_CORE: Final = 3
"""A cell mostly waits: for round trips, and for silence to last."""


def lab_command(args: argparse.Namespace) -> int:
    """Run one of ``lab``'s commands; see docs/exit-codes.md."""
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "up": _up,
        "run": _run,
        "matrix": _matrix,
    }
    with _ending_on_sigterm():
        try:
            return actions[args.action](args)
        except BadScenarioError as error:
            raise CommandError(EXIT_USAGE, [str(error)]) from None
        except (
            BadOutcomesError,
            LabFailedError,
            MissingProgramError,
            NeedsEngineError,
            NeedsPacketsError,
            UnsupportedSystemError,
            WorldFailedError,
        ) as error:
            raise CommandError(EXIT_BAD_INPUT, [f"the lab did not run: {error}"]) from None


def _list(args: argparse.Namespace) -> int:
    rows = [_described(scenario) for scenario in all_scenarios()]
    if args.format == "json":
        for row in rows:
            _say(orjson.dumps(row).decode())
        return EXIT_OK
    wide = max(len(row["name"]) for row in rows)
    group = ""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    for row in sorted(rows, key=lambda row: groups.index(row["group"])):
        if row["group"] != group:
            group = row["group"]
            _say(f"{group}:")
        _say(f"  {row['name']:<{wide}}  {row['title']}")
    n_benign = sum(row["is_benign"] for row in rows)
    _say(f"{len(rows)} scenarios; in {n_benign} of them nobody blocks anything")
    return EXIT_OK


def _described(scenario: Scenario) -> dict[str, Any]:
    return {**msgspec.to_builtins(scenario), "is_benign": scenario.is_benign}


def _up(args: argparse.Namespace) -> int:
    (scenario,) = named([args.name])
    form = _form(args)
    cell = Cell(scenario.name, form, args.loss, args.rtt / 1000, args.seed)
    line = line_of(scenario, cell)
    with STAGES[form](scenario, line, args.seed, _authorities()) as stage:
        _note(f"{scenario.name}: {scenario.title} ({form})")
        _note(f"targets list: {stage.targets}")
        words = args.words
        if not words and sys.stdin.isatty():
            words = [os.environ.get("SHELL", "/bin/sh")]
            _note("a shell behind the censor; leave it to end the scenario")
        if words:
            # Namespaces lead nowhere; from loopback's form a command reaches the internet.
            agreed = {} if form == "loopback" else {ENVIRONMENT: "measure"}
            return subprocess.run(  # noqa: S603  the user's own command
                stage.words(words), check=False, env={**os.environ, **agreed}
            ).returncode
        _note("behind the censor:  " + " ".join(stage.words(["COMMAND"])))
        _note("until interrupted")
        while True:
            time.sleep(3600)


def _run(args: argparse.Namespace) -> int:
    args.losses, args.rtts, args.seeds = [args.loss], [args.rtt], 1
    outcomes = []
    for scenario, own in _measured(args, jobs=1, path=None):
        outcomes += own
        _say(f"{scenario.name}: {scenario.title}")
        for outcome in own:
            truth = scenario.truth_of(outcome.target)
            arranged = f"{'|'.join(truth.states)} {truth.mechanism or truth.benign_cause or ''}"
            said = outcome.error or (
                f"{outcome.state} {outcome.verdict} {outcome.n_ok}/{outcome.n_total} "
                f"{outcome.rule_id}"
            )
            mark = "right" if outcome.is_right else "WRONG"
            _say(f"  {mark}  {outcome.target}: {said}   (arranged: {arranged.strip()})")
        for line in (*ways.matrix(own), *(f"WRONG  {one}" for one in ways.wrong(own))):
            _say(f"  {line}")
    return _ended(outcomes)


def _matrix(args: argparse.Namespace) -> int:
    from analysis.chart.confusion import confusion_chart  # noqa: PLC0415 - extras may be absent
    from analysis.chart.style import save_png  # noqa: PLC0415

    losses, rtts_s, seeds = QUICK if args.quick else FULL
    args.losses = args.loss or list(losses)
    args.rtts = args.rtt or [rtt_s * 1000 for rtt_s in rtts_s]
    args.seeds = args.seeds or seeds
    folder = Path(args.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{folder}: {error.strerror}"]) from None
    jobs = args.jobs or JOBS_PER_CORE * (os.cpu_count() or 1)
    outcomes: list[Outcome] = []
    started = time.monotonic()
    for number, (scenario, own) in enumerate(_measured(args, jobs, folder / OUTCOMES), 1):
        outcomes += own
        _progress(f"{number} {scenario.name}", time.monotonic() - started)
    _progress("", 0)
    if not outcomes:
        raise CommandError(EXIT_BAD_INPUT, ["no scenario could be measured in this form"])
    table = confusion(outcomes)
    (folder / "confusion.csv").write_text(as_csv(table), encoding="utf-8")
    (folder / "confusion.png").write_bytes(save_png(confusion_chart(table, _source(outcomes))))
    written = [OUTCOMES, "confusion.csv", "confusion.png"]
    if args.ways:
        (folder / "ways.csv").write_text(ways.as_csv(outcomes), encoding="utf-8")
        written.append("ways.csv")
    if args.format == "json":
        _say(orjson.dumps(msgspec.to_builtins(table)).decode())
    else:
        for line in (*as_text(table), "", *wrong(outcomes)):
            _say(line)
        if args.ways:
            for line in (
                *("", *ways.matrix(outcomes)),
                *("", *ways.as_text(outcomes)),
                *("", *ways.wrong(outcomes)),
            ):
                _say(line)
        for name in written:
            _say(f"  Written  {folder / name}")
    return _ended(outcomes)


def _measured(
    args: argparse.Namespace, jobs: int, path: Path | None
) -> Iterator[tuple[Scenario, list[Outcome]]]:
    """Measure the cells that the arguments ask for; say which cannot be had here."""
    form = _form(args)
    asks_ways = args.ways and form != "loopback"
    if args.ways and not asks_ways:
        _note("ways around are tried and not compared: what they need is not on loopback")
    wanted = []
    for one in named(args.names):
        # Nothing asked, no peers for it: a verdict costs what it did.
        scenario = one if asks_ways else one.without_ways()
        reason = inexpressible(form, scenario)
        if reason is None:
            wanted.append(scenario)
        else:
            _note(f"not measured: {scenario.name}: {reason}")
    known = {scenario.name: scenario for scenario in wanted}
    prober, authorities = _prober(), _authorities()
    if args.ways:
        prober = _trying_ways(prober)

    def measure(cell: Cell) -> list[Outcome]:
        return run_cell(known[cell.scenario], cell, prober, authorities)

    rtts_s = [0.0] if form == "independent" else [rtt / 1000 for rtt in args.rtts]
    chosen = cells(wanted, form, args.losses, rtts_s, args.seeds)
    for own in sweep(
        chosen,
        measure,
        jobs=jobs,
        path=path,
        code_of=lambda name: code_of(known[name], prober),
    ):
        yield known[own[0].scenario], own


def _ended(outcomes: Sequence[Outcome]) -> int:
    """Exit 10 if anything was called blocked that nobody blocks, or a way working that is not.

    Raises:
        CommandError: not one run gave a verdict, so nothing is known.
    """
    if all(outcome.error for outcome in outcomes):
        problem = (
            f"no run gave a verdict: {outcomes[0].error}" if outcomes else "nothing to measure"
        )
        raise CommandError(EXIT_BAD_INPUT, [problem])
    false_hopes = [(one, way) for one in outcomes for way in one.ways if way.is_false_hope]
    for outcome, way in false_hopes:
        _note(f"said to work, and does not: {outcome.scenario} {outcome.target} {way.tactic}")
    false_alarms = [outcome for outcome in outcomes if outcome.is_false_alarm]
    for outcome in false_alarms:
        _note(f"called {outcome.state}, and nobody blocks: {outcome.scenario} {outcome.target}")
    return EXIT_FAIL_ON if false_alarms or false_hopes else EXIT_OK


def _form(args: argparse.Namespace) -> Form:
    """Choose the form; where packets cannot be had, say so and take loopback."""
    wanted: Form | None = None if args.form == "auto" else args.form
    if wanted == "loopback":
        return wanted
    reason = missing_for_packets()
    if reason is None:
        return wanted or "middlebox"
    if wanted is not None:
        raise CommandError(EXIT_BAD_INPUT, [f"no namespaces here: {reason}"])
    _note(f"no namespaces here ({reason}): running the loopback form")
    return "loopback"


def _prober() -> Prober:
    def words(targets: str, results: str, seed: int) -> Sequence[str]:
        return [
            *(sys.executable, "-m", "probe.cli.main", "check", targets),
            # The namespaces lead nowhere: nobody need be asked.
            *("--yes", "--results", results, "--format", "json", "--quiet"),
            *("--network-type", "lab", "--seed", str(seed)),
        ]

    return Prober(words, _digest(probe, censorlab))


def _trying_ways(prober: Prober) -> Prober:
    """Return a prober that tries ways around too: another one, since it says more."""

    def words(targets: str, results: str, seed: int) -> Sequence[str]:
        return [*prober.words(targets, results, seed), "--ways"]

    return Prober(words, f"{prober.version} --ways")


def _digest(*packages: ModuleType) -> str:
    """Identify the code, whether or not anybody thought of counting its version up."""
    found = hashlib.sha256()
    for package in packages:
        assert package.__file__ is not None
        for path in sorted(Path(package.__file__).parent.rglob("*.py")):
            found.update(path.read_bytes())
    return found.hexdigest()


def _authorities() -> Authorities:
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    return Authorities(new_authority("Lab (simulated)"), new_authority("Forger (simulated)"), now)


def _source(outcomes: Sequence[Outcome]) -> str:
    cells = {outcome.cell for outcome in outcomes}
    forms = ", ".join(sorted({cell.form for cell in cells}))
    return (
        f"reachwatch {__version__}, rules {RULES_VERSION}; {len(cells)} runs of "
        f"{len({cell.scenario for cell in cells})} simulated scenarios ({forms})"
    )


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl-C, so that nothing is left behind."""

    def end(_number: int, _frame: object) -> NoReturn:
        raise CommandError(EXIT_TERMINATED, ["stopped; what was measured is stored"])

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _progress(text: str, seconds: float) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text and f'{seconds:.0f} s  {text}'}")
        sys.stderr.flush()


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
