"""Text for the timers of operating systems: made here, kept and run by them.

Sources: systemd.timer(5), systemd.service(5); crontab(5); launchd.plist(5); Termux:API's
termux-job-scheduler; OpenWrt's crond; schtasks (Task Scheduler 2.0 XML schema).
"""

import hashlib
import plistlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from probe.cli.machine_options import Kind

LEAST_MINUTES: Final = 15
"""Termux's own least, and oftener than that a person's line is measured, not used."""
MOST_MINUTES: Final = 7 * 24 * 60
MARK: Final = "# reachwatch"
"""Ends the line of a crontab that is ours."""

_LABEL: Final = "org.reachwatch.check"
_JOB_ID: Final = "2026"
_TASK: Final = "reachwatch check"


@dataclass(frozen=True)
class Timer:
    """What has to be there for a timer: files, a line in a crontab, and commands around them.

    ``install`` runs after files are written, ``remove`` before they go; commands are words.
    ``notes`` say what a person has to know.
    """

    kind: Kind
    files: tuple[tuple[Path, str], ...] = ()
    crontab_line: str | None = None
    install: tuple[tuple[str, ...], ...] = ()
    remove: tuple[tuple[str, ...], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """What is to be run from time to time.

    ``command``: words that measure once; ``minutes`` between runs, from `LEAST_MINUTES` to
    `MOST_MINUTES`; ``home``: the person's folder; ``folder``: where runs start, so that
    ``results`` lies where it is expected; ``salt`` moves the minute, so that not everybody
    measures at the full hour.
    """

    command: tuple[str, ...]
    minutes: int
    home: Path
    folder: Path
    salt: str


def timer(kind: Kind, job: Job) -> Timer:
    """Return the timer of one kind.

    Raises:
        ValueError: minutes that this kind cannot keep: crontabs hold only parts of an hour or
            of a day.
    """
    if not LEAST_MINUTES <= job.minutes <= MOST_MINUTES:
        raise ValueError(f"expected from {LEAST_MINUTES} minutes to 7 days")
    make = {
        "systemd": _systemd, "cron": _cron, "launchd": _launchd,
        "termux": _termux, "openwrt": _openwrt, "windows": _windows,
    }[kind]  # fmt: skip
    return make(job)


def _systemd(job: Job) -> Timer:
    units = job.home / ".config" / "systemd" / "user"
    service = (
        "[Unit]\nDescription=reachwatch: one measurement\n\n"
        "[Service]\nType=oneshot\n"
        f"WorkingDirectory={_unit_path(job.folder)}\n"
        f"ExecStart={' '.join(_unit_word(word) for word in job.command)}\n"
        # No internet is an answer, not a failed unit.
        "SuccessExitStatus=5\nNice=10\n"
    )
    timer_unit = (
        "[Unit]\nDescription=reachwatch: measure from time to time\n\n"
        f"[Timer]\nOnBootSec=5min\nOnUnitActiveSec={job.minutes}min\n"
        f"RandomizedDelaySec={min(job.minutes // 4, 30)}min\n\n"
        "[Install]\nWantedBy=timers.target\n"
    )
    control = ("systemctl", "--user")
    return Timer(
        "systemd",
        files=(
            (units / "reachwatch.service", service),
            (units / "reachwatch.timer", timer_unit),
        ),
        install=((*control, "daemon-reload"), (*control, "enable", "--now", "reachwatch.timer")),
        remove=((*control, "disable", "--now", "reachwatch.timer"),),
        notes=("runs while you are logged in; `loginctl enable-linger` keeps it afterwards",),
    )


def _unit_word(word: str) -> str:
    """Quote a word for ExecStart: ``%`` and ``$`` are its own signs."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'


def _unit_path(path: Path) -> str:
    return str(path).replace("%", "%%")


def _cron(job: Job) -> Timer:
    line = f"{_cron_times(job.minutes, job.salt)} {_cron_command(job.command, job.folder)} {MARK}"
    return Timer("cron", crontab_line=line)


def _openwrt(job: Job) -> Timer:
    restart = ("/etc/init.d/cron", "restart")
    start = ("/etc/init.d/cron", "enable")
    found = _cron(job)
    return Timer(
        "openwrt", crontab_line=found.crontab_line, install=(start, restart), remove=(restart,)
    )  # fmt: skip


def _cron_times(minutes: int, salt: str) -> str:
    at = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:4], "big")
    minute, hour = at % 60, at // 60 % 24
    if minutes < 60 and 60 % minutes == 0:
        return f"{','.join(str(m) for m in range(minute % minutes, 60, minutes))} * * * *"
    if minutes % 60 == 0 and minutes < 1440 and 1440 % minutes == 0:
        step = minutes // 60
        hours = ",".join(str(h) for h in range(hour % step, 24, step))
        return f"{minute} {hours if step > 1 else '*'} * * *"
    if minutes == 1440:
        return f"{minute} {hour} * * *"
    raise ValueError("a crontab keeps 15, 20 or 30 minutes, 1, 2, 3, 4, 6, 8 or 12 hours, or 1 day")


def _cron_command(command: tuple[str, ...], folder: Path) -> str:
    # A per cent sign ends a crontab's command unless it is escaped.
    return f"cd {shlex.quote(str(folder))} && {shlex.join(command)} >/dev/null 2>&1".replace(
        "%", r"\%"
    )


def _launchd(job: Job) -> Timer:
    path = job.home / "Library" / "LaunchAgents" / f"{_LABEL}.plist"
    document = {
        "Label": _LABEL,
        "ProgramArguments": list(job.command),
        "StartInterval": job.minutes * 60,
        "WorkingDirectory": str(job.folder),
        "ProcessType": "Background",
        "LowPriorityIO": True,
    }
    return Timer(
        "launchd",
        files=((path, plistlib.dumps(document).decode()),),
        install=(("launchctl", "load", "-w", str(path)),),
        remove=(("launchctl", "unload", "-w", str(path)),),
    )


def _termux(job: Job) -> Timer:
    script = job.home / ".local" / "share" / "reachwatch" / "check.sh"
    text = (
        "#!/data/data/com.termux/files/usr/bin/sh\n"
        f"cd {shlex.quote(str(job.folder))} && exec {shlex.join(job.command)} >/dev/null 2>&1\n"
    )
    schedule = (
        "termux-job-scheduler", "--job-id", _JOB_ID, "--script", str(script),
        "--period-ms", str(job.minutes * 60_000), "--network", "any", "--persisted", "true",
    )  # fmt: skip
    return Timer(
        "termux",
        files=((script, text),),
        install=(("chmod", "700", str(script)), schedule),
        remove=(("termux-job-scheduler", "--cancel", "--job-id", _JOB_ID),),
        notes=(
            "needs the app Termux:API and `pkg install termux-api`",
            "Android decides when exactly; Termux:Boot starts it after a restart",
        ),
    )


def _windows(job: Job) -> Timer:
    path = job.home / "AppData" / "Local" / "reachwatch" / "task.xml"
    arguments = " ".join(_windows_word(word) for word in job.command[1:])
    text = (
        '<?xml version="1.0" encoding="UTF-16"?>\n'
        '<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">\n'
        "  <Triggers><TimeTrigger>\n"
        f"    <Repetition><Interval>PT{job.minutes}M</Interval></Repetition>\n"
        "    <StartBoundary>2026-01-01T00:07:00</StartBoundary>\n"
        f"    <RandomDelay>PT{min(job.minutes // 4, 30)}M</RandomDelay>\n"
        "  </TimeTrigger></Triggers>\n"
        "  <Settings><StartWhenAvailable>true</StartWhenAvailable>"
        "<RunOnlyIfNetworkAvailable>true</RunOnlyIfNetworkAvailable>"
        "<MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy></Settings>\n"
        "  <Actions><Exec>\n"
        f"    <Command>{escape(job.command[0])}</Command>\n"
        f"    <Arguments>{escape(arguments)}</Arguments>\n"
        f"    <WorkingDirectory>{escape(str(job.folder))}</WorkingDirectory>\n"
        "  </Exec></Actions>\n</Task>\n"
    )
    return Timer(
        "windows",
        files=((path, text),),
        install=(("schtasks", "/Create", "/TN", _TASK, "/XML", str(path), "/F"),),
        remove=(("schtasks", "/Delete", "/TN", _TASK, "/F"),),
    )


def _windows_word(word: str) -> str:
    """Quote a word as the C runtime takes it apart."""
    if word and not any(sign in word for sign in ' \t"'):
        return word
    quoted, backslashes = "", 0
    for sign in word:
        if sign == "\\":
            backslashes += 1
            continue
        quoted += "\\" * (2 * backslashes + 1 if sign == '"' else backslashes) + sign
        backslashes = 0
    end = "\\" * (2 * backslashes)
    return f'"{quoted}{end}"'
