"""Decisions on packets without any kernel: what a real client shows is tested in world/."""

import itertools
import ssl
from collections.abc import Iterable
from functools import cache
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import ip, tcp, udp
from censorlab.packet.forge import FORGED_TTL
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Direction, Middlebox, Outgoing
from censorlab.packet.rules import (
    Allowlist,
    DropAfterPackets,
    EchDrop,
    FirstSegmentOnly,
    FreezePackets,
    MtprotoDrop,
    PacketRule,
    ParallelPolicing,
    Police,
    ProfileDrop,
    RandomLoss,
    Residual,
    SniDropReply,
    SniReset,
    TlsVersionDrop,
)
from censorlab.rules import Blackout, Freeze, SniDrop, SniRst, Throttle

NAME = "web.messenger.test"
CLIENT = ip_address("10.77.0.2").packed
SERVER = (ip_address("149.154.167.51").packed, 443)
ISN, SERVER_ISN = 2**32 - 100, 5_000
"""The client's numbers wrap inside the hello."""


@cache
def hello(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello(NAME)


class Conversation:
    """One TCP connection through a middlebox, packet by packet."""

    def __init__(self, box: Middlebox, port: int = 40_000, now: float = 0.0) -> None:
        self.box, self.client, self.now = box, (CLIENT, port), now
        self.reply_seq = SERVER_ISN + 1
        self.is_open = bool(self.up(tcp.SYN, seq=ISN) and self.down(18, seq=SERVER_ISN))

    def up(self, flags: int = 24, data: bytes = b"", seq: int = ISN + 1) -> list[Outgoing]:
        packet = tcp.build(
            self.client, SERVER, seq=seq, ack=self.reply_seq, flags=flags, ttl=64, data=data
        )
        return self.box.handle("up", packet, self.now)

    def down(self, flags: int = 16, data: bytes = b"", seq: int | None = None) -> list[Outgoing]:
        packet = tcp.build(
            SERVER,
            self.client,
            seq=self.reply_seq if seq is None else seq,
            ack=ISN + 1,
            flags=flags,
            ttl=64,
            data=data,
        )
        self.reply_seq += len(data)
        return self.box.handle("down", packet, self.now)

    def say_hello(self, name: str = NAME) -> list[Outgoing]:
        return self.up(data=hello(name))


def talk(*rules: PacketRule, line: Line | None = None) -> Conversation:
    return Conversation(Middlebox(rules, line))


def shown(outgoing: Iterable[Outgoing]) -> list[tuple[Direction, int]]:
    """Direction and TCP flags of what leaves."""
    return [
        (o.direction, tcp.read_segment(o.packet, ip.read_header(o.packet)).flags) for o in outgoing
    ]


RST_ACK = tcp.RST | tcp.ACK
DATA = tcp.PSH | tcp.ACK


def test_without_rules_packets_pass_unchanged() -> None:
    """Same bytes, at once."""
    chat = talk()
    assert chat.is_open
    (out,) = chat.say_hello()
    assert (out.direction, out.due) == ("up", 0.0)
    assert out.packet.endswith(HELLO)


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        (SniRst(server_name=NAME), [("down", RST_ACK), ("up", RST_ACK)]),
        (SniReset(server_name="*.test"), [("down", RST_ACK), ("up", RST_ACK)]),
        (SniReset(server_name=NAME, to="client"), [("down", RST_ACK), ("up", DATA)]),
        (SniReset(server_name=NAME, to="server"), [("up", RST_ACK)]),
        (SniDrop(server_name=NAME), []),
        (SniDropReply(server_name=NAME), [("up", DATA)]),
        (TlsVersionDrop(server_name=NAME, version="1.3"), []),
        (TlsVersionDrop(server_name=NAME, version="1.2"), [("up", DATA)]),
        (EchDrop(server_name=NAME), [("up", DATA)]),
        (ProfileDrop(ja4="t13d"), []),
        (ProfileDrop(ja4="t12"), [("up", DATA)]),
        (ParallelPolicing(server_name=NAME, at_once=1), [("up", DATA)]),
    ],
)
def test_what_a_hello_meets(rule: PacketRule, outcome: list[tuple[Direction, int]]) -> None:
    """And an innocuous name on the same connection meets nothing."""
    assert shown(talk(rule).say_hello()) == outcome
    if not isinstance(rule, ProfileDrop):
        assert shown(talk(rule).say_hello("control.test.invalid")) == [("up", DATA)]


def test_forged_resets_are_acceptable_to_both_ends() -> None:
    """Exactly the next expected numbers (RFC 5961), with right checksums and own TTL."""
    chat = talk(SniRst(server_name=NAME))
    to_client, to_server = chat.say_hello()
    segments = [
        tcp.read_segment(o.packet, ip.read_header(o.packet)) for o in (to_client, to_server)
    ]
    assert (segments[0].seq, segments[0].ack) == (SERVER_ISN + 1, (ISN + 1 + len(HELLO)) % 2**32)
    assert (segments[1].seq, segments[1].ack) == (ISN + 1, SERVER_ISN + 1)
    assert to_client.packet[8] == to_server.packet[8] == FORGED_TTL
    for out in (to_client, to_server):
        header = ip.read_header(out.packet)
        payload = out.packet[header.payload_at :]
        assert ip.transport_checksum(header.source, header.destination, ip.TCP, payload) == 0


@given(st.lists(st.integers(1, 500), max_size=6, unique=True), st.randoms(use_true_random=False))
def test_a_reassembling_censor_reads_segments_in_any_order(cuts: list[int], random: object) -> None:
    """Nothing but the segment that completes the hello triggers it."""
    edges = sorted({0, len(HELLO), *(c for c in cuts if c < len(HELLO))})
    pieces = [(a, HELLO[a:b]) for a, b in itertools.pairwise(edges)]
    random.shuffle(pieces)  # type: ignore[attr-defined]  Hypothesis' own Random type
    chat = talk(SniRst(server_name=NAME))
    results = [shown(chat.up(data=piece, seq=ISN + 1 + at)) for at, piece in pieces]
    assert results[:-1] == [[("up", DATA)]] * (len(pieces) - 1)
    assert results[-1] == [("down", RST_ACK), ("up", RST_ACK)]


def test_a_censor_that_does_not_reassemble_is_evaded_by_a_split() -> None:
    """It reads the whole hello in one segment, and never the second of two."""
    rules = (SniRst(server_name=NAME), FirstSegmentOnly())
    assert shown(talk(*rules).say_hello())[0] == ("down", RST_ACK)
    chat = talk(*rules)
    assert shown(chat.up(data=HELLO[:100])) == [("up", DATA)]
    assert shown(chat.up(data=HELLO[100:], seq=ISN + 101)) == [("up", DATA)]
    assert shown(chat.down(data=b"reply")) == [("down", 16)]


def test_a_dropped_connection_stays_silent() -> None:
    """Retransmissions and the server's packets vanish too."""
    chat = talk(SniDrop(server_name=NAME))
    assert [chat.say_hello(), chat.say_hello(), chat.down(), chat.down(data=b"x")] == [[]] * 4


def test_a_lost_reply_still_acknowledges() -> None:
    """Data vanish, acknowledgements pass, and data that carry one leave it behind."""
    chat = talk(SniDropReply(server_name=NAME))
    chat.say_hello()
    assert shown(chat.down()) == [("down", 16)]
    (bare,) = chat.down(data=b"server hello")
    header = ip.read_header(bare.packet)
    segment = tcp.read_segment(bare.packet, header)
    assert (segment.seq, segment.data_at) == (SERVER_ISN + 1, header.end)


def test_packets_after_the_hello_are_counted() -> None:
    """Three more pass, both ways together."""
    chat = talk(DropAfterPackets(server_name=NAME, packets=3))
    chat.say_hello()
    passed = [chat.down(), chat.up(16), chat.down(data=b"x"), chat.down(data=b"y"), chat.up(16)]
    assert [bool(out) for out in passed] == [True, True, True, False, False]


@pytest.mark.parametrize("name", [None, NAME])
def test_a_packet_freeze_counts_from_the_syn(name: str | None) -> None:
    """Of 25 packets, SYN, SYN-ACK and hello leave 22."""
    chat = talk(FreezePackets(packets=25, server_name=name))
    chat.say_hello()
    assert sum(bool(chat.down(data=b"x") if n % 2 else chat.up(16)) for n in range(50)) == 22


def test_a_byte_freeze_stops_both_ways() -> None:
    """Once the server's IP bytes exceed the limit."""
    chat = talk(Freeze(server_name=NAME, after_bytes=16_384))
    chat.say_hello()
    passed = sum(bool(chat.down(data=bytes(1448))) for _ in range(20))
    assert passed == (16_384 - 40) // 1488
    assert chat.up(16) == []


def test_policing_drops_and_shaping_delays() -> None:
    """The same rate, by loss or by waiting."""
    policed = talk(Police(server_name=NAME, rate_bytes_per_s=10_000, burst_bytes=15_000))
    shaped = talk(Throttle(server_name=NAME, rate_bytes_per_s=10_000))
    policed.say_hello()
    shaped.say_hello()
    passed, last_due = 0, 0.0
    for n in range(40):
        policed.now = shaped.now = n * 0.1
        passed += len(policed.down(data=bytes(1460)))
        (out,) = shaped.down(data=bytes(1460))
        last_due = out.due
    assert passed == pytest.approx((15_000 + 4 * 10_000) / 1500, abs=1)
    assert last_due == pytest.approx(40 * 1500 / 10_000, abs=0.01)


def test_residual_blocks_the_place_for_its_time() -> None:
    """Other ports of the client too; other servers' ports not; then it ends."""
    box = Middlebox((SniRst(server_name=NAME), Residual(seconds=60)))
    Conversation(box).say_hello()
    assert not Conversation(box, port=40_001, now=59.0).is_open
    assert Conversation(box, port=40_002, now=61.0).is_open


def test_parallel_hellos_are_policed() -> None:
    """Three at once pass, the fourth and all within the minute are dropped."""
    box = Middlebox((ParallelPolicing(server_name=NAME, at_once=3, seconds=60),))
    passed = [bool(Conversation(box, port=n, now=0.1 * n).say_hello()) for n in range(1, 7)]
    assert passed == [True, True, True, False, False, False]
    assert Conversation(box, port=9, now=61.0).say_hello()
    slow = Middlebox((ParallelPolicing(server_name=NAME, at_once=3, seconds=60),))
    assert all(Conversation(slow, port=n, now=2.0 * n).say_hello() for n in range(1, 9))


def test_an_allowlist_lets_elsewhere_connect_only() -> None:
    """The handshake completes, no byte arrives."""
    chat = talk(Allowlist(addresses=("192.0.2.0/24",)))
    assert chat.is_open
    assert chat.say_hello() == []
    assert talk(Allowlist(addresses=("149.154.160.0/20",))).say_hello()


def test_mtproto_is_dropped_by_its_first_bytes() -> None:
    """TLS on the same port passes."""
    rule = MtprotoDrop(port=443)
    assert talk(rule).up(data=b"\xee\xee\xee\xee\x28\0\0\0") == []
    assert talk(rule).say_hello()
    assert talk(MtprotoDrop(port=5222)).up(data=b"\xee\xee\xee\xee\x28\0\0\0")


def test_what_is_forged_turns_round_half_way() -> None:
    """A reset takes one way of the line; the true path would take two."""
    chat = talk(SniRst(server_name=NAME), line=Line(delay_s=0.02, loss=0.5))
    chat.now = 1.0
    for out in chat.say_hello():
        assert out.due == pytest.approx(1.02)


def test_nothing_passes_a_blackout() -> None:
    """Whatever the protocol."""
    box = Middlebox((Blackout(),))
    for direction in ("up", "down"):
        assert not box.handle(direction, udp.build((CLIENT, 1), SERVER, b"x", 64), 0)
        assert not box.handle(direction, ip.build(CLIENT, SERVER[0], ip.ICMP, bytes(8), 64), 0)


def test_the_same_seed_loses_the_same_packets() -> None:
    """By the line and by a rule; another seed loses others."""

    def lost(seed: int) -> list[bool]:
        box = Middlebox((RandomLoss(share=0.2),), Line(loss=0.1), seed)
        packet = udp.build((CLIENT, 1), SERVER, b"x", 64)
        return [not box.handle("up", packet, n * 0.001) for n in range(2000)]

    assert lost(1) == lost(1) != lost(2)
    assert sum(lost(1)) / 2000 == pytest.approx(0.28, abs=0.03)


@given(st.sampled_from(["up", "down"]), st.binary(max_size=120))
def test_garbage_never_raises(direction: Direction, data: bytes) -> None:
    """Interference is data, and so is rubbish: dropped or forwarded."""
    box = Middlebox((SniRst(server_name=NAME), RandomLoss(share=0.1), Residual()))
    for start in (b"", b"\x45\0", b"\x60\0\0\0"):
        box.handle(direction, start + data, 0.0)


@given(st.data())
def test_a_damaged_conversation_never_raises(data: st.DataObject) -> None:
    """Real packets with one byte changed, cut anywhere."""
    chat = talk(SniRst(server_name=NAME), FreezePackets(), Residual())
    packet = bytearray(
        tcp.build(chat.client, SERVER, seq=ISN + 1, ack=1, flags=24, ttl=64, data=HELLO)
    )
    for _ in range(3):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
        chat.box.handle("up", bytes(packet[: data.draw(st.integers(0, len(packet)))]), 0.0)
