"""HTTP/3 (RFC 9114): a whole QUIC handshake, verified, and one GET with a bounded body."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import Http3Request
from probe.steps.context import Context
from probe.steps.quic_line import MISSING, Line, QuicError, load_library

if TYPE_CHECKING:
    from probe.steps.http3_exchange import Http3Exchange
    from probe.steps.quic_client import QuicClient

HTTPS_PORT: Final = 443


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    verify_code: int | None = None


async def http3_request(
    context: Context, spec: Http3Request, address: str, port: int
) -> Observation:
    """Shake hands with ``spec.server_name``, verify it and GET ``spec.path``.

    Any status is success: a response that a verified server gave. A certificate that
    is not accepted fails by the words it has over TLS; nothing is asked then.
    ``first_byte_s`` is of the handshake. What arrived before a failure is recorded too.
    Without aioquic the observation says that the step was skipped.
    """
    t0 = context.now()
    if not load_library():
        return context.observe(
            "quic",
            t0,
            failures.SKIPPED,
            failure_detail=MISSING,
            server_name=spec.server_name,
            path=spec.path,
        )
    # Optional, and a fifth of a second at start-up; imported when it is wanted.
    from probe.steps.http3_exchange import MAX_HEAD_BYTES, NO_ERROR, Http3Exchange  # noqa: PLC0415
    from probe.steps.quic_client import QuicClient  # noqa: PLC0415

    line = Line(context.run.network, address, port)
    client = QuicClient(
        line,
        alpn="h3",
        server_name=spec.server_name,
        trust=spec.trust,
        stores=context.run.trust,
        max_bytes=MAX_HEAD_BYTES + spec.max_body_bytes,
    )
    authority = spec.server_name if port == HTTPS_PORT else f"{spec.server_name}:{port}"
    exchange = Http3Exchange(client.quic, authority, spec.path, spec.max_body_bytes)
    outcome = _Outcome()
    try:
        await _converse(spec, line, client, exchange, outcome)
        await client.leave(NO_ERROR)
    finally:
        line.close()
    has_response = exchange.status_code is not None
    return context.observe(
        "quic",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        verify_code=outcome.verify_code,
        server_name=spec.server_name,
        tls_version="TLSv1.3" if client.is_established else None,  # RFC 9001 section 4.2
        alpn="h3" if client.is_established else None,
        peer_certificates=client.certificates(),
        path=spec.path,
        status_code=exchange.status_code,
        body_bytes=len(exchange.body) if has_response else None,
        body_sha256=hashlib.sha256(exchange.body).hexdigest() if has_response else None,
        body_is_truncated=exchange.is_truncated if has_response else None,
        **line.facts(),
    )


async def _converse(
    spec: Http3Request,
    line: Line,
    client: "QuicClient",
    exchange: "Http3Exchange",
    outcome: _Outcome,
) -> None:
    try:
        line.open()
        with trio.move_on_after(spec.timeout_s):
            await client.until(exchange.receive)
            outcome.failure = None
    except QuicError as error:
        outcome.failure, outcome.detail = error.failure, error.detail
        outcome.verify_code = error.verify_code
    except OSError as error:
        outcome.failure, outcome.detail = line.failure_of(error)
