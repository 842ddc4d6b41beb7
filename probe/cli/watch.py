"""``reachwatch watch``: check again and again in the foreground, until told to stop."""

import argparse
import random
import sys
import time
from functools import partial
from typing import Final

from probe.cli.errors import (
    EXIT_EXPECT,
    EXIT_FAIL_ON,
    EXIT_NO_NETWORK,
    EXIT_OK,
    EXIT_USAGE,
    CommandError,
)
from probe.cli.timers import LEAST_MINUTES, MOST_MINUTES

GOES_ON: Final = frozenset({EXIT_OK, EXIT_NO_NETWORK, EXIT_EXPECT, EXIT_FAIL_ON})
"""Outcomes of a run after which the next one makes sense: a dead line comes back."""

_JITTER: Final = 0.1
"""Part of the pause by which it varies: a clockwork would stand out on the line."""


def watch_command(args: argparse.Namespace) -> int:
    """Run ``watch``; ends with the last run's code, or as a signal says.

    Raises:
        CommandError: as from ``check``, or a time that is none.
    """
    import trio  # noqa: PLC0415 - start-up time

    from probe.cli.check import check_command  # noqa: PLC0415 - start-up time
    from probe.cli.supervise import run_supervised  # noqa: PLC0415 - start-up time

    if not LEAST_MINUTES <= args.every <= MOST_MINUTES:
        raise CommandError(EXIT_USAGE, [f"--every: expected from {LEAST_MINUTES}m to 7d"])
    if args.runs is not None and args.runs < 1:
        raise CommandError(EXIT_USAGE, ["--runs: expected 1 or more"])
    done = 0
    while True:
        started = time.monotonic()
        code = check_command(args)
        done += 1
        if code not in GOES_ON or done == args.runs:
            return code
        # Whoever reads a log or a pipe has this run before the next, hours later.
        sys.stdout.flush()
        jitter = random.SystemRandom().uniform(-_JITTER, _JITTER)
        pause = max(args.every * 60 * (1 + jitter) - (time.monotonic() - started), 0)
        if not args.quiet:
            print(f"next run in {pause / 60:.0f} minutes; Ctrl-C stops", file=sys.stderr)  # noqa: T201 - the room that prints
        run_supervised(partial(trio.sleep, pause), "stopped; all runs are stored")
