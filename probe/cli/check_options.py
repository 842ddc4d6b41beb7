"""Options of ``check`` and ``watch``. Importing this costs nothing."""

import argparse
from typing import Any

from probe.cli.formats.wanted import FORMATS, parse_wanted
from probe.cli.machine_options import minutes_of
from probe.locale import ENVIRONMENT, NAMES

STATES = ("insufficient", "down", "impaired", "likely_blocked", "blocked")


def add_check_parser(commands: Any) -> None:
    """Declare ``check``."""
    check = commands.add_parser(
        "check",
        help="measure once and answer: is it me, how is it done, what works",
        description="Measure services from this network. Nothing is uploaded.",
    )
    _add_options(check)
    check.add_argument("-n", "--dry-run", action="store_true", help="print the plan and stop")


def add_watch_parser(commands: Any) -> None:
    """Declare ``watch``: what ``check`` has, and how often."""
    watch = commands.add_parser(
        "watch",
        help="check again and again in the foreground",
        description="Check, wait, and check again until stopped. `schedule` does it without you.",
    )
    watch.add_argument(
        "--every", type=minutes_of, default=360, metavar="6h", help="15m to 7d; default 6h"
    )
    watch.add_argument("--runs", type=int, default=None, metavar="N", help="stop after so many")
    _add_options(watch)
    watch.set_defaults(dry_run=False)


def _add_options(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "items",
        nargs="*",
        metavar="ID|FILE|URL|HOST",
        help="service or target id of the built-in list, a targets file, a text file with one "
        "URL or host a line, a URL, or a host (default: telegram)",
    )
    check.add_argument("--results", default="results", metavar="DIR", help="where to store")
    check.add_argument(
        "-f",
        "--format",
        action="append",
        type=parse_wanted,
        default=[],
        metavar="FORMAT[=PATH]",
        help=f"{', '.join(FORMATS)}: to standard output, or to a file (repeatable; default: table)",
    )
    check.add_argument(
        "--with-ways",
        action="store_true",
        help="tell in files, csv, md and the like which ways around work; these may be public",
    )
    check.add_argument(
        "--proxy",
        action="append",
        default=[],
        metavar="URL",
        help="also try this way around: socks5://… (a local Tor or VPN too), http://… or "
        "tg://proxy?… (repeatable; never stored)",
    )
    check.add_argument(
        "--ways",
        action="store_true",
        help="where the direct way fails, try ways around it, which those who watch may notice",
    )
    check.add_argument(
        "--also",
        action="append",
        default=[],
        choices=("locate", "residual", "throttling", "key"),
        help="a test that disturbs or costs more: at which hop hellos are interfered with; for "
        "how long a place stays closed (minutes); longer transfers (2 MB); whether data centres "
        "hold Telegram's key. Repeatable",
    )
    check.add_argument(
        "-y", "--yes", action="store_true", help="agree to measure, for this run (see consent)"
    )
    check.add_argument("-4", dest="only", action="store_const", const=4, help="IPv4 only")
    check.add_argument("-6", dest="only", action="store_const", const=6, help="IPv6 only")
    check.add_argument("--seed", type=int, default=None, help="order of the plan (for repeats)")
    check.add_argument("--probe-cc", default="ZZ", metavar="CC", help="your country, if you like")
    check.add_argument("--probe-asn", type=int, default=0, metavar="N", help="your AS number")
    check.add_argument(
        "--network-type",
        default="unknown",
        choices=("unknown", "home", "mobile", "work", "vpn", "lab"),
        help="kind of your network",
    )
    check.add_argument(
        "--fail-on", choices=STATES, default=None, help="exit 10 if a target is this bad or worse"
    )
    check.add_argument(
        "--expect",
        metavar="FILE",
        help='exit 11 if targets are not as this JSON says: {"telegram/web": "ok"}',
    )
    check.add_argument(
        "--lab",
        metavar="SCENARIO",
        help="check a simulated service behind a simulated censor, on loopback: lab list",
    )
    check.add_argument("--ascii", action="store_true", help="no symbols beyond ASCII, so English")
    check.add_argument(
        "--lang",
        choices=tuple(NAMES),
        default=None,
        help=f"language of what is said to people (default: {ENVIRONMENT}, then the system's); "
        "what is stored and what programs read stays English",
    )
    check.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
