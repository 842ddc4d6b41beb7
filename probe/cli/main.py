"""Entry point: the command tree, and one place where a command ends."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from analysis.cli import configure_plot, configure_report, configure_tables
from probe import __version__
from probe.cli.check_options import add_check_parser, add_watch_parser
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_BUG,
    EXIT_INTERRUPT,
    EXIT_OK,
    EXIT_USAGE,
    CommandError,
)
from probe.cli.formats.wanted import prints_json
from probe.cli.import_options import add_import_parser
from probe.cli.lab_options import configure_lab
from probe.cli.machine_options import add_consent_parser, add_doctor_parser, add_schedule_parser
from probe.cli.output import ReaderGoneError, StandardOutputError, typed_output
from probe.cli.proxies_options import add_proxies_parser
from probe.cli.targets_import_options import add_targets_import_parser


class _Parser(argparse.ArgumentParser):
    """A parser whose errors end like every other error of the command."""

    def error(self, message: str) -> NoReturn:
        raise CommandError(EXIT_USAGE, [f"{self.prog}: {message}", self.format_usage().strip()])


def build_parser() -> argparse.ArgumentParser:
    """Declare every command and option."""
    parser = _Parser(
        prog="reachwatch",
        description="Is it me or is it censorship? How is it done? What gets around it?",
    )
    parser.add_argument("--version", action="version", version=f"reachwatch {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_check_parser(commands)
    add_proxies_parser(commands)
    _targets(commands)
    _results(commands)
    _explain(commands)
    configure_report(commands.add_parser("report", help="draw results into one offline HTML page"))
    configure_plot(commands.add_parser("plot", help="draw one chart as SVG or PNG"))
    configure_tables(
        commands.add_parser("tables", help="import results and OONI measurements into Parquet")
    )
    add_watch_parser(commands)
    add_schedule_parser(commands)
    add_doctor_parser(commands)
    add_consent_parser(commands)
    configure_lab(commands)
    return parser


def _targets(commands: Any) -> None:
    targets = commands.add_parser("targets", help="list, show and validate what can be measured")
    actions = targets.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="services and targets of a list")
    listing.add_argument("file", nargs="?", help="targets file (default: the built-in list)")
    show = actions.add_parser("show", help="one service or target as JSON")
    show.add_argument("id")
    show.add_argument("--file", help="targets file (default: the built-in list)")
    validate = actions.add_parser("validate", help="name every error of a targets file")
    validate.add_argument("file")
    add_targets_import_parser(actions)
    actions.add_parser("schema", help="print the JSON Schema of targets.json")


def _results(commands: Any) -> None:
    results = commands.add_parser("results", help="list, show, export and verify results")
    actions = results.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("list", "one line per run"),
        ("verify", "check every line of every file"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("path", nargs="?", default="results")
    show = actions.add_parser("show", help="verdicts and observations of one run")
    show.add_argument("run", help="run id (or its beginning), or a result file")
    show.add_argument("--results", default="results", metavar="DIR")
    export = actions.add_parser("export", help="all lines as NDJSON or CSV")
    export.add_argument("path", nargs="?", default="results")
    export.add_argument("--kind", choices=("observations", "verdicts"), default="observations")
    export.add_argument("-f", "--format", choices=("ndjson", "csv"), default="ndjson")
    export.add_argument("--with-ways", action="store_true", help="tell which ways around work")
    add_import_parser(actions)
    rejudge = actions.add_parser("rejudge", help="judge stored facts again by the present rules")
    rejudge.add_argument("path", nargs="?", default="results")
    rejudge.add_argument("--rules", type=int, default=None, metavar="N", help="rules version")
    rejudge.add_argument("--write", action="store_true", help="replace the verdict files")
    rejudge.add_argument("-f", "--format", choices=("table", "json"), default="table")
    schema = actions.add_parser("schema", help="print the JSON Schema of one stored line")
    schema.add_argument("kind", choices=("observation", "verdict"))


def _explain(commands: Any) -> None:
    explain = commands.add_parser(
        "explain",
        help="why a verdict says what it says, and what would change it",
        description="ID is a rule (tls.rst_contrast), a word of the vocabulary (sni_rst, "
        "impaired), a run (its verdicts that are not ok), or RUN:TARGET (that verdict).",
    )
    explain.add_argument("id", metavar="ID")
    explain.add_argument("--results", default="results", metavar="DIR")
    explain.add_argument("-f", "--format", choices=("table", "json"), default="table")
    explain.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII")


def _dispatch(args: argparse.Namespace) -> int:
    match args.command:
        case "check":
            from probe.cli.check import check_command  # noqa: PLC0415 - start-up time

            return check_command(args)
        case "watch":
            from probe.cli.watch import watch_command  # noqa: PLC0415 - start-up time

            return watch_command(args)
        case "schedule":
            from probe.cli.schedule import schedule_command  # noqa: PLC0415 - start-up time

            return schedule_command(args)
        case "doctor":
            from probe.cli.doctor import doctor_command  # noqa: PLC0415 - start-up time

            return doctor_command(args)
        case "consent":
            from probe.cli.consent import consent_command  # noqa: PLC0415 - start-up time

            return consent_command(args)
        case "proxies":
            from probe.cli.proxies import proxies_command  # noqa: PLC0415 - start-up time

            return proxies_command(args)
        case "targets":
            from probe.cli.targets import targets_command  # noqa: PLC0415 - start-up time

            return targets_command(args)
        case "results" if args.action == "import":
            from probe.cli.import_results import import_command  # noqa: PLC0415 - start-up time

            return import_command(args)
        case "results":
            from probe.cli.results import results_command  # noqa: PLC0415 - start-up time

            return results_command(args)
        case "explain":
            from probe.cli.explain import explain_command  # noqa: PLC0415 - start-up time

            return explain_command(args)
        case "report":
            from analysis.cli import report_command  # noqa: PLC0415 - start-up time

            return report_command(args)
        case "tables":
            from analysis.cli import tables_command  # noqa: PLC0415 - start-up time

            return tables_command(args)
        case "plot":
            from analysis.cli import plot_command  # noqa: PLC0415 - start-up time

            return plot_command(args)
        case _:
            return _lab(args)


def _lab(args: argparse.Namespace) -> int:
    if args.action == "demo":
        from probe.cli.demo import demo_command  # noqa: PLC0415 - start-up time

        return demo_command(args)
    try:
        from probe.cli.lab import lab_command  # noqa: PLC0415 - start-up time, and extras
    except ModuleNotFoundError as error:
        raise CommandError(
            EXIT_BAD_INPUT,
            [
                f"this needs the extra 'lab' ({error.name} is missing)",
                "pip install 'reachwatch[lab]'",
            ],
        ) from None
    return lab_command(args)


def _parsed(words: list[str]) -> argparse.Namespace:
    """Parse; what follows ``lab up NAME --`` is a command, options and all."""
    if words[:2] == ["lab", "up"] and "--" in words:
        end = words.index("--")
        args = build_parser().parse_args(words[:end])
        args.words = words[end + 1 :]
        return args
    return build_parser().parse_args(words)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (docs/exit-codes.md)."""
    words = list(sys.argv[1:] if argv is None else argv)
    code = EXIT_OK
    try:
        with typed_output():
            code = _ended(words)
    except ReaderGoneError:
        # Its choice, not a failure of ours; a code that was known by then stands.
        return code
    except StandardOutputError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the room that prints
        return EXIT_BAD_INPUT
    return code


def _ended(words: list[str]) -> int:
    """Run one command to its end, good or bad.

    Raises:
        StandardOutputError: standard output cannot be written.
    """
    try:
        return _dispatch(_parsed(words))
    except CommandError as error:
        return _fail(words, error.exit_code, error.lines)
    except KeyboardInterrupt:
        stored = "; what was measured is stored" if words[:1] in (["check"], ["watch"]) else ""
        return _fail(words, EXIT_INTERRUPT, [f"interrupted{stored}"])
    except StandardOutputError:
        raise
    except Exception as error:
        _fail(words, EXIT_BUG, [f"bug in reachwatch: {type(error).__name__}: {error}"])
        raise


def _fail(words: Sequence[str], exit_code: int, lines: Sequence[str]) -> int:
    for line in lines:
        print(line, file=sys.stderr)  # noqa: T201 - the room that prints
    if words[:1] == ["check"] and prints_json(words):
        import orjson  # noqa: PLC0415 - start-up time

        # What was typed may not be UTF-8.
        readable = [line.encode("utf-8", "backslashreplace").decode() for line in lines]
        document = {"type": "error", "exit_code": exit_code, "errors": readable}
        print(orjson.dumps(document).decode())  # noqa: T201 - the room that prints
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
