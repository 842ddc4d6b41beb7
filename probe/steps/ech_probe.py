"""Encrypted Client Hello to a key that the host publishes, and whether it was read."""

import os
from dataclasses import dataclass
from typing import Final

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import EchProbe
from probe.net.api import TcpConnection
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import until_silent
from probe.steps.hello_probe import refusal_of
from probe.wire.clienthello import classify_answer
from probe.wire.ech import (
    BadConfigListError,
    BadServerHelloError,
    EchConfig,
    EchHello,
    build_ech_hello,
    is_accepted,
    read_server_hello,
    usable_configs,
)

ECH_REJECTED: Final = f"{failures.UNKNOWN_PREFIX}ech_rejected"
"""The server answered the outer hello: the way is open, but the name did not go it. A
failure, since whoever relied on it would have got the public name's host."""

NO_KEY: Final = "no key for Encrypted Client Hello is published"
NO_USABLE_KEY: Final = "no published key for Encrypted Client Hello is of a kind known here"


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    is_accepted: bool | None = None


async def ech_probe(context: Context, spec: EchProbe, connection: TcpConnection) -> Observation:
    """Send the name encrypted over a fresh connection; read whether the server read it.

    Succeeds if the server proves that (RFC 9849 §7.2). Nothing else is verified: the
    proof needs the key that an encrypted resolver gave us, which no certificate betters,
    and the handshake goes no further. Skipped, with nothing sent, without such a key.
    TCP_INFO as in `tls_handshake`.
    """
    t0 = context.now()
    config, reason = _config_of(context.run.ech_configs.get(spec.server_name))
    if config is None:
        return context.observe(
            "tls",
            t0,
            failures.SKIPPED,
            failure_detail=reason,
            server_name=spec.server_name,
            hello_profile="ech",
        )
    hello = build_ech_hello(spec.server_name, config, os.urandom)
    outcome = _Outcome()
    counters = Counters.start(connection, context.run.network)
    async with until_silent(connection, spec.timeout_s, context.run.network):
        await _exchange(connection, hello, outcome)
    return context.observe(
        "tls",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        server_name=spec.server_name,
        hello_profile="ech",
        ech_is_accepted=outcome.is_accepted,
        first_flight_bytes=len(hello.record),
        **counters.of_first_answer(),
    )


def _config_of(published: bytes | None) -> tuple[EchConfig | None, str]:
    """Return the publisher's first choice among what can be used, or why there is none."""
    if published is None:
        return None, NO_KEY
    try:
        configs = usable_configs(published)
    except BadConfigListError as error:
        return None, str(error)[:200]
    return (configs[0], "") if configs else (None, NO_USABLE_KEY)


async def _exchange(connection: TcpConnection, hello: EchHello, outcome: _Outcome) -> None:
    received = b""
    try:
        await connection.send_all(hello.record)
        while outcome.failure == failures.GENERIC_TIMEOUT:
            data = await connection.receive_some()
            if not data:
                outcome.failure = failures.EOF
                return
            # Bounded: `read_server_hello` refuses what is longer than any ServerHello.
            received += data
            _judge(hello, received, outcome)
    except BadServerHelloError as error:
        outcome.failure, outcome.detail = failures.SSL_FAILED_HANDSHAKE, str(error)
    except OSError as error:
        outcome.failure, outcome.detail = failures.from_os_error(error)


def _judge(hello: EchHello, received: bytes, outcome: _Outcome) -> None:
    """Fill in the outcome, once enough was received to know it."""
    answer = classify_answer(received)
    match answer.kind:
        case "incomplete":
            return
        case "server_hello" | "hello_retry":
            message = read_server_hello(received)
            if message is not None:
                outcome.is_accepted = is_accepted(hello, message)
                outcome.failure = None if outcome.is_accepted else ECH_REJECTED
        case _:
            outcome.failure, outcome.detail = refusal_of(answer)
