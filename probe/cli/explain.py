"""``reachwatch explain``: a rule, a word, a run or one verdict in plain words."""

import argparse
import difflib
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson

from analysis.result_files import Fault, NoResultsError, find, read_file
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.render import Style, style_of
from probe.cli.results import print_faults
from probe.model.codec import Stored
from probe.model.layout import OBSERVATIONS, SUFFIX, VERDICTS, ResultFile
from probe.model.observation import Observation
from probe.model.verdict import Verdict
from probe.verdict.explain import STATE_MEANINGS, Explanation, explain, named_by, plain
from probe.verdict.rules import RULES, Rule
from probe.verdict.words import CAUSE_WORDS, MECHANISM_WORDS, STATE_WORDS

WIDTH: Final = 76
_RUN: Final = re.compile(r"[0-9a-f]{4,16}")
_RUN_IN_NAME: Final = re.compile(r"-([0-9a-f]{16})\.(?:obs|verdict)" + re.escape(SUFFIX))


class Part(NamedTuple):
    """A heading and the lines below it; without any it is left out."""

    heading: str
    lines: Sequence[str]


def explain_command(args: argparse.Namespace) -> int:
    """Explain what the id names; exit 2 if nothing is called that."""
    wanted: str = args.id
    style = style_of(ascii_only=args.ascii, width=WIDTH)
    if wanted in RULES:
        rule = RULES[wanted]
        document = {"type": "rule", **msgspec.to_builtins(rule)}
        _print(args, document, _rule_lines(rule, style), style)
        return EXIT_OK
    if (word := _word(wanted)) is not None:
        _print(args, {"type": "word", **word}, _word_lines(word, style), style)
        return EXIT_OK
    run_id, _, target_id = wanted.partition(":")
    if _RUN.fullmatch(run_id) is None:
        raise CommandError(EXIT_USAGE, [f"nothing is called {wanted!r}{_hint(wanted, _names())}"])
    return _explain_run(args, run_id, target_id, style)


def _explain_run(args: argparse.Namespace, run_id: str, target_id: str, style: Style) -> int:
    faults: list[Fault] = []
    files = _files_of(Path(args.results), run_id)
    stored = [row for file in files for row in _read(file, VERDICTS, faults)]
    judged = [row.value for row in stored if isinstance(row.value, Verdict)]
    if not judged:
        print_faults(faults)
        raise CommandError(
            EXIT_BAD_INPUT,
            [f"run {run_id} has no verdicts; reachwatch results rejudge judges its facts"],
        )
    run = stored[0].run
    chosen = [v for v in judged if v.target_id == target_id]
    if target_id and not chosen:
        hint = _hint(target_id, {v.target_id for v in judged})
        raise CommandError(EXIT_USAGE, [f"run {run_id} has no target {target_id!r}{hint}"])
    chosen = chosen or [v for v in judged if v.state != "ok"]
    wanted = frozenset(name for verdict in chosen for name in named_by(verdict))
    facts = [
        row.value
        for file in files
        for row in _read(file, OBSERVATIONS, faults)
        if isinstance(row.value, Observation) and row.value.observation_id in wanted
    ]
    explanations = [explain(verdict, facts) for verdict in chosen]
    lines = [f"run {run.run_id} of {run.measurement_start_time[:16]}Z"]
    for explanation in explanations:
        lines += ["", *_verdict_lines(explanation, style)]
    if not chosen:
        offer = f"reachwatch explain {run.run_id}:TARGET explains one"
        lines += ["", *_wrapped(f"its verdicts are ok, all {len(judged)}; {offer}")]
    document = {
        "type": "explanation",
        "run_id": run.run_id,
        "measurement_start_time": run.measurement_start_time,
        "verdicts": msgspec.to_builtins(explanations),
    }
    _print(args, document, lines, style)
    print_faults(faults)
    return EXIT_BAD_INPUT if faults else EXIT_OK


def _read(
    file: ResultFile, kind: str, faults: list[Fault]
) -> Iterator[Stored[Observation] | Stored[Verdict]]:
    return read_file(file, faults) if file.kind == kind else iter(())


def _files_of(results: Path, run_id: str) -> list[ResultFile]:
    """Return the files of the one run whose id begins so."""
    try:
        files = find(results)
    except NoResultsError as error:
        raise CommandError(EXIT_BAD_INPUT, [str(error)]) from None
    by_run: dict[str, list[ResultFile]] = {}
    for file in files:
        if (match := _RUN_IN_NAME.search(file.path.name)) is not None:
            by_run.setdefault(match[1], []).append(file)
    found = [own for name, own in by_run.items() if name.startswith(run_id)]
    if len(found) != 1:
        problem = "no run" if not found else f"{len(found)} runs"
        hint = "" if found else _hint(run_id, by_run)
        raise CommandError(EXIT_USAGE, [f"{problem} with id {run_id} in {results}{hint}"])
    return found[0]


def _word(wanted: str) -> dict[str, Any] | None:
    """Return a word of the vocabulary and what it means; of a state, the rules that say it."""
    tables: tuple[tuple[str, Mapping[Any, str]], ...] = (
        ("state", STATE_MEANINGS),
        ("mechanism", MECHANISM_WORDS),
        ("benign cause", CAUSE_WORDS),
    )
    for kind, words in tables:
        if wanted in words:
            found: dict[str, Any] = {"word": wanted, "kind": kind, "meaning": words[wanted]}
            if kind == "state":
                found["rules"] = [r.rule_id for r in RULES.values() if r.state == wanted]
            return found
    return None


def _names() -> list[str]:
    return [*RULES, *STATE_WORDS, *MECHANISM_WORDS, *CAUSE_WORDS]


def _hint(wanted: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(wanted, list(names), n=3)
    if close:
        return f"; did you mean {', '.join(plain(name) for name in close)}?"
    return ""


def _rule_lines(rule: Rule, style: Style) -> list[str]:
    stage = f", about the step {rule.stage}" if rule.stage is not None else ""
    return _document(
        f"{rule.rule_id}: says at most {STATE_WORDS[rule.state]}{stage}",
        (
            Part("Needs", [rule.needs]),
            Part("Rules out", [rule.excludes]),
            Part("Does not rule out", rule.leaves),
            Part("Would change our mind", [rule.changes]),
            Part("Source", [rule.source]),
        ),
        style,
    )


def _word_lines(word: dict[str, Any], style: Style) -> list[str]:
    return _document(
        f"{word['word']} ({word['kind']}): {word['meaning']}",
        (Part("Rules that say so at most", word.get("rules", ())),),
        style,
    )


def _verdict_lines(explained: Explanation, style: Style) -> list[str]:
    return _document(
        explained.said,
        (
            Part("Seen", explained.facts),
            Part("Rule", explained.rule),
            Part("Counted", explained.counts),
            Part("Ruled out", explained.ruled_out),
            Part("Not ruled out", explained.not_ruled_out),
            Part("Would change our mind", [explained.changes]),
            Part("Source", [explained.source]),
        ),
        style,
    )


def _document(title: str, parts: Sequence[Part], style: Style) -> list[str]:
    bullet = "-" if style.ascii_only else "·"
    lines = _wrapped(title, "", "  ")
    if style.colour:
        lines = [f"\x1b[1m{line}\x1b[0m" for line in lines]
    for part in parts:
        said = [line for line in part.lines if line]
        if said:
            lines += ["", f"  {part.heading}"]
        for line in said:
            lines += _wrapped(line, f"    {bullet} ", "      ")
    return lines


def _wrapped(text: str, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False
    )


def _print(
    args: argparse.Namespace, document: dict[str, Any], lines: Sequence[str], style: Style
) -> None:
    if args.format == "json":
        text = orjson.dumps({"schema_version": "1.0", **document}).decode()
    else:
        text = "\n".join(lines)
        if style.ascii_only:
            text = text.encode("ascii", "replace").decode()
    sys.stdout.write(text + "\n")
