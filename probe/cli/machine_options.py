"""Options of what concerns this machine and its person. Importing this costs nothing."""

import argparse
import re
from typing import Any, Final, Literal, get_args

Grant = Literal["measure", "publish"]
GRANTS: Final[tuple[Grant, ...]] = get_args(Grant)

Kind = Literal["systemd", "cron", "launchd", "termux", "openwrt", "windows"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
"""Timers, by what runs them."""

_UNITS: Final = {"m": 1, "h": 60, "d": 1440}


def minutes_of(text: str) -> int:
    """Return the minutes of a time such as ``30m``, ``6h`` or ``1d``.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text, re.ASCII)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a time such as 30m, 6h or 1d")
    return int(found[1]) * _UNITS[found[2]]


def add_schedule_parser(commands: Any) -> None:
    """Declare ``schedule`` and its options."""
    schedule = commands.add_parser(
        "schedule",
        help="measure from time to time, by a timer of the operating system",
        description="`show` prints what `install` writes and runs, and `remove` takes away.",
    )
    actions = schedule.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("show", "print the timer; nothing is written"),
        ("install", "print it, ask, and install it"),
        ("remove", "take it away"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("--kind", choices=KINDS, help="default: this system's")
        action.add_argument(
            "--every", type=minutes_of, default=360, metavar="6h", help="15m to 7d; default 6h"
        )
        action.add_argument(
            "--folder", default=".", metavar="DIR", help="where results/ lies (default: here)"
        )
        action.add_argument("--yes", action="store_true", help="do not ask")
        action.add_argument(
            "words", nargs="*", metavar="-- CHECK", help="what `check` is given: -- signal -4"
        )


def add_consent_parser(commands: Any) -> None:
    """Declare ``consent`` and its options."""
    consent = commands.add_parser("consent", help="show, grant or revoke what you agreed to")
    actions = consent.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("show", help="what is granted, and where it is written")
    grant = actions.add_parser("grant", help="agree, as the question at the first run would ask")
    grant.add_argument("grants", nargs="+", choices=GRANTS)
    revoke = actions.add_parser("revoke", help="take it back (all, unless named)")
    revoke.add_argument("grants", nargs="*", metavar="measure|publish")


def add_doctor_parser(commands: Any) -> None:
    """Declare ``doctor`` and its options."""
    doctor = commands.add_parser(
        "doctor", help="what this machine has and what is missing; sends nothing"
    )
    doctor.add_argument("--results", default="results", metavar="DIR", help="where to store")
    doctor.add_argument("-f", "--format", choices=("table", "json"), default="table")
    doctor.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII")
