"""What ``reachwatch lab`` takes; apart from what it does, so that help is quick."""

import argparse
from typing import Any, Final

_MAX_RTT_MS: Final = 10_000
"""Beyond any line; a typing error would only look like a hang."""


def configure_lab(commands: Any) -> None:
    """Declare ``lab`` and what is below it."""
    lab = commands.add_parser("lab", help="simulated censors on this machine")
    actions = lab.add_subparsers(dest="action", metavar="ACTION", required=True)
    demo = actions.add_parser(
        "demo", help="measure a scripted history of censorship and draw it (no internet needed)"
    )
    demo.add_argument("-o", "--output", default="demo", help="directory to write (default: demo)")
    listing = actions.add_parser("list", help="the scenarios: what is arranged, what is true")
    listing.add_argument("-f", "--format", choices=("table", "json"), default="table")
    up = actions.add_parser(
        "up",
        help="hold a scenario up, and run a command behind its censor",
        usage="%(prog)s [-h] [--rtt MS] [--loss P] [--seed N] [--form FORM] NAME [-- COMMAND...]",
        description="Without a COMMAND: a shell behind the censor, or, without a terminal, "
        "until interrupted.",
    )
    up.add_argument("name", metavar="NAME")
    up.set_defaults(words=[])
    run = actions.add_parser("run", help="measure scenarios with this prober; truth beside verdict")
    run.add_argument("names", nargs="+", metavar="NAME")
    matrix = actions.add_parser("matrix", help="measure all scenarios; print the confusion matrix")
    matrix.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    matrix.add_argument("--quick", action="store_true", help="every scenario once")
    matrix.add_argument("--loss", type=_shares, metavar="P,P", help="loss each way (0,0.02)")
    matrix.add_argument("--rtt", type=_round_trips, metavar="MS,MS", help="round trips (20,150)")
    matrix.add_argument("--seeds", type=_count, metavar="N", help="runs of each (5)")
    matrix.add_argument("-j", "--jobs", type=_count, metavar="N", help="cells at once")
    matrix.add_argument("-f", "--format", choices=("table", "json"), default="table")
    matrix.add_argument(
        "-o", "--output", default="lab-matrix", metavar="DIR", help="where to store and resume"
    )
    for action in (up, run):
        action.add_argument("--rtt", type=_milliseconds, default=60.0, metavar="MS")
        action.add_argument("--loss", type=_share, default=0.0, metavar="P")
        action.add_argument("--seed", type=int, default=1)
    for action in (run, matrix):
        action.add_argument(
            "--ways",
            action="store_true",
            help="also try ways around, and compare with those that work by construction",
        )
    for action in (up, run, matrix):
        action.add_argument(
            "--form",
            choices=("auto", "middlebox", "independent", "loopback"),
            default="auto",
            help="which censor (auto: packets, and the loopback relay where they cannot be had)",
        )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number") from None


def _milliseconds(text: str) -> float:
    number = _number(text)
    if not 0 <= number <= _MAX_RTT_MS:
        raise argparse.ArgumentTypeError(f"a round trip is 0 to {_MAX_RTT_MS} ms")
    return number


def _share(text: str) -> float:
    number = _number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError("a share is at least 0 and below 1")
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 on")
    return int(text)


def _shares(text: str) -> list[float]:
    return [_share(piece) for piece in text.split(",")]


def _round_trips(text: str) -> list[float]:
    return [_milliseconds(piece) for piece in text.split(",")]
