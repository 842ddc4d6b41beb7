"""Beats: which control, how often, and how long a bad line may hold up a run."""

import itertools
from collections.abc import Awaitable, Callable, Sequence

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import fakes
from facts import Scene
from probe.model.observation import Observation
from probe.model.step import Chain, Owner, TcpConnect
from probe.run.heartbeat import BEAT_S, BEAT_TIMEOUT_S, MAX_PAUSE_S, Heartbeat

HOSTS = ("192.0.2.1", "192.0.3.2", "192.0.4.3")


def control(address: str) -> Chain:
    owner = Owner(endpoint_id=f"{address}:443", member=address, control_id=address)
    return Chain(role="control", owner=owner, port=443, address=address, steps=())


class Line:
    """Answers beats while it is good; notes each."""

    def __init__(self, is_good: Callable[[float], bool] = lambda _now: True) -> None:
        self._is_good = is_good
        self._scene = Scene()
        self.beats: list[tuple[float, Chain, int]] = []

    async def attempt(self, chain: Chain, number: int) -> list[Observation]:
        now = trio.current_time()
        self.beats.append((now, chain, number))
        failure = None if self._is_good(now) else "generic_timeout_error"
        await trio.sleep(0.05 if failure is None else BEAT_TIMEOUT_S)
        return [self._scene.add(step="tcp", failure=failure, role="control")]


def beating(line: Line, hosts: Sequence[str] = HOSTS) -> Heartbeat:
    return Heartbeat(
        lambda: [control(h) for h in hosts], line.attempt, lambda row: row.failure is None
    )


async def beside(heartbeat: Heartbeat, act: Callable[[], Awaitable[None]]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(heartbeat.run)
        await act()
        nursery.cancel_scope.cancel()


def test_controls_take_turns_and_each_beat_is_a_bare_connect() -> None:
    """One a second at most; beats are numbered, since a host may join the turns later."""
    line = Line()

    async def scene() -> None:
        with trio.move_on_after(8 * BEAT_S):
            await beating(line).run()

    fakes.play(scene)
    chains = [chain for _, chain, _ in line.beats]
    times = [at for at, _, _ in line.beats]

    assert [c.address for c in chains[:4]] == [*HOSTS, HOSTS[0]]
    assert [number for _, _, number in line.beats[:4]] == [1, 2, 3, 4]
    assert {c.follow_up for c in chains} == {"heartbeat"}
    assert all(c.steps == (TcpConnect(timeout_s=BEAT_TIMEOUT_S),) for c in chains)
    assert all(later - at >= BEAT_S for at, later in itertools.pairwise(times))


def test_without_controls_nothing_beats() -> None:
    """And nothing has to be waited for."""
    line = Line()

    async def scene() -> bool:
        heartbeat = beating(line, ())
        await heartbeat.run()
        await heartbeat.wait_for_calm()
        return heartbeat.was_bad_since(0.0)

    assert fakes.play(scene) is False
    assert line.beats == []


def test_a_bad_time_begins_before_the_beat_that_showed_it() -> None:
    """What failed in the second before the first bad beat counts as failed with it."""
    line = Line(lambda now: now < 3 or now > 5)
    found: list[tuple[bool, bool, bool]] = []

    async def scene() -> None:
        start = trio.current_time()
        heartbeat = beating(line)

        async def act() -> None:
            await trio.sleep(2.5)
            early = heartbeat.was_bad_since(start)
            await trio.sleep(7.5)
            late = trio.current_time()
            found.append((early, heartbeat.was_bad_since(start + 2), heartbeat.was_bad_since(late)))

        await beside(heartbeat, act)

    fakes.play(scene)

    assert found == [(False, True, False)]


def test_waiting_ends_with_the_first_good_beat() -> None:
    line = Line(lambda now: now > 6)
    waited: list[float] = []

    async def scene() -> None:
        heartbeat = beating(line)

        async def act() -> None:
            await trio.sleep(4)
            start = trio.current_time()
            await heartbeat.wait_for_calm()
            waited.append(trio.current_time() - start)

        await beside(heartbeat, act)

    fakes.play(scene)

    assert 2 < waited[0] < 2 + BEAT_S + BEAT_TIMEOUT_S


def test_what_many_wait_for_together_counts_once() -> None:
    """A bad moment under a crowd leaves each of them its repeat."""
    line = Line(lambda now: not 3 < now < 6)
    is_bad: list[bool] = []

    async def scene() -> None:
        heartbeat = beating(line)

        async def one() -> None:
            started = trio.current_time()
            await trio.sleep(6)
            await heartbeat.wait_for_calm()
            is_bad.append(heartbeat.was_bad_since(started))

        async def act() -> None:
            async with trio.open_nursery() as nursery:
                for _ in range(50):
                    nursery.start_soon(one)

        await beside(heartbeat, act)

    fakes.play(scene)

    assert is_bad == [True] * 50


@given(st.lists(st.floats(0, 5), min_size=1, max_size=12))
def test_a_dead_line_holds_a_run_up_only_so_long(delays: list[float]) -> None:
    """However often somebody waits; and then it is no reason to repeat anything either."""
    line = Line(lambda _now: False)
    ends: list[float] = []
    is_bad: list[bool] = []

    async def scene() -> None:
        heartbeat = beating(line)

        async def act() -> None:
            await trio.sleep(2 * BEAT_S + BEAT_TIMEOUT_S)
            for delay in delays:
                await trio.sleep(delay)
                start = trio.current_time()
                await heartbeat.wait_for_calm()
                ends.append(trio.current_time() - start)
            await heartbeat.wait_for_calm()
            is_bad.append(heartbeat.was_bad_since(0.0))

        await beside(heartbeat, act)

    fakes.play(scene)

    assert sum(ends) <= MAX_PAUSE_S + 1e-6
    assert is_bad == [False]
