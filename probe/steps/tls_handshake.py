"""TLS: handshake, facts, and the presented chain whatever the outcome."""

from dataclasses import dataclass
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import TlsHandshake
from probe.net.api import TcpConnection, TcpInfo
from probe.net.tls import CertificateError, HandshakeError, TlsStream
from probe.steps.context import Context
from probe.steps.evidence import stop_on_silence
from probe.wire.certificate import parse_certificate

MAX_CHAIN: Final = 10
"""Certificates described per handshake; public chains have 2 to 4."""


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    verify_code: int | None = None


async def tls_handshake(
    context: Context, spec: TlsHandshake, connection: TcpConnection
) -> tuple[Observation, TlsStream | None]:
    """Shake hands over a fresh connection, sending ``spec.server_name``.

    The connection's TCP_INFO at the end separates a hello that was never
    acknowledged from one that was acknowledged and not answered; if something
    local terminates TCP (a VPN, an antivirus), its ACKs make that meaningless.

    Returns the observation and the stream, if the handshake succeeded.
    """
    t0 = context.now()
    tls_context = context.run.trust.context(spec.trust, spec.alpn, spec.profile)
    stream = TlsStream(connection, tls_context, spec.server_name)
    before = (connection.sent_bytes, connection.received_bytes)
    outcome = _Outcome()
    connection.first_arrival = None
    sent_at = context.run.network.now()
    with trio.move_on_after(spec.timeout_s) as deadline:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop_on_silence, connection, deadline, context.run.network)
            await _handshake(stream, outcome)
            nursery.cancel_scope.cancel()
    presented = stream.presented_chain()
    info: TcpInfo | None = connection.tcp_info()
    observation = context.observe(
        "tls",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        verify_code=outcome.verify_code,
        server_name=spec.server_name,
        tls_version=stream.version() if outcome.failure is None else None,
        cipher_suite=stream.cipher() if outcome.failure is None else None,
        alpn=stream.alpn() if outcome.failure is None else None,
        hello_profile=spec.profile,
        first_flight_bytes=stream.first_flight_bytes,
        first_byte_s=first_byte_s(connection, sent_at, before[1]),
        peer_certificates=tuple(parse_certificate(der) for der in presented[:MAX_CHAIN]),
        tcp_rtt_s=round(info.rtt_s, 6) if info else None,
        tcp_retransmits=info.retransmits if info else None,
        tcp_unacked=info.unacked if info else None,
        bytes_acked=info.bytes_acked if info else None,
        bytes_received=info.bytes_received if info else None,
        sent_bytes=connection.sent_bytes - before[0],
        received_bytes=connection.received_bytes - before[1],
    )
    return observation, (stream if outcome.failure is None else None)


def first_byte_s(connection: TcpConnection, sent_at: float, received_before: int) -> float | None:
    """Return the time from sending to the first byte of the answer, if one came.

    The end of the stream sets `first_arrival` too, but is no byte.
    """
    if connection.first_arrival is None or connection.received_bytes == received_before:
        return None
    return round(max(0.0, connection.first_arrival - sent_at), 6)


async def _handshake(stream: TlsStream, outcome: _Outcome) -> None:
    try:
        await stream.handshake()
        outcome.failure = None
    except CertificateError as error:
        outcome.failure = failures.from_verify_code(error.code)
        outcome.verify_code = error.code
        outcome.detail = error.message[:200]
    except HandshakeError as error:
        # The one alert that speaks of the name; the others speak of us or them.
        unknown_name = "UNRECOGNIZED_NAME" in error.reason
        outcome.failure = (
            failures.SSL_INVALID_HOSTNAME if unknown_name else failures.SSL_FAILED_HANDSHAKE
        )
        outcome.detail = error.reason[:200]
    except EOFError:
        outcome.failure = failures.EOF
    except OSError as error:
        outcome.detail = failures.errno_name(error.errno)
        outcome.failure = failures.from_errno_name(outcome.detail)
