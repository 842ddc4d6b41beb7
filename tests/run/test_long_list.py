"""What a long list needs of the pace: hosts first, and waiting for a turn is no silence."""

import itertools

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import fakes
from probe.model.step import Chain, Owner, TcpConnect
from probe.model.target import QueryType
from probe.run.chain import Listener, Progress, walk, way_of
from probe.run.limits import QUESTIONS_PER_S, Limits

PLACE = "203.0.113.7"


@given(st.permutations(["A"] * 10 + ["AAAA"] * 10))
def test_questions_for_ipv4_come_first_and_all_are_spaced(order: list[QueryType]) -> None:
    """Whoever stands first: at most one that can wait goes before the last that cannot."""
    times: list[tuple[float, QueryType]] = []

    async def ask(limits: Limits, query_type: QueryType) -> None:
        await limits.question(query_type)
        times.append((trio.current_time(), query_type))

    async def scene() -> None:
        limits = Limits()
        async with trio.open_nursery() as nursery:
            for query_type in order:
                nursery.start_soon(ask, limits, query_type)

    fakes.play(scene)

    kinds = [kind for _, kind in times]
    assert kinds[: 10 + 1].count("A") == 10
    gaps = [b - a for (a, _), (b, _) in itertools.pairwise(times)]
    assert min(gaps) > 1 / QUESTIONS_PER_S - 1e-9


def test_a_connect_that_was_answered_is_not_silent_however_long_what_follows_waits() -> None:
    """A connection with many questions on it was opened a second time after two seconds."""
    chain = Chain(
        role="resolver",
        owner=Owner(endpoint_id="r", member="r"),
        port=853,
        address=PLACE,
        steps=(TcpConnect(timeout_s=3.3),),
    )

    async def emit(_: object) -> None:
        await trio.lowlevel.checkpoint()

    async def scene() -> bool:
        network = fakes.FakeNetwork(rows=[fakes.Row(PLACE, 0.1)])
        context = fakes.context_of(network, address=PLACE, port=853)
        progress = Progress()
        listener = Listener(emit, lambda *_: None, lambda _: None, progress)
        rows = await walk(chain, context, way_of(chain, PLACE, ()), Limits(), listener)
        assert rows[0].failure is None
        await trio.sleep(60)
        return progress.is_silent()

    assert not fakes.play(scene)


@pytest.mark.parametrize("step", ["", "dns", "quic", "tcp", "http"])
def test_nothing_becomes_suspicious_before_it_is_looked_at_again(step: str) -> None:
    async def scene() -> None:
        progress = Progress()
        progress.enter(step)
        for _ in range(20):
            if progress.is_silent():
                return
            wait_s = progress.look_again_s()
            await trio.sleep(max(0.0, wait_s - 1e-6))
            assert wait_s <= 0 or not progress.is_silent()
            await trio.sleep(2e-6)

    fakes.play(scene)
