"""``reachwatch schedule``: timers of the operating system, shown before they are written."""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from probe.cli.consent import stored
from probe.cli.errors import EXIT_BAD_INPUT, EXIT_NO_CONSENT, EXIT_OK, EXIT_USAGE, CommandError
from probe.cli.machine_options import Kind
from probe.cli.timers import MARK, Job, Timer, timer


def schedule_command(args: argparse.Namespace) -> int:
    """Run ``schedule``.

    Raises:
        CommandError: the timer cannot be made, written or started, or nobody agreed to it.
    """
    found = _timer(args)
    if args.action == "remove":
        _remove(found)
        return EXIT_OK
    for line in _lines(found):
        print(line)  # noqa: T201 - the room that prints
    if args.action == "install":
        # A timer runs without this shell's environment: only what is written counts.
        if stored().measure is None:
            raise CommandError(
                EXIT_NO_CONSENT,
                [
                    "a timer measures when nobody can be asked: first",
                    "`reachwatch consent grant measure`",
                ],
            )
        if not args.yes and not _agreed():
            raise CommandError(EXIT_NO_CONSENT, ["nothing was written"])
        _install(found)
    return EXIT_OK


def this_kind() -> Kind:
    """Return the timer that this system has."""
    if "com.termux" in os.environ.get("PREFIX", ""):
        return "termux"
    if sys.platform == "darwin":
        return "launchd"
    if sys.platform == "win32":
        return "windows"
    if Path("/etc/openwrt_release").exists():
        return "openwrt"
    return "systemd" if Path("/run/systemd/system").is_dir() else "cron"


def _timer(args: argparse.Namespace) -> Timer:
    folder = Path(args.folder).absolute()
    if not _is_text(str(folder)):
        raise CommandError(EXIT_USAGE, ["--folder: holds a line break, or is not UTF-8"])
    command = (*_this_program(), "check", "--quiet", *args.words)
    if not all(map(_is_text, command)):
        raise CommandError(EXIT_USAGE, ["a word holds a line break, or is not UTF-8"])
    if args.action != "remove":
        from probe.cli.main import build_parser  # noqa: PLC0415 - the other way round above

        # Nobody sees what a timer's runs complain about.
        build_parser().parse_args(["check", "--quiet", *args.words])
        if not folder.is_dir():
            raise CommandError(EXIT_BAD_INPUT, [f"--folder: there is no directory {folder}"])
    kind = args.kind or this_kind()
    try:
        return timer(kind, Job(command, args.every, Path.home(), folder, str(Path.home())))
    except ValueError as error:
        raise CommandError(EXIT_USAGE, [f"--every: {error}"]) from None


def _this_program() -> tuple[str, ...]:
    """Return the words that start this program again, as it was started now.

    The module's name alone is found by the Python of a virtual environment; a one-file
    archive and the Debian package know their parts only by their own script.
    """
    script = Path(sys.argv[0]).absolute()
    if script.is_file() and (script.stem == "reachwatch" or script.suffix == ".pyz"):
        return (sys.executable, str(script))
    return (sys.executable, "-m", "probe.cli.main")


def _is_text(word: str) -> bool:
    return all(ord(sign) >= 32 and not 0xD800 <= ord(sign) < 0xE000 for sign in word)


def _lines(found: Timer) -> list[str]:
    lines = []
    for path, text in found.files:
        lines += [f"# {path}", *text.splitlines(), ""]
    if found.crontab_line:
        lines += ["# a line for `crontab -e`", found.crontab_line, ""]
    lines += [f"$ {' '.join(command)}" for command in found.install]
    lines += [f"# {note}" for note in found.notes]
    return lines


def _agreed() -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Install this? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _install(found: Timer) -> None:
    for path, text in found.files:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # What `check` is given may hold a proxy's password: for this person alone.
            path.touch(mode=0o600)
            path.write_text(text, encoding="utf-16" if found.kind == "windows" else "utf-8")
        except OSError as error:
            raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None
    if found.crontab_line:
        _write_crontab([*_foreign_lines(), found.crontab_line])
    for command in found.install:
        _run(command)


def _remove(found: Timer) -> None:
    """Take all away; what cannot be undone is said after the rest is."""
    problems: list[CommandError] = []
    if found.crontab_line:
        _write_crontab(_foreign_lines())
    for command in found.remove:
        try:
            _run(command)
        except CommandError as error:
            problems.append(error)
    for path, _ in found.files:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            problems.append(CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]))
    if problems:
        raise CommandError(EXIT_BAD_INPUT, [line for one in problems for line in one.lines])


def _foreign_lines() -> list[str]:
    """Return the lines of the person's crontab that are not ours."""
    done = subprocess.run([_program("crontab"), "-l"], capture_output=True, check=False)  # noqa: S603 - a program of the system
    if done.returncode and not _NO_CRONTAB.search(done.stderr):
        # What cannot be read would be lost by writing.
        said = done.stderr.decode(errors="replace").strip().splitlines()[:3]
        raise CommandError(EXIT_BAD_INPUT, ["crontab -l: failed; nothing is written", *said])
    text = done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""
    # Not splitlines, which knows ends of lines that cron does not.
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line for line in lines if not line.endswith(MARK)]


_NO_CRONTAB: Final = re.compile(rb"no crontab for|No such file", re.IGNORECASE)
"""What cron's and busybox's programs say where a person has none yet."""


def _write_crontab(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
    _run(("crontab", "-"), text)


def _run(command: tuple[str, ...], text: bytes | None = None) -> None:
    done = subprocess.run(  # noqa: S603 - printed before
        [_program(command[0]), *command[1:]], input=text, capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()[:3]
        raise CommandError(EXIT_BAD_INPUT, [f"{' '.join(command)}: failed", *said])


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise CommandError(EXIT_BAD_INPUT, [f"{name}: no such program here"])
    return path
