"""The tries of one proxy: which comes next, and when it may."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import trio

from probe.model import failure as failures
from probe.net.api import Network
from probe.run.limits import PENDING_CONNECT_S, Limits, Turn
from probe.steps.proxy_try import Progress, Terms, Try, try_proxy
from probe.wire.addresses import network_of
from probe.wire.faketls import HelloForm
from probe.wire.proxy_links import ProxyLink

GIVE_UP_AFTER: Final = 2
"""So many failures and no success: a third try of a dead proxy costs everybody time."""

NEXT_AFTER_S: Final = 2.5
"""A try that has been silent for so long gets the next one beside it: most proxies of a list
never answer, and two deadlines in a row are all the time that a user has."""

GREETING_AT_ONCE: Final = 6
"""Connections that are made, or open and waiting for their hello, per network, name and form
of hello. Hellos are spaced by `probe.run.limits`, and proxies close on who says none for long:
with 6 it is about 2 s."""

_HELLO_PHASES: Final = frozenset({"fake_tls", "secret"})
"""Where a proxy ends that does not take this form of hello."""


class Made(NamedTuple):
    """A try that was made, with this form of hello if the proxy takes one."""

    form: HelloForm
    outcome: Try


class Sharing:
    """What all tries of a run share."""

    def __init__(self, network: Network, terms: Terms, tries: int) -> None:
        self.network = network
        self.terms = terms
        self.tries = tries
        self.limits = Limits()
        self.nonces: set[bytes] = set()
        self._greeting: dict[tuple[str, str], trio.CapacityLimiter] = defaultdict(
            lambda: trio.CapacityLimiter(GREETING_AT_ONCE)
        )

    def greeting(self, network: str, hello: str) -> trio.CapacityLimiter:
        """Return the limiter for connections in a network that will say this hello."""
        return self._greeting[network, hello]


def next_form(made: Sequence[Made], tries: int, *, is_fake_tls: bool) -> HelloForm | None:
    """Return the form of the next try, None if there is to be none.

    Proxies of 2019 take hellos of 517 bytes only. The old form is tried where the current
    one failed at the hello, once: it then was one of the failures after which a proxy is
    given up. But a proxy counts as old only after the current form failed twice, because
    one failure may be a lost packet.
    """
    current = [each.outcome for each in made if each.form == "current"]
    old = [each.outcome for each in made if each.form == "old"]
    if _works(current) or not is_fake_tls:
        return None if _is_spent(current, tries, math.inf) else "current"
    if _works(old):
        if len(current) < min(GIVE_UP_AFTER, tries):
            return "current"
        return "old" if len(old) < tries else None
    if not _is_spent(current, tries, 1):
        return "current"
    if _hello_failures(current) and not _is_spent(old, tries, 1):
        return "old"
    return None


def _works(tries: Sequence[Try]) -> bool:
    return any(each.failure is None for each in tries)


def _hello_failures(tries: Sequence[Try]) -> int:
    return sum(each.phase in _HELLO_PHASES for each in tries)


def _is_spent(made: Sequence[Try], tries: int, hello_failures: float) -> bool:
    """Tell whether a form was tried often enough."""
    if len(made) >= tries:
        return True
    failed = len(made) >= GIVE_UP_AFTER or _hello_failures(made) >= hello_failures
    return failed and not _works(made)


async def make_tries(link: ProxyLink, address: str, sharing: Sharing) -> tuple[Made, ...]:
    """Try a proxy until it is known, and return the tries in the order of their ends."""
    tries = _Tries(link, address, sharing)
    await tries.make()
    return tuple(tries.made)


class _Tries:
    def __init__(self, link: ProxyLink, address: str, sharing: Sharing) -> None:
        self._link = link
        self._address = address
        self._sharing = sharing
        self._running: list[tuple[HelloForm, Progress]] = []
        self._changed = trio.Event()
        self.made: list[Made] = []

    async def make(self) -> None:
        async with trio.open_nursery() as nursery:
            while self._next_form(self.made) is not None:
                wait_s = self._silent_in_s()
                form = self._next_form([*self.made, *self._supposed()]) if wait_s <= 0 else None
                if form is not None:
                    await nursery.start(self._try, form)
                    continue
                self._changed = trio.Event()
                with trio.move_on_after(wait_s if wait_s > 0 else math.inf):
                    await self._changed.wait()
            # What still runs is of a form that no longer matters.
            nursery.cancel_scope.cancel()

    def _next_form(self, made: Sequence[Made]) -> HelloForm | None:
        is_fake_tls = self._link.kind == "mtproxy_ee"
        return next_form(made, self._sharing.tries, is_fake_tls=is_fake_tls)

    def _silent_in_s(self) -> float:
        """Return when all that runs has been silent for long; at once if nothing does."""
        since = [progress.silent_since for _, progress in self._running]
        return max(since, default=-math.inf) + NEXT_AFTER_S - self._sharing.network.now()

    def _supposed(self) -> list[Made]:
        """Return what runs as if it ended in silence now."""
        return [
            Made(form, Try(progress.phase, failures.GENERIC_TIMEOUT))
            for form, progress in self._running
        ]

    async def _try(
        self, form: HelloForm, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Try once, as soon as its turn comes; it has begun by then."""
        sharing, link = self._sharing, self._link
        where, hello = network_of(self._address), f"{link.domain} {form}"
        connecting = Turn(sharing.limits.connect(where))
        greeting = Turn(sharing.greeting(where, hello))

        async def hello_turn() -> None:
            await sharing.limits.hello(where, hello)
            greeting.give()
            self._changed.set()

        async def lend() -> None:
            # The silent must not hold up a network: so many starts in this time it takes.
            await trio.sleep(PENDING_CONNECT_S)
            connecting.give()
            if progress.phase == "tcp":
                greeting.give()

        try:
            if link.domain:
                await greeting.take()
            await connecting.take()
            await sharing.limits.pacer.wait_turn()
            progress = Progress(hello_turn, sharing.network.now())
            mine = (form, progress)
            self._running.append(mine)
            task_status.started()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lend)
                one = await try_proxy(
                    sharing.network,
                    link,
                    self._address,
                    sharing.terms,
                    form=form,
                    earlier=sharing.nonces,
                    progress=progress,
                )
                nursery.cancel_scope.cancel()
        finally:
            connecting.give()
            greeting.give()
        self._running.remove(mine)
        self.made.append(Made(form, one))
        self._changed.set()
