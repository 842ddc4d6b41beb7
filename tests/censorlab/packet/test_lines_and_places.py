"""Rules about where packets go, and benign lines: divert, rebinding NAT, cut, per place."""

from collections.abc import Iterator

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from censorlab.engines import NeedsStreamError
from censorlab.packet import ip, tcp, udp
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Middlebox, Outgoing
from censorlab.rules import (
    Allowlist,
    Blackout,
    Divert,
    DnsHijack,
    DnsTimeout,
    EncryptedDnsDrop,
    ForgedCertificate,
    FreezePackets,
    IcmpReject,
    IpDrop,
    LineCut,
    NatRebinding,
    RandomLoss,
    Rule,
    SniRst,
    SynAckRst,
    SynDrop,
    SynRst,
    TcpRefuse,
    UdpDrop,
)

from .talk import (
    DATA,
    FOUR,
    HELLO,
    NAME,
    RST_ACK,
    SERVER_ISN,
    SERVER_NETWORKS,
    SIX,
    Conversation,
    ends,
    has_right_checksums,
    over,
    read,
    shown,
    talk,
)

ELSEWHERE = ("192.0.2.0/24", "2001:db8::/32")


@pytest.fixture(autouse=True, scope="module", params=[FOUR, SIX], ids=["IPv4", "IPv6"])
def _ip_version(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every claim holds for both."""
    with over(request.param):
        yield


def datagram(data: bytes = b"x", port: int = 443, client_port: int = 1) -> bytes:
    return udp.build((ends().client, client_port), (ends().server, port), data, 64)


def echo() -> bytes:
    return ip.build(ends().client, ends().server, ip.ICMP, bytes(8), 64)


def fates(*rules: Rule) -> tuple[str, str, str, str]:
    """What becomes of a SYN, a first client byte, a datagram and an echo request."""
    chat = talk(*rules)
    syn = chat.up(tcp.SYN, seq=77)
    said = chat.up(data=b"a" * 64)
    sent = [chat.box.handle("up", packet, 0.0) for packet in (datagram(), echo())]

    def fate(outgoing: list[Outgoing]) -> str:
        return " ".join(o.direction + "*" * o.diverted for o in outgoing) or "lost"

    one, two, three, four = (fate(out) for out in (syn, said, *sent))
    return one, two, three, four


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (IpDrop, ("lost", "lost", "lost", "lost")),
        (TcpRefuse, ("down", "up", "up", "up")),
        (SynDrop, ("lost", "up", "up", "up")),
        (SynRst, ("down", "up", "up", "up")),
        (SynAckRst, ("up", "up", "up", "up")),
        (IcmpReject, ("down", "down", "down", "down")),
        (UdpDrop, ("up", "up", "lost", "up")),
        (Divert, ("up*", "up*", "up*", "up*")),
    ],
)
def test_rules_about_places(make: type[IpDrop], expected: tuple[str, str, str, str]) -> None:
    """Networks of both families, and all of a family; elsewhere nothing happens."""
    for networks in (SERVER_NETWORKS, ("0.0.0.0/0", "::/0")):
        assert fates(make(addresses=networks)) == expected
    assert fates(make(addresses=ELSEWHERE)) == ("up", "up", "up", "up")


def test_an_allowlist_keeps_what_is_said() -> None:
    """TCP opens elsewhere; neither its bytes, nor UDP nor ICMP get there."""
    assert fates(Allowlist(addresses=ELSEWHERE)) == ("up", "lost", "lost", "lost")
    assert fates(Allowlist(addresses=SERVER_NETWORKS)) == ("up", "up", "up", "up")


def test_data_in_a_syn_are_not_let_through() -> None:
    """TCP Fast Open (RFC 7413) is no way round an allowlist."""
    chat = talk(Allowlist(addresses=ELSEWHERE))
    assert chat.up(tcp.SYN, data=b"early", seq=9) == []
    assert chat.up(tcp.SYN, seq=9)


def test_a_syn_ack_becomes_a_refusal() -> None:
    """At the full round trip, acceptable to the client's SYN."""
    chat = talk(SynAckRst(addresses=SERVER_NETWORKS))
    (refusal,) = chat.down(18, seq=SERVER_ISN)
    _, segment, _ = read(refusal.packet)
    assert (segment.flags, segment.ack) == (RST_ACK, chat.heard)
    assert not talk(SynAckRst(addresses=ELSEWHERE, port=1)).down(18)[0].diverted


@pytest.mark.parametrize("protocol", ["tcp", "udp", None])
def test_a_diversion_is_of_a_protocol_and_port(protocol: str | None) -> None:
    """Packets up go to the machine that stands in; its answers are ordinary ones."""
    rule = Divert(port=443, protocol=protocol)  # type: ignore[arg-type]  a table's cell
    syn, said, sent, _ = fates(rule)
    is_tcp, is_udp = protocol != "udp", protocol != "tcp"
    assert (syn, said) == (("up*", "up*") if is_tcp else ("up", "up"))
    assert sent == ("up*" if is_udp else "up")
    chat = talk(rule)
    assert chat.down(data=b"answer")[0][::3] == ("down", False)
    assert not chat.box.handle("up", datagram(port=53), 0.0)[0].diverted


def test_a_drop_comes_before_a_diversion_and_a_name_after_it() -> None:
    """What is diverted still meets the rules about names, resets to the stand-in included."""
    assert fates(Divert(), IpDrop(addresses=SERVER_NETWORKS))[0] == "lost"
    resets = talk(Divert(), SniRst(server_name=NAME)).say_hello()
    assert [(o.direction, o.diverted) for o in resets] == [("down", False), ("up", True)]


def test_a_line_dies_when_one_flow_too_many_is_opened() -> None:
    """Two flows work whatever they repeat; with the third all are dead, both ways."""
    box = Middlebox((LineCut(after_flows=2),))
    first = Conversation(box, port=1)
    assert first.up(tcp.SYN, seq=first.isn)
    assert all(box.handle("up", datagram(), 0.0) for _ in range(5))
    assert first.say_hello()
    assert not Conversation(box, port=2).is_open
    assert first.up(16) == first.down() == box.handle("up", datagram(), 0.0) == []
    assert box.handle("up", echo(), 0.0) == []


def test_a_line_counts_attempts_that_were_dropped() -> None:
    """What the client opened, not what got through."""
    box = Middlebox((LineCut(after_flows=2), SynDrop(addresses=SERVER_NETWORKS)))
    for port in (1, 1, 1, 2, 2):
        Conversation(box, port=port)
    assert box.handle("up", echo(), 0.0)
    Conversation(box, port=3)
    assert not box.handle("up", echo(), 0.0)


def test_a_nat_forgets_its_mappings() -> None:
    """Speaking again comes from another port, whose RST finds the client; old ports are deaf."""
    chat = talk(NatRebinding(every_s=10))
    (before,) = chat.say_hello()
    assert read(before.packet)[1].source_port == 40_000
    chat.now = 9.9
    assert chat.down(data=b"still known")
    chat.now = 10.1
    assert chat.down(data=b"to a forgotten port") == []
    (after,) = chat.up(data=b"more", seq=chat.isn + 1 + len(HELLO))
    header, segment, data = read(after.packet)
    new_port = segment.source_port
    assert (new_port != 40_000, data) == (True, b"more")
    assert has_right_checksums(after.packet)
    if ends() is FOUR:
        assert ip.internet_checksum(after.packet[:20]) == 0
    assert chat.down(data=b"still to the old one") == []
    reset = tcp.build(
        (header.destination, 443), (header.source, new_port), seq=1, ack=0, flags=tcp.RST, ttl=64
    )
    (heard,) = chat.box.handle("down", reset, 10.2)
    assert read(heard.packet)[1].destination_port == 40_000
    assert has_right_checksums(heard.packet)


def test_a_new_connection_passes_a_nat_at_any_time() -> None:
    """The same port again too; UDP and ICMP are never touched."""
    box = Middlebox((NatRebinding(every_s=10),))
    for now in (0.0, 15.0, 25.0):
        chat = Conversation(box, now=now, isn=int(now))
        assert chat.is_open
        assert shown(chat.say_hello()) == [("up", DATA)]
        assert box.handle("up", datagram(), now)[0].packet == datagram()
        assert box.handle("up", echo(), now)


def test_the_censor_behind_a_nat_still_reaches_the_client() -> None:
    """What it forges is translated like the true answers."""
    chat = talk(NatRebinding(every_s=10), SniRst(server_name=NAME))
    to_client, _ = chat.say_hello()
    assert read(to_client.packet)[1].destination_port == 40_000


def test_a_packet_freeze_counts_dns_too() -> None:
    """Queries and answers together, and none after the last."""
    box = Middlebox((FreezePackets(packets=3),))
    query = datagram(dns.message.make_query("a.test", "A").to_wire(), port=53)
    assert [bool(box.handle("up", query, 0.0)) for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_hijacker_answers_with_edns_or_without() -> None:
    """And the query goes nowhere."""
    for edns in (False, True):
        query = dns.message.make_query("a.test", "A", use_edns=edns)
        box = Middlebox((DnsHijack(address="203.0.113.7"),))
        (out,) = box.handle("up", datagram(query.to_wire(), port=53), 0.0)
        header = ip.read_header(out.packet)
        found = udp.read_datagram(out.packet, header)
        answer = dns.message.from_wire(out.packet[found.data_at : found.end])
        assert query.is_response(answer)
        assert [str(r) for rrset in answer.answer for r in rrset] == ["203.0.113.7"]


def test_a_query_that_is_none_passes() -> None:
    """What cannot be read is not censored."""
    box = Middlebox((DnsTimeout(name="*.test"),))
    assert box.handle("up", datagram(b"no query", port=53), 0.0)


@pytest.mark.parametrize(
    "rule", [ForgedCertificate(server_name=NAME), EncryptedDnsDrop()], ids=["forged", "dns"]
)
def test_what_packets_cannot_express_is_refused(rule: Rule) -> None:
    """By the name of the rule, with the way to say it instead."""
    with pytest.raises(NeedsStreamError, match=str(rule.__struct_config__.tag)):
        Middlebox((Blackout(), rule))


@given(st.lists(st.sampled_from(["up", "down"]), min_size=200, max_size=400))
def test_each_way_has_its_own_luck(order: list[str]) -> None:
    """Which packets are lost up does not hang on how many come down in between."""

    def lost(directions: list[str]) -> list[bool]:
        box = Middlebox((RandomLoss(share=0.2),), Line(loss=0.1, jitter_s=0.001), 7)
        found = []
        for direction in directions:
            packet = datagram()
            if direction == "down":
                box.handle("down", packet, 0.0)
            else:
                found.append(not box.handle("up", packet, 0.0))
        return found

    assert lost(order) == lost(["up"] * order.count("up"))
