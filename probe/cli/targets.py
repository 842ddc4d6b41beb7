"""``reachwatch targets``: list, show, validate, schema, import."""

import argparse
import sys
from pathlib import Path

import msgspec
import orjson

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_OK, CommandError
from probe.cli.inputs import LoadedTargets, embedded_targets, read_targets
from probe.model.codec import targets_schema


def targets_command(args: argparse.Namespace) -> int:
    """Run one action of ``targets``."""
    match args.action:
        case "import":
            from probe.cli.targets_import import import_command  # noqa: PLC0415 - start-up time

            return import_command(args)
        case "list":
            _list(_load(args.file))
        case "show":
            _show(_load(args.file), args.id)
        case "validate":
            loaded = read_targets(Path(args.file))
            endpoints = sum(len(target.endpoints) for target in loaded.targets.targets)
            _say(
                f"{args.file}: valid, {len(loaded.targets.services)} services, "
                f"{len(loaded.targets.targets)} targets, {endpoints} endpoints"
            )
        case _:
            _say(print_schema(targets_schema()))
    return EXIT_OK


def print_schema(schema: dict[str, object]) -> str:
    """Return a schema as it is published in docs/schema."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()


def _load(file: str | None) -> LoadedTargets:
    return embedded_targets() if file is None else read_targets(Path(file))


def _list(loaded: LoadedTargets) -> None:
    for service in loaded.targets.services:
        _say(f"{service.id:<28} {service.name} ({service.category_code})")
        for target in loaded.targets.targets:
            if target.service == service.id:
                count = len(target.endpoints)
                _say(
                    f"  {target.id:<26} {count:>3} endpoint{'s' if count != 1 else ' '}  "
                    f"{target.combination_rule}  {target.name}"
                )


def _show(loaded: LoadedTargets, wanted: str) -> None:
    services = [s for s in loaded.targets.services if s.id == wanted]
    targets = [t for t in loaded.targets.targets if wanted in {t.id, t.service}]
    if not services and not targets:
        raise CommandError(EXIT_BAD_INPUT, [f"no service or target {wanted!r} in the list"])
    document = msgspec.to_builtins({"services": services, "targets": targets})
    _say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
