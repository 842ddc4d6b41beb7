"""A QUIC client (RFC 9000, version 1) that verifies whom it speaks to.

Imports aioquic: import it late, and only where `load_library` has found it.
"""

import ssl
from collections.abc import Callable
from typing import Final

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, QuicEvent
from aioquic.quic.packet import QuicProtocolVersion
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from probe.model import failure as failures
from probe.model.observation import Certificate
from probe.model.step import NO_TRUST
from probe.net.tls import TrustStores
from probe.steps.quic_certificate import problem_of
from probe.steps.quic_line import (
    INITIAL_RTT_S,
    PROTOCOL_ERROR,
    Line,
    QuicError,
    drive,
    silence_library,
)
from probe.wire.certificate import parse_certificate

HANDSHAKE_BYTES: Final = 64 * 1024
"""Room for a handshake, certificates and acknowledgements: public chains are 2.5 to 5 kB."""

MAX_CHAIN: Final = 10
"""Certificates described per handshake, as over TLS."""

CLOSED: Final = f"{failures.UNKNOWN_PREFIX}quic_connection_close"
"""Failure: the peer's QUIC ended the connection and gave a code."""

NO_VERSION: Final = f"{failures.UNKNOWN_PREFIX}quic_version"
"""Failure: a Version Negotiation without our version. It is not authenticated."""

_DATAGRAM_BYTES: Final = 48
"""What a datagram costs beside its content: a flood of empty ones has an end too."""

_ALERTS: Final = range(0x100, 0x200)
"""Codes that stand for TLS alerts in a close by QUIC itself (RFC 9001 section 4.8)."""
_UNRECOGNIZED_NAME: Final = 0x170
_BAD_CERTIFICATE: Final = 0x12A

_VERSIONS_REASON: Final = "Could not find a common protocol version"
_IDLE_REASON: Final = "Idle timeout"


class Connection(QuicConnection):
    """The library's, as far as it lets one see its certificates and who ended it.

    It tells of an end only when the last packets are forgotten, three probe timeouts
    later, and not whose it was.
    """

    was_ended_here = False

    def close(
        self,
        error_code: int = 0,
        frame_type: int | None = None,
        reason_phrase: str = "",  # noqa: ARG002 - not told: it may quote what the peer sent
    ) -> None:
        """End the connection, unless it has ended; the peer is told at the next flush."""
        self.was_ended_here = self.was_ended_here or self._close_event is None
        super().close(error_code=error_code, frame_type=frame_type)

    def end(self) -> ConnectionTerminated | None:
        """Return how the connection ended, as soon as it has."""
        return self._close_event

    def presented(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates, leaf first, as soon as they have come."""
        leaf = self.tls._peer_certificate  # noqa: SLF001 - no public way
        return (leaf, *self.tls._peer_certificate_chain) if leaf else ()  # noqa: SLF001 - as above


class QuicClient:
    """One connection, from its first Initial until `leave` or `Line.close`.

    ``max_bytes`` bounds what is received, beside the handshake, whatever it is; it is
    also the window that the peer is given (RFC 9000 section 4).
    """

    def __init__(
        self,
        line: Line,
        *,
        alpn: str,
        server_name: str,
        trust: str,
        stores: TrustStores,
        max_bytes: int,
    ) -> None:
        silence_library()
        self._line = line
        self._alpn = alpn
        self._server_name = server_name
        self._pem = None if trust == NO_TRUST else stores.pem_of(trust)
        # Packets are repeated where acknowledgements are lost.
        self._max_received = HANDSHAKE_BYTES + 2 * max_bytes
        self._is_verified = False
        self.is_established = False
        self.quic = Connection(
            configuration=QuicConfiguration(
                is_client=True,
                alpn_protocols=[alpn],
                server_name=server_name or None,
                verify_mode=ssl.CERT_NONE,  # see quic_certificate
                initial_rtt=INITIAL_RTT_S,
                max_data=max_bytes,
                max_stream_data=max_bytes,
                supported_versions=[QuicProtocolVersion.VERSION_1],
            )
        )
        self.quic.connect(line.peer, line.now())

    def allow(self, more_bytes: int) -> None:
        """Let the peer send so much more."""
        self._max_received += more_bytes

    def certificates(self) -> tuple[Certificate, ...]:
        """Describe what the peer presented, verified or not."""
        presented = self.quic.presented()[:MAX_CHAIN]
        return tuple(parse_certificate(one.public_bytes(Encoding.DER)) for one in presented)

    async def until(self, is_answered: Callable[[QuicEvent], bool]) -> None:
        """Go on until ``is_answered``, which is shown every event of a verified peer.

        Its first one is `HandshakeCompleted`, with the protocol asked for.

        Raises:
            QuicError: the connection is of no more use, and why; OSError.
        """
        await drive(self.quic, self._line, lambda: self._look(is_answered))

    def _look(self, is_answered: Callable[[QuicEvent], bool]) -> bool:
        self._verify()
        is_over = False
        while not is_over and (event := self.quic.next_event()) is not None:
            if isinstance(event, HandshakeCompleted):
                self._establish(event)
            is_over = self.is_established and is_answered(event)
        if is_over:
            return True
        if (end := self.quic.end()) is not None:
            raise self._error_of(end)
        spent = self._line.received_bytes + _DATAGRAM_BYTES * self._line.datagrams_received
        if spent > self._max_received:
            raise QuicError(PROTOCOL_ERROR, f"more than {self._max_received} bytes")
        return False

    def _verify(self) -> None:
        """As soon as certificates have come, so that a bad chain's server gets no answer."""
        if self._is_verified or not (chain := self.quic.presented()):
            return
        problem = None if self._pem is None else problem_of(chain, self._server_name, self._pem)
        if problem is not None:
            self.quic.close(_BAD_CERTIFICATE, frame_type=0x06)
            raise QuicError(failures.from_verify_code(problem.code), problem.message, problem.code)
        self._is_verified = True

    def _establish(self, event: HandshakeCompleted) -> None:
        if not self._is_verified:
            raise QuicError(failures.SKIPPED, "this version of aioquic shows no certificates")
        if event.alpn_protocol != self._alpn:
            raise QuicError(failures.SSL_FAILED_HANDSHAKE, "no_application_protocol")
        self.is_established = True

    def _error_of(self, end: ConnectionTerminated) -> QuicError:
        is_ours = self.quic.was_ended_here
        is_alert = end.frame_type is not None and end.error_code in _ALERTS
        if is_alert:
            is_unknown_name = not is_ours and end.error_code == _UNRECOGNIZED_NAME
            failure = (
                failures.SSL_INVALID_HOSTNAME if is_unknown_name else failures.SSL_FAILED_HANDSHAKE
            )
        elif is_ours:
            failure = PROTOCOL_ERROR
        elif end.reason_phrase == _VERSIONS_REASON:
            return QuicError(NO_VERSION)
        elif end.reason_phrase == _IDLE_REASON:
            return QuicError(failures.GENERIC_TIMEOUT, "idle")
        else:
            # Like a server that closes: what speaks over QUIC has nothing more to say.
            failure = CLOSED if end.frame_type is not None else failures.EOF
        # The peer's own words are not kept: they may name this client.
        who = "protocol_error" if is_ours else "connection_close"
        return QuicError(failure, f"{who} {end.error_code:#x}")

    async def leave(self, code: int) -> None:
        """Tell a peer that has answered that this was all, with the application's code.

        It is not told twice, and not waited for. The socket is closed in any case.
        """
        try:
            if self._line.datagrams_received:
                self.quic.close(code)
                await self._line.flush(self.quic)
        except (OSError, QuicError):
            pass  # nobody is there to hear it
        finally:
            self._line.close()
