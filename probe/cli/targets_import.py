"""``reachwatch targets import``: lists of others as targets, and what became of each entry."""

import argparse
import hashlib
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.inputs import embedded_targets
from probe.model.validate import BadTargetsError, load_targets
from probe.wire.lists.assemble import Assembled, Heading, Outcome, as_bytes, assemble
from probe.wire.lists.read import read_list
from probe.wire.lists.row import MAX_LIST_BYTES, BadListError, MissingYamlError, ReadList
from probe.wire.lists.words import short_name

_TOLD: Final = 20
"""Lines on the terminal for each kind of outcome, where a file holds the rest."""

_TOLD_ALONE: Final = 1000
"""The same where nothing else holds them."""


class _Source(NamedTuple):
    data: bytes
    date: str
    """Of its last change (YYYY-MM-DD, UTC)."""


def import_command(args: argparse.Namespace) -> int:
    """Read a list and write ours; exit 3 if nothing of it can be measured."""
    source = _read(Path(args.source))
    if args.output is not None and Path(args.output).resolve() == Path(args.source).resolve():
        raise CommandError(EXIT_USAGE, ["-o: this is SOURCE itself, which would be lost"])
    try:
        form, read = read_list(source.data, form=args.form, private=args.private)
    except BadListError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{args.source}: {error}"]) from None
    except MissingYamlError:
        raise CommandError(
            EXIT_BAD_INPUT,
            [
                f"{args.source}: YAML needs the extra 'yaml' (PyYAML is missing)",
                "pip install 'reachwatch[yaml]'",
            ],
        ) from None
    heading = Heading(name=short_name(Path(args.source).stem), updated=source.date)
    made = assemble(read, embedded_targets().targets, heading)
    beside = None if args.output is None else _beside(Path(args.output))
    if made.targets is None:
        nothing = f"{args.source}: nothing in it can be measured; nothing is written"
        raise CommandError(EXIT_BAD_INPUT, [*_told(made.outcomes, None), nothing])
    data = as_bytes(made.targets)
    try:
        load_targets(data)
    except BadTargetsError as error:
        # The list's own text that no reader foresaw: better no list than one that cannot be used.
        raise CommandError(
            EXIT_BAD_INPUT, [f"{args.source}: {p}" for p in error.problems]
        ) from None
    if args.output is None or beside is None:
        sys.stdout.write(data.decode())
    else:
        _write(beside, _kept(form, read, made, source.data))
        _write(Path(args.output), data)
    for line in [*_told(made.outcomes, beside), _closing(form, made)]:
        print(line, file=sys.stderr)  # noqa: T201 - the room that prints
    return EXIT_OK


def _read(path: Path) -> _Source:
    try:
        with path.open("rb") as file:
            changed = datetime.fromtimestamp(os.fstat(file.fileno()).st_mtime, UTC)
            return _Source(file.read(MAX_LIST_BYTES + 1), changed.date().isoformat())
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    part = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            part = Path(file.name)
            file.write(data)
        # What a new file gets; a temporary one is closed to others.
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o666 & ~mask)
        part.replace(path)
    except OSError as error:
        if part is not None:
            part.unlink(missing_ok=True)
        raise CommandError(EXIT_BAD_INPUT, [f"cannot write {path}: {error.strerror}"]) from None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.json')}.import.jsonl")


def _kept(form: str, read: ReadList, made: Assembled, data: bytes) -> bytes:
    """Return what has no place in a target list: a line on the source, then one an entry."""
    first: dict[str, Any] = {
        "type": "source",
        "format": form,
        "source": read.source,
        "license": read.license,
        "sha256": hashlib.sha256(data).hexdigest(),
        "kept": read.kept,
    }
    lines = [first, *(_line(outcome) for outcome in made.outcomes)]
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def _line(outcome: Outcome) -> dict[str, Any]:
    return {
        "type": "entry",
        "at": outcome.row.at,
        "outcome": outcome.status,
        "target_ids": outcome.target_ids,
        "reason": outcome.reason,
        "notes": outcome.row.notes,
        "kept": outcome.row.kept,
    }


def _told(outcomes: Sequence[Outcome], beside: Path | None) -> list[str]:
    """Say what was not mapped, merged, or mapped in part."""
    limit = _TOLD_ALONE if beside is None else _TOLD
    lines: list[str] = []
    for status, words in (("not_mapped", "not mapped"), ("merged", "merged")):
        chosen = [o for o in outcomes if o.status == status]
        lines += [f"{o.row.at}: {words}: {o.reason}" for o in chosen[:limit]]
        if len(chosen) > limit:
            where = "" if beside is None else f"; all of them: {beside}"
            lines.append(f"… and {len(chosen) - limit} more {words}{where}")
    notes = Counter(note for o in outcomes if o.status != "not_mapped" for note in o.row.notes)
    return lines + [f"{count} of them: {note}" for note, count in sorted(notes.items())]


def _closing(form: str, made: Assembled) -> str:
    counts = Counter(outcome.status for outcome in made.outcomes)
    assert made.targets is not None
    return (
        f"{form}: {counts['imported']} imported as {len(made.targets.targets)} targets, "
        f"{counts['merged']} merged, {counts['not_mapped']} not mapped"
    )
