"""Run something under trio until it is done, or a signal ends it."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from probe.cli.errors import EXIT_INTERRUPT, EXIT_TERMINATED, CommandError

Result = TypeVar("Result")


def run_supervised(work: Callable[[], Awaitable[Result]], stopped: str) -> Result:
    """Return what ``work`` returns.

    Raises:
        CommandError: saying ``stopped``, if SIGINT or SIGTERM ended it.
    """
    stopped_by: list[int] = []
    results: list[Result] = []

    async def listen(scope: trio.CancelScope) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for number in received:
                stopped_by.append(number)
                scope.cancel()

    async def supervised() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, nursery.cancel_scope)
            results.append(await work())
            nursery.cancel_scope.cancel()

    trio.run(supervised)
    if not results:
        code = EXIT_TERMINATED if signal.SIGTERM in stopped_by else EXIT_INTERRUPT
        raise CommandError(code, [stopped])
    return results[0]
