"""Rules one by one, where the scenarios do not reach: IPv6, exact names, ports, order."""

import ssl
from contextlib import suppress

import dns.message

from censorlab.rules import (
    Allowlist,
    Blackout,
    Divert,
    DnsTimeout,
    DropAfterPackets,
    EchDrop,
    FirstSegmentOnly,
    Freeze,
    FreezePackets,
    HttpHostRst,
    IcmpReject,
    IpDrop,
    LineCut,
    ParallelPolicing,
    Residual,
    Rule,
    SniDrop,
    SniDropReply,
    SniReset,
    SniRst,
    SynAckRst,
    SynDrop,
    SynRst,
    TcpRefuse,
    TlsVersionDrop,
    UdpDrop,
)

from .twins import ONE, OTHER, SILENT, Case, Probe

NAME, SIBLING, INNOCENT = "web.blocked.test", "www.blocked.test", "www.blocked.test.fine.test"
ADDRESSES = tuple(ONE.values())
ENDS = ("connect", "icmp", "recv", "datagrams")
"""The client's counters after a reset hang on what was under way."""


def hello(name: str, *, tls12: bool = False) -> bytes:
    context = ssl.create_default_context()
    if tls12:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def upper_name(data: bytes) -> bytes:
    return data.replace(NAME.encode(), NAME.upper().encode())


def request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nUser-Agent: x\r\nHost: {host}\r\n\r\n".encode()


def query(name: str) -> bytes:
    return dns.message.make_query(name, "A", id=4711).to_wire()


def says(data: bytes, at: dict[int, str] = ONE, port: int = 443, turn: int = 0) -> Probe:
    return Probe("bytes", at, port, (data,), turn=turn, facts=ENDS)


def tcp(at: dict[int, str] = ONE, port: int = 443, turn: int = 0) -> Probe:
    return Probe("tcp", at, port, turn=turn)


def udp(at: dict[int, str] = ONE, port: int = 443, data: bytes = b"hello", turn: int = 0) -> Probe:
    return Probe("udp", at, port, (data,), turn=turn)


PLACES = (tcp(), tcp(port=80), tcp(OTHER), udp(), udp(port=53), udp(OTHER))
NAMES = (says(hello(NAME)), says(hello(SIBLING)), says(hello("fine.test")))
SLOW_WRITES = (b"", *(b"ab" for _ in range(12)))


def silent(first: bytes) -> Probe:
    """A hello, then small writes, to who acknowledges and never answers: packets to count."""
    return Probe(
        "bytes", ONE, SILENT, (first, *SLOW_WRITES[1:]), pause_s=0.03, facts=("acked", "recv")
    )


def places(*rules: Rule) -> Case:
    return Case(rules, PLACES)


def names(*rules: Rule) -> Case:
    return Case(rules, NAMES)


CASES = {
    "nothing": Case((), (*PLACES, *NAMES)),
    "blackout": places(Blackout()),
    "ip_drop": places(IpDrop(addresses=ADDRESSES)),
    "overlapping networks": places(
        IpDrop(addresses=(*ADDRESSES, "198.51.100.0/24", "2001:db8:51::/48"))
    ),
    "tcp_refuse": places(TcpRefuse(addresses=ADDRESSES)),
    "syn_drop on a port": places(SynDrop(addresses=ADDRESSES, port=443)),
    "syn_rst": places(SynRst(addresses=ADDRESSES)),
    "syn_ack_rst": places(SynAckRst(addresses=ADDRESSES)),
    **{
        f"icmp_reject {code}": places(IcmpReject(addresses=ADDRESSES, code=code))
        for code in (0, 1, 3, 9, 10, 13)
    },
    "icmp_reject on a port": places(IcmpReject(port=443, code=13)),
    "udp_drop": places(UdpDrop(addresses=ADDRESSES)),
    "divert": places(Divert(addresses=ADDRESSES, port=443, protocol="tcp")),
    "allowlist": Case(
        (Allowlist(addresses=ADDRESSES),), (*PLACES, says(b"hello"), says(b"hello", OTHER))
    ),
    "first of two answers": places(IcmpReject(addresses=ADDRESSES), SynRst(addresses=ADDRESSES)),
    "silence hides an answer": places(SynRst(addresses=ADDRESSES), IpDrop(addresses=ADDRESSES)),
    "line_cut": Case(
        (LineCut(after_flows=6),),
        (tcp(), tcp(port=80), udp(), *(tcp(OTHER, turn=1), udp(OTHER, turn=1))),
    ),
    "sni_rst of one name": Case(
        (SniRst(server_name=NAME),),
        (
            *NAMES,
            says(upper_name(hello(NAME))),
            says(hello(f"x{NAME}")),
            says(hello(f"{NAME}.fine.test")),
        ),
    ),
    "sni_reset both": names(SniReset(server_name=f"*.{NAME.partition('.')[2]}")),
    "sni_reset client": names(SniReset(server_name=NAME, to="client")),
    "sni_reset server": names(SniReset(server_name=NAME, to="server")),
    "sni_drop": names(SniDrop(server_name=NAME)),
    "sni_drop_reply": names(SniDropReply(server_name=NAME)),
    "first answer of two": names(
        SniDropReply(server_name=NAME), SniRst(server_name="*.blocked.test")
    ),
    "silence before an answer": names(
        SniRst(server_name="*.blocked.test"), SniDrop(server_name=NAME)
    ),
    "first_segment_only": Case(
        (SniRst(server_name=NAME), FirstSegmentOnly()),
        (
            says(hello(NAME)),
            Probe(
                "bytes", ONE, pieces=(hello(NAME)[:60], hello(NAME)[60:]), pause_s=0.02, facts=ENDS
            ),
        ),
    ),
    "a name in no hello": Case(
        (SniRst(server_name=NAME),),
        (says(b"GET / HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n\r\n"),),
    ),
    "tls_version_drop 1.3": Case(
        (TlsVersionDrop(server_name=NAME, version="1.3"),), (*NAMES, says(hello(NAME, tls12=True)))
    ),
    "tls_version_drop 1.2": Case(
        (TlsVersionDrop(server_name=NAME, version="1.2"),), (*NAMES, says(hello(NAME, tls12=True)))
    ),
    "ech_drop": names(EchDrop(server_name=NAME)),
    "freeze": names(Freeze(server_name=NAME, after_bytes=100)),
    "freeze_packets": Case(
        (FreezePackets(server_name=NAME, packets=15),),
        (silent(hello(NAME)), silent(hello("fine.test"))),
    ),
    "freeze_packets of any": Case((FreezePackets(packets=9),), (silent(b"not a hello"),)),
    "drop_after_packets": Case(
        (DropAfterPackets(server_name=NAME, packets=8),),
        (silent(hello(NAME)), silent(hello("fine.test"))),
    ),
    "drop_after_packets 0": Case(
        (DropAfterPackets(server_name=NAME, packets=0),), (silent(hello(NAME)),)
    ),
    "residual": Case(
        (SniRst(server_name=NAME), Residual(seconds=60)),
        (says(hello(NAME)), tcp(turn=1), udp(turn=1), tcp(port=80, turn=1), tcp(OTHER, turn=1)),
    ),
    "residual is over": Case(
        (SniDrop(server_name=NAME), Residual(seconds=0.5)), (says(hello(NAME)), tcp(turn=1))
    ),
    "residual after policing": Case(
        (ParallelPolicing(server_name=NAME, at_once=1), Residual()),
        (says(hello(NAME)), says(hello(NAME), turn=1), tcp(turn=2), tcp(OTHER, turn=2)),
    ),
    "parallel_policing": Case(
        (ParallelPolicing(server_name=NAME, at_once=2),),
        (
            *(says(hello(NAME), turn=turn) for turn in range(4)),
            says(hello(NAME), OTHER, turn=4),
            says(hello("fine.test"), turn=4),
        ),
    ),
    "http_host_rst": Case(
        (HttpHostRst(host=NAME),),
        (
            says(request(NAME), port=80),
            says(request(f"{NAME}.fine.test"), port=80),
            says(request("fine.test"), port=80),
        ),
    ),
    "dns_timeout": Case(
        (DnsTimeout(name=NAME),),
        (
            udp(port=53, data=query(NAME)),
            udp(port=53, data=query(NAME.upper())),
            udp(port=53, data=query(f"a.{NAME}")),
            udp(port=53, data=query("fine.test")),
        ),
    ),
    "dns_timeout of a suffix": Case(
        (DnsTimeout(name="*.blocked.test"),),
        (
            udp(port=53, data=query(NAME)),
            udp(port=53, data=query("blocked.test")),
            udp(port=53, data=query("xblocked.test")),
            udp(port=53, data=query(f"{NAME}.fine.test")),
        ),
    ),
}
