"""What a middlebox remembers of one connection."""

from typing import Final, Literal, NamedTuple

from censorlab.decide import PASS, Treatment
from censorlab.memory import Contact
from censorlab.opening.first_bytes import Opening
from censorlab.opening.tls import (
    ApplicationDataCounter,
    ClientHello,
    HelloReader,
    as_records,
)
from censorlab.packet import ip, quic, tcp
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.line import DEFAULT_QUEUE_BYTES
from censorlab.packet.reassembly import Reassembly
from censorlab.rules import Police

MAX_FLOWS: Final = 65_536
"""Ten whole runs of a prober with 1000 endpoints; the oldest are forgotten."""

_HALF: Final = tcp.SEQUENCE_SPACE // 2


class FlowKey(NamedTuple):
    """Who talks to whom; addresses are 4 or 16 bytes."""

    protocol: int
    client: bytes
    client_port: int
    server: bytes
    server_port: int

    @property
    def contact(self) -> Contact:
        """What a censor with a memory calls the same contact again."""
        protocol: Literal["tcp", "udp"] = "udp" if self.protocol == ip.UDP else "tcp"
        return Contact(self.client, self.server, self.server_port, protocol)


class Flow:
    """A TCP connection or UDP exchange that a client opened."""

    __slots__ = (
        "_free_at",
        "_handshake",
        "_quic_keys",
        "_tokens",
        "_tokens_at",
        "data_seq",
        "held_bytes",
        "is_decided",
        "is_truncated",
        "opening",
        "packets",
        "records",
        "reply_bytes",
        "reply_seq",
        "stream",
        "treatment",
    )

    def __init__(self, data_seq: int, treatment: Treatment, opening: Opening) -> None:
        self.data_seq = data_seq
        """Sequence number of the client's first byte; 0 for UDP."""
        self.reply_seq = 0
        """Sequence number of the server's first byte, once known."""
        self.treatment = treatment
        self.is_decided = False
        self.is_truncated = False
        """Whether the server's stream has been ended in its name."""
        self.packets = 0
        self.reply_bytes = 0
        self.held_bytes = 0
        """Bound on what is kept to decide by."""
        self.stream = Reassembly()
        self.opening = opening
        self.records: ApplicationDataCounter | None = None
        self._handshake = HelloReader()
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
        if treatment.records is not None:
            self.records = ApplicationDataCounter(treatment.records)
            self.count_records(bytes(self.opening.data))
        else:
            self.stream = Reassembly()
        self.opening = Opening()
        self._handshake = HelloReader()
        if treatment.police is not None:
            self._tokens, self._tokens_at = float(treatment.police.burst_bytes), now

    def silence(self) -> None:
        """Let nothing through from now on."""
        self.treatment = self.treatment._replace(action="drop")
        self.records = None

    @property
    def is_over(self) -> bool:
        """Whether a limit of packets or bytes has been passed: nothing goes through."""
        treatment = self.treatment
        if treatment is PASS:
            return False
        if treatment.all_packets is not None and self.packets > treatment.all_packets:
            return True
        return treatment.reply_bytes is not None and self.reply_bytes > treatment.reply_bytes

    # What the client says ------------------------------------------------

    def is_news(self, seq: int, data: bytes) -> bool:
        """Whether a segment ends beyond what is known: no repetition, no keep-alive probe."""
        return self._offset(seq) + len(data) > self.stream.next_offset

    def add(self, seq: int, data: bytes) -> bytes:
        """Return the client's bytes that are contiguous now and were not before."""
        return self.stream.add(self._offset(seq), data)

    def _offset(self, seq: int) -> int:
        """Place of a sequence number in the stream, the nearest one to what is next."""
        start = self.stream.next_offset
        distance = (seq - self.data_seq - start) % tcp.SEQUENCE_SPACE
        return start + (distance - tcp.SEQUENCE_SPACE if distance >= _HALF else distance)

    def count_records(self, data: bytes) -> None:
        """Count application data; with a record too many, all is silent from here."""
        if self.records is not None and self.records.feed(data) is not None:
            self.silence()

    def add_quic(self, datagram: bytes) -> ClientHello | None:
        """Return the hello that QUIC Initials have shown, None while more is needed.

        Raises:
            MalformedPacketError: if this is not (the next part of) a client's first flight.
            MalformedHelloError: if what it carries is no hello.
        """
        if self._quic_keys is None:
            self._quic_keys = quic.client_keys(quic.destination_id(datagram))
        try:
            fragments = quic.read_initials(datagram, self._quic_keys)
        except MalformedPacketError:
            # After a Retry the client starts again, to the id that it was given.
            self._quic_keys = quic.client_keys(quic.destination_id(datagram))
            fragments = quic.read_initials(datagram, self._quic_keys)
            self.stream, self._handshake = Reassembly(), HelloReader()
        hello = None
        for fragment in fragments:
            fresh = self.stream.add(fragment.offset, fragment.data)
            hello = hello or self._handshake.feed(as_records(fresh))
        return hello

    # What the server says ------------------------------------------------

    def reply_offset(self, seq: int) -> int:
        """Place of a sequence number in the server's stream (of less than 2 GiB)."""
        distance = (seq - self.reply_seq) % tcp.SEQUENCE_SPACE
        return distance - tcp.SEQUENCE_SPACE if distance >= _HALF else distance

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
