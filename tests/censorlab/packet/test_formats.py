"""Headers, checksums and protocol readers: known packets, and damaged ones."""

import contextlib
import itertools
from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.decide import Forgery
from censorlab.packet import dns as packet_dns
from censorlab.packet import icmp, ip, tcp, udp
from censorlab.packet.checksum import internet_checksum
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.reassembly import Reassembly

CLIENT_4, SERVER_4 = ip_address("10.77.0.2").packed, ip_address("149.154.167.51").packed
CLIENT_6, SERVER_6 = ip_address("fd77::2").packed, ip_address("2001:67c:4e8:f002::a").packed
PAIRS = ((CLIENT_4, SERVER_4), (CLIENT_6, SERVER_6))


def word_sum(data: bytes) -> int:
    """RFC 1071 as its text has it: add words, fold carries, complement."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@given(st.binary(max_size=3000))
def test_the_checksum_is_that_of_the_rfc(data: bytes) -> None:
    """The division gives what the loop over words gives."""
    assert internet_checksum(data) == word_sum(data)


@pytest.mark.parametrize(("client", "server"), PAIRS)
@given(st.binary(max_size=1400), st.integers(0, 2**32 - 1))
def test_what_is_built_is_read_back(client: bytes, server: bytes, data: bytes, seq: int) -> None:
    """Fields survive, and every checksum verifies."""
    packet = tcp.build((client, 40000), (server, 443), seq=seq, ack=7, flags=24, ttl=64, data=data)
    header = ip.read_header(packet)
    assert header[:3] == (client, server, ip.TCP)
    assert header.end == len(packet)
    segment = tcp.read_segment(packet, header)
    assert segment[:5] == (40000, 443, seq, 7, 24)
    assert packet[segment.data_at :] == data
    payload = packet[header.payload_at :]
    assert ip.transport_checksum(client, server, ip.TCP, payload) == 0
    if len(client) == 4:
        assert internet_checksum(packet[:20]) == 0

    packet = udp.build((client, 40000), (server, 53), data, 64)
    header = ip.read_header(packet)
    datagram = udp.read_datagram(packet, header)
    assert packet[datagram.data_at : datagram.end] == data
    assert ip.transport_checksum(client, server, ip.UDP, packet[header.payload_at :]) == 0


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_an_icmp_error_quotes_the_offender(client: bytes, server: bytes) -> None:
    """The client's kernel needs its own ports in the quotation to find the socket."""
    router = ip_address("192.0.2.1" if len(client) == 4 else "2001:db8::1").packed
    offender = tcp.build((client, 40000), (server, 443), seq=1, ack=0, flags=2, ttl=64)
    error = icmp.unreachable(router, offender, 13, 61)
    header = ip.read_header(error)
    assert header[:2] == (router, client)
    message = error[header.payload_at :]
    if len(client) == 4:
        assert message[:2] == b"\x03\x0d"
        assert internet_checksum(message) == 0
        assert message[8:] == offender[:28]
    else:
        assert message[:2] == b"\x01\x01"
        assert ip.transport_checksum(router, client, ip.ICMPV6, message) == 0
        assert message[8:] == offender


def test_ipv6_extension_headers_are_walked() -> None:
    """A hop-by-hop header before TCP hides nothing; a fragment has no transport."""
    inner = tcp.build((CLIENT_6, 1), (SERVER_6, 2), seq=1, ack=0, flags=2, ttl=64)[40:]
    hops = ip.build(CLIENT_6, SERVER_6, 0, bytes((ip.TCP, 0)) + bytes(6) + inner, 64)
    assert ip.read_header(hops)[2:] == (ip.TCP, 48, len(hops))
    fragment = ip.build(CLIENT_6, SERVER_6, 44, bytes((ip.TCP, 0)) + bytes(6) + inner, 64)
    assert ip.read_header(fragment).protocol == ip.NO_TRANSPORT


def read_all(packet: bytes) -> None:
    header = ip.read_header(packet)
    if header.protocol == ip.TCP:
        tcp.read_segment(packet, header)
    if header.protocol == ip.UDP:
        datagram = udp.read_datagram(packet, header)
        packet_dns.read_question(packet[datagram.data_at : datagram.end])


QUERY = dns.message.make_query("web.messenger.test", "A", id=4711).to_wire()
WHOLE = [
    packet
    for client, server in PAIRS
    for packet in (
        tcp.build((client, 1), (server, 2), seq=1, ack=0, flags=2, ttl=64, data=b"abc"),
        udp.build((client, 1), (server, 53), QUERY, 64),
    )
]


@given(st.sampled_from(WHOLE), st.data())
def test_damaged_packets_escape_only_as_the_documented_error(
    packet: bytes, data: st.DataObject
) -> None:
    """Cut anywhere, with any byte changed: read, or MalformedPacketError."""
    at = data.draw(st.integers(0, len(packet) - 1))
    damaged = bytearray(packet)
    damaged[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedPacketError):
        read_all(bytes(damaged[: data.draw(st.integers(0, len(packet)))]))


@given(st.binary(max_size=200))
def test_garbage_escapes_only_as_the_documented_error(data: bytes) -> None:
    """Neither do bytes that never were a packet."""
    with contextlib.suppress(MalformedPacketError):
        read_all(data)
    with contextlib.suppress(MalformedPacketError):
        packet_dns.read_question(data)


@pytest.mark.parametrize(
    ("forgery", "records"),
    [
        (Forgery("noerror", "203.0.113.7"), ["203.0.113.7"]),
        (Forgery("noerror", "2001:db8::7"), []),
        (Forgery("nxdomain"), []),
        (Forgery("refused"), []),
        (Forgery("servfail"), []),
    ],
)
@pytest.mark.parametrize("edns", [False, True])
def test_a_dns_library_accepts_the_forged_answer(
    forgery: Forgery, records: list[str], *, edns: bool
) -> None:
    """dnspython, which had no part in it, takes it for an answer to the query, EDNS or not."""
    query = dns.message.make_query("web.messenger.test", "A", use_edns=edns)
    question = packet_dns.read_question(query.to_wire())
    assert (question.name, question.ip_version) == ("web.messenger.test", 4)
    answer = dns.message.from_wire(packet_dns.answer(question, forgery))
    assert query.is_response(answer)
    assert answer.rcode() == dns.rcode.from_text(forgery.code)
    assert [str(record) for rrset in answer.answer for record in rrset] == records


@given(st.data())
def test_pieces_in_any_order_give_the_whole(data: st.DataObject) -> None:
    """Split, shuffled, repeated and overlapping segments read like one."""
    whole = bytes(n % 251 for n in range(data.draw(st.integers(1, 4000))))
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=8))
    edges = sorted({0, len(whole), *cuts})
    pieces = [
        (start, whole[start : end + data.draw(st.integers(0, 20))])
        for start, end in itertools.pairwise(edges)
    ]
    repeated = data.draw(st.permutations(pieces + pieces[:2]))
    reassembly, result = Reassembly(), b""
    for start, piece in repeated:
        result += reassembly.add(start, piece)
        assert whole.startswith(result)
    assert result == whole


@given(st.lists(st.tuples(st.integers(-100, 2**20), st.binary(max_size=300)), max_size=600))
def test_what_is_held_is_bounded(pieces: list[tuple[int, bytes]]) -> None:
    """Whatever comes at whatever offset; single bytes apart included."""
    reassembly = Reassembly()
    for offset, piece in pieces:
        reassembly.add(offset, piece)
        assert reassembly.held_bytes <= 256 * 300
    for offset in range(1, 2000, 2):
        reassembly.add(reassembly.next_offset + offset, b"x")
    assert reassembly.held_bytes <= 256 * 300
