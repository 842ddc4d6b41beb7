"""TLS: handshake, facts, and the presented chain whatever the outcome."""

from dataclasses import dataclass
from typing import Final

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import TlsHandshake
from probe.net.api import TcpConnection
from probe.net.browser_hello import MISSING, is_browser, load_library
from probe.net.browser_tls import BrowserTlsStream
from probe.net.tls import CertificateError, HandshakeError, TlsStream
from probe.steps.context import Context
from probe.steps.counters import Counters
from probe.steps.evidence import until_silent
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

    Returns the observation and the stream, if the handshake succeeded. Without the
    library that a browser's profile needs the observation says that it was skipped.
    """
    if is_browser(spec.profile) and not load_library():
        skipped = context.observe(
            "tls",
            context.now(),
            failures.SKIPPED,
            failure_detail=MISSING,
            server_name=spec.server_name,
            hello_profile=spec.profile,
            hello_split=spec.split,
        )
        return skipped, None
    t0 = context.now()
    tls_context = context.run.trust.context(spec.trust, spec.alpn, spec.profile)
    kind = BrowserTlsStream if is_browser(spec.profile) else TlsStream
    stream = kind(connection, tls_context, spec.server_name, spec.split)
    outcome = _Outcome()
    counters = Counters.start(connection, context.run.network)
    async with until_silent(connection, spec.timeout_s, context.run.network):
        await _handshake(stream, outcome)
    presented = stream.presented_chain()
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
        hello_split=spec.split,
        first_flight_bytes=stream.first_flight_bytes,
        peer_certificates=tuple(parse_certificate(der) for der in presented[:MAX_CHAIN]),
        **counters.of_first_answer(),
    )
    return observation, (stream if outcome.failure is None else None)


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
        outcome.failure, outcome.detail = failures.from_os_error(error)
