"""``reachwatch results``: list, show, export, verify, rejudge, schema."""

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from analysis.result_files import Fault, NoResultsError, find, read_file
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.targets import print_schema
from probe.model.codec import flatten, line_schema
from probe.model.layout import OBSERVATIONS, VERDICTS, ResultFile
from probe.model.observation import Observation
from probe.model.verdict import Verdict
from probe.verdict.withheld import Judged, is_withheld, is_working_way, notice, withhold
from probe.verdict.words import three_answers

if TYPE_CHECKING:
    from probe.model.vantage import RunColumns

MAX_FAULTS_SHOWN: Final = 20


def results_command(args: argparse.Namespace) -> int:
    """Run one action of ``results``; exit 3 if anything could not be read."""
    if args.action == "schema":
        fact_type = Observation if args.kind == "observation" else Verdict
        _say(print_schema(line_schema(fact_type)))
        return EXIT_OK
    if args.action == "rejudge":
        from probe.cli.rejudge import rejudge_command  # noqa: PLC0415 - it imports this module

        return rejudge_command(args)
    faults: list[Fault] = []
    match args.action:
        case "list":
            _list(_files(Path(args.path)), faults)
        case "verify":
            _verify(_files(Path(args.path)), faults)
        case "show":
            _show(args, faults)
        case _:
            _export(args, faults)
    print_faults(faults)
    return EXIT_BAD_INPUT if faults else EXIT_OK


def print_faults(faults: list[Fault]) -> None:
    """Name the places that could not be read, the first of many."""
    for fault in faults[:MAX_FAULTS_SHOWN]:
        print(fault, file=sys.stderr)  # noqa: T201 - the room that prints
    if len(faults) > MAX_FAULTS_SHOWN:
        print(f"and {len(faults) - MAX_FAULTS_SHOWN} more", file=sys.stderr)  # noqa: T201 - the room that prints


def _files(path: Path) -> list[ResultFile]:
    try:
        return find(path)
    except NoResultsError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None


def _list(files: list[ResultFile], faults: list[Fault]) -> None:
    """One line per run: start, id, facts, and the state of each target."""
    facts: dict[str, int] = {}
    starts: dict[str, str] = {}
    states: dict[str, list[str]] = {}
    for file in files:
        for row in read_file(file, faults):
            starts[row.run.run_id] = row.run.measurement_start_time
            if isinstance(row.value, Verdict):
                around = "" if row.value.tactic == "none" else f"[{row.value.tactic}]"
                states.setdefault(row.run.run_id, []).append(
                    f"{row.value.target_id}{around}={row.value.state}"
                )
            else:
                facts[row.run.run_id] = facts.get(row.run.run_id, 0) + 1
    for run_id, start in sorted(starts.items(), key=lambda item: (item[1], item[0])):
        judged = " ".join(states.get(run_id, ["unfinished"]))
        _say(f"{start}  {run_id}  {facts.get(run_id, 0):>5} facts  {judged}")
    if not starts:
        print("no results", file=sys.stderr)  # noqa: T201 - the room that prints


def _verify(files: list[ResultFile], faults: list[Fault]) -> None:
    lines = 0
    unfinished = 0
    for file in files:
        lines += sum(1 for _ in read_file(file, faults))
        unfinished += file.is_part
    _say(
        f"{len(files)} files, {lines} valid lines, {len(faults)} damaged places, "
        f"{unfinished} unfinished"
    )


def _show(args: argparse.Namespace, faults: list[Fault]) -> None:
    """Print one run as one JSON document."""
    path = Path(args.run)
    if path.is_file():
        files = _files(path)
    else:
        files = [f for f in _files(Path(args.results)) if f"-{args.run}" in f.path.name]
        runs = {f.path.name.split(".")[0] for f in files}
        if len(runs) != 1:
            problem = "no run" if not runs else f"{len(runs)} runs"
            raise CommandError(EXIT_USAGE, [f"{problem} with id {args.run} in {args.results}"])
    rows = [row for file in files for row in read_file(file, faults)]
    verdicts = [row.value for row in rows if isinstance(row.value, Verdict)]
    document: dict[str, Any] = {
        "type": "run",
        "schema_version": "1.0",
        "answers": three_answers(verdicts)._asdict(),
        "verdicts": [flatten(*row) for row in rows if isinstance(row.value, Verdict)],
        "observations": [flatten(*row) for row in rows if isinstance(row.value, Observation)],
    }
    _say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _export(args: argparse.Namespace, faults: list[Fault]) -> None:
    kind = OBSERVATIONS if args.kind == "observations" else VERDICTS
    fact_type = Observation if kind == OBSERVATIONS else Verdict
    columns = sorted(line_schema(fact_type)["properties"])
    writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    if args.format == "csv":
        writer.writeheader()
    files = [file for file in _files(Path(args.path)) if file.kind == kind]
    is_any_working = not args.with_ways and any(is_working_way(*row) for row in _judged(files, []))
    n_withheld = 0
    for file in files:
        rows: Iterable[tuple[RunColumns, Observation | Verdict]] = read_file(file, faults)
        if kind == VERDICTS and not args.with_ways:
            judged = list(_judged([file], faults))
            rows, n = withhold(judged, is_any_working=is_any_working)
            n_withheld += n
        for run, value in rows:
            if isinstance(value, Observation) and not args.with_ways and is_withheld(run, value):
                n_withheld += 1
                continue
            flat = flatten(run, value)
            if args.format == "csv":
                writer.writerow({name: _cell(cell) for name, cell in flat.items()})
            else:
                _say(orjson.dumps(flat, option=orjson.OPT_SORT_KEYS).decode())
    if n_withheld:
        print(notice(n_withheld), file=sys.stderr)  # noqa: T201 - the room that prints


def _judged(files: Iterable[ResultFile], faults: list[Fault]) -> Iterator[Judged]:
    for file in files:
        if file.kind == VERDICTS:
            for run, value in read_file(file, faults):
                if isinstance(value, Verdict):
                    yield run, value


def _cell(value: Any) -> Any:
    """Nested columns become JSON; nothing a peer sent may start a formula."""
    if isinstance(value, list | tuple | dict):
        return orjson.dumps(value).decode() if value else ""
    if isinstance(value, str) and value[:1] in "=+-@\t\r":
        return "'" + value
    return value


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
