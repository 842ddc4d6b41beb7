"""Tries proxies, many at once and each several times, and ranks them.

Nothing is stored: a list of proxies that work tells a censor what to block.
"""

import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, get_args

import trio

from probe.model import failure as failures
from probe.net.api import Network, ResolutionError
from probe.run.proxy_tries import Sharing, make_tries
from probe.steps.proxy_try import Phase, Terms, Try
from probe.wire.addresses import is_address
from probe.wire.faketls import HelloForm
from probe.wire.proxy_links import ProxyLink

AT_ONCE: Final = 100
"""Proxies tried at once, by one or two tries each. Starts are paced besides; more would
make our own loop late (`probe.run.limits`), and fewer would wait long for the many that
never answer."""

_PHASES: Final[tuple[Phase, ...]] = get_args(Phase)


@dataclass(frozen=True)
class Candidate:
    """A proxy to try. ``position`` is where the user's input names it."""

    proxy_id: str
    position: str
    link: ProxyLink


@dataclass(frozen=True)
class ProxyResult:
    """What came of one proxy.

    For fake TLS, ``form`` is the hellos' with which it works, and ``tries`` are of this
    form; of a proxy that does not work they are all, and ``form`` is of what came farthest.
    """

    candidate: Candidate
    tries: tuple[Try, ...]
    form: HelloForm | None = None

    @property
    def successes(self) -> int:
        """How many tries ended with verified answers."""
        return sum(each.failure is None for each in self.tries)

    @property
    def loss(self) -> float:
        """The share of tries that failed."""
        return 1 - self.successes / len(self.tries)

    @property
    def median_s(self) -> float | None:
        """The median of the times to the first answer, None if it never worked."""
        times = [each.answer_s for each in self.tries if each.answer_s is not None]
        return median(times) if times else None

    @property
    def failed_try(self) -> Try | None:
        """The failed try that came farthest, None if none failed."""
        failed = [each for each in self.tries if each.phase is not None]
        return max(failed, key=_reached, default=None)


@dataclass(frozen=True)
class ProxyChecked:
    """One proxy is done: ``done`` of ``total``."""

    result: ProxyResult
    done: int
    total: int


def new_candidate(link: ProxyLink, position: str, key: bytes) -> Candidate:
    """Give a proxy an id that means something in this run only, whose key this is."""
    digest = hmac.digest(key, link.url().encode(), "sha256").hex()
    return Candidate(digest[:8], position, link)


async def check_proxies(
    candidates: Sequence[Candidate],
    terms: Terms,
    tries: int,
    network: Network,
    say: Callable[[ProxyChecked], None],
) -> tuple[ProxyResult, ...]:
    """Try each proxy up to ``tries`` times and return the results, best first."""
    sharing = Sharing(network, terms, tries)
    results: dict[int, ProxyResult] = {}

    async def work(waiting: Iterator[tuple[int, Candidate]]) -> None:
        for number, candidate in waiting:
            result = await _check(candidate, sharing)
            results[number] = result
            say(ProxyChecked(result, len(results), len(candidates)))

    waiting = enumerate(candidates)
    async with trio.open_nursery() as nursery:
        for _ in range(min(AT_ONCE, len(candidates))):
            nursery.start_soon(work, waiting)
    return tuple(sorted((results[number] for number in sorted(results)), key=_rank))


def _rank(result: ProxyResult) -> tuple[float, ...]:
    """Sort key: what works for current applications, then loss, then time.

    Of those that do not work, the ones that came farther are first: a wrong secret
    can be put right by whoever gave it.
    """
    failed = result.failed_try
    if not result.successes:
        return (2, -_reached(failed) if failed else 0, 0)
    return (result.form == "old", result.loss, result.median_s or 0)


def _reached(each: Try) -> int:
    return -1 if each.phase is None else _PHASES.index(each.phase)


async def _check(candidate: Candidate, sharing: Sharing) -> ProxyResult:
    link = candidate.link
    found = await _resolve(link.host, sharing.terms.timeout_s, sharing.network)
    if isinstance(found, Try):
        return ProxyResult(candidate, (found,))
    made = await make_tries(link, found, sharing)
    if link.kind != "mtproxy_ee":
        return ProxyResult(candidate, tuple(each.outcome for each in made))
    for form in get_args(HelloForm):
        of_form = ProxyResult(
            candidate, tuple(each.outcome for each in made if each.form == form), form
        )
        if of_form.successes:
            return of_form
    farthest = max(made, key=lambda each: _reached(each.outcome))
    return ProxyResult(candidate, tuple(each.outcome for each in made), farthest.form)


async def _resolve(host: str, timeout_s: float, network: Network) -> str | Try:
    """Return an address of the proxy, or the try that ends here."""
    if is_address(host):
        return host
    failure = failures.GENERIC_TIMEOUT
    with trio.move_on_after(timeout_s):
        for family in (4, 6):
            try:
                found = await network.getaddrinfo(host, family)
            except ResolutionError as error:
                failure = failures.from_gai_name(error.name)
                continue
            if found:
                return found[0]
    return Try("name", failure)
