"""HTTP/1.1 over the connection just measured (RFC 9112), body bounded."""

import trio

from probe.model import failure as failures
from probe.model.observation import Header, Observation
from probe.model.step import HttpRequest
from probe.net.api import ByteStream, TcpConnection
from probe.net.tls import HandshakeError
from probe.steps.context import Context
from probe.wire.http1 import HttpError, HttpExchange


async def http_request(
    context: Context, spec: HttpRequest, stream: ByteStream, connection: TcpConnection
) -> Observation:
    """GET a page over ``stream``, which runs over ``connection``.

    ``body_duration_s`` runs from the first byte of the response to the last,
    counted below TLS: a record is up to 16 KiB and would hide a stalled stream.
    What arrived before a failure is recorded too.
    """
    t0 = context.now()
    exchange = HttpExchange(spec.host, spec.path, max_body_bytes=spec.max_body_bytes)
    before = (connection.sent_bytes, connection.received_bytes)
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    connection.first_arrival = None
    try:
        with trio.move_on_after(spec.timeout_s):
            await stream.send_all(exchange.request_bytes)
            while not exchange.is_complete:
                exchange.receive(await stream.receive_some())
            failure = None
    except EOFError as error:
        failure, detail = failures.EOF, str(error)
    except HttpError as error:
        failure, detail = failures.HTTP_REQUEST_FAILED, str(error)
    except HandshakeError as error:
        failure = failures.HTTP_REQUEST_FAILED
        detail = error.reason[:200]
    except OSError as error:
        detail = failures.errno_name(error.errno)
        failure = failures.from_errno_name(detail)
    has_response = exchange.status_code is not None
    info = connection.tcp_info()
    return context.observe(
        "http",
        t0,
        failure,
        failure_detail=detail,
        path=spec.path,
        status_code=exchange.status_code,
        headers=tuple(Header(name=name, value=value) for name, value in exchange.headers),
        title=exchange.title(),
        body_bytes=len(exchange.body) if has_response else None,
        body_duration_s=_duration(context, connection),
        body_sha256=exchange.body_sha256() if has_response else None,
        body_is_truncated=exchange.is_truncated if has_response else None,
        bytes_received=info.bytes_received if info else None,
        tcp_retransmits=info.total_retransmits if info else None,
        sent_bytes=connection.sent_bytes - before[0],
        received_bytes=connection.received_bytes - before[1],
    )


def _duration(context: Context, connection: TcpConnection) -> float | None:
    if connection.first_arrival is None:
        return None
    return round(max(0.0, context.run.network.now() - connection.first_arrival), 6)
