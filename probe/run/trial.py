"""One endpoint at one address: attempts, and what separates explanations when they fail.

Waiting costs more than asking: a follow-up starts as soon as an attempt has been
silent for suspiciously long, not when it has given up.
"""

from collections.abc import Iterable
from typing import Final, Protocol

import msgspec
import trio

from probe.model.failure import (
    CERTIFICATE,
    DNS_SERVFAIL,
    DNS_TEMPORARY,
    EOF,
    SKIPPED,
    TIMEOUTS,
)
from probe.model.observation import Observation, Step
from probe.model.step import Chain, HttpRequest, TlsHandshake, Trigger
from probe.run.chain import Progress
from probe.verdict.fingerprints import match_page
from probe.verdict.hellos import ONE_SEGMENT
from probe.verdict.pace import is_settled, is_slow

POLL_S: Final = 0.1

MAX_REPEATS: Final = 2
"""Attempts beyond the promised number that a bad minute of our own may cost."""

EARLY_SHARE: Final = 0.8
"""An answer sooner than this share of the connect's round trip cannot be the host's;
the margin is for a round trip that happened to be slow."""

_WORTH_ASKING_AGAIN: Final = frozenset({EOF, DNS_SERVFAIL, DNS_TEMPORARY})
"""Resolvers fail for a moment; they do not deny for a moment."""

_FAILED: Final[dict[Step, Trigger]] = {
    "tcp": "connect_failed",
    "tls": "hello_failed",
    "http": "http_failed",
    "mtproto": "mtproto_failed",
    "quic": "quic_failed",
}


class Host(Protocol):
    """What a trial asks of the engine."""

    observations: list[Observation]

    async def attempt(
        self, chain: Chain, address: str | None, number: int, progress: Progress | None = None
    ) -> list[Observation]:
        """Carry out one attempt and record it."""

    def follow_ups(self, chain: Chain, trigger: Trigger, address: str | None) -> Iterable[Chain]:
        """Return what the plan declares, and has not been done yet."""

    def may_spend(self) -> bool:
        """Tell whether the run has used less bytes and time than it may."""

    def may_hedge(self) -> bool:
        """Tell whether silence may be taken for suspicious before its time is over."""

    def was_bad_since(self, start: float) -> bool:
        """Tell whether controls failed since then."""

    async def wait_for_calm(self) -> None:
        """Wait for controls to work again."""


def _is_alike(row: Observation, other: Observation) -> bool:
    return (row.step, row.failure) == (other.step, other.failure)


class Trial:
    """Carries out a chain at an address with all that follows from it.

    ``like`` is the failure of the direct way, where this is one around: one that ends as
    that did, at the same step, is no accident and not tried again.
    """

    def __init__(
        self, host: Host, chain: Chain, address: str | None, *, like: Observation | None = None
    ) -> None:
        self._host = host
        self._like = like
        self.chain = chain
        self.address = address
        self.attempts: list[list[Observation]] = []
        self._second_hello: bool | None = None
        """Whether the second form of hello passed, once that is known."""
        self._nursery: trio.Nursery | None = None
        self._separated: dict[Trigger, trio.Event] = {}

    @property
    def succeeded(self) -> bool:
        """Some attempt came to its end."""
        return any(rows and rows[-1].failure is None for rows in self.attempts)

    def last_failure(self) -> Observation | None:
        """Return the failing row of the last attempt, None after success."""
        if self.succeeded or not self.attempts:
            return None
        return self.attempts[-1][-1]

    async def run(self) -> None:
        """Attempt until success, and separate the explanations of failure."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            number = 0
            allowed = self.chain.attempts
            while number < allowed and (number == 0 or self._host.may_spend()):
                number += 1
                started = trio.current_time()
                await self._watch(number, nursery)
                if self.succeeded or await self._is_enough():
                    break
                if number == allowed and number < self.chain.attempts + MAX_REPEATS:
                    await self._host.wait_for_calm()
                    allowed += self._host.was_bad_since(started)
        if self.succeeded:
            await self._after_success()

    async def _watch(self, number: int, nursery: trio.Nursery) -> None:
        """Return when the attempt has ended, or hangs in its connect."""
        progress = Progress()
        done = trio.Event()

        async def go() -> None:
            rows = await self._host.attempt(self.chain, self.address, number, progress)
            self.attempts.append(rows)
            trigger = self._trigger_of(rows[-1]) if rows else None
            if trigger is not None:
                self._begin(trigger)
            done.set()

        nursery.start_soon(go)
        while not done.is_set():
            with trio.move_on_after(max(POLL_S, progress.look_again_s())):
                await done.wait()
            if done.is_set() or not self._is_suspicious(progress):
                continue
            if progress.step == "dns":
                return
            self._begin(_FAILED[progress.step])  # type: ignore[index] # the steps that fall silent
            # Another form passes: a second try of this one is needed, and need not wait.
            is_telling = progress.step in {"tcp", "quic"} or self._second_hello
            if is_telling and number < self.chain.attempts:
                return

    async def _is_enough(self) -> bool:
        """Whether another attempt could not say more than the first."""
        last = self.last_failure()
        if last is None:
            return False
        if self._like is not None and _is_alike(last, self._like):
            return True
        if last.failure in CERTIFICATE or last.failure == SKIPPED:
            return True  # not luck: asking again gives the same
        if last.step == "dns" and last.failure not in TIMEOUTS | _WORTH_ASKING_AGAIN:
            return True  # an answer, if not the one hoped for
        if last.step in {"tls", "mtproto"} and last.failure in TIMEOUTS:
            if self.chain.tactic != "none":
                return True  # the kernel's retransmissions were the other tries
            # A second form of hello with the same name that fails alike is the second try.
            trigger = self._trigger_of(last)
            if trigger in self._separated:
                await self._separated[trigger].wait()
            return self._second_hello is False
        return False

    def _trigger_of(self, row: Observation) -> Trigger | None:
        if row.failure is None:
            return None
        if row.step == "tls" and row.failure in CERTIFICATE:
            return "certificate_failed"
        return _FAILED.get(row.step)

    def _begin(self, trigger: Trigger) -> None:
        """Start what the plan declares for an outcome, once, beside whatever runs."""
        if trigger in self._separated or self.chain.tactic != "none":
            return
        done = self._separated[trigger] = trio.Event()
        assert self._nursery is not None
        self._nursery.start_soon(self._separate, trigger, done)

    async def _separate(self, trigger: Trigger, done: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            for chain in self._host.follow_ups(self.chain, trigger, self.address):
                nursery.start_soon(self._follow, chain)
        done.set()

    async def _follow(self, chain: Chain) -> None:
        """Try a follow-up until it succeeds; some outcomes have follow-ups of their own."""
        last: list[Observation] = []
        async with trio.open_nursery() as nursery:
            for number in range(1, chain.attempts + 1):
                progress = Progress()
                done = trio.Event()
                nursery.start_soon(self._follow_once, chain, number, progress, done, last)
                while not done.is_set() and not self._is_suspicious(progress):
                    with trio.move_on_after(max(POLL_S, progress.look_again_s())):
                        await done.wait()
                if done.is_set() and last[-1].failure in {None, SKIPPED}:
                    break
                if number == 1 and chain.follow_up == "ech":
                    nursery.start_soon(self._also, "ech_failed")
                if self._is_silent_contrast(chain, last):
                    break
        if chain.follow_up == "second_hello" and last[-1].step in {"tls", "mtproto"}:
            self._second_hello = last[-1].failure is None
            if self._second_hello and self._is_long(last[-1]):
                await self._also("hello_varies")

    async def _follow_once(
        self,
        chain: Chain,
        number: int,
        progress: Progress,
        done: trio.Event,
        last: list[Observation],
    ) -> None:
        address = chain.address or self.address
        rows = await self._host.attempt(chain, address, number, progress)
        last.append(rows[-1])
        done.set()

    def _is_suspicious(self, progress: Progress) -> bool:
        return self._host.may_hedge() and progress.is_silent()

    def _is_silent_contrast(self, chain: Chain, last: list[Observation]) -> bool:
        """A harmless name that met silence, retransmissions and all, will meet it again."""
        is_plain = chain.follow_up == "other_name" and bool(last)
        return is_plain and last[-1].step == "tls" and last[-1].failure in TIMEOUTS

    def _is_long(self, row: Observation) -> bool:
        """Whether hellos of this client need more than one packet, so that size may matter."""
        own = [o.first_flight_bytes or 0 for rows in self.attempts for o in rows]
        return max(own, default=0) > ONE_SEGMENT or (row.first_flight_bytes or 0) > ONE_SEGMENT

    async def _also(self, trigger: Trigger) -> None:
        for chain in self._host.follow_ups(self.chain, trigger, self.address):
            await self._follow(chain)

    async def _after_success(self) -> None:
        chain = self.chain
        if chain.tactic != "none" or self.address is None or chain.follow_up is not None:
            return
        last = next(rows[-1] for rows in self.attempts if rows and rows[-1].failure is None)
        await self._also("passed")
        if self._is_odd(last):
            await self._also("answer_odd")
        if is_slow(last, self._host.observations):
            for chain in self._host.follow_ups(self.chain, "http_slow", self.address):
                await self._paired(chain)

    def _is_odd(self, row: Observation) -> bool:
        """Whether a plain-HTTP answer may be somebody else's."""
        has_tls = any(isinstance(step, TlsHandshake) for step in self.chain.steps)
        if row.step != "http" or has_tls or row.status_code is None:
            return False
        rtts = [o.tcp_rtt_s for rows in self.attempts for o in rows if o.tcp_rtt_s is not None]
        is_early = (
            row.first_byte_s is not None
            and bool(rtts)
            and row.first_byte_s < EARLY_SHARE * min(rtts)
        )
        return row.status_code >= 300 or is_early or match_page(row) is not None

    async def _paired(self, contrast: Chain) -> None:
        """A B A B …: interleaved, so that a slow minute slows both."""
        size = next(s.max_body_bytes for s in contrast.steps if isinstance(s, HttpRequest))
        steps = tuple(
            msgspec.structs.replace(step, max_body_bytes=size)
            if isinstance(step, HttpRequest)
            else step
            for step in self.chain.steps
        )
        test = msgspec.structs.replace(self.chain, steps=steps, follow_up="paired")
        contrasts: list[Observation] = []
        tests: list[Observation] = []
        for pair in range(1, contrast.attempts + 1):
            if not self._host.may_spend():
                return
            # The last row of each: the transfer, if the attempt got so far.
            contrasts += (await self._host.attempt(contrast, self.address, pair))[-1:]
            tests += (await self._host.attempt(test, self.address, pair))[-1:]
            if is_settled(tests, contrasts):
                return
