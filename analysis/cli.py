"""``reachwatch report``, ``plot`` and ``tables``. Importing this costs nothing."""

import argparse
import os
import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from analysis.progress import ProgressLine
from analysis.views import KINDS, QUESTIONS
from probe.locale import ENVIRONMENT, NAMES, Language, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from analysis.chart.events import Event
    from analysis.dataset import Dataset
    from analysis.result_files import Fault
    from analysis.warehouse.builder import Progress
    from analysis.warehouse.faults import Faults

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_BAD_INPUT: Final = 3
MAX_FAULTS_SHOWN: Final = 20


def configure_report(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``report``."""
    parser.add_argument("-o", "--output", required=True, metavar="FILE.html")
    parser.add_argument(
        "--question", choices=tuple(QUESTIONS), default="overview",
        help="; ".join(f"{name}: {about}" for name, about in QUESTIONS.items()),
    )  # fmt: skip
    parser.add_argument(
        "--compare", metavar="DAY..DAY|AS123|CC",
        help="beside another period, network or country",
    )  # fmt: skip
    parser.add_argument(
        "--lang", choices=tuple(NAMES), default=None,
        help=f"language of the page, its charts apart (default: {ENVIRONMENT}, then the system's)",
    )  # fmt: skip
    _common(parser)


def configure_plot(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``plot``."""
    parser.add_argument(
        "kind", choices=(*KINDS, "all"), metavar="KIND",
        help="; ".join(f"{kind}: {about}" for kind, about in KINDS.items())
        + "; all: every chart there are data for, as SVG into a folder",
    )  # fmt: skip
    parser.add_argument("-o", "--output", required=True, metavar="FILE.svg|FILE.png|DIR")
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
        "paths", nargs="*", default=["results"], metavar="PATH",
        help="results, OONI measurements, daily counts, or a folder of tables (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "--events",
        metavar="telegram|FILE.json",
        help="dated events for the time axis: the shipped list of Telegram's, or a file",
    )
    parser.add_argument("--with-ways", action="store_true", help="tell which ways around work")
    only = parser.add_argument_group("only some of the data (each repeatable but for days)")
    only.add_argument("--country", action="append", metavar="CC", type=_country)
    only.add_argument("--network", action="append", metavar="AS123", type=_network)
    only.add_argument("--service", action="append", metavar="ID")
    only.add_argument("--target", action="append", metavar="ID")
    only.add_argument("--source", action="append", choices=("reachwatch", "ooni"))
    only.add_argument("--from", dest="first", metavar="DAY", type=_day, help="2022-02-01")
    only.add_argument("--to", dest="last", metavar="DAY", type=_day, help="the last day of them")


def _country(text: str) -> str:
    if len(text) != 2 or not text.isascii() or not text.isalpha():
        raise argparse.ArgumentTypeError(f"{text!r}: expected two letters, as in RU")
    return text.upper()


def _network(text: str) -> int:
    digits = text.upper().removeprefix("AS")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a network, as in AS8402")
    return int(digits)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a day, as in 2022-02-01") from None


def report_command(args: argparse.Namespace) -> int:
    """Draw one HTML page; exit 3 if any input was damaged or missing."""
    try:
        say = Language(code_of(args.lang))
    except ValueError as error:
        _complain(str(error))
        return EXIT_BAD_INPUT
    try:
        from analysis.drawn import NoDataError  # noqa: PLC0415 - start-up time
        from analysis.report import (  # noqa: PLC0415 - start-up time
            ComparisonError,
            Selection,
            comparison_of,
            write_report,
        )
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    compare = None
    if args.compare:
        own = Selection(
            country=args.country, asn=args.network, target=args.target,
            first=args.first, last=args.last,
        )  # fmt: skip
        try:
            compare = comparison_of(own, args.compare)
        except ComparisonError as error:
            _complain(f"--compare {error}")
            return EXIT_USAGE

    def draw(dataset: "Dataset", events: "list[Event]", line: ProgressLine) -> None:
        chosen = _chosen(args, dataset)
        if compare is not None:
            # Both sides are taken from what is neither's own.
            chosen = dataset.where(source=args.source, service=args.service)
        if not chosen.countries():
            raise NoDataError("nothing of the data is selected")
        line.show(0.5, f"drawing {args.output}")
        output = Path(args.output)
        write_report(
            chosen, output, question=args.question, events=events, compare=compare, say=say
        )

    return _run(args, draw)


def plot_command(args: argparse.Namespace) -> int:
    """Draw one chart, or all; exit 3 if any input was damaged or missing."""
    # Said before minutes of import, not after.
    is_chart = args.output.endswith((".svg", ".png"))
    if args.kind != "all" and not is_chart:
        _complain(f"{args.output}: expected a name ending in .svg or .png")
        return EXIT_BAD_INPUT
    if args.kind == "all" and is_chart and not Path(args.output).is_dir():
        _complain(f"{args.output}: expected a folder, for all charts")
        return EXIT_BAD_INPUT

    def draw(dataset: "Dataset", events: "list[Event]", line: ProgressLine) -> None:
        from analysis.chart.files import write_chart  # noqa: PLC0415 - start-up time
        from analysis.drawn import NoDataError  # noqa: PLC0415 - start-up time
        from analysis.views import view  # noqa: PLC0415 - start-up time

        chosen = _chosen(args, dataset)
        if args.kind != "all":
            write_chart(view(args.kind, chosen, events), Path(args.output))
            return
        folder = Path(args.output)
        folder.mkdir(parents=True, exist_ok=True)
        missing = []
        for number, kind in enumerate(KINDS):
            line.show(number / len(KINDS), f"drawing {kind}")
            try:
                write_chart(view(kind, chosen, events), folder / f"{kind}.svg")
            except NoDataError as error:
                missing.append(f"{kind}: not enough data: {error}")
        line.close()
        for words in missing:
            _complain(words)
        if len(missing) == len(KINDS):
            raise NoDataError("no chart could be drawn")

    return _run(args, draw)


def tables_command(args: argparse.Namespace) -> int:
    """Import files into Parquet tables; exit 3 if anything could not be read."""
    try:
        from analysis.result_files import NoResultsError  # noqa: PLC0415 - start-up time
        from analysis.warehouse import build  # noqa: PLC0415 - start-up time
        from analysis.warehouse.builder import WaysError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.manifest import ManifestError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.stage import BusyError  # noqa: PLC0415 - start-up time
        from probe.verdict.withheld import notice  # noqa: PLC0415 - start-up time
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    line = _line()
    try:
        built = build(
            map(Path, args.sources), Path(args.output), _shown(line), with_ways=args.with_ways
        )
    except (NoResultsError, WaysError, ManifestError, BusyError) as error:
        _complain(str(error))
        return EXIT_BAD_INPUT
    except OSError as error:
        _complain(_os_words(error))
        return EXIT_BAD_INPUT
    finally:
        line.close()
    _name(built.faults)
    if built.n_withheld:
        _complain(notice(built.n_withheld))
    print(  # noqa: T201 - a command's own message
        f"{len(built.imported)} files imported, {len(built.skipped)} known already: "
        f"{built.n_measurements} measurements, {built.n_rows} rows in {args.output}"
    )
    return EXIT_BAD_INPUT if built.faults.total else EXIT_OK


def _run(
    args: argparse.Namespace,
    draw: "Callable[[Dataset, list[Event], ProgressLine], None]",
) -> int:
    """Load what is asked for, draw it, and name what could not be read."""
    if args.first and args.last and args.first > args.last:
        _complain(f"--from {args.first} --to {args.last}: ends before it begins")
        return EXIT_USAGE
    try:
        import duckdb  # noqa: PLC0415 - start-up time

        from analysis.chart.files import (  # noqa: PLC0415 - start-up time
            OutputError,
            check_writable,
        )
        from analysis.dataset import load  # noqa: PLC0415 - start-up time
        from analysis.drawn import NoDataError  # noqa: PLC0415 - start-up time
        from analysis.events import BadEventsError, events_of  # noqa: PLC0415 - start-up time
        from analysis.result_files import NoResultsError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.manifest import ManifestError  # noqa: PLC0415 - start-up time
        from analysis.warehouse.read import first_line  # noqa: PLC0415 - start-up time
        from probe.verdict.withheld import notice  # noqa: PLC0415 - start-up time
    except ModuleNotFoundError as error:
        return _missing_extra(error)
    line = _line()
    try:
        # Said before minutes of import, not after.
        if getattr(args, "kind", "") != "all":
            check_writable(Path(args.output))
        events = events_of(args.events) if args.events else []
        dataset = load(args.paths, with_ways=args.with_ways, progress=_shown(line))
        if args.events:
            events = events_of(args.events, args.country or dataset.countries())
        faults = dataset.provenance.faults
        try:
            draw(dataset, events, line)
        except NoDataError as error:
            line.close()
            _name(faults)
            _complain(f"not enough data: {error}")
            return EXIT_BAD_INPUT
    except (BadEventsError, NoResultsError, OutputError, ManifestError) as error:
        line.close()
        _complain(str(error))
        return EXIT_BAD_INPUT
    except OSError as error:
        line.close()
        _complain(_os_words(error))
        return EXIT_BAD_INPUT
    except duckdb.Error as error:
        if isinstance(error, duckdb.ParserException | duckdb.BinderException):
            raise  # A question that cannot be asked is our fault, not the file's.
        line.close()
        _complain(f"a table cannot be read: {first_line(error)}")
        return EXIT_BAD_INPUT
    finally:
        line.close()
    if dataset.provenance.n_withheld:
        _complain(notice(dataset.provenance.n_withheld))
    _name(faults)
    return EXIT_BAD_INPUT if faults.total else EXIT_OK


def _os_words(error: OSError) -> str:
    """Name the place and what is wrong with it, as people read it."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)


def _chosen(args: argparse.Namespace, dataset: "Dataset") -> "Dataset":
    return dataset.where(
        source=args.source, country=args.country, asn=args.network,
        service=args.service, target=args.target, first=args.first, last=args.last,
    )  # fmt: skip


def _line() -> ProgressLine:
    return ProgressLine(is_dumb=os.environ.get("TERM") == "dumb")


def _shown(line: ProgressLine) -> "Callable[[Progress], None]":
    return lambda at: line.show(at.done_bytes / max(at.total_bytes, 1), at.name)


def _name(faults: "Faults") -> None:
    shown: list[Fault] = list(faults)[:MAX_FAULTS_SHOWN]
    for fault in shown:
        _complain(str(fault))
    if faults.total:
        _complain(f"{faults.total} records could not be read")


def _missing_extra(error: ModuleNotFoundError) -> int:
    _complain(f"charts and tables need the extra 'analysis' ({error.name} is missing)")
    _complain("pip install 'reachwatch[analysis]'")
    return EXIT_BAD_INPUT


def _complain(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - a command's own message
