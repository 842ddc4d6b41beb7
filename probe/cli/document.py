"""Writes docs/commands.md from the parsers: ``python -m probe.cli.document > docs/commands.md``."""

import argparse
import sys
from collections.abc import Iterator

from probe.cli.main import build_parser

_HEAD = """# Commands

Every command and option. This page is written by
`python -m probe.cli.document > docs/commands.md`; `reachwatch COMMAND --help` says the same.
How commands end is in [exit codes](exit-codes.md).
"""


def page() -> str:
    """Return the page."""
    lines = [_HEAD]
    for name, parser, about in _commands(build_parser(), "reachwatch", ""):
        lines.append(f"## `{name}`\n")
        lines += (
            [f"{_sentence(parser.description or about)}\n"] if parser.description or about else []
        )
        rows = [*_rows(parser)]
        if rows:
            lines += ["| Argument | Meaning |", "| --- | --- |", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(
    parser: argparse.ArgumentParser, name: str, about: str
) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Yield the commands at the ends of the tree, in the order of ``--help``."""
    nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001 - argparse has no other way
    if not nested:
        yield name, parser, about
    for group in nested:
        abouts = {action.dest: action.help or "" for action in group._choices_actions}  # noqa: SLF001 - as above
        for word, child in group.choices.items():
            yield from _commands(child, f"{name} {word}", abouts.get(word, ""))


def _rows(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:  # noqa: SLF001 - as above
        if isinstance(action, argparse._HelpAction):  # noqa: SLF001 - as above
            continue
        about = (action.help or "") % {"default": action.default, "prog": parser.prog}
        if isinstance(action.choices, tuple | list) and action.metavar is None:
            about += f" ({', '.join(map(str, action.choices))})"
        yield f"| `{_written(action)}` | {_cell(about)} |".replace(" |  |", " | |")


def _written(action: argparse.Action) -> str:
    value = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    word = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        many = f"{word} …" if action.nargs in {"*", "+"} else word
        return _cell(f"[{many}]" if action.nargs in {"*", "?"} else many)
    takes = "" if action.nargs == 0 else f" {word}"
    return _cell(", ".join(action.option_strings) + takes)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")


if __name__ == "__main__":
    sys.stdout.write(page())
