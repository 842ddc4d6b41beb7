"""Segments as evasions and odd stacks send them, and input that wants to hurt."""

import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import ip, middlebox, tcp, udp
from censorlab.packet.flow import MAX_FLOWS
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Direction, Middlebox
from censorlab.rules import (
    Divert,
    DnsHijack,
    FirstSegmentOnly,
    FreezePackets,
    HttpTruncate,
    IcmpReject,
    IpDrop,
    LineCut,
    MtprotoDrop,
    NatRebinding,
    ParallelPolicing,
    QuicSniDrop,
    RandomLoss,
    RecordDrop,
    Residual,
    Rule,
    SniDropReply,
    SniReset,
    SniRst,
    Throttle,
)

from .quic_client import initial
from .talk import (
    DATA,
    FOUR,
    HELLO,
    ISN,
    NAME,
    RST_ACK,
    SIX,
    Conversation,
    Ends,
    ends,
    over,
    shown,
    talk,
)

RST = [("down", RST_ACK), ("up", RST_ACK)]
PASSES = [("up", DATA)]


def test_a_repeated_segment_is_read_once() -> None:
    """Retransmissions and overlaps neither complete a hello early nor spoil it."""
    chat = talk(SniRst(server_name=NAME))
    assert shown(chat.up(data=HELLO[:100])) == shown(chat.up(data=HELLO[:100])) == PASSES
    assert shown(chat.up(data=HELLO[50:150], seq=ISN + 51)) == PASSES
    assert shown(chat.up(data=HELLO[140:], seq=ISN + 141)) == RST


def test_keep_alive_probes_are_not_data() -> None:
    """One old byte, or none, before and within the hello; no first segment either."""
    chat = talk(SniRst(server_name=NAME))
    assert shown(chat.up(16, data=b"\0", seq=ISN)) == [("up", 16)]
    assert shown(chat.up(data=HELLO[:10])) == PASSES
    assert shown(chat.up(16, data=b"\0", seq=ISN + 10)) == [("up", 16)]
    assert shown(chat.up(data=HELLO[10:], seq=ISN + 11)) == RST
    chat = talk(SniRst(server_name=NAME), FirstSegmentOnly())
    chat.up(16, data=b"\0", seq=ISN)
    assert shown(chat.say_hello()) == RST


def test_a_port_used_again_is_a_new_connection() -> None:
    """With another first number; the same SYN again is the same connection."""
    chat = talk(SniRst(server_name=NAME))
    assert shown(chat.say_hello("control.test")) == PASSES
    assert shown(chat.up(tcp.SYN, seq=ISN)) == [("up", tcp.SYN)]
    assert shown(chat.say_hello()) == PASSES
    again = Conversation(chat.box, isn=5_000)
    assert shown(again.say_hello()) == RST


def test_a_hello_in_the_syn_is_read() -> None:
    """TCP Fast Open (RFC 7413): data follow the SYN in the sequence."""
    box = Middlebox((SniRst(server_name=NAME),))
    chat = Conversation(box, port=7)
    outgoing = chat.up(tcp.SYN, data=HELLO, seq=99)
    assert [direction for direction, _ in shown(outgoing)] == ["down", "up"]
    split = Conversation(box, port=8)
    assert shown(split.up(tcp.SYN, data=HELLO[:50], seq=99)) == [("up", tcp.SYN)]
    assert shown(split.up(data=HELLO[50:], seq=150)) == RST


def test_an_end_from_both_sides_passes() -> None:
    """Simultaneous close, and what follows it, is nobody's business."""
    chat = talk(SniRst(server_name=NAME), Throttle(server_name=NAME))
    chat.say_hello("control.test")
    for flags in (17, 16):
        assert chat.up(flags, seq=ISN + 600)
        assert chat.down(flags)
    assert chat.down(tcp.RST)


def test_ip_options_hide_nothing() -> None:
    """An IPv4 header of 24 bytes, an IPv6 one with a hop-by-hop header."""
    for used in (FOUR, SIX):
        with over(used):
            chat = talk(SniRst(server_name=NAME))
            packet = tcp.build(
                chat.client, chat.server, seq=ISN + 1, ack=1, flags=24, ttl=64, data=HELLO
            )
            if used is FOUR:
                size = (len(packet) + 4).to_bytes(2, "big")
                packet = b"\x46" + packet[1:2] + size + packet[4:20] + b"\x94\x04\0\0" + packet[20:]
            else:
                options = bytes((ip.TCP, 0, 1, 4)) + bytes(4)
                packet = ip.build(used.client, used.server, 0, options + packet[40:], 64)
            assert shown(chat.box.handle("up", packet, 0.0)) == RST


@pytest.mark.parametrize("used", [FOUR, SIX], ids=["IPv4", "IPv6"])
def test_fragments_meet_rules_about_places_only(used: Ends) -> None:
    """They have no port and no stream; what drops the address drops them."""
    with over(used):
        chat = talk()
        packet = tcp.build(
            chat.client, chat.server, seq=ISN + 1, ack=1, flags=24, ttl=64, data=HELLO
        )
        if used is FOUR:
            fragment = packet[:6] + b"\x20\x00" + packet[8:]
        else:
            more = bytes((ip.TCP, 0, 0, 1)) + bytes(4)
            fragment = ip.build(used.client, used.server, 44, more + packet[40:], 64)
        assert len(Middlebox((SniRst(server_name=NAME),)).handle("up", fragment, 0.0)) == 1
        everything = IpDrop(addresses=("0.0.0.0/0", "::/0"))
        assert Middlebox((everything,)).handle("up", fragment, 0.0) == []


def test_a_huge_hello_is_read() -> None:
    """Sixty kilobytes of extensions, in two hundred segments, backwards."""
    padding = b"\x00\x15\xe8\x00" + bytes(0xE800)
    message = HELLO[5:]
    at = 4 + 34
    at += 1 + message[at]
    at += 2 + int.from_bytes(message[at : at + 2], "big")
    at += 1 + message[at]
    extensions = padding + message[at + 2 :]
    body = message[4:at] + len(extensions).to_bytes(2, "big") + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    wire = b"".join(
        b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part
        for part in (message[n : n + 16_000] for n in range(0, len(message), 16_000))
    )
    chat = talk(SniRst(server_name=NAME))
    offsets = range(0, len(wire), 300)
    results = [shown(chat.up(data=wire[n : n + 300], seq=ISN + 1 + n)) for n in reversed(offsets)]
    assert results[-1] == RST
    assert all(result == PASSES for result in results[:-1])


def quic_box() -> Middlebox:
    return Middlebox((QuicSniDrop(server_name=NAME), Residual()))


def datagram(data: bytes, port: int = 50_000) -> bytes:
    return udp.build((ends().client, port), (ends().server, 443), data, 64)


@pytest.mark.parametrize("used", [FOUR, SIX], ids=["IPv4", "IPv6"])
def test_a_quic_hello_over_several_datagrams_is_read(used: Ends) -> None:
    """In either order of its halves; what completes it is dropped, with all that follows."""
    with over(used):
        message = HELLO[5:]
        halves = [(0, message[:200]), (200, message[200:])]
        for order in (halves, halves[::-1]):
            box = quic_box()
            packets = [datagram(initial(b"8 bytes!", n, [piece])) for n, piece in enumerate(order)]
            fates = [
                bool(box.handle("up", packet, 0.0)) for packet in (*packets, datagram(b"later"))
            ]
            assert fates == [True, False, False]
            assert not box.handle("up", datagram(b"another socket", port=50_001), 1.0)
            assert Conversation(box).is_open  # a browser falls back to TCP


def test_a_quic_hello_in_coalesced_or_shuffled_pieces_is_read() -> None:
    """Two Initials to a datagram, and frames out of order within one."""
    message = HELLO[5:]
    pieces = [(n, message[n : n + 60]) for n in range(0, len(message), 60)]
    shuffled = initial(b"8 bytes!", 0, pieces[::-1])
    coalesced = initial(b"8 bytes!", 0, pieces[:3]) + initial(b"8 bytes!", 1, pieces[3:])
    for data in (shuffled, coalesced):
        assert quic_box().handle("up", datagram(data), 0.0) == []


def test_a_quic_hello_after_a_retry_is_read() -> None:
    """The client starts again under the keys of the id that the server chose."""
    box = quic_box()
    message = HELLO[5:]
    assert box.handle("up", datagram(initial(b"8 bytes!", 0, [(0, message[:200])])), 0.0)
    assert not box.handle("up", datagram(initial(b"from the server", 1, [(0, message)])), 0.0)


EVERYTHING: tuple[Rule, ...] = (
    SniRst(server_name="*.a.test"),
    SniReset(server_name="*.b.test", to="client"),
    SniDropReply(server_name=NAME),
    RecordDrop(server_name=NAME),
    HttpTruncate(host="*.test", after_bytes=10),
    MtprotoDrop(port=443),
    QuicSniDrop(server_name="*.test"),
    ParallelPolicing(server_name="*.test"),
    FreezePackets(packets=1000),
    RandomLoss(share=0.1),
    Divert(port=80),
    IcmpReject(port=81),
    DnsHijack(address="203.0.113.7"),
    NatRebinding(every_s=1),
    LineCut(after_flows=1000),
    Residual(),
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["up", "down"]),
            st.sampled_from([b"", b"\x45\0", b"\x60\0\0\0"]),
            st.binary(max_size=120),
        ),
        max_size=20,
    )
)
def test_garbage_never_raises(packets: list[tuple[Direction, bytes, bytes]]) -> None:
    """Under every kind of rule at once."""
    box = Middlebox(EVERYTHING, Line(delay_s=0.01, loss=0.1, rate_bytes_per_s=1000))
    for n, (direction, start, data) in enumerate(packets):
        box.handle(direction, start + data, n * 0.3)


@given(st.data())
def test_a_damaged_conversation_never_raises(data: st.DataObject) -> None:
    """Real packets of three protocols with a byte changed, cut anywhere, both ways."""
    with over(data.draw(st.sampled_from([FOUR, SIX]))):
        chat = Conversation(Middlebox(EVERYTHING))
        for n in range(6):
            said = data.draw(
                st.sampled_from(
                    [HELLO, b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", b"\xef\x0a", b""]
                )
            )
            at = data.draw(st.integers(0, 600))
            up = data.draw(st.booleans())
            route = (chat.client, chat.server) if up else (chat.server, chat.client)
            packet = bytearray(
                tcp.build(
                    *route,
                    seq=ISN + 1 + at,
                    ack=data.draw(st.integers(0, 2**32 - 1)),
                    flags=data.draw(st.integers(0, 63)),
                    ttl=64,
                    data=said,
                )
            )
            packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
            end = data.draw(st.integers(0, len(packet)))
            chat.box.handle("up" if up else "down", bytes(packet[:end]), n * 0.5)


@given(st.lists(st.binary(max_size=1400), max_size=5))
def test_garbage_in_quic_and_dns_never_raises(datagrams: list[bytes]) -> None:
    """Datagrams that look like an Initial or a query included."""
    box = Middlebox(EVERYTHING)
    for data in datagrams:
        for start in (b"", b"\xc0\0\0\0\x01\x08" + bytes(8) + b"\0\0\x41\x00"):
            box.handle("up", datagram(start + data), 0.0)
        query = udp.build((FOUR.client, 1), (FOUR.server, 53), data, 64)
        box.handle("up", query, 0.0)


def test_memory_is_bounded_by_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many a client opens, the oldest are forgotten."""
    assert MAX_FLOWS <= 2**16
    monkeypatch.setattr(middlebox, "MAX_FLOWS", 50)
    box = Middlebox(EVERYTHING[:-2])
    for port in range(1, 200):
        chat = Conversation(box, port=port)
        chat.up(data=HELLO[:100])
        box.handle("up", datagram(b"x", port), 0.0)
    assert len(box._flows) == 50
    assert box._held_bytes == sum(flow.held_bytes for flow in box._flows.values())


def test_memory_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-said openings beyond the budget are let go, unread."""
    monkeypatch.setattr(middlebox, "_MAX_HELD_BYTES", 1000)
    box = Middlebox((SniRst(server_name=NAME),))
    chats = [Conversation(box, port=port) for port in range(1, 30)]
    for chat in chats:
        assert chat.up(data=HELLO[:200])
        assert box._held_bytes <= 1000
    assert all(shown(chat.up(data=HELLO[200:], seq=ISN + 201)) == PASSES for chat in chats[5:])
    assert shown(Conversation(box, port=99).say_hello()) == RST


def test_single_bytes_cost_linear_time() -> None:
    """A hello that never ends, byte by byte and every second one first."""
    chat = talk(SniRst(server_name=NAME))
    start = b"\x16\x03\x01\x3f\xff\x01\x00\xff\xff"
    chat.up(data=start)
    began = time.process_time()
    for n in range(20_000):
        chat.up(data=b"\0", seq=ISN + 1 + len(start) + (n ^ 1))
    assert time.process_time() - began < 3.0


def test_other_names_and_addresses_are_not_counted() -> None:
    """A policing or residual rule keeps nothing about what it does not concern."""
    box = Middlebox((ParallelPolicing(server_name=NAME), SniRst(server_name=NAME), Residual()))
    for port in range(1, 50):
        assert shown(Conversation(box, port=port).say_hello("control.test")) == PASSES
    assert box._memory._hellos == box._memory._blocked_until == {}
    other = ip_address("203.0.113.1").packed
    packet = tcp.build((other, 1), (FOUR.server, 443), seq=1, ack=0, flags=24, ttl=64, data=HELLO)
    assert shown(box.handle("up", packet, 0.0)) == PASSES
