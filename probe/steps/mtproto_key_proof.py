"""Prove that a data centre holds an RSA key: from resPQ to server_DH_params."""

import secrets

import trio

from probe.model.observation import Observation
from probe.model.step import MtprotoKeyProof
from probe.net.api import TcpConnection
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.mtproto_handshake import MtprotoSession, Outcome, converse
from probe.wire.mtproto.factoring import factoring
from probe.wire.mtproto.key_exchange import KeyExchange
from probe.wire.mtproto.messages import Message, Rejected, TransportError
from probe.wire.mtproto.public_key import PublicKey, read_public_keys
from probe.wire.mtproto.telegram_keys import TELEGRAM_KEYS


async def mtproto_key_proof(
    context: Context, spec: MtprotoKeyProof, session: MtprotoSession, connection: TcpConnection
) -> Observation:
    """Go on from a session's resPQ, and see whether the peer can read what only Telegram can.

    ``mtproto_key`` is the fingerprint of the key whose private half the peer has proved
    to hold: of those that it offered, the first one of which we have the public half.
    Failures are of the same words as the handshake's. ``clock_offset_s`` is that of the
    encrypted answer, which nobody on the path can have written.

    Raises:
        PublicKeyError: one of ``spec.public_keys`` is none.
    """
    network = context.run.network
    t0 = context.now()
    keys = read_public_keys((*TELEGRAM_KEYS, *spec.public_keys))
    key = next((keys[one] for one in session.res_pq.fingerprints if one in keys), None)
    outcome = Outcome()
    counters = Counters.start(connection, network)
    if key is None:
        outcome.refuse(Rejected("mtproto_no_public_key"))
    else:
        with trio.move_on_after(spec.timeout_s):
            await _prove(context, session, key, outcome)
    return context.observe(
        "mtproto_key",
        t0,
        outcome.failure,
        mtproto_transport=session.transport,
        mtproto_key=f"{key.fingerprint:016x}" if key and outcome.failure is None else None,
        **outcome.columns(counters, session.stream, connection),
    )


async def _prove(
    context: Context, session: MtprotoSession, key: PublicKey, outcome: Outcome
) -> None:
    network = context.run.network
    conversation, res_pq = session.conversation, session.res_pq
    exchange = KeyExchange(
        res_pq,
        key,
        await _factor(res_pq.product),
        dc_id=session.dc_id,
        random=secrets.token_bytes,
    )
    request = conversation.send(exchange.body, network.wall_clock().timestamp())
    message = await converse(
        session.stream,
        conversation,
        request,
        conversation.receive_message,
        outcome=outcome,
        clock=network,
    )
    match message:
        case Message():
            read = exchange.read(message)
            if isinstance(read, Rejected):
                outcome.refuse(read)
            else:
                outcome.succeed(read, network)
        case TransportError() | Rejected():
            outcome.refuse(message)


async def _factor(product: int) -> int:
    """Factor between other tasks: all at once it would distort what they measure."""
    for factor in factoring(product):
        if factor is not None:
            return factor
        await trio.lowlevel.checkpoint()
    raise AssertionError
