"""Proxy: ask for a tunnel (SOCKS5, RFC 1928; HTTP CONNECT, RFC 9110 §9.3.6)."""

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import ProxyConnect
from probe.net.api import ProxyAddress, TcpConnection, TunnelRefusedError
from probe.steps.context import Context


async def proxy_connect(
    context: Context,
    spec: ProxyConnect,
    connection: TcpConnection,
    proxy: ProxyAddress,
    destination: tuple[str, int],
) -> Observation:
    """Open a tunnel to the destination through a connected proxy.

    Success is the proxy's word that it connected; a step beyond it proves more.
    A host name is given to the proxy as a name, so that local DNS plays no part.
    """
    t0 = context.now()
    before = (connection.sent_bytes, connection.received_bytes)
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    try:
        with trio.move_on_after(spec.timeout_s):
            await context.run.network.open_tunnel(connection, proxy, *destination)
            failure = None
    except TunnelRefusedError as error:
        detail = error.detail
        failure = f"{failures.UNKNOWN_PREFIX}proxy_refused"
    except OSError as error:
        failure, detail = failures.from_os_error(error)
    return context.observe(
        "proxy",
        t0,
        failure,
        failure_detail=detail,
        sent_bytes=connection.sent_bytes - before[0],
        received_bytes=connection.received_bytes - before[1],
    )
