"""``reachwatch report`` and ``reachwatch plot``. Importing this costs nothing."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from analysis.tables import Loaded

EXIT_OK: Final = 0
EXIT_BAD_INPUT: Final = 3
MAX_FAULTS_SHOWN: Final = 20


def configure_report(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument("path", nargs="?", default="results", help="results (default: results)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.html")
    _common(parser)


def configure_plot(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``plot``."""
    parser.add_argument("kind", choices=("timeline", "matrix"))
    parser.add_argument("path", nargs="?", default="results", help="results (default: results)")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.svg|FILE.png")
    _common(parser)


def configure_tables(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``tables``."""
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="PATH",
        help="results, OONI measurements (.json, .jsonl, .gz, .zst), daily counts (.csv)",
    )
    parser.add_argument("-o", "--output", required=True, metavar="DIR", help="folder of tables")
    parser.add_argument("--with-ways", action="store_true", help="tell which ways around work")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events",
        metavar="telegram|FILE.json",
        help="dated events for the time axis: the shipped list of Telegram's, or a file",
    )
    parser.add_argument("--with-ways", action="store_true", help="tell which ways around work")


def report_command(args: argparse.Namespace) -> int:
    """Draw one HTML page; exit 3 if any input was damaged or missing."""

    def draw() -> "Loaded":
        from analysis.report import write_report  # noqa: PLC0415 - start-up time

        return write_report(
            Path(args.path), args.events, Path(args.output), with_ways=args.with_ways
        )

    return _run(draw)


def plot_command(args: argparse.Namespace) -> int:
    """Draw one chart; exit 3 if any input was damaged or missing."""

    def draw() -> "Loaded":
        from analysis.report import write_chart  # noqa: PLC0415 - start-up time

        output = Path(args.output)
        return write_chart(
            args.kind, Path(args.path), args.events, output, with_ways=args.with_ways
        )

    return _run(draw)


def tables_command(args: argparse.Namespace) -> int:
    """Import files into Parquet tables; exit 3 if anything could not be read."""
    try:
        from analysis.load import NoResultsError  # noqa: PLC0415 - start-up time
        from analysis.warehouse import build  # noqa: PLC0415 - start-up time
        from analysis.warehouse.builder import WaysError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.manifest import ManifestError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.stage import BusyError  # noqa: PLC0415 - start-up time
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    try:
        built = build(map(Path, args.sources), Path(args.output), with_ways=args.with_ways)
    except (NoResultsError, WaysError, ManifestError, BusyError, OSError) as error:
        _complain(str(error))
        return EXIT_BAD_INPUT
    for fault in list(built.faults)[:MAX_FAULTS_SHOWN]:
        _complain(str(fault))
    if built.faults.total:
        _complain(f"{built.faults.total} records could not be read")
    print(  # noqa: T201 - a command's own message
        f"{len(built.imported)} files imported, {len(built.skipped)} known already: "
        f"{built.n_measurements} measurements, {built.n_rows} rows in {args.output}"
    )
    return EXIT_BAD_INPUT if built.faults.total else EXIT_OK


def _missing_extra(error: ModuleNotFoundError) -> int:
    _complain(f"charts and tables need the extra 'analysis' ({error.name} is missing)")
    _complain("pip install 'reachwatch[analysis]'")
    return EXIT_BAD_INPUT


def _run(draw: Callable[[], "Loaded"]) -> int:
    try:
        from analysis.events import BadEventsError  # noqa: PLC0415 - start-up time
        from analysis.load import NoResultsError  # noqa: PLC0415 - start-up time
        from analysis.report import OutputError  # noqa: PLC0415 - start-up time
        from probe.verdict.withheld import notice  # noqa: PLC0415 - start-up time
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    try:
        loaded = draw()
    except (BadEventsError, NoResultsError, OutputError) as error:
        _complain(str(error))
        return EXIT_BAD_INPUT
    if loaded.withheld:
        _complain(notice(loaded.withheld))
    faults = loaded.faults
    for fault in faults[:MAX_FAULTS_SHOWN]:
        _complain(str(fault))
    if len(faults) > MAX_FAULTS_SHOWN:
        _complain(f"and {len(faults) - MAX_FAULTS_SHOWN} more")
    return EXIT_BAD_INPUT if faults else EXIT_OK


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - a command's own message
