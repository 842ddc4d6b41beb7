"""What ``--format`` asks for; apart from the formats, so that help is quick."""

import argparse
from collections.abc import Sequence
from typing import Final, NamedTuple

STDOUT: Final = "-"

FORMATS: Final = ("table", "json", "ndjson", "csv", "md", "junit", "github", "prom")
ALIASES: Final = {"markdown": "md", "prometheus": "prom"}


class Wanted(NamedTuple):
    """One format, and the file it goes to as it was typed (None: standard output)."""

    name: str
    path: str | None


def parse_wanted(text: str) -> Wanted:
    """Read FORMAT, FORMAT=PATH or FORMAT=-.

    Raises:
        argparse.ArgumentTypeError: naming what is wrong.
    """
    given, has_path, path = text.partition("=")
    name = ALIASES.get(given, given)
    if name not in FORMATS:
        raise argparse.ArgumentTypeError(f"{given!r} is none of {', '.join(FORMATS)}")
    if has_path and not path:
        raise argparse.ArgumentTypeError(f"{text!r}: a path is missing after =")
    return Wanted(name, None if not has_path or path == STDOUT else path)


def on_stdout(wanted: Sequence[Wanted]) -> str:
    """Return the format of standard output: a table where none is asked for.

    Raises:
        ValueError: if two are.
    """
    names = [one.name for one in wanted if one.path is None]
    if len(names) > 1:
        raise ValueError(f"one format at most goes to standard output, not {' and '.join(names)}")
    return names[0] if names else "table"


def prints_json(words: Sequence[str]) -> bool:
    """Whether a command line that need not be valid asks for JSON on standard output."""
    values = [
        value
        for word, following in zip(words, [*words[1:], ""], strict=True)
        for value in (
            following if word in {"-f", "--format"} else None,
            word.removeprefix("--format=") if word.startswith("--format=") else None,
            word.removeprefix("-f").removeprefix("=") if word.startswith("-f") else None,
        )
    ]
    return any(value in {"json", "ndjson", "json=-", "ndjson=-"} for value in values)
