"""UDP: one small datagram, and whatever comes back for it.

The twin of a connect that failed: a router that answers for an address with ICMP
answers UDP too, and says which code, where TCP's errno would merge several.
"""

import os
from dataclasses import dataclass
from typing import Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import UdpProbe
from probe.net.api import UdpSocket
from probe.steps.context import Context

QUIC_PORT: Final = 443

QUIC_BYTES: Final = 1200
"""Smaller datagrams with a first packet need not be answered (RFC 9000 section 14.1)."""

RESERVED_VERSION: Final = bytes.fromhex("1a2a3a4a")
"""Of the form that no version will ever have (RFC 9000 section 15)."""

PLAIN: Final = bytes(8)
"""Nothing in any protocol, so nobody acts on it, nor amplifies it; no name and no
randomness for a censor to judge. Where nobody listens the host itself answers, by ICMP."""

SENT_AGAIN_AFTER: Final = 1 / 3
"""Share of the time limit. Routers answer only so many packets a second with ICMP,
and either packet may be lost; a second datagram gets most of the time for its answer."""


@dataclass
class _Outcome:
    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    first_byte_s: float | None = None


async def udp_probe(context: Context, spec: UdpProbe, address: str, port: int) -> Observation:
    """Send a datagram, once more if nothing comes, and wait for an answer or an error.

    Any datagram from the address and port is an answer; what is in it is not looked
    at. The first error ends the step: TCP would have given up on it too. Silence says
    little, since most servers do not answer on UDP: it is a contrast for an ICMP
    error, and on the QUIC port for the silence of a QUIC version that is in use.
    """
    t0 = context.now()
    outcome = _Outcome()
    icmp = None
    try:
        udp = context.run.network.open_udp(address, port)
        try:
            with trio.move_on_after(spec.timeout_s):
                await _exchange(context, udp, datagram_to(port), spec.timeout_s, outcome)
        finally:
            icmp = udp.icmp_error() if outcome.failure is not None else None
            udp.close()
    except OSError as error:
        outcome.failure, outcome.detail = failures.from_os_error(error)
    return context.observe(
        "udp",
        t0,
        outcome.failure,
        failure_detail=outcome.detail,
        icmp_type=icmp.type if icmp else None,
        icmp_code=icmp.code if icmp else None,
        icmp_origin=icmp.origin if icmp else None,
        first_byte_s=outcome.first_byte_s,
        sent_bytes=outcome.sent_bytes,
        received_bytes=outcome.received_bytes,
    )


def datagram_to(port: int) -> bytes:
    """Return what is sent to a port.

    On the QUIC port it is a packet of a version that nobody speaks, which a QUIC
    server answers with those that it does (RFC 8999 section 6). It holds no server
    name, and filters that match version 1 do not match it. The connection ids are
    random, as everybody's; the rest is padding.
    """
    if port != QUIC_PORT:
        return PLAIN
    identifier = b"\x08" + os.urandom(8)
    source = b"\x08" + os.urandom(8)
    # Long header, and the bit that version 1 has set (RFC 9000 section 17.2).
    packet = b"\xc0" + RESERVED_VERSION + identifier + source
    return packet.ljust(QUIC_BYTES, b"\0")


async def _exchange(
    context: Context, udp: UdpSocket, datagram: bytes, timeout_s: float, outcome: _Outcome
) -> None:
    """Fill ``outcome``; raises OSError."""
    clock = context.run.network
    first_sent = clock.now()
    for patience_s in (timeout_s * SENT_AGAIN_AFTER, timeout_s):
        await udp.send(datagram)
        outcome.sent_bytes += len(datagram)
        with trio.move_on_after(patience_s):
            answer = await udp.receive()
            outcome.failure = None
            outcome.received_bytes = len(answer.data)
            outcome.first_byte_s = round(max(0.0, clock.now() - first_sent), 6)
            return
