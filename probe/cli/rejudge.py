"""``reachwatch results rejudge``: stored facts, judged again by the rules of this release."""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from analysis.result_files import Fault, NoResultsError, find, read_file
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.results import print_faults
from probe.model.layout import OBSERVATIONS, PART, VERDICTS, ResultFile, classify, run_path
from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Mechanism, State, Verdict
from probe.store.redact import Redactor
from probe.store.writer import RecordWriter, StoreError
from probe.verdict import RULES_VERSION
from probe.verdict.circumvention import is_way
from probe.verdict.explain import plain
from probe.verdict.judge import judge_all, key_in_file

MAX_EXAMPLES: Final = 20

MAX_FACTS: Final = 200_000
"""Of one file: twenty times the largest run of the built-in list, and some 200 MB."""


class Said(NamedTuple):
    """What of a verdict the table compares; no state: there is no verdict."""

    state: State | None = None
    mechanism: Mechanism | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.state or "no verdict", self.mechanism)))


class _Transition(NamedTuple):
    old: Said
    new: Said

    @property
    def is_change(self) -> bool:
        """Whether something was said before, and something else is now."""
        return self.old.state is not None and self.old != self.new


class _Example(NamedTuple):
    run_id: str
    target: str
    old_rule: str | None
    new_rule: str | None


class _Tally:
    """Counts what became of verdicts, and keeps the first examples of each sort."""

    def __init__(self) -> None:
        self.runs: set[str] = set()
        self.unfinished = 0
        self.written = 0
        self.transitions: Counter[_Transition] = Counter()
        self.other_rule = 0
        self._changed: list[_Example] = []
        self._moved: list[_Example] = []

    def add(self, run_id: str, old: Verdict | None, new: Verdict | None) -> None:
        transition = _Transition(_said(old), _said(new))
        self.transitions[transition] += 1
        rules = [None if one is None else one.rule_id for one in (old, new)]
        one = _Example(run_id, _target(new or old), rules[0], rules[1])
        if transition.is_change:
            self._keep(self._changed, one)
        elif old is not None and rules[0] != rules[1]:
            self.other_rule += 1
            self._keep(self._moved, one)

    @property
    def examples(self) -> list[_Example]:
        """Changes of what is said before changes of why."""
        return [*self._changed, *self._moved][:MAX_EXAMPLES]

    def ranked(self) -> list[tuple[_Transition, int]]:
        """Changes first, then the most frequent."""
        return sorted(
            self.transitions.items(),
            key=lambda item: (not item[0].is_change, -item[1], str(item[0].old), str(item[0].new)),
        )

    @staticmethod
    def _keep(examples: list[_Example], one: _Example) -> None:
        if len(examples) < MAX_EXAMPLES:
            examples.append(one)


def rejudge_command(args: argparse.Namespace) -> int:
    """Judge every stored run again; exit 3 if any place could not be read or written."""
    if args.rules not in {None, RULES_VERSION}:
        raise CommandError(
            EXIT_USAGE,
            [f"this release has rules version {RULES_VERSION}, not {args.rules}"],
        )
    faults: list[Fault] = []
    tally = _Tally()
    for file in _facts_under(Path(args.path)):
        _rejudge_file(file, tally, faults, write=args.write)
    if args.format == "json":
        _say(orjson.dumps(_document(tally)).decode())
    else:
        for line in _table(tally, write=args.write):
            _say(line)
    print_faults(faults)
    return EXIT_BAD_INPUT if faults else EXIT_OK


def judged_again(rows: Sequence[Observation], before: Iterable[Verdict]) -> list[Verdict]:
    """Judge the observations of one run, in the order of its verdict file.

    Targets that the run did not get to left no facts: ``before``, the verdicts that the
    run wrote, is all that names them.
    """
    known = list(before)
    named = ((v.target_id, v.service_id, v.combination_rule) for v in known if v.tactic == "none")
    with_ways = any(is_way(v.tactic) for v in known)
    return judge_all(rows, named, with_ways=with_ways)


def _facts_under(path: Path) -> list[ResultFile]:
    try:
        files = find(path)
    except NoResultsError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    facts = [file for file in files if file.kind == OBSERVATIONS]
    if files and not facts:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: holds verdicts, and no facts to judge"])
    return facts


def _rejudge_file(file: ResultFile, tally: _Tally, faults: list[Fault], *, write: bool) -> None:
    own_faults: list[Fault] = []
    runs: dict[str, RunColumns] = {}
    rows: dict[str, list[Observation]] = {}
    for number, stored in enumerate(read_file(file, own_faults), 1):
        if number > MAX_FACTS:
            faults += [*own_faults, Fault(file.path, number, f"more than {MAX_FACTS} facts")]
            return
        if isinstance(stored.value, Observation):
            runs.setdefault(stored.run.run_id, stored.run)
            rows.setdefault(stored.run.run_id, []).append(stored.value)
    before: dict[str, list[Verdict]] = {}
    beside = _verdicts_beside(file.path)
    for stored_verdict in read_file(beside, own_faults) if beside is not None else ():
        if isinstance(stored_verdict.value, Verdict):
            before.setdefault(stored_verdict.run.run_id, []).append(stored_verdict.value)
    for run_id, facts in rows.items():
        old = before.get(run_id, [])
        new = judged_again(facts, old)
        _compare(run_id, old, new, tally)
        if write and not file.is_part and len(rows) == 1 and not own_faults:
            own_faults += _write(file, runs[run_id], new, tally)
    if write and (len(rows) > 1 or own_faults):
        # Verdicts of whole facts must not give way to those of half the facts.
        reason = "lines of several runs" if len(rows) > 1 else "for the reasons above"
        own_faults.append(Fault(file.path, 0, f"verdicts not written: {reason}"))
    tally.unfinished += file.is_part
    faults += own_faults


def _verdicts_beside(path: Path) -> ResultFile | None:
    """Return the verdict file of the same run, the finished one if there are two."""
    stem, _, ending = path.name.removesuffix(PART).rpartition(f".{OBSERVATIONS}.")
    for name in (f"{stem}.{VERDICTS}.{ending}", f"{stem}.{VERDICTS}.{ending}{PART}"):
        if path.with_name(name).is_file():
            return classify(path.with_name(name))
    return None


def _compare(run_id: str, old: list[Verdict], new: list[Verdict], tally: _Tally) -> None:
    tally.runs.add(run_id)
    was = {key_in_file(verdict): verdict for verdict in old}
    now = {key_in_file(verdict): verdict for verdict in new}
    for key in sorted(was.keys() | now.keys()):
        tally.add(run_id, was.get(key), now.get(key))


def _write(
    file: ResultFile, run: RunColumns, verdicts: list[Verdict], tally: _Tally
) -> list[Fault]:
    """Replace the verdict file beside the facts, as their run would have written it."""
    path = file.path.absolute()
    root = path.parent.parent.parent
    if path != run_path(root, run, OBSERVATIONS):
        return [Fault(file.path, 0, "not at the place in a results folder that its lines name")]
    # Lines of an older schema version become lines of this one.
    columns = {name: getattr(run, name) for name in run.__struct_fields__}
    del columns["schema_version"]
    goal = run_path(root, run, VERDICTS)
    try:
        # Of a run, or of a rejudge, that was killed: what it held is judged here.
        goal.with_name(goal.name + PART).unlink(missing_ok=True)
        with RecordWriter(root, RunColumns(**columns), VERDICTS, Redactor(())) as writer:
            for verdict in verdicts:
                writer.write(verdict)
            writer.finish()
    except StoreError as error:
        return [Fault(file.path, 0, str(error))]
    except OSError as error:
        return [Fault(file.path, 0, error.strerror or type(error).__name__)]
    tally.written += 1
    return []


def _said(verdict: Verdict | None) -> Said:
    return Said() if verdict is None else Said(verdict.state, verdict.mechanism)


def _target(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    via = f" via {plain(verdict.proxy_id)}" if verdict.proxy_id else ""
    return plain(verdict.target_id) + via


def _document(tally: _Tally) -> dict[str, Any]:
    return {
        "type": "rejudged",
        "schema_version": "1.0",
        "rules_version": RULES_VERSION,
        "runs": len(tally.runs),
        "written": tally.written,
        "unfinished": tally.unfinished,
        "transitions": [
            {
                "old_state": old.state,
                "old_mechanism": old.mechanism,
                "new_state": new.state,
                "new_mechanism": new.mechanism,
                "verdicts": count,
            }
            for (old, new), count in tally.ranked()
        ],
        "other_rule": tally.other_rule,
        "examples": [one._asdict() for one in tally.examples],
    }


def _table(tally: _Tally, *, write: bool) -> list[str]:
    rows = [("was", "is now", "verdicts")]
    rows += [(str(one.old), str(one.new), str(count)) for one, count in tally.ranked()]
    was, now = (max(len(row[column]) for row in rows) for column in (0, 1))
    lines = [f"  {old:<{was}}  {new:<{now}}  {count:>8}" for old, new, count in rows]
    if tally.examples:
        lines += ["", *(f"  {_example_line(one)}" for one in tally.examples)]
    changed = sum(n for transition, n in tally.transitions.items() if transition.is_change)
    written = f"{tally.written} files written" if write else "nothing written (--write)"
    unfinished = f" ({tally.unfinished} unfinished)" if tally.unfinished else ""
    runs = f"{len(tally.runs)} runs{unfinished}"
    return [
        *lines,
        "",
        f"  {runs}, {tally.transitions.total()} verdicts by rules version {RULES_VERSION}:",
        f"  {changed} say something else, {tally.other_rule} the same by another rule; {written}",
    ]


def _example_line(one: _Example) -> str:
    return f"{one.run_id} {one.target}: {one.old_rule or 'no verdict'} -> {one.new_rule or 'none'}"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
