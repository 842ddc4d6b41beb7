"""The box in the path: packets in, packets and times out."""

from collections.abc import Iterable
from ipaddress import ip_address
from random import Random
from typing import Final, Literal, NamedTuple, get_args

from censorlab.hello import MalformedHelloError
from censorlab.packet import dns, forge, icmp, ip, tcp, udp
from censorlab.packet.decide import (
    Kind,
    Passage,
    PlaceRule,
    on_first_bytes,
    on_open,
    on_place,
    on_query,
    on_quic_hello,
)
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.first_bytes import OTHER, Seen, recognise
from censorlab.packet.flow import MAX_FLOWS, Flow, FlowKey
from censorlab.packet.forge import FORGED_TTL, Offence
from censorlab.packet.line import Line, Pipe
from censorlab.packet.memory import Memory
from censorlab.packet.rules import FirstSegmentOnly, PacketRule, QuicSniDrop
from censorlab.packet.tls import as_records, read_client_hello

Direction = Literal["up", "down"]
"""``up`` is from the client to the server."""

ROUTER_ADDRESSES: Final = ("192.0.2.1", "2001:db8::1")
"""Documentation addresses: nothing real is named by a forged ICMP error."""

_DNS_PORT: Final = 53
_QUIC_PORT: Final = 443


class Outgoing(NamedTuple):
    """A packet that leaves the box in a direction at a time."""

    direction: Direction
    packet: bytes
    due: float


class Middlebox:
    """A censor with rules on a line, sans I/O.

    Rules come first, then the line. The censor sits half-way: what it forges
    arrives as if the packet that provoked it had turned round there. Forged
    packets are neither lost nor queued, so that a signature never hangs on
    chance. Connections whose SYN was not seen are subject to the rules about
    places only. The same rules, seed and packets give the same result.
    """

    def __init__(
        self,
        rules: Iterable[PacketRule] = (),
        line: Line | None = None,
        seed: int = 0,
        router_addresses: tuple[str, str] = ROUTER_ADDRESSES,
    ) -> None:
        self._rules = tuple(rules)
        self._line = line or Line()
        # isinstance with a union is slow; this runs once, not for each packet.
        self._place_rules = tuple(r for r in self._rules if isinstance(r, get_args(PlaceRule)))
        self._reads_quic = any(isinstance(rule, QuicSniDrop) for rule in self._rules)
        self._reassembles = not any(isinstance(rule, FirstSegmentOnly) for rule in self._rules)
        self._pipes = {d: Pipe(self._line, f"{seed} {d}") for d in get_args(Direction)}
        self._chance = {
            d: Random(f"{seed} {d} place")  # noqa: S311  repeatable on purpose
            for d in get_args(Direction)
        }
        self._memory = Memory(self._rules)
        self._flows: dict[FlowKey, Flow] = {}
        self._routers = {len(a): a for a in (ip_address(t).packed for t in router_addresses)}

    def handle(self, direction: Direction, packet: bytes, now: float) -> list[Outgoing]:
        """Return what leaves because of a packet, in the order of decision."""
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

    # Rules about places -------------------------------------------------

    def _passage(self, server: bytes, port: int, kind: Kind, direction: Direction) -> Passage:
        passage = on_place(self._place_rules, server, port, kind, up=direction == "up")
        if passage.loss and self._chance[direction].random() < passage.loss:
            return Passage("drop")
        return passage

    def _at_place(
        self, direction: Direction, packet: bytes, header: ip.Header, passage: Passage, now: float
    ) -> list[Outgoing]:
        if passage.action == "drop":
            return []
        if passage.icmp is not None:
            router = self._routers[len(header.source)]
            error = icmp.unreachable(router, packet, passage.icmp.code, FORGED_TTL)
            return [self._forged("down", error, now)]
        return self._forward(direction, packet, now)

    # Flows --------------------------------------------------------------

    def _open(self, key: FlowKey, data_seq: int) -> Flow:
        if len(self._flows) >= MAX_FLOWS:
            del self._flows[next(iter(self._flows))]
        flow = Flow(data_seq, on_open(self._rules, key.server))
        self._flows[key] = flow
        return flow

    def _count(self, flow: Flow, direction: Direction, packet: bytes) -> None:
        flow.packets += 1
        if direction == "down":
            flow.reply_bytes += len(packet)

    # TCP ----------------------------------------------------------------

    def _tcp(
        self, direction: Direction, packet: bytes, header: ip.Header, now: float
    ) -> list[Outgoing]:
        try:
            segment = tcp.read_segment(packet, header)
        except MalformedPacketError:
            return self._forward(direction, packet, now)  # the receiver's business
        source_port, destination_port, seq, _, flags, data_at = segment
        up = direction == "up"
        if up:
            key = FlowKey(ip.TCP, header.source, source_port, header.destination, destination_port)
        else:
            key = FlowKey(ip.TCP, header.destination, destination_port, header.source, source_port)
        has_data = data_at < header.end
        is_syn = flags & (tcp.SYN | tcp.ACK) == tcp.SYN
        if self._place_rules:
            kind: Kind = "tcp"
            if is_syn:
                kind = "syn"
            elif flags & tcp.SYN:
                kind = "syn_ack"
            elif up and has_data:
                kind = "client_data"
            passage = self._passage(key.server, key.server_port, kind, direction)
            if passage.action == "refuse":
                return [self._forged("down", forge.refusal(key, seq + 1), now)]
            if passage.action == "syn_ack_to_rst":
                return [self._forged("down", forge.refusal(key, segment.ack), now)]
            if passage.action != "pass":
                return self._at_place(direction, packet, header, passage, now)
        flow = self._flows.get(key)
        if up and is_syn and (flow is None or flow.data_seq != (seq + 1) % tcp.SEQUENCE_SPACE):
            if self._memory.is_blocked(key, now):
                return []
            flow = self._open(key, (seq + 1) % tcp.SEQUENCE_SPACE)
        if flow is None:
            return self._forward(direction, packet, now)
        self._count(flow, direction, packet)
        if not up:
            return self._tcp_reply(flow, key, packet, segment, is_bare=not has_data, now=now)
        if flow.is_over:
            return []
        if has_data and not flow.is_decided:
            data = packet[data_at : header.end]
            seen = self._look(flow, seq, data)
            if seen is not None:
                return self._strike(flow, Offence(key, packet, segment, data), seen, now)
        if flow.treatment.action in ("drop", "reset_both", "page"):
            return []
        return self._forward("up", packet, now)

    def _look(self, flow: Flow, seq: int, data: bytes) -> Seen | None:
        """Return what the first bytes are once they show it."""
        offset = (seq - flow.data_seq) % tcp.SEQUENCE_SPACE
        if not self._reassembles:
            return recognise(data) or OTHER
        first_bytes = flow.first_bytes.add(offset, data)
        return recognise(first_bytes) if first_bytes else None

    def _strike(self, flow: Flow, offence: Offence, seen: Seen, now: float) -> list[Outgoing]:
        """Apply a decision to the segment that completed the first bytes."""
        key = offence.key
        treatment = on_first_bytes(self._rules, seen, key.server, key.server_port, flow.treatment)
        hello = seen.hello
        if (
            hello is not None
            and hello.server_name is not None
            and self._memory.is_policed(key.server, hello.server_name, now)
        ):
            treatment = treatment._replace(action="drop")
        flow.decide(treatment, now)
        if treatment.action != "pass":
            self._memory.hit(key, now)
        if flow.is_over:
            return []
        match treatment.action:
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

    def _tcp_reply(
        self,
        flow: Flow,
        key: FlowKey,
        packet: bytes,
        segment: tcp.Segment,
        *,
        is_bare: bool,
        now: float,
    ) -> list[Outgoing]:
        if flow.is_over:
            return []
        if segment.flags & tcp.SYN:
            flow.reply_seq = (segment.seq + 1) % tcp.SEQUENCE_SPACE
        action = flow.treatment.action
        if action in ("drop", "reset_both", "page"):
            return []
        if action == "drop_reply":
            if is_bare and not segment.flags & (tcp.FIN | tcp.RST):
                return self._forward("down", packet, now)
            # The data are lost but not what they acknowledge, or whether the
            # hello counts as delivered would hang on the server's timing.
            bare = forge.bare_acknowledgement(key, flow.reply_seq, segment.ack)
            return [self._forged("down", bare, now)]
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
            return self._forward(direction, packet, now)
        up = direction == "up"
        if up:
            key = FlowKey(ip.UDP, header.source, source_port, header.destination, destination_port)
        else:
            key = FlowKey(ip.UDP, header.destination, destination_port, header.source, source_port)
        if self._place_rules:
            passage = self._passage(key.server, key.server_port, "udp", direction)
            if passage.action != "pass":
                return self._at_place(direction, packet, header, passage, now)
        flow = self._flows.get(key)
        if flow is None:
            if not up:
                return self._forward(direction, packet, now)
            if self._memory.is_blocked(key, now):
                return []
            flow = self._open(key, 0)
        self._count(flow, direction, packet)
        if up and key.server_port == _DNS_PORT:
            return self._query(key, packet, packet[data_at:end], now)
        if up and self._reads_quic and key.server_port == _QUIC_PORT and not flow.is_decided:
            self._quic(flow, key, packet[data_at:end], now)
        if flow.is_over or flow.treatment.action == "drop":
            return []
        return self._forward(direction, packet, now)

    def _query(self, key: FlowKey, packet: bytes, message: bytes, now: float) -> list[Outgoing]:
        try:
            question = dns.read_question(message)
        except MalformedPacketError:
            return self._forward("up", packet, now)
        verdict = on_query(self._rules, question)
        outgoing: list[Outgoing] = []
        if verdict.answer is not None:
            forged = udp.build(key[3:5], key[1:3], verdict.answer, FORGED_TTL)
            outgoing.append(self._forged("down", forged, now))
        if verdict.passes:
            outgoing += self._forward("up", packet, now)
        return outgoing

    def _quic(self, flow: Flow, key: FlowKey, datagram: bytes, now: float) -> None:
        """Read on in the client's Initials; decide once the hello is whole."""
        try:
            hello = read_client_hello(as_records(flow.add_quic(datagram)))
        except (MalformedPacketError, MalformedHelloError):
            # Not QUIC, or not its client's first words: the censor looks away.
            flow.decide(flow.treatment, now)
            return
        if hello is None:
            return
        if on_quic_hello(self._rules, hello):
            flow.decide(flow.treatment._replace(action="drop"), now)
            self._memory.hit(key, now)
        else:
            flow.decide(flow.treatment, now)


def _is_local(destination: bytes) -> bool:
    """Whether a router keeps a packet off: multicast, link-local, broadcast.

    Neighbour discovery would otherwise use up chance, and losses with one seed
    would differ between runs.
    """
    if len(destination) == 4:
        return destination[0] >= 224 or destination[:2] == b"\xa9\xfe"
    return destination[0] == 0xFF or (destination[0] == 0xFE and destination[1] & 0xC0 == 0x80)
