"""MTProto: ask for resPQ and verify it; no account is needed."""

import secrets
from dataclasses import dataclass

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import MtprotoHandshake
from probe.net.api import TcpConnection
from probe.steps.context import Context
from probe.steps.evidence import stop_on_silence
from probe.wire.mtproto.exchange import Exchange
from probe.wire.mtproto.res_pq import Answer, Rejected, ResPq, TransportError

ERROR_PREFIX = f"{failures.UNKNOWN_PREFIX}mtproto_error_"
"""With the code behind it: the peer speaks MTProto and refuses."""


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    clock_offset_s: float | None = None


async def mtproto_handshake(
    context: Context, spec: MtprotoHandshake, connection: TcpConnection
) -> Observation:
    """Ask over a fresh connection for resPQ, in the form of ``spec.transport``.

    It can tell a peer that speaks MTProto from one that answers something else, but
    not Telegram from a peer that imitates it: that needs the key exchange behind
    this. Failures of our own words are those of `probe.wire.mtproto.res_pq.Fault`
    and `ERROR_PREFIX` with a transport error's code.

    ``clock_offset_s`` is the peer's time minus ours, in whole seconds: the peer's
    is no finer, and a finer one would identify this system's clock.
    """
    network = context.run.network
    t0 = context.now()
    exchange = Exchange(
        spec.transport,
        dc_id=spec.dc_id,
        now=network.wall_clock().timestamp(),
        random=secrets.token_bytes,
    )
    before = (connection.sent_bytes, connection.received_bytes)
    outcome = _Outcome()
    connection.first_arrival = None
    sent_at = network.now()
    with trio.move_on_after(spec.timeout_s) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_silence, connection, deadline, network)
            await _ask(context, exchange, connection, outcome)
            nursery.cancel_scope.cancel()
    info = connection.tcp_info()
    return context.observe(
        "mtproto",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        mtproto_transport=spec.transport,
        clock_offset_s=outcome.clock_offset_s,
        first_byte_s=_since(sent_at, connection.first_arrival),
        tcp_rtt_s=round(info.rtt_s, 6) if info else None,
        tcp_retransmits=info.retransmits if info else None,
        tcp_unacked=info.unacked if info else None,
        bytes_acked=info.bytes_acked if info else None,
        bytes_received=info.bytes_received if info else None,
        sent_bytes=connection.sent_bytes - before[0],
        received_bytes=connection.received_bytes - before[1],
    )


async def _ask(
    context: Context, exchange: Exchange, connection: TcpConnection, outcome: _Outcome
) -> None:
    try:
        await connection.send_all(exchange.request_bytes)
        answer: Answer | None = None
        while answer is None:
            data = await connection.receive_some()
            if not data:
                outcome.failure = failures.EOF
                return
            answer = exchange.receive(data)
    except OSError as error:
        outcome.detail = failures.errno_name(error.errno)
        outcome.failure = failures.from_errno_name(outcome.detail)
        return
    match answer:
        case ResPq(server_time, _):
            # Half a second: what the peer's whole seconds leave out on average.
            ours = context.run.network.wall_clock().timestamp()
            outcome.clock_offset_s = float(round(server_time + 0.5 - ours))
            outcome.failure = None
        case TransportError(code):
            outcome.failure = f"{ERROR_PREFIX}{code}"
        case Rejected(fault, detail):
            outcome.failure = f"{failures.UNKNOWN_PREFIX}{fault}"
            outcome.detail = detail


def _since(sent_at: float, arrival: float | None) -> float | None:
    return None if arrival is None else round(max(0.0, arrival - sent_at), 6)
