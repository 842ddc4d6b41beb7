"""The terminal's picture of a run: a table by target and layer, then three answers."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from probe import __version__
from probe.cli.columns import cut_to, padded, widest, width_of, wrapped
from probe.locale import ENGLISH, Language, marked
from probe.model.observation import Step
from probe.model.step import Budget
from probe.model.target import Targets
from probe.model.verdict import State, Verdict
from probe.verdict.words import (
    RESULT_WORDS,
    STATE_WORDS,
    TACTIC_WORDS,
    n_failing,
    result_of,
    three_answers,
    untested,
    ways_of,
)

LAYERS: Final[dict[Step, int]] = {"dns": 5, "tcp": 5, "tls": 5, "http": 5, "mtproto": 8}
"""Columns of the table and their widths. That a data centre connects, that it answers TLS,
and that its answer in its own protocol is verified are three results."""

_GLYPHS: Final[dict[State, tuple[str, str]]] = {
    "ok": ("●", "OK"),
    "blocked": ("✖", "X"),
    "likely_blocked": ("✖", "X"),
    "impaired": ("▲", "!"),
    "down": ("▲", "!"),
    "insufficient": ("?", "?"),
}

_SHORT: Final[dict[State, str]] = {
    **STATE_WORDS,
    "impaired": marked("impaired"),
    "down": marked("down"),
}

_FIXED_WIDTH: Final = 26 + sum(LAYERS.values())
"""Columns of a row beside the name: margin, layers, n of N, glyph, state."""
_STATE_WIDTH: Final = widest(list(_SHORT.values()))
_MIN_NAME: Final = 12
NARROW: Final = _FIXED_WIDTH + _MIN_NAME
"""Below this many columns the layers are dropped: name, n of N, state remain."""

_MAX_NAME: Final = 30


@dataclass(frozen=True, kw_only=True)
class Style:
    """What the terminal can show. ``width`` is None in a pipe: never wrapped.

    ``say`` is the person's language; English where only ASCII can be shown, which cannot
    carry another.
    """

    width: int | None
    ascii_only: bool
    colour: bool
    say: Language = ENGLISH


def style_of(*, ascii_only: bool, width: int | None = None, language: str = "en") -> Style:
    """Return what standard output can show; ``width`` None: as wide as the terminal is."""
    is_terminal = sys.stdout.isatty()
    dumb = os.environ.get("TERM") == "dumb"
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    if width is None and is_terminal:
        width = shutil.get_terminal_size((76, 24)).columns
    ascii_only = ascii_only or not encoding.startswith("utf")
    return Style(
        width=width,
        ascii_only=ascii_only,
        say=ENGLISH if ascii_only else Language(language),
        colour=is_terminal and not dumb and not os.environ.get("NO_COLOR"),
    )


_COLOURS: Final[dict[State, str]] = {
    "ok": "32",
    "blocked": "31",
    "likely_blocked": "31",
    "impaired": "33",
    "down": "33",
    "insufficient": "2",
}


def header(targets: Targets, budget: Budget, style: Style) -> list[str]:
    """Say what is about to be measured and what it costs."""
    dot = "-" if style.ascii_only else "·"
    say = style.say
    n = sum(len(target.endpoints) for target in targets.targets)
    endpoints = say.plural("{n} endpoints", "{n} endpoints", n).format(n=n)
    listed = say("list of {day}").format(day=targets.updated)
    sockets, kilobytes = budget.sockets, budget.bytes // 1000
    cost = say.plural(
        "about {n} connections, {kb} kB. Nothing is uploaded. Ctrl-C stops.",
        "about {n} connections, {kb} kB. Nothing is uploaded. Ctrl-C stops.",
        sockets,
    ).format(n=sockets, kb=kilobytes)
    lines = [
        f"reachwatch {__version__} {dot} {targets.name} {dot} {endpoints} {dot} {listed}",
        cost,
    ]
    return [*_wrapped(lines, style, ""), ""]


def table(verdicts: Sequence[Verdict], targets: Targets, style: Style) -> list[str]:
    """Return the table's lines: one per target and tactic."""
    if not verdicts:
        return []
    first = verdicts[0]
    say = style.say
    # Beyond what the widest state takes in English.
    extra = max(0, widest([say(words) for words in _SHORT.values()]) - _STATE_WIDTH)
    narrow = style.width is not None and style.width < NARROW + extra
    names = {target.id: target.name or target.id for target in targets.targets}
    controls = say("Controls")
    longest = max(width_of(names.get(v.target_id, v.target_id)) for v in verdicts)
    longest = max(longest, width_of(controls))
    room = (
        _MAX_NAME if style.width is None else style.width - extra - (26 if narrow else _FIXED_WIDTH)
    )
    name_width = max(_MIN_NAME, min(longest, room, _MAX_NAME))
    answered = say("{ok}/{total} answered").format(ok=first.controls_ok, total=first.controls_total)
    lines = [f"  {padded(controls, name_width)} {answered}"]
    if not narrow:
        heads = "".join(f"{layer.upper():>{width}}" for layer, width in LAYERS.items())
        lines += ["", f"  {'':<{name_width}}{heads}  {say('works')}"]
    shown = [v for v in verdicts if v.tactic == "none" or v.proxy_id is not None]
    lines += [_row(v, names, name_width, style, narrow=narrow) for v in shown]
    return lines


def ways(verdicts: Sequence[Verdict], style: Style) -> list[str]:
    """Return the matrix of ways around: what each works for, what not, and what is unknown.

    Nothing if everything is reached directly and nothing else was tried.
    """
    say = style.say
    found = [way for way in ways_of(verdicts, say) if not way.is_proxy]
    if not found:
        return []
    failing = {v.target_id: n_failing(v) for v in verdicts if v.tactic == "none"}
    lines = [say("  Ways around what fails directly")]
    # Of the whole vocabulary, so that the tables of two runs stand alike.
    way_width = widest([say(words) for words in TACTIC_WORDS.values()])
    result_width = widest([say(words) for words in RESULT_WORDS.values()])
    for way in found:
        result = say(RESULT_WORDS[result_of(way.n_ok, way.n_total)])
        parts = [
            f"{v.target_id} {v.n_ok}/{v.n_total}"
            + (
                say(" (of {n} that fail)").format(n=of)
                if (of := failing.get(v.target_id, 0)) > v.n_total
                else ""
            )
            for v in way.verdicts
        ]
        state: State = "ok" if way.n_ok == way.n_total else "impaired"
        glyph = _GLYPHS[state][1 if style.ascii_only else 0]
        named = f"  {glyph} {padded(way.name, way_width)} {padded(result, result_width)}"
        indent = " " * (way_width + result_width + 6)
        lines += _wrapped([f"{named} {say(', ').join(parts)}"], style, indent)
    if missing := untested(verdicts):
        label = say("    not tested: ")
        said = say(", ").join(say(TACTIC_WORDS[tactic]) for tactic in missing)
        lines += _wrapped([f"{label}{said}"], style, " " * width_of(label))
    return [*lines, ""]


def _row(
    verdict: Verdict, names: dict[str, str], name_width: int, style: Style, *, narrow: bool
) -> str:
    name = names.get(verdict.target_id, verdict.target_id)
    if verdict.tactic != "none":
        arrow = "->" if style.ascii_only else "↳"
        name = f"{arrow} {style.say('via {proxy}').format(proxy=verdict.proxy_id)}"
    if style.ascii_only:
        name = name.encode("ascii", "replace").decode()
    name = padded(cut_to(name, name_width, "~" if style.ascii_only else "…"), name_width)
    glyph = _GLYPHS[verdict.state][1 if style.ascii_only else 0]
    state = f"{glyph} {style.say(_SHORT[verdict.state])}"
    if style.colour:
        state = f"\x1b[{_COLOURS[verdict.state]}m{state}\x1b[0m"
    n_of = f"{verdict.n_ok}/{verdict.n_total}" if verdict.n_total else "-"
    if narrow:
        return f"  {name} {n_of:>5} {state}"
    counts = {layer.step: f"{layer.n_ok}/{layer.n_total}" for layer in verdict.layers}
    cells = "".join(f"{counts.get(layer, '-'):>{width}}" for layer, width in LAYERS.items())
    return f"  {name}{cells}{n_of:>7} {state}"


QUESTIONS: Final = (marked("Is it me?"), marked("How?"), marked("What works?"))


def answers(verdicts: Sequence[Verdict], style: Style) -> list[str]:
    """Return the three answers, with hanging indent where the width is known."""
    said = three_answers(verdicts, style.say)
    labels = [style.say(label) for label in QUESTIONS]
    room = widest(labels) + 2
    lines: list[str] = []
    for label, text in zip(labels, said, strict=True):
        spoken = text.replace("·", "-") if style.ascii_only else text
        lines += _wrapped([f"  {padded(label, room)}{spoken}"], style, " " * (room + 2))
    return lines


def _wrapped(lines: Sequence[str], style: Style, indent: str) -> list[str]:
    if style.width is None:
        return list(lines)
    return [part for line in lines for part in wrapped(line, max(style.width - 1, 30), indent)]
