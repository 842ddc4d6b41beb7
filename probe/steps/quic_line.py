"""The socket and the clock under a QUIC connection whose protocol is aioquic's.

aioquic is optional and takes a tenth of a second to import, so nothing here imports
it; `load_library` says whether it is there.
"""

import importlib
import logging
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import trio

from probe.model import failure as failures
from probe.net.api import IcmpError, Network, UdpSocket

if TYPE_CHECKING:
    from aioquic.quic.connection import QuicConnection

MISSING: Final = "needs the extra: pip install 'reachwatch[quic]'"

INITIAL_RTT_S: Final = 0.5
"""aioquic doubles it for the first retransmission: after 1 s, as RFC 9002 §6.2.2
has it, then 2 s later. Its own default spends all three within 0.6 s, before a
satellite's answer can arrive."""

PROTOCOL_ERROR: Final = f"{failures.UNKNOWN_PREFIX}quic_protocol_error"
"""Failure: what the peer's packets say is not QUIC (RFC 9000), or not as agreed."""


class QuicError(Exception):
    """A connection is of no more use; ``verify_code`` is OpenSSL's, of a bad certificate."""

    def __init__(
        self, failure: str, detail: str | None = None, verify_code: int | None = None
    ) -> None:
        super().__init__(failure)
        self.failure = failure
        self.detail = detail[:200] if detail else None
        self.verify_code = verify_code


def load_library() -> bool:
    """Import aioquic; return whether it is there.

    The first time takes a tenth of a second and stops the event loop for it. A run
    that is going to need it loads it before it measures anything.
    """
    try:
        importlib.import_module("aioquic.quic.connection")
        importlib.import_module("aioquic.h3.connection")
    except ImportError:
        return False
    return True


def silence_library() -> None:
    """Let the library warn nobody of what peers send: without a handler stderr gets it."""
    for name in ("quic", "http3"):
        log = logging.getLogger(name)
        if not log.handlers:
            log.addHandler(logging.NullHandler())


class Line:
    """A socket to one peer, counted. Times are the clock's."""

    def __init__(self, network: Network, address: str, port: int) -> None:
        self._network = network
        self._udp: UdpSocket | None = None
        self._icmp: IcmpError | None = None
        self.peer = (address, port)
        self.sent_bytes = 0
        self.received_bytes = 0
        self.datagrams_sent = 0
        self.datagrams_received = 0
        self.sent_at: float | None = None
        self.arrived_at: float | None = None

    def open(self) -> None:
        """Make the socket; raises OSError."""
        self._udp = self._network.open_udp(*self.peer)

    def close(self) -> None:
        """Close the socket at once; idempotent."""
        if self._udp is not None:
            self._udp.close()
            self._udp = None

    def failure_of(self, error: OSError) -> tuple[str, str | None]:
        """Return failure and detail of what `open`, `flush` or `receive` raised.

        For use before `close`: the ICMP error behind it is kept for `facts`.
        """
        self._icmp = self._udp.icmp_error() if self._udp is not None else None
        return failures.from_os_error(error)

    def facts(self) -> dict[str, Any]:
        """Return an observation's columns about datagrams."""
        first_byte_s = None
        if self.arrived_at is not None and self.sent_at is not None:
            first_byte_s = round(max(0.0, self.arrived_at - self.sent_at), 6)
        return {
            "first_byte_s": first_byte_s,
            "icmp_type": self._icmp.type if self._icmp else None,
            "icmp_code": self._icmp.code if self._icmp else None,
            "icmp_origin": self._icmp.origin if self._icmp else None,
            "sent_bytes": self.sent_bytes,
            "received_bytes": self.received_bytes,
        }

    def now(self) -> float:
        """Return the time."""
        return self._network.now()

    async def flush(self, quic: "QuicConnection", left: int | None = None) -> None:
        """Send what is due, at most ``left`` datagrams; raises OSError, QuicError.

        A server may name another address that it prefers (RFC 9000 section 9.6) and the
        library would try it. It is in no plan, so nothing is sent there.
        """
        try:
            due = [data for data, to in quic.datagrams_to_send(self.now()) if to == self.peer]
        except Exception as error:  # noqa: BLE001 - as in `take`
            raise QuicError(PROTOCOL_ERROR, type(error).__name__) from None
        assert self._udp is not None
        for datagram in due[:left]:
            if self.sent_at is None:
                self.sent_at = self.now()
            await self._udp.send(datagram)
            self.sent_bytes += len(datagram)
            self.datagrams_sent += 1

    async def receive(self) -> bytes:
        """Receive one datagram; raises OSError."""
        assert self._udp is not None
        data = (await self._udp.receive()).data
        self.received_bytes += len(data)
        self.datagrams_received += 1
        if self.arrived_at is None:
            self.arrived_at = self.now()
        return data


def take(quic: "QuicConnection", line: Line, data: bytes) -> None:
    """Give a received datagram to the library.

    The bytes are anybody's and the library is not ours. What it raises over them is a
    fact of the datagram; what it accepted before that stays accepted. What it is warned
    of (a certificate's serial number of 0) is the peer's doing.
    """
    with suppress(Exception), warnings.catch_warnings(action="ignore"):
        quic.receive_datagram(data, line.peer, line.now())


async def drive(
    quic: "QuicConnection",
    line: Line,
    is_over: Callable[[], bool],
    *,
    max_sent: int | None = None,
    max_read: int | None = None,
) -> None:
    """Send, receive and keep time until ``is_over``, which is asked after each of them.

    Beyond ``max_sent`` datagrams nothing is sent any more; beyond ``max_read`` what
    comes is counted and thrown away.

    Raises:
        OSError: the socket's, ICMP errors included; QuicError, and what ``is_over`` raises.
    """
    while True:
        left = None if max_sent is None else max_sent - line.datagrams_sent
        is_mute = left is not None and left <= 0
        if not is_mute:
            await line.flush(quic, left)
            is_mute = max_sent is not None and line.datagrams_sent >= max_sent
        timer = (None if is_mute else quic.get_timer()) or float("inf")
        data: bytes | None = None
        with trio.move_on_after(max(0.0, timer - line.now())):
            data = await line.receive()
        if data is None:
            try:
                # Not earlier than it asked for, or rounding would bring us back at once.
                quic.handle_timer(max(timer, line.now()))
            except Exception as error:  # noqa: BLE001 - as in `take`
                raise QuicError(PROTOCOL_ERROR, type(error).__name__) from None
        elif max_read is None or line.datagrams_received <= max_read:
            take(quic, line, data)
        if is_over():
            return
