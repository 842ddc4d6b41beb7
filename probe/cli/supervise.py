"""Run something under trio until it is done, or a signal ends it."""

import signal
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from probe.cli.errors import EXIT_INTERRUPT, EXIT_TERMINATED, CommandError
from probe.cli.output import StandardOutputError
from probe.net.tls import TrustError
from probe.store.writer import StoreError
from probe.wire.mtproto.public_key import PublicKeyError

Result = TypeVar("Result")

_ANNOUNCED: Final = (StandardOutputError, StoreError, TrustError, PublicKeyError)
"""What steps and runs say that they raise. Anything else is a bug of ours."""


def run_supervised(work: Callable[[], Awaitable[Result]], stopped: str) -> Result:
    """Return what ``work`` returns.

    Nurseries wrap what their tasks raise into groups, a group in each nursery around it;
    what was announced leaves here as it was raised. Several tasks may meet a full disk at
    once: the first speaks for all. A group with anything else in it stays as it is.

    Raises:
        CommandError: saying ``stopped``, if SIGINT or SIGTERM ended it.
        StandardOutputError: standard output cannot be written.
        StoreError, TrustError, PublicKeyError: as from ``work``.
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

    try:
        trio.run(supervised)
    except ExceptionGroup as group:
        raise _as_announced(group) from None
    if not results:
        code = EXIT_TERMINATED if signal.SIGTERM in stopped_by else EXIT_INTERRUPT
        raise CommandError(code, [stopped])
    return results[0]


def _as_announced(group: ExceptionGroup[Exception]) -> Exception:
    """Return the first error of a group of announced ones, else the group."""
    _, others = group.split(_ANNOUNCED)
    if others is not None:
        return group
    first: Exception = group
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first
