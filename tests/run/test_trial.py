"""One endpoint: when it is tried again, what starts beside it, and when that is enough."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pytest
import trio

import fakes
from facts import Scene
from probe.model import failure as failures
from probe.model.observation import FollowUp, Observation, Step, Tactic
from probe.model.step import (
    Chain,
    HttpRequest,
    Owner,
    StepSpec,
    TcpConnect,
    TlsHandshake,
    Trigger,
)
from probe.net.api import TcpInfo
from probe.run.chain import (
    CONNECT_PATIENCE_S,
    HELLO_PATIENCE_RTTS,
    HELLO_PATIENCE_S,
    QUERY_PATIENCE_S,
    Progress,
)
from probe.run.trial import MAX_REPEATS, POLL_S, Trial
from probe.verdict.hellos import ONE_SEGMENT
from probe.verdict.pace import MIN_PAIRS

ADDRESS = "198.51.100.1"
ATTEMPTS = 2
RTT_S = 0.05
SILENCE = "generic_timeout_error"
RESET = "connection_reset"

Scripted = tuple[Step, float, str | None]
"""A step, the seconds that it takes, and what it ends with."""

SILENT_CONNECT: list[Scripted] = [("tcp", 3.3, SILENCE)]
SILENT_HELLO: list[Scripted] = [("tcp", RTT_S, None), ("tls", 2.2, SILENCE)]
RESET_HELLO: list[Scripted] = [("tcp", RTT_S, None), ("tls", RTT_S, RESET)]
OK: list[Scripted] = [("tcp", RTT_S, None), ("tls", 2 * RTT_S, None)]


class Connection(fakes.FakeTcpConnection):
    """Something that has been connected to and says nothing."""

    def tcp_info(self) -> TcpInfo | None:
        return TcpInfo(RTT_S, 0, 0, 1, 1, 0)


@dataclass
class Host:
    """Plays attempts by a script of (follow-up, attempt); what is not in it succeeds."""

    script: dict[tuple[FollowUp | None, int], list[Scripted]]
    declared: dict[Trigger, list[Chain]] = field(default_factory=dict)
    is_hasty: bool = True
    budget: int = 100
    bad_times: int = 0
    first_flight_bytes: int = ONE_SEGMENT + 1
    observations: list[Observation] = field(default_factory=list)
    started: dict[FollowUp | None, list[float]] = field(default_factory=lambda: defaultdict(list))
    order: list[FollowUp | None] = field(default_factory=list)
    calls_for_calm: int = 0
    scene: Scene = field(default_factory=Scene)

    async def attempt(
        self, chain: Chain, address: str | None, number: int, progress: Progress | None = None
    ) -> list[Observation]:
        progress = progress or Progress()
        self.started[chain.follow_up].append(trio.current_time())
        self.order.append(chain.follow_up)
        self.budget -= 1
        rows = []
        # The test's own transfers in pairs are as slow as the one that raised suspicion.
        key = (chain.follow_up if chain.role == "contrast" else None, number)
        for step, seconds, failure in self.script.get(key, OK):
            progress.enter(step)
            if step != "tcp":
                progress.connection = Connection(fakes.Row(ADDRESS))
            t0 = trio.current_time()
            await trio.sleep(seconds)
            rows.append(
                self.scene.add(
                    step=step,
                    failure=failure,
                    address=address,
                    follow_up=chain.follow_up,
                    role=chain.role,
                    attempt=number,
                    t0=t0,
                    t=trio.current_time(),
                    first_flight_bytes=self.first_flight_bytes if step == "tls" else None,
                    received_bytes=20_000 if step == "http" else 0,
                    body_duration_s=seconds if step == "http" else None,
                )
            )
        self.observations += rows
        return rows

    def follow_ups(self, chain: Chain, trigger: Trigger, address: str | None) -> Iterable[Chain]:
        return self.declared.pop(trigger, ())

    def may_spend(self) -> bool:
        return self.budget > 0

    def may_hedge(self) -> bool:
        return self.is_hasty

    def was_bad_since(self, start: float) -> bool:
        self.bad_times -= 1
        return self.bad_times >= 0

    async def wait_for_calm(self) -> None:
        self.calls_for_calm += 1
        await trio.sleep(1)


TLS = TlsHandshake(server_name="a.example", alpn=(), trust="public", timeout_s=6)
PAGE = HttpRequest(host="a.example", path="/", max_body_bytes=24_000, timeout_s=8)


def chain_of(
    follow_up: FollowUp | None = None,
    trigger: Trigger = "start",
    *,
    attempts: int = ATTEMPTS,
    tactic: Tactic = "none",
    steps: Sequence[StepSpec] = (TcpConnect(timeout_s=3.3), TLS),
) -> Chain:
    return Chain(
        role="test" if follow_up is None else "contrast",
        owner=Owner(endpoint_id=f"{ADDRESS}:443", member=ADDRESS, target_id="a/web"),
        port=443,
        address=ADDRESS,
        follow_up=follow_up,
        trigger=trigger,
        attempts=attempts,
        tactic=tactic,
        steps=tuple(steps),
    )


def beside(*found: tuple[FollowUp, Trigger]) -> dict[Trigger, list[Chain]]:
    """Declare one attempt each of some follow-ups."""
    declared: dict[Trigger, list[Chain]] = defaultdict(list)
    for follow_up, trigger in found:
        declared[trigger].append(chain_of(follow_up, trigger, attempts=1))
    return dict(declared)


def tried(host: Host, chain: Chain | None = None) -> list[float]:
    """Run a trial; return when its own attempts began, from the first."""
    trial = Trial(host, chain or chain_of(), ADDRESS)
    fakes.play(trial.run)
    own = host.started[None]
    return [round(at - own[0], 3) for at in own]


def begun(host: Host, follow_up: FollowUp) -> list[float]:
    """Return when a follow-up began, from the first attempt."""
    return [round(at - host.started[None][0], 3) for at in host.started[follow_up]]


def is_about(at: float, expected: float) -> bool:
    """Silence is looked at now and then, so it is noticed a little later."""
    return expected <= at <= expected + 2 * POLL_S


def test_success_needs_no_second_attempt() -> None:
    host = Host({}, beside(("ech", "passed"), ("other_name", "hello_failed")))

    assert tried(host) == [0.0]
    assert host.order == [None, "ech"]


def test_a_second_connect_starts_while_the_first_is_silent() -> None:
    """Waiting costs more than asking; so do the probes that tell why it is silent."""
    host = Host(
        {(None, 1): SILENT_CONNECT, (None, 2): SILENT_CONNECT},
        beside(("other_port", "connect_failed"), ("udp_twin", "connect_failed")),
    )

    first, second = tried(host)

    assert first == 0.0
    assert is_about(second, CONNECT_PATIENCE_S)
    assert begun(host, "other_port") == begun(host, "udp_twin") == [second]


def test_a_hedge_that_is_answered_ends_the_trial() -> None:
    """The first attempt is waited for and recorded, and nothing else is tried."""
    host = Host({(None, 1): SILENT_CONNECT})
    trial = Trial(host, chain_of(), ADDRESS)

    fakes.play(trial.run)

    assert [rows[-1].failure for rows in trial.attempts] == [None, SILENCE]
    assert trial.succeeded
    assert trial.last_failure() is None


def test_on_a_slow_line_nothing_is_suspicious_before_its_time() -> None:
    """More load would make it slower: everything waits for the first attempt's end."""
    host = Host(
        {(None, 1): SILENT_CONNECT, (None, 2): SILENT_CONNECT},
        beside(("other_port", "connect_failed")),
        is_hasty=False,
    )

    assert tried(host) == [0.0, 3.3]
    assert begun(host, "other_port") == [3.3]


def test_a_silent_hello_is_separated_before_it_has_failed() -> None:
    """After two retransmissions; and once, although it fails later too."""
    host = Host(
        {(None, 1): SILENT_HELLO, ("second_hello", 1): SILENT_HELLO},
        beside(("second_hello", "hello_failed"), ("other_name", "hello_failed")),
    )
    tried(host)

    (at,) = begun(host, "other_name")
    assert is_about(at, RTT_S + HELLO_PATIENCE_S + HELLO_PATIENCE_RTTS * RTT_S)
    assert len(host.started["second_hello"]) == 1


def test_a_second_form_of_hello_that_fails_alike_is_the_second_try() -> None:
    """The same name, the same silence: a third hello would say no more."""
    host = Host(
        {(None, 1): SILENT_HELLO, ("second_hello", 1): SILENT_HELLO},
        beside(("second_hello", "hello_failed")),
    )

    assert tried(host) == [0.0]


@pytest.mark.parametrize("second", [OK, SILENT_CONNECT, RESET_HELLO])
def test_a_second_form_that_says_otherwise_is_no_second_try(second: list[Scripted]) -> None:
    """If it passes, or its connect fails; and a reset is always tried again."""
    first = RESET_HELLO if second == RESET_HELLO else SILENT_HELLO
    host = Host(
        {(None, 1): first, (None, 2): first, ("second_hello", 1): second},
        beside(("second_hello", "hello_failed")),
    )

    assert len(tried(host)) == ATTEMPTS


@pytest.mark.parametrize(
    ("second", "size", "expected"),
    [(OK, ONE_SEGMENT + 1, 1), (OK, ONE_SEGMENT, 0), (RESET_HELLO, ONE_SEGMENT + 1, 0)],
)
def test_forms_of_hello_are_tried_where_form_matters(
    second: list[Scripted], size: int, expected: int
) -> None:
    """Once another form passes, and if hellos are long enough to be cut in two."""
    host = Host(
        {(None, 1): RESET_HELLO, (None, 2): RESET_HELLO, ("second_hello", 1): second},
        beside(("second_hello", "hello_failed"), ("small_hello", "hello_varies")),
        first_flight_bytes=size,
    )
    tried(host)

    assert len(host.started["small_hello"]) == expected


@pytest.mark.parametrize(
    ("failing", "trigger"),
    [
        (("tls", "ssl_invalid_hostname"), "certificate_failed"),
        (("tls", "ssl_unknown_authority"), "certificate_failed"),
        (("quic", failures.SKIPPED), None),
        (("dns", "dns_nxdomain_error"), None),
    ],
)
def test_what_asking_again_cannot_change_is_asked_once(
    failing: tuple[Step, str], trigger: Trigger | None
) -> None:
    """A certificate, a missing library, an answer that is not the one hoped for."""
    step, failure = failing
    host = Host({(None, 1): [(step, RTT_S, failure)]}, beside(("other_name", "certificate_failed")))

    assert tried(host) == [0.0]
    assert bool(host.started["other_name"]) == (trigger is not None)


def test_a_question_is_asked_again_while_the_first_is_unanswered() -> None:
    host = Host({(None, 1): [("dns", 1.5, SILENCE)], (None, 2): [("dns", 1.5, SILENCE)]})

    first, second = tried(host)

    assert is_about(second - first, QUERY_PATIENCE_S)


@pytest.mark.parametrize("failure", [failures.DNS_SERVFAIL, failures.EOF])
def test_a_resolver_that_fails_for_a_moment_is_asked_again(failure: str) -> None:
    """That is no denial."""
    host = Host({(None, 1): [("dns", RTT_S, failure)], (None, 2): [("dns", RTT_S, None)]})

    assert len(tried(host)) == 2


@pytest.mark.parametrize("bad_times", range(5))
def test_what_failed_in_a_bad_minute_is_tried_again(bad_times: int) -> None:
    """After it, once for each, and not for ever."""
    always = {(None, number): RESET_HELLO for number in range(1, 20)}
    host = Host(dict(always), bad_times=bad_times)

    assert len(tried(host)) == ATTEMPTS + min(bad_times, MAX_REPEATS)
    assert host.calls_for_calm == min(bad_times + 1, MAX_REPEATS)


def test_a_repeat_waits_for_calm() -> None:
    host = Host({(None, n): RESET_HELLO for n in (1, 2)}, bad_times=1)

    times = tried(host)

    assert times[2] - times[1] >= 1.0


@pytest.mark.parametrize("budget", [1, 2])
def test_without_budget_nothing_is_tried_again(budget: int) -> None:
    """The promised first attempt is made in any case."""
    host = Host({(None, n): RESET_HELLO for n in (1, 2)}, budget=budget)

    assert len(tried(host)) == budget


def test_through_a_proxy_nothing_is_separated() -> None:
    """A way around either works or does not."""
    host = Host({(None, n): RESET_HELLO for n in (1, 2)}, beside(("second_hello", "hello_failed")))

    assert len(tried(host, chain_of(tactic="socks5"))) == ATTEMPTS
    assert set(host.order) == {None}


def test_ech_is_compared_with_a_harmless_name_only_if_it_fails() -> None:
    declared = beside(("ech", "passed"), ("ech_other_name", "ech_failed"))
    works = Host({}, dict(declared))
    fails = Host({("ech", 1): RESET_HELLO}, dict(declared))
    tried(works)
    tried(fails)

    assert works.order == [None, "ech"]
    assert fails.order == [None, "ech", "ech_other_name"]


def page(seconds: float) -> list[Scripted]:
    return [("tcp", RTT_S, None), ("tls", RTT_S, None), ("http", seconds, None)]


def slow_host(paired: float, attempts: int = 6, **rest: object) -> tuple[Host, Chain]:
    """Build a page that takes 10 s where a control's takes 0.1; ``paired`` is its contrast's."""
    steps = (TcpConnect(timeout_s=3.3), TLS, PAGE)
    contrast = chain_of("paired", "http_slow", attempts=attempts, steps=steps)
    script: dict[tuple[FollowUp | None, int], list[Scripted]] = {}
    for number in range(1, attempts + 1):
        script |= {("paired", number): page(paired), (None, number): page(10)}
    host = Host(script, {"http_slow": [contrast]}, **rest)  # type: ignore[arg-type] # of Host
    host.observations.append(
        host.scene.add(
            step="http", role="control", received_bytes=20_000, body_duration_s=0.1, t0=0.0, t=0.1
        )
    )
    return host, chain_of(steps=steps)


def roles(host: Host) -> list[str]:
    return [row.role for row in host.observations if row.follow_up and row.step == "http"]


def test_a_slow_page_is_compared_in_turns_until_it_is_settled() -> None:
    """Contrast, test, contrast, test: a slow minute slows both. Equal rates settle it at once."""
    host, chain = slow_host(paired=10)
    tried(host, chain)

    assert roles(host) == ["contrast", "test"]


def test_pairs_are_bounded_by_the_plan_and_by_the_budget() -> None:
    """As many as are declared at most; a run that has spent enough starts no more."""
    host, chain = slow_host(paired=0.1, attempts=2)
    tried(host, chain)
    poor, chain = slow_host(paired=0.1, budget=3)
    tried(poor, chain)

    assert len(roles(host)) == 2 * 2
    assert len(roles(poor)) == 2 < 2 * MIN_PAIRS
