"""HTTP/1.1 over the connection just measured (RFC 9112), body bounded."""

from typing import Final, NamedTuple

import trio

from probe.model.observation import Header, Observation
from probe.model.step import HttpRequest
from probe.net.api import ByteStream, TcpConnection, TcpInfo
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import POLL_S, STALL_RETRANSMITS
from probe.steps.http_talk import Talk, talk
from probe.wire.http1 import HttpExchange
from probe.wire.visible_text import visible_text

STALL_S: Final = 2.5
"""A response that has begun and then rests for so long, and 8 round trips, has stopped.
A lost segment comes again within it even if it is lost three times in a row (RFC 6298:
after 0.2, 0.4 and 0.8 s on common systems, and each after about a round trip)."""

SILENCE_S: Final = 3.0
"""As `STALL_S`, for a request that has been acknowledged: a server may think first."""

PATIENCE_ROUND_TRIPS: Final = 8


class _Look(NamedTuple):
    """What has moved on a connection: bytes that we read, and the kernel's view."""

    read_bytes: int
    info: TcpInfo | None

    @classmethod
    def at(cls, connection: TcpConnection) -> "_Look":
        return cls(connection.received_bytes, connection.tcp_info())

    @property
    def received(self) -> tuple[int, int | None]:
        return self.read_bytes, self.info.bytes_received if self.info else None

    @property
    def is_acknowledged(self) -> bool:
        return self.info is not None and self.info.unacked == 0


async def http_request(
    context: Context, spec: HttpRequest, stream: ByteStream, connection: TcpConnection
) -> Observation:
    """GET a page over ``stream``, which runs over ``connection``.

    ``body_duration_s`` runs from the first byte of the response to the last, or to the
    end of the step if it stops, counted below TLS: a record is up to 16 KiB and would
    hide a stalled stream.
    ``first_byte_s`` is counted below TLS only where there is none, because session
    tickets come whenever they like. ``clock_offset_s`` is the sender's clock minus ours
    in whole seconds, for a Date has no finer ones. ``body_text`` is kept of answers that
    anybody on the path could have written.

    What arrived before a failure is recorded too. A response that stops ends the step
    before its deadline; one that goes on, however slowly, never does.
    """
    t0 = context.now()
    exchange = HttpExchange(spec.host, spec.path, max_body_bytes=spec.max_body_bytes)
    outcome = Talk()
    counters = Counters.start(connection, context.run.network)
    with trio.move_on_after(spec.timeout_s) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_on_evidence, connection, deadline)
            await talk(stream, exchange, context.run.network, outcome)
            nursery.cancel_scope.cancel()
    has_response = exchange.status_code is not None
    is_plain = stream is connection
    first = connection.first_arrival if is_plain else outcome.first_bytes
    info = connection.tcp_info()
    return context.observe(
        "http",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        first_byte_s=None if first is None else round(max(0.0, first - counters.sent_at), 6),
        path=spec.path,
        status_code=exchange.status_code,
        headers=tuple(Header(name=name, value=value) for name, value in exchange.headers),
        title=exchange.title(),
        body_bytes=len(exchange.body) if has_response else None,
        body_duration_s=_duration(context, connection),
        body_sha256=exchange.body_sha256() if has_response else None,
        body_is_truncated=exchange.is_truncated if has_response else None,
        body_text=_text(exchange) if has_response and is_plain else None,
        clock_offset_s=outcome.clock_offset_s,
        bytes_acked=info.bytes_acked if info else None,
        bytes_received=info.bytes_received if info else None,
        tcp_unacked=info.unacked if info else None,
        tcp_retransmits=info.total_retransmits if info else None,
        **counters.moved(),
    )


async def _stop_on_evidence(connection: TcpConnection, deadline: trio.CancelScope) -> None:
    """Cancel ``deadline`` once more waiting would show nothing new.

    Waits are counted in looks, not on the clock: if our own loop is late, many seconds
    pass between two looks, and what came meanwhile is still in the kernel. Where there
    is no TCP_INFO, the wait for the first byte stands for the round trip, and a request
    without an answer waits for the step's deadline.
    """
    received_before = connection.received_bytes
    last = _Look.at(connection)
    begun_after_s = resting_s = acknowledged_s = 0.0
    while True:
        await trio.sleep(POLL_S)
        look = _Look.at(connection)
        is_acknowledged = look.is_acknowledged and last.is_acknowledged
        acknowledged_s = acknowledged_s + POLL_S if is_acknowledged else 0.0
        resting_s = resting_s + POLL_S if look.received == last.received else 0.0
        last = look
        if connection.received_bytes > received_before:
            round_trip_s = look.info.rtt_s if look.info else begun_after_s
            is_over = resting_s >= STALL_S + PATIENCE_ROUND_TRIPS * round_trip_s
        elif look.info:
            patience_s = SILENCE_S + PATIENCE_ROUND_TRIPS * look.info.rtt_s
            is_silent = min(acknowledged_s, resting_s) >= patience_s
            is_over = is_silent or look.info.retransmits >= STALL_RETRANSMITS
        else:
            begun_after_s += POLL_S
            is_over = False
        if is_over:
            deadline.cancel()
            return


def _text(exchange: HttpExchange) -> str | None:
    return visible_text(exchange.body, exchange.charset) if exchange.is_text else None


def _duration(context: Context, connection: TcpConnection) -> float | None:
    if connection.first_arrival is None:
        return None
    return round(max(0.0, context.run.network.now() - connection.first_arrival), 6)
