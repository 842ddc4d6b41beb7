"""Consent: who measures is asked once, and a machine that nobody asked measures nothing.

Two grants. *measure*: contact the listed hosts from this network, which whoever runs it can
see. *publish*: pass results on; nothing here does yet, and no other grant implies it. Both are
days in one small file of the person's own; the environment variable `ENVIRONMENT` grants for
one process, ``--yes`` for one run.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Final, Literal

import msgspec
import orjson

from probe.cli.errors import EXIT_BAD_INPUT, EXIT_NO_CONSENT, EXIT_OK, CommandError
from probe.cli.machine_options import GRANTS, Grant
from probe.locale import ENGLISH, Language, marked

ENVIRONMENT: Final = "REACHWATCH_CONSENT"
MAX_BYTES: Final = 4096


class Grants(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was granted, and on which day (the day only: a time is nobody's business)."""

    format: Literal[1] = 1
    measure: date | None = None
    publish: date | None = None


def config_folder() -> Path:
    """Return where this person's settings live, by the custom of the system."""
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming", "reachwatch")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "reachwatch"
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "reachwatch"


def stored() -> Grants:
    """Return what is granted in the file.

    Raises:
        CommandError: the file cannot be read. It is not taken for a grant.
    """
    path = _path()
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return msgspec.convert(orjson.loads(data), Grants)
    except FileNotFoundError:
        return Grants()
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise CommandError(
            EXIT_BAD_INPUT,
            [f"{path}: {error}", "`reachwatch consent revoke` writes it anew"],
        ) from None


def is_granted(grant: Grant) -> bool:
    """Whether the environment or the file grants it.

    Raises:
        CommandError: the variable holds another word, or the file cannot be read.
    """
    words = [word.strip() for word in os.environ.get(ENVIRONMENT, "").split(",") if word.strip()]
    unknown = [word for word in words if word not in GRANTS]
    if unknown:
        raise CommandError(
            EXIT_BAD_INPUT, [f"{ENVIRONMENT}: {unknown[0]!r}: expected measure or measure,publish"]
        )
    return grant in words or getattr(stored(), grant) is not None


def require_measure(
    *, is_given: bool, hosts: Callable[[], Sequence[str]], say: Language = ENGLISH
) -> None:
    """Go on if measuring was granted; ask where somebody can answer.

    Args:
        is_given: granted for this run (``--yes``), or not needed (loopback).
        hosts: what would be contacted, for who wants to see it first.
        say: the language in which the question is asked.

    Raises:
        CommandError: not granted (exit 4).
    """
    if is_given or is_granted("measure"):
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            EXIT_NO_CONSENT,
            [
                "nobody has agreed to measure from this machine, and there is no terminal to ask",
                f"`reachwatch consent grant measure`, {ENVIRONMENT}=measure, or --yes for one run",
            ],
        )
    if not _asked(hosts, say):
        raise CommandError(EXIT_NO_CONSENT, [say("nothing was measured")])
    _store(msgspec.structs.replace(stored(), measure=_today()))


_QUESTION: Final = (
    marked("reachwatch contacts the services you chose from this network, as if you used them."),
    marked("Whoever runs the network can see that. In some places that is a risk to you."),
    marked(
        "Nothing is uploaded; results stay in a folder here and name neither you nor your address."
    ),
    "",
    marked("You are asked once; `reachwatch consent revoke` takes it back."),
)
"""The empty line is the count of hosts."""
MAX_LINES: Final = 8
"""Lines of the question, the prompt included: what is longer is not read."""


def _asked(hosts: Callable[[], Sequence[str]], say: Language) -> bool:
    found = list(hosts())
    n = len(found)
    counted = say.plural(
        "{n} hosts would be contacted. l lists them first.",
        "{n} hosts would be contacted. l lists them first.",
        n,
    )
    for line in _QUESTION:
        _say(say(line) or counted.format(n=n))
    while True:
        # The answers are the same letters in every language: each keyboard can type them.
        sys.stderr.write(f"{say('Measure from this network?')} [y/N/l] ")
        sys.stderr.flush()
        answer = sys.stdin.readline()
        word = answer.strip().lower()
        if word in {"l", "list"}:
            for host in found:
                _say(f"  {host}")
        else:
            # An end of input is no answer, and no answer is no.
            return word in {"y", "yes"}


def consent_command(args: argparse.Namespace) -> int:
    """Run ``consent``.

    Raises:
        CommandError: the file cannot be read or written.
    """
    if args.action == "show":
        grants = stored()
        for name in GRANTS:
            day = getattr(grants, name)
            here = f"granted on {day}" if day else "not granted"
            by_variable = name in os.environ.get(ENVIRONMENT, "").split(",")
            print(f"{name:<8} {here}{f', and by {ENVIRONMENT}' if by_variable else ''}")  # noqa: T201 - the room that prints
        print(f"written in {_path()}")  # noqa: T201 - the room that prints
        return EXIT_OK
    if args.action == "grant":
        _store(msgspec.structs.replace(stored(), **dict.fromkeys(args.grants, _today())))
        return EXIT_OK
    unknown = [name for name in args.grants if name not in GRANTS]
    if unknown:
        raise CommandError(EXIT_BAD_INPUT, [f"{unknown[0]}: expected measure or publish"])
    revoked = args.grants or GRANTS
    # A file that cannot be read grants nothing; taking everything back replaces it.
    before = stored() if args.grants else Grants()
    _store(msgspec.structs.replace(before, **dict.fromkeys(revoked)))
    return EXIT_OK


def _path() -> Path:
    return config_folder() / "consent.json"


def _today() -> date:
    return date.today()  # noqa: DTZ011 - the person's own day


def _store(grants: Grants) -> None:
    path = _path()
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_bytes(orjson.dumps(msgspec.to_builtins(grants)) + b"\n")
        part.chmod(0o600)
        part.replace(path)
    except OSError as error:
        raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201 - the room that prints
