"""Fake TLS: say hello to an MTProxy and verify that its answer knows the secret."""

import math
from typing import NamedTuple

from probe.model import failure as failures
from probe.net.api import Clock, TcpConnection
from probe.steps.evidence import until_silent
from probe.wire.faketls import FakeTls


class Ended(NamedTuple):
    """How it ended: ``failure`` is None if the answer is the proxy's."""

    failure: str | None
    detail: str | None = None


async def fake_tls_handshake(connection: TcpConnection, tls: FakeTls, clock: Clock) -> Ended:
    """Send the hello over a fresh connection and judge what comes.

    Ends early once the kernel's counters say that no answer will come; the caller's
    scope is the limit otherwise. It cannot tell a wrong secret from an interception:
    both are TLS without the right hash.
    """
    ended = Ended(failures.GENERIC_TIMEOUT)

    async def ask() -> None:
        nonlocal ended
        try:
            await connection.send_all(tls.hello)
            verdict = None
            while verdict is None:
                data = await connection.receive_some()
                if not data:
                    ended = Ended(failures.EOF)
                    return
                verdict = tls.receive_answer(data)
        except OSError as error:
            ended = Ended(*failures.from_os_error(error))
            return
        fault = None if verdict.fault is None else f"{failures.UNKNOWN_PREFIX}{verdict.fault}"
        ended = Ended(fault, verdict.detail)

    async with until_silent(connection, math.inf, clock):
        await ask()
    return ended
