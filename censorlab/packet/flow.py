"""What a middlebox remembers of one connection."""

from typing import Final, NamedTuple

from censorlab.packet import quic
from censorlab.packet.decide import PASS, Treatment
from censorlab.packet.line import DEFAULT_QUEUE_BYTES
from censorlab.packet.reassembly import Reassembly
from censorlab.packet.rules import Police

MAX_FLOWS: Final = 65_536
"""Ten whole runs of a prober with 1000 endpoints; the oldest are forgotten."""


class FlowKey(NamedTuple):
    """Who talks to whom; addresses are 4 or 16 bytes."""

    protocol: int
    client: bytes
    client_port: int
    server: bytes
    server_port: int


class Flow:
    """A TCP connection or UDP exchange that a client opened."""

    __slots__ = (
        "_free_at",
        "_quic_keys",
        "_tokens",
        "_tokens_at",
        "data_seq",
        "first_bytes",
        "is_decided",
        "packets",
        "reply_bytes",
        "reply_seq",
        "treatment",
    )

    def __init__(self, data_seq: int, treatment: Treatment) -> None:
        self.data_seq = data_seq
        """Sequence number of the client's first byte; 0 for UDP."""
        self.reply_seq = 0
        """Sequence number of the server's first byte, once known."""
        self.treatment = treatment
        self.is_decided = False
        self.packets = 0
        self.reply_bytes = 0
        self.first_bytes = Reassembly()
        self._quic_keys: quic.Keys | None = None
        self._tokens = 0.0
        self._tokens_at = 0.0
        self._free_at = 0.0

    def decide(self, treatment: Treatment, now: float) -> None:
        """Fix what happens from this packet on, which has been counted."""
        if treatment.more_packets is not None:
            limits = [self.packets + treatment.more_packets]
            limits += [treatment.all_packets] if treatment.all_packets is not None else []
            treatment = treatment._replace(all_packets=min(limits))
        self.is_decided = True
        self.treatment = treatment
        self.first_bytes = Reassembly()
        if treatment.police is not None:
            self._tokens, self._tokens_at = float(treatment.police.burst_bytes), now

    @property
    def is_over(self) -> bool:
        """Whether a limit of packets or bytes has been passed: nothing goes through."""
        treatment = self.treatment
        if treatment is PASS:
            return False
        if treatment.all_packets is not None and self.packets > treatment.all_packets:
            return True
        return treatment.reply_bytes is not None and self.reply_bytes > treatment.reply_bytes

    def add_quic(self, datagram: bytes) -> bytes:
        """Return the contiguous handshake bytes that QUIC Initials have shown so far.

        Raises:
            MalformedPacketError: if this is not (the next part of) a client's first flight.
        """
        if self._quic_keys is None:
            self._quic_keys = quic.client_keys(quic.destination_id(datagram))
        handshake = b""
        for fragment in quic.read_initials(datagram, self._quic_keys):
            handshake = self.first_bytes.add(fragment.offset, fragment.data)
        return handshake

    def admit_reply(self, size: int, now: float) -> float | None:
        """Return when a server's packet leaves the policer and shaper, None if lost."""
        treatment = self.treatment
        if treatment.police is not None and not self._pays(treatment.police, size, now):
            return None
        if treatment.shape_bytes_per_s is None:
            return now
        start = max(now, self._free_at)
        # A shaper without a bound would let round trips grow for ever.
        if (start - now) * treatment.shape_bytes_per_s > DEFAULT_QUEUE_BYTES:
            return None
        self._free_at = start + size / treatment.shape_bytes_per_s
        return self._free_at

    def _pays(self, police: Police, size: int, now: float) -> bool:
        earned = (now - self._tokens_at) * police.rate_bytes_per_s
        self._tokens = min(police.burst_bytes, self._tokens + earned)
        self._tokens_at = now
        if self._tokens < size:
            return False
        self._tokens -= size
        return True
