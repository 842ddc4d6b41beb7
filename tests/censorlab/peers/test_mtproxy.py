"""The lab's MTProxy takes clients that know its secret, once each, and masks from others.

That it is one is what tdjson 1.8.69 said by hand: its ``pingProxy`` passes through it with
a plain secret, with dd and with ee, and not with a wrong one.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from censorlab.peers.mtproxy import MtProxy
from censorlab.relay import Origin, connect
from loopback import ADDRESS, after_hello, hold, tcp_peer
from probe.wire.faketls import FakeTls, HelloForm, Verdict

SECRET = b"0123456789abcdef"
SHOWN = b"the site that is shown instead"


@asynccontextmanager
async def place() -> AsyncIterator[Origin]:
    """Where a proxy listens that has a site to show, and silence for a data centre."""
    async with tcp_peer(hold) as centre, tcp_peer(after_hello(SHOWN)) as cover:
        proxy = MtProxy(SECRET, {2: Origin(ADDRESS, centre)}, Origin(ADDRESS, cover))
        async with tcp_peer(proxy.attend) as port:
            yield Origin(ADDRESS, port)


def client(*, secret: bytes = SECRET, form: HelloForm = "current", late_s: float = 0.0) -> FakeTls:
    now = time.time() - late_s
    return FakeTls(secret, "www.example.org", form, now=now, random=os.urandom)


async def received(at: Origin, data: bytes, enough: int) -> bytes:
    async with await connect(at) as stream:
        await stream.send_all(data)
        answer = b""
        with trio.fail_after(10):
            while len(answer) < enough and (piece := await stream.receive_some()):
                answer += piece
        return answer


@pytest.mark.anyio
@pytest.mark.parametrize("form", ["current", "old"])
async def test_hellos_of_both_sizes_are_answered(form: HelloForm) -> None:
    async with place() as at:
        tls = client(form=form)
        answer = await received(at, tls.hello, 2600)

    assert tls.receive_answer(answer) == Verdict(None)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [{"secret": b"X" * 16}, {"late_s": 600}, {"late_s": -600}],
    ids=["wrong secret", "late", "early"],
)
async def test_others_are_shown_the_site(options: dict[str, Any]) -> None:
    """Made here, not with the list above: minutes later the early one is on time."""
    async with place() as at:
        assert await received(at, client(**options).hello, len(SHOWN)) == SHOWN


@pytest.mark.anyio
async def test_a_replayed_hello_is_shown_the_site() -> None:
    async with place() as at:
        hello = client().hello
        assert await received(at, hello, 1) != SHOWN
        assert await received(at, hello, len(SHOWN)) == SHOWN


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x00"]), st.binary(max_size=200))
def test_any_bytes_leave_it_running(start: bytes, rest: bytes) -> None:
    async def scene() -> None:
        async with place() as at:
            async with await connect(at) as stream:
                await stream.send_all(start + rest)
                await stream.send_eof()
                with trio.fail_after(10):
                    while await stream.receive_some():
                        pass
            tls = client()
            assert tls.receive_answer(await received(at, tls.hello, 2600)) == Verdict(None)

    trio.run(scene)
