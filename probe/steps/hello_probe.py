"""One ClientHello of our own making, and the first answer to it."""

import os
from dataclasses import dataclass
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import HelloProbe
from probe.net.api import TcpConnection, TcpInfo
from probe.steps.context import Context
from probe.steps.evidence import stop_on_silence
from probe.steps.tls_handshake import first_byte_s
from probe.wire.clienthello import (
    UNRECOGNIZED_NAME,
    Answer,
    build_client_hello,
    classify_answer,
)

HOP_LIMIT: Final = "hop_limit"
"""Detail of a hello that a router reported dead on the way, as it was meant to be."""


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None


async def hello_probe(context: Context, spec: HelloProbe, connection: TcpConnection) -> Observation:
    """Send a hello in one of our forms over a fresh connection; read what answers.

    Succeeds if that is a ServerHello or asks for another hello: the server has
    read ours. The handshake goes no further, so nothing is verified, and the
    connection is of no more use. TCP_INFO as in `tls_handshake`.

    Raises:
        ValueError: the form is the TLS library's own.
    """
    t0 = context.now()
    match spec.profile:
        case "small" | "large" | "ech":
            hello = build_client_hello(spec.server_name, spec.profile, os.urandom)
        case _:
            raise ValueError(f"a hello of profile {spec.profile!r} is the TLS library's to send")
    before = (connection.sent_bytes, connection.received_bytes)
    outcome = _Outcome()
    connection.first_arrival = None
    sent_at = context.run.network.now()
    with trio.move_on_after(spec.timeout_s) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_silence, connection, deadline, context.run.network)
            await _exchange(connection, hello, spec.hop_limit, outcome)
            nursery.cancel_scope.cancel()
    info: TcpInfo | None = connection.tcp_info()
    return context.observe(
        "tls",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        server_name=spec.server_name,
        hello_profile=spec.profile,
        hop_limit=spec.hop_limit,
        first_flight_bytes=len(hello),
        first_byte_s=first_byte_s(connection, sent_at, before[1]),
        tcp_rtt_s=round(info.rtt_s, 6) if info else None,
        tcp_retransmits=info.retransmits if info else None,
        tcp_unacked=info.unacked if info else None,
        bytes_acked=info.bytes_acked if info else None,
        bytes_received=info.bytes_received if info else None,
        sent_bytes=connection.sent_bytes - before[0],
        received_bytes=connection.received_bytes - before[1],
    )


async def _exchange(
    connection: TcpConnection, hello: bytes, hop_limit: int | None, outcome: _Outcome
) -> None:
    received = b""
    try:
        if hop_limit is not None:
            connection.set_hop_limit(hop_limit)
        await connection.send_all(hello)
        answer = Answer("incomplete")
        while answer.kind == "incomplete":
            data = await connection.receive_some()
            if not data:
                outcome.failure = failures.EOF
                return
            # Bounded: a few hundred bytes are never incomplete.
            received += data
            answer = classify_answer(received)
        outcome.failure, outcome.detail = _judge(answer)
    except OSError as error:
        outcome.detail = failures.errno_name(error.errno)
        outcome.failure = failures.from_errno_name(outcome.detail)
        if hop_limit is not None and outcome.failure == failures.HOST_UNREACHABLE:
            # ICMP "time exceeded" has the errno of an unreachable host.
            outcome.detail = HOP_LIMIT


def _judge(answer: Answer) -> tuple[str | None, str | None]:
    """Return failure and detail of a complete answer."""
    if answer.kind in {"server_hello", "hello_retry"}:
        return None, None
    if answer.kind == "alert":
        # The one alert that speaks of the name; the others speak of us or them.
        unknown_name = answer.description == UNRECOGNIZED_NAME
        failure = failures.SSL_INVALID_HOSTNAME if unknown_name else failures.SSL_FAILED_HANDSHAKE
        return failure, f"alert {answer.alert_name}"
    return failures.SSL_FAILED_HANDSHAKE, "plain http" if answer.kind == "http" else "not TLS"
