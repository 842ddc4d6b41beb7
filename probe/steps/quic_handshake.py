"""QUIC Initials that name a server (RFC 9000, RFC 9001), and whether anything answers.

Whether an answer comes is the whole question: the handshake is not finished and
nothing is verified. The protocol is aioquic's, the socket and the clock are ours.
"""

import importlib
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import trio

from probe.model import failure as failures
from probe.model.observation import Observation
from probe.model.step import QuicHandshake
from probe.net.api import IcmpError, UdpSocket
from probe.steps.context import Context

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection
    from aioquic.quic.logger import QuicLogger

MISSING: Final = "needs the extra: pip install 'reachwatch[quic]'"

MAX_DATAGRAMS: Final = 3
"""Sent while nothing answers, 1200 bytes each. At 10 % loss each way three
Initials all fail to be answered in 0.7 % of cases."""

INITIAL_RTT_S: Final = 0.5
"""aioquic doubles it for the first retransmission: after 1 s, as RFC 9002 §6.2.2
has it, then 2 s later. Its own default spends all three within 0.6 s, before a
satellite's answer can arrive."""

MAX_STRANGE: Final = 64
"""Datagrams that are no answer and are still looked at; what comes after is
counted and thrown away, so that a flood costs neither memory nor much time."""

NOT_QUIC: Final = "not QUIC"
"""Detail of a silence in which something arrived that was no answer to our Initial."""

_CONNECTION_CLOSE: Final = "connection_close"


@dataclass
class _Exchange:
    """What one attempt sees."""

    failure: str | None = failures.GENERIC_TIMEOUT
    detail: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    sent_at: float | None = None
    arrived_at: float | None = None


def load_library() -> bool:
    """Import aioquic; return whether it is there.

    The first time takes a tenth of a second and stops the event loop for it. A run
    that is going to need it loads it before it measures anything.
    """
    try:
        importlib.import_module("aioquic.quic.connection")
    except ImportError:
        return False
    return True


async def quic_handshake(
    context: Context, spec: QuicHandshake, address: str, port: int
) -> Observation:
    """Send an Initial for ``spec.server_name``, again if need be, and wait for an answer.

    An answer is a packet that only somebody who read ours can write: one that
    decrypts under the keys of our connection, a Retry, or a Version Negotiation
    without our version; a close by the peer is one too, and is named in the
    detail. On the path everybody can read an Initial, so this is no proof of who
    answers. Without aioquic the observation says that the step was skipped.
    """
    if not load_library():
        return context.observe(
            "quic",
            context.now(),
            failures.SKIPPED,
            failure_detail=MISSING,
            server_name=spec.server_name,
        )
    t0 = context.now()
    exchange = _Exchange()
    udp: UdpSocket | None = None
    icmp: IcmpError | None = None
    try:
        udp = context.run.network.open_udp(address, port)
        with trio.move_on_after(spec.timeout_s):
            await _converse(context, spec, udp, (address, port), exchange)
    except OSError as error:
        exchange.failure, exchange.detail = failures.from_os_error(error)
        icmp = udp.icmp_error() if udp is not None else None
    finally:
        if udp is not None:
            udp.close()
    first_byte_s = None
    if exchange.arrived_at is not None and exchange.sent_at is not None:
        first_byte_s = round(max(0.0, exchange.arrived_at - exchange.sent_at), 6)
    return context.observe(
        "quic",
        t0,
        exchange.failure,
        failure_detail=exchange.detail,
        server_name=spec.server_name,
        first_byte_s=first_byte_s,
        icmp_type=icmp.type if icmp else None,
        icmp_code=icmp.code if icmp else None,
        icmp_origin=icmp.origin if icmp else None,
        sent_bytes=exchange.sent_bytes,
        received_bytes=exchange.received_bytes,
    )


async def _converse(
    context: Context,
    spec: QuicHandshake,
    udp: UdpSocket,
    peer: tuple[str, int],
    exchange: _Exchange,
) -> None:
    """Send and receive until something answers; fills ``exchange``, raises OSError."""
    clock = context.run.network
    quic, trace = _client(spec.server_name)
    quic.connect(peer, clock.now())
    left = MAX_DATAGRAMS
    strange = 0
    while True:
        for datagram, _ in quic.datagrams_to_send(clock.now())[:left] if left else ():
            if exchange.sent_at is None:
                exchange.sent_at = clock.now()
            await udp.send(datagram)
            exchange.sent_bytes += len(datagram)
            left -= 1
        timer = (quic.get_timer() if left else None) or float("inf")
        data: bytes | None = None
        with trio.move_on_after(max(0.0, timer - clock.now())):
            data = (await udp.receive()).data
        if data is None:
            # Not earlier than it asked for, or rounding would bring us back at once.
            quic.handle_timer(max(timer, clock.now()))
            continue
        exchange.received_bytes += len(data)
        if exchange.arrived_at is None:
            exchange.arrived_at = clock.now()
        if strange < MAX_STRANGE:
            _take(quic, data, peer, clock.now())
            answer = _answer(trace)
            if answer is not None:
                exchange.failure = None
                exchange.detail = answer if answer.startswith(_CONNECTION_CLOSE) else None
                return
        strange += 1
        exchange.detail = NOT_QUIC


def _client(server_name: str) -> tuple["QuicConnection", "QuicLogger"]:
    """Return an unconnected client and the log of what it accepts."""
    # Optional, and a fifth of a second at start-up; imported when it is wanted.
    from aioquic.quic.configuration import QuicConfiguration  # noqa: PLC0415
    from aioquic.quic.connection import QuicConnection  # noqa: PLC0415
    from aioquic.quic.logger import QuicLogger  # noqa: PLC0415

    # It warns of what peers send; without a handler that would go to stderr.
    log = logging.getLogger("quic")
    if not log.handlers:
        log.addHandler(logging.NullHandler())
    trace = QuicLogger()
    configuration = QuicConfiguration(
        is_client=True,
        alpn_protocols=["h3"],
        server_name=server_name or None,
        verify_mode=ssl.CERT_NONE,
        initial_rtt=INITIAL_RTT_S,
        quic_logger=trace,
    )
    return QuicConnection(configuration=configuration), trace


def _take(quic: "QuicConnection", data: bytes, peer: tuple[str, int], now: float) -> None:
    # The bytes are anybody's and the library is not ours. What it raises over them
    # is a fact of the datagram; what it accepted before is in its log.
    with suppress(Exception):
        quic.receive_datagram(data, peer, now)


def _answer(trace: "QuicLogger") -> str | None:
    """Return what kind of packet was accepted, if any was.

    Read from the connection's qlog: its events tell of a finished handshake only.
    """
    events: list[dict[str, Any]] = trace.to_dict()["traces"][0]["events"]
    for event in events:
        data = event["data"]
        if event["name"] == "transport:version_information" and "server_versions" in data:
            return "version_negotiation"
        if event["name"] != "transport:packet_received":
            continue
        kind: str = data["header"]["packet_type"]
        if kind == "version_negotiation":
            continue  # what counts is that it was acted upon, above
        for frame in data.get("frames", ()):
            if frame["frame_type"] == _CONNECTION_CLOSE:
                return f"{_CONNECTION_CLOSE} {frame['error_code']:#x}"
        return kind
    return None
