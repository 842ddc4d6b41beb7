"""Headers, checksums and protocol readers: known packets, and damaged ones."""

import contextlib
import itertools
from hashlib import sha512
from ipaddress import ip_address

import dns.message
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.packet import dns as packet_dns
from censorlab.packet import http, icmp, ip, mtproto, tcp, udp
from censorlab.packet.checksum import internet_checksum
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.first_bytes import recognise
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
    ("rcode", "address", "records"),
    [
        (packet_dns.NOERROR, "203.0.113.7", ["203.0.113.7"]),
        (packet_dns.NOERROR, "2001:db8::7", []),
        (packet_dns.NXDOMAIN, None, []),
        (packet_dns.REFUSED, None, []),
        (packet_dns.SERVFAIL, None, []),
    ],
)
def test_a_dns_library_accepts_the_forged_answer(
    rcode: int, address: str | None, records: list[str]
) -> None:
    """dnspython, which had no part in it, takes it for an answer to the query."""
    query = dns.message.from_wire(QUERY)
    question = packet_dns.read_question(QUERY)
    assert question.name == "web.messenger.test"
    answer = dns.message.from_wire(packet_dns.answer(question, rcode, address))
    assert query.is_response(answer)
    assert answer.rcode() == dns.rcode.Rcode(rcode)
    assert [str(record) for rrset in answer.answer for record in rrset] == records


@pytest.mark.parametrize(
    ("data", "host"),
    [
        (b"GET / HTTP/1.1\r\nHost: Web.Messenger.test\r\n", "web.messenger.test"),
        (b"GET / HTTP/1.1\r\nA: b\r\nhOST:\tx.test:8080\r\n\r\n", "x.test"),
        (b"GET / HTTP/1.0\r\n\r\n", None),
    ],
)
def test_the_host_of_a_request(data: bytes, host: str | None) -> None:
    """Whatever its case, port and place among the header fields."""
    assert http.read_request(data) == http.Request(host)


def test_a_host_cut_short_is_not_read() -> None:
    """A split inside the name must not give a shorter name."""
    data = b"GET / HTTP/1.1\r\nHost: web.messenger.test\r\n"
    for end in range(len(data) - 2):
        assert http.read_request(data[:end]) is None


@pytest.mark.parametrize(
    ("data", "transport"),
    [
        (b"\xef\x0a" + bytes(40), "abridged"),
        (b"\xee\xee\xee\xee\x28\0\0\0", "intermediate"),
        (b"\xdd\xdd\xdd\xdd\x30\0\0\0", "padded"),
        (sha512(b"a key").digest(), "obfuscated"),
        (b"SSH-2.0-OpenSSH_9.2 and more text, which is never random looking", None),
        (bytes(64), None),
        (b"\xef", None),
    ],
)
def test_transports_of_mtproto(data: bytes, transport: str | None) -> None:
    """Tagged ones by their tag, obfuscated2 by looking random."""
    assert mtproto.recognise(data) == transport


def test_random_preambles_never_pass_by_chance() -> None:
    """A lab's outcome must not hang on the client's key; a TLS-like first byte included."""
    for n in range(3000):
        preamble = sha512(n.to_bytes(4, "big")).digest()
        for data in (preamble, b"\x16" + preamble[1:]):
            seen = recognise(data)
            assert seen is not None
            assert seen.protocol == "mtproto", n


def test_what_first_bytes_are() -> None:
    """Each protocol is named once, and only when it has shown itself."""
    assert recognise(b"G") is None
    assert recognise(b"hello") is None
    other = recognise(b"a" * 64)
    assert other is not None
    assert other.protocol == "other"
    tagged = recognise(b"\xee\xee\xee\xee")
    assert tagged is not None
    assert tagged.protocol == "mtproto"


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
    reassembly = Reassembly()
    for start, piece in repeated:
        result = reassembly.add(start, piece)
        assert whole.startswith(result)
    assert result == whole
