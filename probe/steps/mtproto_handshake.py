"""MTProto: ask for resPQ and verify it; no account is needed."""

import secrets
from dataclasses import dataclass

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import MtprotoHandshake
from probe.net.api import ByteStream, TcpConnection
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import until_silent
from probe.wire.mtproto.exchange import Exchange
from probe.wire.mtproto.res_pq import Answer, Rejected, ResPq, TransportError

ERROR_PREFIX = f"{failures.UNKNOWN_PREFIX}mtproto_error_"
"""With the code behind it: the peer speaks MTProto and refuses."""


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    clock_offset_s: float | None = None


@dataclass
class MtprotoSession:
    """Placeholder."""


async def mtproto_handshake(
    context: Context, spec: MtprotoHandshake, stream: ByteStream, connection: TcpConnection
) -> tuple[Observation, MtprotoSession | None]:
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
    outcome = _Outcome()
    counters = Counters.start(connection, network)
    async with until_silent(connection, spec.timeout_s, network):
        await _ask(context, exchange, connection, outcome)
    row = context.observe(
        "mtproto",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        mtproto_transport=spec.transport,
        clock_offset_s=outcome.clock_offset_s,
        **counters.of_first_answer(),
    )
    return row, None


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
        outcome.failure, outcome.detail = failures.from_os_error(error)
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
