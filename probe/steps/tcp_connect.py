"""TCP: one address, one observation (RFC 9293)."""

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import TcpConnect
from probe.net.api import TcpConnection
from probe.steps.context import Context

SYN_BYTES = 60
"""A SYN on the wire: 20 bytes of IPv4 header, 40 of TCP with options."""


async def tcp_connect(
    context: Context, spec: TcpConnect, address: str, port: int
) -> tuple[Observation, TcpConnection | None]:
    """Connect to one address and port.

    It can tell refusal, unreachability and silence apart, but not a dead host from
    a dropped SYN. errno merges a RST with an ICMP port-unreachable, and a missing
    route with a prohibition: the ICMP columns tell them apart, where the platform
    shows ICMP errors. ``tcp_retransmits`` says how often the SYN was sent again,
    which is what makes a silence credible on a lossy line.

    Returns the observation and the open connection, which the caller closes.
    """
    t0 = context.now()
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    connection: TcpConnection | None = None
    try:
        connection = context.run.network.open_tcp(address, port)
        with trio.move_on_after(spec.timeout_s):
            await connection.connect()
            failure = None
    except OSError as error:
        failure, detail = failures.from_os_error(error)
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    info = connection.tcp_info() if connection is not None else None
    icmp = connection.icmp_error() if connection is not None and failure is not None else None
    resent = info.total_retransmits if info else 0
    observation = context.observe(
        "tcp",
        t0,
        failure,
        failure_detail=detail,
        tcp_rtt_s=round(info.rtt_s, 6) if info and failure is None else None,
        tcp_retransmits=info.total_retransmits if info else None,
        tcp_unacked=info.unacked if info else None,
        icmp_type=icmp.type if icmp else None,
        icmp_code=icmp.code if icmp else None,
        icmp_origin=icmp.origin if icmp else None,
        sent_bytes=SYN_BYTES * (1 + resent),
        received_bytes=SYN_BYTES if failure is None else 0,
    )
    if failure is not None and connection is not None:
        connection.close()
        connection = None
    return observation, connection
