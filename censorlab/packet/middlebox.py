"""The box in the path: packets in, packets and times out."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple, get_args

from censorlab.decide import DNS_PORT, Kind, Passage, on_open, on_place, on_query, on_quic_hello
from censorlab.engines import check_packets
from censorlab.memory import Memory
from censorlab.opening.first_bytes import OTHER, Opening, Seen
from censorlab.opening.tls import MalformedHelloError
from censorlab.packet import dns, forge, icmp, ip, tcp, udp
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.flow import MAX_FLOWS, Flow, FlowKey
from censorlab.packet.forge import FORGED_TTL, Offence
from censorlab.packet.line import Line, Losses, Pipe
from censorlab.packet.nat import Nat
from censorlab.rules import (
    FirstRecordOnly,
    FirstSegmentOnly,
    LineCut,
    NatRebinding,
    PlaceRule,
    QuicSniDrop,
    Rule,
)

Direction = Literal["up", "down"]
"""``up`` is from the client to the server."""

ROUTER_ADDRESSES: Final = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses: nothing real is named by a forged ICMP error."""

_QUIC_PORT: Final = 443

_MAX_PASSAGES: Final = 65_536
"""Decisions about places that are kept; a client talks to a few thousand."""

_MAX_HELD_BYTES: Final = 2**26
"""Of openings not yet recognised, all together: thirty thousand browser hellos.
Beyond it this censor, like real ones, looks away."""


class Outgoing(NamedTuple):
    """A packet that leaves the box in a direction at a time.

    ``diverted``: it goes up to the machine that stands in for the server.
    """

    direction: Direction
    packet: bytes
    due: float
    diverted: bool = False


class Middlebox:
    """A censor with rules on a line, sans I/O.

    A NAT, if any, is nearest to the client; then come the rules, then the line.
    The censor sits half-way: what it forges arrives as if the packet that
    provoked it had turned round there. Forged packets are neither lost nor
    queued, so that a signature never hangs on chance. Connections whose SYN was
    not seen are subject to the rules about places only, and so are fragments.
    The same rules, seed and packets give the same result.
    """

    def __init__(
        self,
        rules: Iterable[Rule] = (),
        line: Line | None = None,
        seed: int = 0,
        router_addresses: tuple[str, str] = ROUTER_ADDRESSES,
    ) -> None:
        """Put rules in force.

        Raises:
            NeedsStreamError: for a rule that packets cannot express.
        """
        self._rules = tuple(rules)
        check_packets(self._rules)
        self._line = line or Line()
        # isinstance with a union is slow; this runs once, not for each packet.
        self._place_rules = tuple(r for r in self._rules if isinstance(r, get_args(PlaceRule)))
        self._reads_quic = any(isinstance(rule, QuicSniDrop) for rule in self._rules)
        self._reassembles = not any(isinstance(rule, FirstSegmentOnly) for rule in self._rules)
        self._first_record_only = any(isinstance(rule, FirstRecordOnly) for rule in self._rules)
        self._pipes = {d: Pipe(self._line, f"{seed} {d}") for d in get_args(Direction)}
        self._seed = seed
        self._losses: dict[tuple[Direction, float], Losses] = {}
        self._memory = Memory(self._rules)
        self._passages: dict[tuple[bytes, int, Kind, Direction], Passage] = {}
        self._flows: dict[FlowKey, Flow] = {}
        self._held_bytes = 0
        self._routers = {len(a): a for a in (ip_address(t).packed for t in router_addresses)}
        self._nats = tuple(Nat(r.every_s) for r in self._rules if isinstance(r, NatRebinding))
        self._flows_left = min(
            (rule.after_flows for rule in self._rules if isinstance(rule, LineCut)), default=None
        )
        self._opened: set[tuple[FlowKey, int]] = set()
        self._is_dead = False

    def handle(self, direction: Direction, packet: bytes, now: float) -> list[Outgoing]:
        """Return what leaves because of a packet, in the order of decision."""
        if not self._nats:
            return self._carry(direction, packet, now)
        if direction == "up":
            for nat in self._nats:
                packet = nat.go_out(packet, now)
        outgoing: list[Outgoing] = []
        for one in self._carry(direction, packet, now):
            inside: bytes | None = one.packet
            if one.direction == "down":
                for nat in reversed(self._nats):
                    inside = inside and nat.come_in(inside, now)
            if inside:
                outgoing.append(one._replace(packet=inside))
        return outgoing

    def _carry(self, direction: Direction, packet: bytes, now: float) -> list[Outgoing]:
        if self._is_dead:
            return []
        try:
            header = ip.read_header(packet)
        except MalformedPacketError:
            return []  # as any router does
        if _is_local(header.destination):
            return []
        if header.protocol == ip.TCP:
            return self._tcp(direction, packet, header, now)
        if header.protocol == ip.UDP:
            return self._udp(direction, packet, header, now)
        server = header.destination if direction == "up" else header.source
        passage = self._passage(server, 0, "other", direction)
        return self._at_place(direction, packet, header, passage, now)

    # What the line does -------------------------------------------------

    def _forward(
        self, direction: Direction, packet: bytes, now: float, leaves_at: float | None = None
    ) -> list[Outgoing]:
        due = self._pipes[direction].carry(len(packet), now)
        if due is None:
            return []
        # A shaper's wait is one connection's; the line itself is not held up by it.
        wait = 0.0 if leaves_at is None else leaves_at - now
        return [Outgoing(direction, packet, due + wait)]

    def _forged(self, direction: Direction, packet: bytes, now: float) -> Outgoing:
        return Outgoing(direction, packet, now + self._line.delay_s)

    def _is_cut(self, key: FlowKey, seq: int) -> bool:
        """Count what the client opens; say whether the line is dead from here on."""
        if self._flows_left is not None and (key, seq) not in self._opened:
            self._opened.add((key, seq))
            self._is_dead = len(self._opened) > self._flows_left
        return self._is_dead

    # Rules about places -------------------------------------------------

    def _passage(self, server: bytes, port: int, kind: Kind, direction: Direction) -> Passage:
        """Return what becomes of the next packet, its luck included."""
        passage = self._decided(server, port, kind, direction)
        if passage.loss and self._is_struck(direction, passage.loss):
            return Passage("drop")
        return passage

    def _decided(self, server: bytes, port: int, kind: Kind, direction: Direction) -> Passage:
        place = (server, port, kind, direction)
        passage = self._passages.get(place)
        if passage is None:
            passage = on_place(self._place_rules, server, port, kind, up=direction == "up")
            if len(self._passages) >= _MAX_PASSAGES:
                self._passages.clear()
            self._passages[place] = passage
        return passage

    def _is_struck(self, direction: Direction, share: float) -> bool:
        """Whether the next packet to or from places with this loss is lost."""
        losses = self._losses.get((direction, share))
        if losses is None:
            losses = Losses(share, f"{self._seed} {direction} place {share}")
            self._losses[direction, share] = losses
        return losses.strike()

    def _at_place(
        self, direction: Direction, packet: bytes, header: ip.Header, passage: Passage, now: float
    ) -> list[Outgoing]:
        if passage.action == "drop":
            return []
        if passage.icmp_code is not None:
            router = self._routers[len(header.source)]
            error = icmp.unreachable(router, packet, passage.icmp_code, FORGED_TTL)
            return [self._forged("down", error, now)]
        outgoing = self._forward(direction, packet, now)
        return _diverted(outgoing) if passage.is_diverted else outgoing

    # Flows --------------------------------------------------------------

    def _open(self, key: FlowKey, data_seq: int) -> Flow:
        former = self._flows.pop(key, None)
        if former is None and len(self._flows) >= MAX_FLOWS:
            former = self._flows.pop(next(iter(self._flows)))
        if former is not None:
            self._release(former)
        opening = Opening(first_record_only=self._first_record_only)
        flow = Flow(data_seq, on_open(self._rules, key.server), opening)
        self._flows[key] = flow
        return flow

    def _holds(self, flow: Flow, size: int) -> bool:
        """Whether so many bytes more may be kept to decide by."""
        flow.held_bytes += size
        self._held_bytes += size
        return self._held_bytes <= _MAX_HELD_BYTES

    def _release(self, flow: Flow) -> None:
        self._held_bytes -= flow.held_bytes
        flow.held_bytes = 0

    # TCP ----------------------------------------------------------------

    def _tcp(
        self, direction: Direction, packet: bytes, header: ip.Header, now: float
    ) -> list[Outgoing]:
        try:
            segment = tcp.read_segment(packet, header)
        except MalformedPacketError:
            # The receiver's business, unless it is kept from there.
            server = header.destination if direction == "up" else header.source
            passage = self._passage(server, 0, "tcp", direction)
            return self._at_place(direction, packet, header, passage, now)
        source_port, destination_port, seq, _, flags, data_at = segment
        up = direction == "up"
        if up:
            key = FlowKey(ip.TCP, header.source, source_port, header.destination, destination_port)
        else:
            key = FlowKey(ip.TCP, header.destination, destination_port, header.source, source_port)
        has_data = data_at < header.end
        opens = up and flags & (tcp.SYN | tcp.ACK) == tcp.SYN
        if opens and self._is_cut(key, seq):
            return []
        is_diverted = False
        if self._place_rules:
            kind: Kind = "client_data" if up and has_data else "tcp"
            if flags & tcp.SYN:
                kind = "syn_ack" if flags & tcp.ACK else "syn"
            passage = self._passage(key.server, key.server_port, kind, direction)
            if passage.action == "refuse":
                return [self._forged("down", forge.refusal(key, seq + 1), now)]
            if passage.action == "syn_ack_to_rst":
                return [self._forged("down", forge.refusal(key, segment.ack), now)]
            if passage.action != "pass":
                return self._at_place(direction, packet, header, passage, now)
            if opens and has_data and self._keeps_data_from(key):
                return []
            is_diverted = passage.is_diverted
        flow = self._flows.get(key)
        if opens and (flow is None or flow.data_seq != (seq + 1) % tcp.SEQUENCE_SPACE):
            if self._memory.is_blocked(key.contact, now):
                return []
            flow = self._open(key, (seq + 1) % tcp.SEQUENCE_SPACE)
        if flow is None:
            outgoing = self._forward(direction, packet, now)
        elif up:
            data = packet[data_at : header.end] if has_data else b""
            outgoing = self._tcp_words(flow, Offence(key, packet, segment, data), now)
        else:
            flow.packets += 1
            flow.reply_bytes += len(packet)
            data = packet[data_at : header.end] if has_data else b""
            outgoing = self._tcp_reply(flow, Offence(key, packet, segment, data), now)
        return _diverted(outgoing) if is_diverted else outgoing

    def _keeps_data_from(self, key: FlowKey) -> bool:
        """Whether data in the SYN (RFC 7413) are such as may not arrive."""
        # Luck has been asked once for this packet.
        passage = self._decided(key.server, key.server_port, "client_data", "up")
        return passage.action == "drop"

    def _tcp_words(self, flow: Flow, said: Offence, now: float) -> list[Outgoing]:
        """Decide about a client's segment."""
        flow.packets += 1
        if flow.is_over:
            return []
        segment = said.segment
        # Data in a SYN follow its own place in the sequence.
        seq = segment.seq + 1 if segment.flags & tcp.SYN else segment.seq
        if said.data and not flow.is_decided:
            seen = self._look(flow, seq, said.data)
            if seen is not None:
                return self._strike(flow, said, seen, now)
        elif said.data and flow.records is not None:
            flow.count_records(flow.add(seq, said.data))
        if flow.treatment.action in ("drop", "reset_both", "page"):
            return []
        if flow.is_truncated and segment.flags & tcp.ACK:
            limit = flow.treatment.truncate_at or 0
            if flow.reply_offset(segment.ack) >= limit:
                # Only now nothing is missing that the server would have to resend.
                flow.silence()
                end = forge.reset_in_answer(said.key, segment, flow.reply_seq + limit)
                return [self._forged("up", end, now)]
        return self._forward("up", said.packet, now)

    def _look(self, flow: Flow, seq: int, data: bytes) -> Seen | None:
        """Return what the first bytes are once they show it."""
        if not flow.is_news(seq, data):
            return None
        fresh = flow.add(seq, data)
        if not self._reassembles:
            return flow.opening.feed(data) or OTHER
        seen = flow.opening.feed(fresh)
        if seen is None and not self._holds(flow, len(data)):
            return OTHER
        return seen

    def _strike(self, flow: Flow, offence: Offence, seen: Seen, now: float) -> list[Outgoing]:
        """Apply a decision to the segment that completed the first bytes."""
        self._release(flow)
        treatment = self._memory.judge(offence.key.contact, seen, now, flow.treatment)
        flow.decide(treatment, now)
        if flow.is_over:
            return []
        match flow.treatment.action:
            case "drop":
                return []
            case "reset_both":
                return [
                    self._forged("down", forge.client_reset(offence), now),
                    self._forged("up", forge.server_reset(offence), now),
                ]
            case "reset_client":
                reset = self._forged("down", forge.client_reset(offence), now)
                return [reset, *self._forward("up", offence.packet, now)]
            case "reset_server":
                return [self._forged("up", forge.server_reset(offence), now)]
            case "page":
                return [
                    self._forged("down", forge.page(offence, treatment.page), now),
                    self._forged("up", forge.server_reset(offence), now),
                ]
            case "pass" | "drop_reply":
                return self._forward("up", offence.packet, now)

    def _tcp_reply(self, flow: Flow, said: Offence, now: float) -> list[Outgoing]:
        """Decide about a server's segment, which has been counted."""
        if flow.is_over:
            return []
        key, packet, segment, data = said
        if segment.flags & tcp.SYN:
            flow.reply_seq = (segment.seq + 1) % tcp.SEQUENCE_SPACE
        action = flow.treatment.action
        if action in ("drop", "reset_both", "page"):
            return []
        if action == "drop_reply":
            if not data and not segment.flags & (tcp.FIN | tcp.RST):
                return self._forward("down", packet, now)
            # The data are lost but not what they acknowledge, or whether the
            # hello counts as delivered would hang on the server's timing.
            bare = forge.bare_acknowledgement(key, flow.reply_seq, segment.ack)
            return [self._forged("down", bare, now)]
        limit = flow.treatment.truncate_at
        if limit is not None and data:
            left = limit - flow.reply_offset(segment.seq)
            if left < 0:
                return []
            if left <= len(data):
                flow.is_truncated = True
                end = forge.truncation(key, segment, data[:left])
                return [self._forged("down", end, now)]
        leaves_at = flow.admit_reply(len(packet), now)
        if leaves_at is None:
            return []
        return self._forward("down", packet, now, leaves_at)

    # UDP ----------------------------------------------------------------

    def _udp(
        self, direction: Direction, packet: bytes, header: ip.Header, now: float
    ) -> list[Outgoing]:
        try:
            source_port, destination_port, data_at, end = udp.read_datagram(packet, header)
        except MalformedPacketError:
            server = header.destination if direction == "up" else header.source
            passage = self._passage(server, 0, "udp", direction)
            return self._at_place(direction, packet, header, passage, now)
        up = direction == "up"
        if up:
            key = FlowKey(ip.UDP, header.source, source_port, header.destination, destination_port)
            if self._is_cut(key, 0):
                return []
        else:
            key = FlowKey(ip.UDP, header.destination, destination_port, header.source, source_port)
        is_diverted = False
        if self._place_rules:
            passage = self._passage(key.server, key.server_port, "udp", direction)
            if passage.action != "pass":
                return self._at_place(direction, packet, header, passage, now)
            is_diverted = passage.is_diverted
        flow = self._flows.get(key)
        if flow is None:
            if not up:
                return self._forward(direction, packet, now)
            if self._memory.is_blocked(key.contact, now):
                return []
            flow = self._open(key, 0)
        flow.packets += 1
        if not up:
            flow.reply_bytes += len(packet)
        elif self._reads_quic and key.server_port == _QUIC_PORT and not flow.is_decided:
            self._quic(flow, key, packet[data_at:end], now)
        if flow.is_over or flow.treatment.action == "drop":
            return []
        if up and key.server_port == DNS_PORT:
            outgoing = self._query(key, packet, packet[data_at:end], now)
        else:
            outgoing = self._forward(direction, packet, now)
        return _diverted(outgoing) if is_diverted else outgoing

    def _query(self, key: FlowKey, packet: bytes, message: bytes, now: float) -> list[Outgoing]:
        try:
            question = dns.read_question(message)
        except MalformedPacketError:
            return self._forward("up", packet, now)
        verdict = on_query(self._rules, question.name, question.ip_version)
        outgoing: list[Outgoing] = []
        if verdict.forgery is not None:
            answer = dns.answer(question, verdict.forgery)
            forged = udp.build(key[3:5], key[1:3], answer, FORGED_TTL)
            outgoing.append(self._forged("down", forged, now))
        if verdict.passes:
            outgoing += self._forward("up", packet, now)
        return outgoing

    def _quic(self, flow: Flow, key: FlowKey, datagram: bytes, now: float) -> None:
        """Read on in the client's Initials; decide once the hello is whole."""
        treatment = flow.treatment
        try:
            hello = flow.add_quic(datagram)
        except (MalformedPacketError, MalformedHelloError):
            # Not QUIC, or not its client's first words: the censor looks away.
            pass
        else:
            if hello is None and self._holds(flow, len(datagram)):
                return
            if hello is not None and on_quic_hello(self._rules, hello):
                treatment = treatment._replace(action="drop")
                self._memory.hit(key.contact, now)
        self._release(flow)
        flow.decide(treatment, now)


def _diverted(outgoing: list[Outgoing]) -> list[Outgoing]:
    return [o._replace(diverted=True) if o.direction == "up" else o for o in outgoing]


def _is_local(destination: bytes) -> bool:
    """Whether a router keeps a packet off: multicast, link-local, broadcast.

    Neighbour discovery would otherwise use up chance, and losses with one seed
    would differ between runs.
    """
    if len(destination) == 4:
        return destination[0] >= 224 or destination[:2] == b"\xa9\xfe"
    return destination[0] == 0xFF or (destination[0] == 0xFE and destination[1] & 0xC0 == 0x80)
