"""One ClientHello of our own making, and the first answer to it."""

import os
from dataclasses import dataclass
from typing import Final

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import HelloProbe
from probe.net.api import TcpConnection
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import until_silent
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
    outcome = _Outcome()
    counters = Counters.start(connection, context.run.network)
    async with until_silent(connection, spec.timeout_s, context.run.network):
        await _exchange(connection, hello, spec.hop_limit, outcome)
    return context.observe(
        "tls",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        server_name=spec.server_name,
        hello_profile=spec.profile,
        hop_limit=spec.hop_limit,
        first_flight_bytes=len(hello),
        **counters.of_first_answer(),
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
        outcome.failure, outcome.detail = failures.from_os_error(error)
        if hop_limit is not None and outcome.failure == failures.HOST_UNREACHABLE:
            # ICMP "time exceeded" has the errno of an unreachable host.
            outcome.detail = HOP_LIMIT


def _judge(answer: Answer) -> tuple[str | None, str | None]:
    """Return failure and detail of a complete answer."""
    if answer.kind in {"server_hello", "hello_retry"}:
        return None, None
    return refusal_of(answer)


def refusal_of(answer: Answer) -> tuple[str, str]:
    """Return failure and detail of a complete answer that is no ServerHello."""
    if answer.kind == "alert":
        # The one alert that speaks of the name; the others speak of us or them.
        unknown_name = answer.description == UNRECOGNIZED_NAME
        failure = failures.SSL_INVALID_HOSTNAME if unknown_name else failures.SSL_FAILED_HANDSHAKE
        return failure, f"alert {answer.alert_name}"
    return failures.SSL_FAILED_HANDSHAKE, "plain http" if answer.kind == "http" else "not TLS"
