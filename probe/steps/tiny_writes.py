"""Two bytes a packet: a limit of packets ends this early, a limit of bytes never does."""

from dataclasses import dataclass
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import TinyWrites
from probe.net.api import Clock, TcpConnection, TcpInfo
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import STALL_RETRANSMITS

WRITE_BYTES: Final = 2

PATIENCE_S: Final = 0.05
"""How long a write waits for its acknowledgement before the next one goes. By then the
packet has left this host, so that the kernel cannot join the next one to it; and 40
writes take 2 s where a round trip takes up to 0.4 s, 4 s where it takes 0.8 s."""

MAX_IN_FLIGHT: Final = 8
"""Unacknowledged packets, at most. Ten may be (RFC 6928); beyond that the kernel keeps
writes and joins them into one packet."""

POLL_S: Final = 0.01
"""How often TCP_INFO is read."""

MAX_BYTES: Final = 4096
"""Of the payload: half of what its record announces, so that it never ends."""

NO_TCP_INFO: Final = "needs TCP_INFO"
STALLED: Final = "no acknowledgement"
OUT_OF_TIME: Final = "out of time"

_HTTP_PORT: Final = 80


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = OUT_OF_TIME


async def tiny_writes(context: Context, spec: TinyWrites, connection: TcpConnection) -> Observation:
    """Write ``spec.writes`` times two bytes over a fresh connection, a packet each.

    Succeeds if all were acknowledged. Otherwise ``bytes_acked`` (the SYN is one) says
    how many packets passed, and the detail whether the rest stalled or the time ran
    out on a slow line. A server that closes on such a beginning is no stall: the end
    or the reset is the failure. What it sends is counted and thrown away. Where the
    platform has no TCP_INFO nothing is sent and the step is skipped.

    Raises:
        ValueError: more writes than the payload has bytes for.
    """
    t0 = context.now()
    data = payload(context.port, spec.writes * WRITE_BYTES)
    start = connection.tcp_info()
    if start is None:
        return context.observe("writes", t0, failures.SKIPPED, failure_detail=NO_TCP_INFO)
    outcome = _Outcome()
    clock = context.run.network
    counters = Counters.start(connection, clock)
    with trio.move_on_after(spec.timeout_s):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, connection, outcome, nursery.cancel_scope)
            await _write(connection, clock, data, start, outcome)
            nursery.cancel_scope.cancel()
    info = connection.tcp_info()
    if info is not None and _acked(info, start) >= len(data):
        # A peer that closes after the last write has let all of them through.
        outcome.failure = outcome.detail = None
    return context.observe(
        "writes",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        **counters.of_first_answer(),
    )


def payload(port: int | None, length: int) -> bytes:
    """Return a beginning that a server waits for the rest of, and that names nobody.

    On port 80 a request whose first header line never ends; elsewhere a TLS record
    with a ClientHello (RFC 8446 section 4.1.2) that is still listing cipher suites, far
    from a server name. Either is acted upon when it is complete, which it never is.

    Raises:
        ValueError: longer than MAX_BYTES.
    """
    if length > MAX_BYTES:
        raise ValueError(f"a payload of {length} bytes would be more than {MAX_BYTES}")
    if port == _HTTP_PORT:
        return b"GET / HTTP/1.1\r\nAccept: ".ljust(length, b"a")[:length]
    announced = 2 * MAX_BYTES
    suites = announced - 4 - 2 - 32 - 33 - 2 - 64
    begun = (
        b"\x16\x03\x01"
        + announced.to_bytes(2)
        + b"\x01"
        + (announced - 4).to_bytes(3)
        + b"\x03\x03"
        + bytes(32)
        + b"\x20"
        + bytes(32)
        + suites.to_bytes(2)
    )
    return (begun + b"\x13\x01" * (MAX_BYTES // 2))[:length]


def _acked(info: TcpInfo, start: TcpInfo) -> int:
    return info.bytes_acked - start.bytes_acked


async def _write(
    connection: TcpConnection, clock: Clock, data: bytes, start: TcpInfo, outcome: _Outcome
) -> None:
    """Write until everything is acknowledged or nothing is any more."""
    for end in range(WRITE_BYTES, len(data) + 1, WRITE_BYTES):
        try:
            await connection.send_all(data[end - WRITE_BYTES : end])
        except OSError as error:
            _note(outcome, error)
            return
        written_at = clock.now()
        while True:
            await trio.sleep(POLL_S)
            info = connection.tcp_info()
            if info is None:
                continue
            if info.retransmits >= STALL_RETRANSMITS:
                outcome.detail = STALLED
                return
            if _acked(info, start) >= end:
                break
            # After a loss the kernel may hold even the next packet back.
            has_lost = info.total_retransmits > start.total_retransmits
            if has_lost or end == len(data) or info.unacked >= MAX_IN_FLIGHT:
                continue
            if clock.now() - written_at >= PATIENCE_S:
                break


async def _listen(connection: TcpConnection, outcome: _Outcome, writing: trio.CancelScope) -> None:
    """Throw away what arrives; end the writing when the connection ends."""
    try:
        while await connection.receive_some():
            pass
        outcome.failure, outcome.detail = failures.EOF, None
    except OSError as error:
        _note(outcome, error)
    writing.cancel()


def _note(outcome: _Outcome, error: OSError) -> None:
    outcome.failure, outcome.detail = failures.from_os_error(error)
