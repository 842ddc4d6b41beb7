"""``reachwatch check``: one run, and its three answers."""

import argparse
import random
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Literal

from probe import __version__
from probe.cli.columns import padded, widest
from probe.cli.consent import require_measure
from probe.cli.dry_run import hosts_of, print_plan
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_EXPECT,
    EXIT_FAIL_ON,
    EXIT_NO_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    CommandError,
)
from probe.cli.expect import Expectations, check_ids, read_expectations
from probe.cli.formats.documents import as_document
from probe.cli.formats.files import PRINTED, Outputs
from probe.cli.formats.grades import is_as_bad
from probe.cli.formats.report import Asked, Report, make_report
from probe.cli.formats.wanted import on_stdout
from probe.cli.inputs import (
    LoadedTargets,
    find_proxy,
    is_loopback,
    is_loopback_only,
    kind_in_plan,
    parse_proxy,
    read_targets,
    secrets_of_host,
    select_targets,
)
from probe.cli.output import ReaderGoneError, print_json, write_utf8
from probe.cli.render import Style, answers, header, style_of, table, ways
from probe.cli.supervise import run_supervised
from probe.locale import Language, code_of, marked
from probe.model.vantage import NetworkType, Vantage
from probe.model.verdict import State
from probe.net.tls import TrustError
from probe.net.trio_network import TrioNetwork
from probe.plan.build import Options, build_plan
from probe.run.events import Event, Observed, RunFinished, RunStarted
from probe.run.session import RunResult, Settings, run_check
from probe.store.writer import StoreError
from probe.wire.proxy_links import ProxyLink

NO_NETWORK: Final = marked("not enough data: the local network is unusable, nothing can be said")


def check_command(args: argparse.Namespace) -> int:
    """Run ``check``; see docs/exit-codes.md."""
    if not re.fullmatch(r"[A-Z]{2}", args.probe_cc):
        raise CommandError(EXIT_USAGE, ["--probe-cc: expected two capital letters, such as RU"])
    if not 0 <= args.probe_asn <= 4294967295:
        raise CommandError(EXIT_USAGE, ["--probe-asn: expected a number up to 4294967295"])
    try:
        shown = on_stdout(args.format)
    except ValueError as error:
        raise CommandError(EXIT_USAGE, [f"--format: {error}"]) from None
    if args.dry_run and shown not in {"table", "json", "ndjson"}:
        raise CommandError(EXIT_USAGE, ["--dry-run prints a table, json or ndjson"])
    style = _style(args)
    with ExitStack() as stack:
        expected = None if args.expect is None else read_expectations(Path(args.expect))
        outputs = stack.enter_context(Outputs([] if args.dry_run else args.format))
        loaded = _loaded(args, stack)
        if expected is not None:
            check_ids(expected, loaded.targets, Path(args.expect))
        links = [parse_proxy(url) for url in args.proxy]
        options = _options(args, links)
        is_lab = is_loopback_only(loaded.targets)
        if args.dry_run:
            print_plan(build_plan(loaded.targets, options), shown)
            return EXIT_OK
        # Not even the names of proxies are looked up before it is agreed to.
        require_measure(
            is_given=args.yes or (is_lab and all(is_loopback(link.host) for link in links)),
            hosts=lambda: hosts_of(build_plan(loaded.targets, options)),
            say=style.say,
        )
        settings = _settings(args, loaded, options, links)
        return _measured(args, settings, shown, expected, outputs, style=style)


def _style(args: argparse.Namespace) -> Style:
    try:
        language = code_of(args.lang)
    except ValueError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    style = style_of(ascii_only=args.ascii, language=language)
    if args.lang not in {None, style.say.code} and not args.quiet:
        print(f"--lang {args.lang}: standard output is ASCII only, so English", file=sys.stderr)  # noqa: T201 - the room that prints
    return style


def _loaded(args: argparse.Namespace, stack: ExitStack) -> LoadedTargets:
    if args.lab is None:
        return select_targets(args.items)
    if args.items:
        raise CommandError(EXIT_USAGE, ["--lab brings its own targets: name no others"])
    from probe.cli.check_lab import scenario_up  # noqa: PLC0415 - extras may be absent

    return read_targets(stack.enter_context(scenario_up(args.lab)))


def _measured(
    args: argparse.Namespace,
    settings: Settings,
    shown: str,
    expected: Expectations | None,
    outputs: Outputs,
    *,
    style: Style,
) -> int:
    """Run, write, print, and say how it ends."""
    listener = _Listener(args, settings, style, shown)
    try:
        result = _run(settings, listener)
    except (StoreError, TrustError) as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    report = listener.report(result, Asked(args.fail_on, expected, args.with_ways))
    # Before standard output, which may fail: a file that somebody waits for is written.
    problems = outputs.write(report)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201 - the room that prints
    if problems:
        print(f"the results are kept: {result.observations_path}", file=sys.stderr)  # noqa: T201 - the room that prints
    # Without a reader (``| head -3``) the exit code still answers.
    with suppress(ReaderGoneError):
        if shown == "table":
            _print_tables(result, settings, style)
        elif shown == "json":
            print_json(listener.document())
        elif shown in PRINTED:
            write_utf8(PRINTED[shown](report))
    if not result.is_usable and (not args.quiet or shown == "table"):
        print(style.say(NO_NETWORK), file=sys.stderr)  # noqa: T201 - the room that prints
    for mismatch in report.mismatches:
        print(f"{mismatch.target_id}: {mismatch}", file=sys.stderr)  # noqa: T201 - the room that prints
    return EXIT_BAD_INPUT if problems else exit_code(report, args.fail_on)


def exit_code(report: Report, fail_on: State | None) -> int:
    """Return how a run ends whose outputs are written; docs/exit-codes.md has the order."""
    if not report.is_usable:
        return EXIT_NO_NETWORK
    if report.mismatches:
        return EXIT_EXPECT
    if any(is_as_bad(one.verdict.state, fail_on) for one in report.direct):
        return EXIT_FAIL_ON
    return EXIT_OK


def _network_type(args: argparse.Namespace) -> NetworkType:
    chosen: NetworkType = args.network_type
    return "lab" if args.lab is not None and chosen == "unknown" else chosen


def _options(args: argparse.Namespace, links: Sequence[ProxyLink]) -> Options:
    families: tuple[Literal[4, 6], ...] = (4, 6) if args.only is None else (args.only,)
    return Options(
        families=families,
        proxies=tuple(kind_in_plan(link) for link in links),
        seed=random.SystemRandom().getrandbits(31) if args.seed is None else args.seed,
        asked=frozenset(args.also),
        ways=args.ways,
    )


def _settings(
    args: argparse.Namespace, loaded: LoadedTargets, options: Options, links: Sequence[ProxyLink]
) -> Settings:
    return Settings(
        targets=loaded.targets,
        targets_sha256=loaded.sha256,
        vantage=Vantage(
            probe_cc=args.probe_cc,
            probe_asn=args.probe_asn,
            network_type=_network_type(args),
            platform=sys.platform,
            software_version=__version__,
        ),
        results=Path(args.results),
        options=options,
        proxies=[find_proxy(link) for link in links],
        secrets=secrets_of_host(loaded.targets),
        lab=is_loopback_only(loaded.targets),
    )


def _run(settings: Settings, say: Callable[[Event], None]) -> RunResult:
    """Run; SIGINT and SIGTERM stop it and leave what is stored readable."""
    return run_supervised(
        lambda: run_check(settings, TrioNetwork(), say),
        "stopped; what was measured until then is stored",
    )


class _Listener:
    """Hears a run's progress: a stream or a line for who waits, and what reports need."""

    def __init__(
        self, args: argparse.Namespace, settings: Settings, style: Style, shown: str
    ) -> None:
        self._settings = settings
        self._style = style
        self._shown = shown
        self._shows_line = sys.stderr.isatty() and not args.quiet
        self._shows_header = shown == "table" and not args.quiet
        self._keeps_columns = bool({"json", "ndjson"} & {one.name for one in args.format})
        self._columns: list[dict[str, Any]] = []
        self._started: RunStarted
        self._finished: RunFinished

    def __call__(self, event: Event) -> None:
        """Hear one event."""
        if self._shown == "ndjson":
            print_json(as_document(event))
        match event:
            case RunStarted():
                self._started = event
                if self._shows_header:
                    for line in header(self._settings.targets, event.budget, self._style):
                        print(line, file=sys.stderr)  # noqa: T201 - the room that prints
            case Observed():
                if self._keeps_columns:
                    self._columns.append(event.columns)
            case RunFinished():
                self._finished = event
        if self._shows_line:
            _progress(event)

    def document(self) -> dict[str, Any]:
        """Return the run as one document, with all that it measured."""
        return {**as_document(self._finished), "observations": self._columns}

    def report(self, result: RunResult, asked: Asked) -> Report:
        """Return what of the run is passed on."""
        return make_report(
            result,
            asked,
            targets=self._settings.targets,
            budget=self._started.budget,
            columns=self._finished.verdict_columns,
            observation_columns=self._columns,
        )


def _progress(event: Event) -> None:
    """One line, redrawn; gone when the run is finished."""
    if isinstance(event, Observed):
        row = event.observation
        width = shutil.get_terminal_size((76, 24)).columns
        text = f"{event.done}/{event.total} {row.step} {row.hostname or row.endpoint_id}"
        sys.stderr.write(f"\r\x1b[K{text[: width - 1]}")
    elif isinstance(event, RunFinished):
        sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def _after(result: RunResult, say: Language) -> list[str]:
    """Say where the facts are, and how to look at them."""
    saved, following = say("Saved"), say("Next")
    room = max(6, widest([saved, following])) + 1
    n = len(result.observations)
    facts = say.plural("({n} facts)", "({n} facts)", n).format(n=n)
    return [
        f"  {padded(saved, room)}{result.observations_path} {facts}",
        f"  {padded(following, room)}reachwatch results show {result.run.run_id}",
    ]


def _print_tables(result: RunResult, settings: Settings, style: Style) -> None:
    lines = [
        *table(result.verdicts, settings.targets, style),
        "",
        *ways(result.verdicts, style),
        *answers(result.verdicts, style),
        "",
        *_after(result, style.say),
    ]
    print("\n".join(lines))  # noqa: T201 - the room that prints
