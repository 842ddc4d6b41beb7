"""``reachwatch lab``: simulated censors to look at, to run commands in, and to be judged by."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import orjson

from probe import __version__
from probe.cli.errors import (
    EXIT_BAD_INPUT,
    EXIT_FAIL_ON,
    EXIT_OK,
    EXIT_TERMINATED,
    EXIT_USAGE,
    CommandError,
)
from probe.verdict import RULES_VERSION

if TYPE_CHECKING:
    from censorlab.matrix.outcome import Cell, Outcome
    from censorlab.matrix.run import Prober
    from censorlab.scenarios.cast import Authorities
    from censorlab.scenarios.model import Scenario

OUTCOMES: Final = "outcomes.ndjson"
JOBS_PER_CORE: Final = 3
"""A cell mostly waits: for round trips, and for silence to last."""


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
        description="Without a COMMAND: a shell behind the censor, or, without a terminal, "
        "until interrupted.",
    )
    up.add_argument("name", metavar="NAME")
    up.add_argument("words", nargs="*", metavar="COMMAND", help="after --, with its arguments")
    run = actions.add_parser("run", help="measure scenarios with this prober; truth beside verdict")
    run.add_argument("names", nargs="+", metavar="NAME")
    matrix = actions.add_parser("matrix", help="measure all scenarios; print the confusion matrix")
    matrix.add_argument("names", nargs="*", metavar="NAME", help="scenarios (default: all)")
    matrix.add_argument("--quick", action="store_true", help="every scenario once")
    matrix.add_argument("--loss", type=_shares, metavar="P,P", help="loss each way (0,0.02)")
    matrix.add_argument("--rtt", type=_numbers, metavar="MS,MS", help="round trips (20,150)")
    matrix.add_argument("--seeds", type=int, metavar="N", help="runs of each (5)")
    matrix.add_argument("-j", "--jobs", type=int, metavar="N", help="cells at once")
    matrix.add_argument("-f", "--format", choices=("table", "json"), default="table")
    matrix.add_argument(
        "-o", "--output", default="lab-matrix", metavar="DIR", help="where to store and resume"
    )
    for action in (up, run):
        action.add_argument("--rtt", type=float, default=60.0, metavar="MS")
        action.add_argument("--loss", type=float, default=0.0, metavar="P")
        action.add_argument("--seed", type=int, default=1)
    for action in (up, run, matrix):
        action.add_argument(
            "--form",
            choices=("auto", "middlebox", "independent", "loopback"),
            default="auto",
            help="which censor (auto: packets, and the loopback relay where they cannot be had)",
        )


def _numbers(text: str) -> list[float]:
    return [float(piece) for piece in text.split(",")]


def _shares(text: str) -> list[float]:
    shares = _numbers(text)
    if not all(0 <= share < 1 for share in shares):
        raise argparse.ArgumentTypeError("a share is at least 0 and below 1")
    return shares


def lab_command(args: argparse.Namespace) -> int:
    """Run one of ``lab``'s commands; see docs/exit-codes.md."""
    if args.action == "demo":
        from probe.cli.demo import demo_command  # noqa: PLC0415 - start-up time

        return demo_command(args)
    try:
        from censorlab.scenarios.model import BadScenarioError  # noqa: PLC0415 - extras
    except ModuleNotFoundError as error:
        raise CommandError(EXIT_BAD_INPUT, _missing("lab", error)) from None
    actions: dict[str, Callable[[argparse.Namespace], int]] = {
        "list": _list,
        "up": _up,
        "run": _run,
        "matrix": _matrix,
    }
    try:
        return actions[args.action](args)
    except BadScenarioError as error:
        raise CommandError(EXIT_USAGE, [str(error)]) from None


def _missing(extra: str, error: ModuleNotFoundError) -> list[str]:
    return [
        f"this needs the extra '{extra}' ({error.name} is missing)",
        f"pip install 'reachwatch[{extra}]'",
    ]
