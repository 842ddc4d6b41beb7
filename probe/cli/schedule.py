"""``reachwatch schedule``: timers of the operating system, shown before they are written."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from probe.cli.consent import is_granted
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
        if not is_granted("measure"):
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
    if any(ord(sign) < 32 for sign in str(folder)):
        raise CommandError(EXIT_USAGE, ["--folder: holds a line break"])
    command = (sys.executable, "-m", "probe.cli.main", "check", "--quiet", *args.words)
    if any(ord(sign) < 32 for word in command for sign in word):
        raise CommandError(EXIT_USAGE, ["a word holds a line break"])
    kind = args.kind or this_kind()
    try:
        return timer(kind, Job(command, args.every, Path.home(), folder, str(Path.home())))
    except ValueError as error:
        raise CommandError(EXIT_USAGE, [f"--every: {error}"]) from None


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
            path.write_text(text, encoding="utf-16" if found.kind == "windows" else "utf-8")
        except OSError as error:
            raise CommandError(EXIT_BAD_INPUT, [f"{path}: {error.strerror}"]) from None
    if found.crontab_line:
        _write_crontab([*_foreign_lines(), found.crontab_line])
    for command in found.install:
        _run(command)


def _remove(found: Timer) -> None:
    for command in found.remove:
        _run(command)
    for path, _ in found.files:
        path.unlink(missing_ok=True)
    if found.crontab_line:
        _write_crontab(_foreign_lines())


def _foreign_lines() -> list[str]:
    """Return the lines of the person's crontab that are not ours."""
    done = subprocess.run([_program("crontab"), "-l"], capture_output=True, check=False)  # noqa: S603 - a program of the system
    # Without a crontab it fails, and there are no lines.
    text = done.stdout.decode(errors="surrogateescape") if done.returncode == 0 else ""
    return [line for line in text.splitlines() if not line.endswith(MARK)]


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
