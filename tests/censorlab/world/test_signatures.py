"""Each rule's signature, as any plain socket client sees it on a real kernel.

The prober has no part in this. Expectations are those measured on netfilter
rules and on live lines (docs name them per mechanism): what errno says, what
TCP_INFO counts, what the error queue holds.
"""

import ssl
from hashlib import sha512
from pathlib import Path

import dns.message
import dns.rcode
import pytest

from censorlab.packet.line import Line
from censorlab.packet.middlebox import ROUTER_ADDRESSES
from censorlab.rules import (
    Allowlist,
    Blackout,
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    DropAfterPackets,
    FirstSegmentOnly,
    Freeze,
    FreezePackets,
    HttpBlockpage,
    HttpHostRst,
    IcmpReject,
    IpDrop,
    MtprotoDrop,
    ParallelPolicing,
    Police,
    ProfileDrop,
    QuicSniDrop,
    RandomLoss,
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
    Throttle,
    TlsVersionDrop,
    UdpDrop,
)
from censorlab.world.world import World

from .conftest import Facts, Probe, run_probes

pytestmark = pytest.mark.netns

DELAY_S = 0.01
RTT_S = 2 * DELAY_S
SLACK_S = 0.015
"""A Python thread among fifty on two shared cores."""

SILENCE_S = 4.5
"""Four retransmissions of a hello take 0.2 + 0.4 + 0.8 + 1.6 s and round trips."""

SERVER = "198.51.100.1"
SERVER_6 = "2001:db8:51::1"
SYN_DROPPED, REFUSED, SYN_RST, SYN_ACK_RST = (f"198.51.100.{n}" for n in range(11, 15))
PORT_DROPPED, MTPROTO, LOSSY, TINY = (f"198.51.100.{n}" for n in range(15, 19))
DROPPED = "149.154.167.51"
REJECTED = {code: f"198.51.100.{30 + n}" for n, code in enumerate((0, 1, 3, 9, 10, 13))}
ERRNO = {
    0: "ENETUNREACH",
    1: "EHOSTUNREACH",
    3: "ECONNREFUSED",
    9: "ENETUNREACH",
    10: "EHOSTUNREACH",
    13: "EHOSTUNREACH",
}
NO_DNS_HERE = "198.51.100.200"
"""Routed into the server's side, which has no such address."""

RULES: tuple[Rule, ...] = (
    IpDrop(addresses=(DROPPED,)),
    SynDrop(addresses=(SYN_DROPPED,)),
    SynDrop(addresses=(PORT_DROPPED,), port=443),
    TcpRefuse(addresses=(REFUSED,)),
    SynRst(addresses=(SYN_RST,)),
    SynAckRst(addresses=(SYN_ACK_RST,)),
    *(IcmpReject(addresses=(a,), code=code) for code, a in REJECTED.items()),
    IcmpReject(addresses=(SERVER_6,), port=5222, code=13),
    SniRst(server_name="rst.test"),
    SniReset(server_name="rst-client.test", to="client"),
    SniReset(server_name="rst-server.test", to="server"),
    SniDrop(server_name="drop.test"),
    SniDropReply(server_name="drop-reply.test"),
    DropAfterPackets(server_name="after8.test", packets=8),
    FreezePackets(server_name="freeze25.test", packets=25),
    FreezePackets(addresses=(TINY,), packets=25),
    Freeze(server_name="freeze16k.test", after_bytes=16_384),
    TlsVersionDrop(server_name="tls12.test", version="1.2"),
    ProfileDrop(ja4="t12i"),
    HttpHostRst(host="rst.test"),
    HttpBlockpage(host="page.test"),
    MtprotoDrop(addresses=(MTPROTO,)),
    QuicSniDrop(server_name="example.com"),
    UdpDrop(port=4433, addresses=("198.51.100.2",)),
    RandomLoss(addresses=(LOSSY,), share=1.0),
    DnsForge(name="forged.test", address="203.0.113.66"),
    DnsNxdomain(name="nx.test"),
    DnsRefused(name="refused.test"),
    DnsServfail(name="servfail.test"),
    DnsTimeout(name="timeout.test"),
    DnsHijack(name="hijack.test", address="203.0.113.77"),
)


def hello(name: str | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    """OpenSSL's own first flight."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = newest
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def tcp_probe(
    name: str,
    address: str = SERVER,
    port: int = 443,
    data: bytes | None = None,
    **more: object,
) -> Probe:
    """A connection that says ``data``, by default a hello that names the probe."""
    data = hello(f"{name}.test") if data is None else data
    base = {"kind": "tcp", "name": name, "address": address, "port": port, "data": data.hex()}
    return base | {"timeout": SILENCE_S} | more


def udp_probe(name: str, address: str, port: int, data: bytes, **more: object) -> Probe:
    base = {"kind": "udp", "name": name, "address": address, "port": port, "data": data.hex()}
    return base | {"timeout": 1.0} | more


def query(name: str) -> bytes:
    return dns.message.make_query(f"{name}.test", "A", id=4711).to_wire()


def get(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}.test\r\n\r\n".encode()


TLS_12 = ssl.TLSVersion.TLSv1_2
TINY_WRITES = list(range(2, 80, 2))
INITIAL = bytes.fromhex((Path(__file__).parent.parent / "packet" / "rfc9001_a2.hex").read_text())
SILENT_NAMES = ("drop", "drop-reply", "after8", "freeze25", "freeze16k")
PROBES = [
    tcp_probe("control"),
    tcp_probe("control-6", SERVER_6),
    tcp_probe("ip-drop", DROPPED, timeout=2.5),
    tcp_probe("syn-drop", SYN_DROPPED, timeout=2.5),
    tcp_probe("lossy", LOSSY, timeout=2.5),
    tcp_probe("port-443", PORT_DROPPED, timeout=2.5),
    tcp_probe("port-5222", PORT_DROPPED, 5222),
    tcp_probe("refuse", REFUSED),
    tcp_probe("syn-rst", SYN_RST),
    tcp_probe("syn-ack-rst", SYN_ACK_RST),
    *(tcp_probe(f"icmp-{code}", address) for code, address in REJECTED.items()),
    tcp_probe("icmp-6", SERVER_6, 5222),
    *(udp_probe(f"icmp-udp-{code}", address, 9, b"twin") for code, address in REJECTED.items()),
    *(tcp_probe(name) for name in ("rst", "rst-client", "rst-server", *SILENT_NAMES)),
    tcp_probe("rst-split", data=hello("rst.test"), cuts=[60, 150, 170], pause=0.02),
    tcp_probe("tiny-writes", TINY, data=bytes(80), cuts=TINY_WRITES, pause=0.03),
    tcp_probe("tls12", data=hello("tls12.test", TLS_12)),
    tcp_probe("tls12-as-13", data=hello("tls12.test")),
    tcp_probe("profile", data=hello(None, TLS_12)),
    tcp_probe("http-control", port=80, data=get("control")),
    tcp_probe("http-rst", port=80, data=get("rst")),
    tcp_probe("http-page", port=80, data=get("page")),
    tcp_probe("mtproto-tag", MTPROTO, data=b"\xee" * 4 + bytes(80), timeout=2.0),
    tcp_probe("mtproto-random", MTPROTO, data=sha512(b"key").digest() * 2, timeout=2.0),
    tcp_probe("mtproto-tls", MTPROTO),
    udp_probe("quic", SERVER, 443, INITIAL),
    udp_probe("quic-other", SERVER, 443, INITIAL[:-1] + b"\0"),
    udp_probe("udp-dropped", "198.51.100.2", 4433, b"x"),
    udp_probe("udp-other-port", "198.51.100.2", 443, b"x"),
    *(
        udp_probe(name, SERVER, 53, query(name))
        for name in ("honest", "forged", "nx", "refused", "servfail", "timeout", "hijack")
    ),
    udp_probe("forged-6", SERVER_6, 53, query("forged")),
    udp_probe("hijack-nowhere", NO_DNS_HERE, 53, query("hijack")),
    udp_probe("honest-nowhere", NO_DNS_HERE, 53, query("honest")),
]


@pytest.fixture(scope="module")
def facts(world: World) -> dict[str, Facts]:
    """All probes at once, under all rules at once: each strikes its own target only."""
    world.apply(RULES, Line(delay_s=DELAY_S))
    return run_probes(world, PROBES)


HELLO_BYTES = len(hello("control.test"))


@pytest.mark.parametrize(
    "name", ["control", "control-6", "port-5222", "tls12-as-13", "mtproto-tls"]
)
def test_what_no_rule_names_passes(facts: dict[str, Facts], name: str) -> None:
    """Connected after one round trip, hello acknowledged, every byte received."""
    fact = facts[name]
    assert (fact["connect"], fact["recv"], fact["body"]) == ("ok", "eof", 200_000)
    assert fact["connected_after"] == pytest.approx(RTT_S, abs=SLACK_S)
    assert fact["acked"] >= 500


@pytest.mark.parametrize("name", ["ip-drop", "syn-drop", "port-443", "lossy"])
def test_dropped_syns_are_silence(facts: dict[str, Facts], name: str) -> None:
    """A timeout, and an empty error queue."""
    assert (facts[name]["connect"], facts[name]["errors"]) == ("timeout", [])


@pytest.mark.parametrize(
    ("name", "after"), [("refuse", RTT_S / 2), ("syn-rst", RTT_S / 2), ("syn-ack-rst", RTT_S)]
)
def test_refusals(facts: dict[str, Facts], name: str, after: float) -> None:
    """ECONNREFUSED without ICMP: early from a middlebox, late if the SYN-ACK is rewritten."""
    fact = facts[name]
    assert (fact["connect"], fact["errors"]) == ("ECONNREFUSED", [])
    assert fact["seconds"] == pytest.approx(after, abs=SLACK_S)


@pytest.mark.parametrize("code", REJECTED)
def test_icmp_rejects(facts: dict[str, Facts], code: int) -> None:
    """errno merges codes; the error queue names code and router, for TCP and a UDP twin."""
    error = {"type": 3, "code": code, "sender": ROUTER_ADDRESSES[0]}
    assert facts[f"icmp-{code}"]["connect"] == ERRNO[code]
    assert facts[f"icmp-{code}"]["errors"] == [error]
    assert facts[f"icmp-udp-{code}"]["recv"] == ERRNO[code]
    assert facts[f"icmp-udp-{code}"]["errors"] == [error]


def test_icmp_reject_of_ipv6(facts: dict[str, Facts]) -> None:
    """Prohibited is type 1 code 1 there, and EACCES."""
    fact = facts["icmp-6"]
    assert fact["connect"] == "EACCES"
    assert fact["errors"] == [{"type": 1, "code": 1, "sender": ROUTER_ADDRESSES[1]}]


@pytest.mark.parametrize("name", ["rst", "rst-client"])
def test_reset_on_the_server_name(facts: dict[str, Facts], name: str) -> None:
    """ECONNRESET after half a round trip, hello unacknowledged; to both or one: alike."""
    fact = facts[name]
    assert (fact["recv"], fact["acked"], fact["received"]) == ("ECONNRESET", 1, 0)
    assert fact["seconds"] == pytest.approx(RTT_S / 2, abs=SLACK_S)


def test_reset_to_the_server_only(facts: dict[str, Facts]) -> None:
    """The client learns it from the real server, when it sends the hello again."""
    fact = facts["rst-server"]
    assert (fact["recv"], fact["acked"], fact["received"]) == ("ECONNRESET", 1, 0)
    assert fact["seconds"] > 0.2


def test_reset_in_spite_of_a_split_hello(facts: dict[str, Facts]) -> None:
    """A reassembling censor: what came before the last segment is acknowledged."""
    fact = facts["rst-split"]
    assert (fact["recv"], fact["received"]) == ("ECONNRESET", 0)
    assert fact["acked"] == 1 + 170


def test_hello_dropped(facts: dict[str, Facts]) -> None:
    """acked 1, one segment unacknowledged, four retransmissions or more."""
    fact = facts["drop"]
    assert (fact["recv"], fact["acked"], fact["unacked"]) == ("timeout", 1, 1)
    assert fact["retransmits"] >= 4
    assert fact["received"] == 0


def test_reply_dropped(facts: dict[str, Facts]) -> None:
    """The hello is acknowledged and nothing is retransmitted, yet nothing comes."""
    fact = facts["drop-reply"]
    assert (fact["recv"], fact["acked"], fact["unacked"]) == ("timeout", 1 + HELLO_BYTES, 0)
    assert (fact["retransmits"], fact["received"]) == (0, 0)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("after8", 1448, 7 * 1448), ("freeze25", 14_480, 15 * 1448), ("freeze16k", 14_480, 14_480)],
)
def test_freezes(facts: dict[str, Facts], name: str, least: int, most: int) -> None:
    """Data, then silence without a RST. How many acknowledgements share a packet
    limit is the kernels' choice; a byte limit is exact."""
    fact = facts[name]
    assert (fact["recv"], fact["acked"], fact["unacked"]) == ("timeout", 1 + HELLO_BYTES, 0)
    assert least <= fact["received"] <= most


def test_tiny_writes_tell_packets_from_bytes(facts: dict[str, Facts]) -> None:
    """25 packets stop a client that has sent a few dozen bytes."""
    fact = facts["tiny-writes"]
    assert fact["recv"] == "timeout"
    assert 20 <= fact["acked"] <= 27
    assert fact["unacked"] > 0


@pytest.mark.parametrize("name", ["tls12", "profile"])
def test_hellos_dropped_by_version_or_profile(facts: dict[str, Facts], name: str) -> None:
    """Like a name's drop; the TLS 1.3 hello with the same name passes (above)."""
    assert (facts[name]["recv"], facts[name]["acked"]) == ("timeout", 1)


def test_http(facts: dict[str, Facts]) -> None:
    """By Host: reset, or a page that comes before the true answer could."""
    assert facts["http-control"]["text"].startswith("HTTP/1.1 200")
    assert facts["http-control"]["first_after"] >= RTT_S
    assert (facts["http-rst"]["recv"], facts["http-rst"]["acked"]) == ("ECONNRESET", 1)
    page = facts["http-page"]
    assert page["text"].startswith("HTTP/1.1 403")
    assert page["recv"] == "eof"
    assert page["first_after"] == pytest.approx(RTT_S / 2, abs=SLACK_S)


@pytest.mark.parametrize("name", ["mtproto-tag", "mtproto-random"])
def test_mtproto(facts: dict[str, Facts], name: str) -> None:
    """Connected, and then nothing; TLS to the same place passes (above)."""
    fact = facts[name]
    assert (fact["connect"], fact["recv"], fact["acked"]) == ("ok", "timeout", 1)


def test_quic_and_udp(facts: dict[str, Facts]) -> None:
    """Silence for the named Initial and the named port; their neighbours answer."""
    for name, n_answers in (
        ("quic", 0),
        ("quic-other", 1),
        ("udp-dropped", 0),
        ("udp-other-port", 1),
    ):
        assert len(facts[name]["answers"]) == n_answers, name
        assert facts[name]["recv"] == "ok"


def answers(fact: Facts) -> list[tuple[str, list[str]]]:
    messages = [dns.message.from_wire(bytes.fromhex(a["data"])) for a in fact["answers"]]
    return [
        (dns.rcode.to_text(m.rcode()), [str(record) for rrset in m.answer for record in rrset])
        for m in messages
    ]


TRUE_ANSWER = ("NOERROR", ["198.51.100.80"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("honest", [TRUE_ANSWER]),
        ("forged", [("NOERROR", ["203.0.113.66"]), TRUE_ANSWER]),
        ("forged-6", [("NOERROR", ["203.0.113.66"]), TRUE_ANSWER]),
        ("nx", [("NXDOMAIN", [])]),
        ("refused", [("REFUSED", [])]),
        ("servfail", [("SERVFAIL", [])]),
        ("timeout", []),
        ("hijack", [("NOERROR", ["203.0.113.77"])]),
        ("hijack-nowhere", [("NOERROR", ["203.0.113.77"])]),
        ("honest-nowhere", []),
    ],
)
def test_dns(facts: dict[str, Facts], name: str, expected: list[tuple[str, list[str]]]) -> None:
    """Every datagram in order: the forged one first, then the true one."""
    assert answers(facts[name]) == expected


def test_a_forged_answer_comes_from_half_way(facts: dict[str, Facts]) -> None:
    """Earlier than the resolver's, which takes the whole round trip."""
    forged, true = (a["after"] for a in facts["forged"]["answers"])
    assert forged < RTT_S <= true


def test_blackout_and_allowlist(world: World) -> None:
    """Nothing at all; or TCP to anywhere and a hello that never arrives."""
    world.apply([Blackout()])
    probes = [tcp_probe("tcp", timeout=1.2), udp_probe("udp", SERVER, 53, query("honest"))]
    facts = run_probes(world, probes)
    assert facts["tcp"]["connect"] == "timeout"
    assert (facts["udp"]["recv"], facts["udp"]["answers"]) == ("ok", [])

    world.apply([Allowlist(addresses=("198.51.100.2/32",))])
    probes += [tcp_probe("allowed", "198.51.100.2")]
    facts = run_probes(world, probes)
    assert (facts["tcp"]["connect"], facts["tcp"]["recv"]) == ("ok", "timeout")
    assert facts["tcp"]["acked"] == 1
    assert facts["udp"]["answers"] == []
    assert facts["allowed"]["body"] == 200_000


def test_residual_and_evasion(world: World) -> None:
    """After a hit an innocuous name fails too, at that port only; a split evades
    a censor that reads first segments."""
    world.apply([SniRst(server_name="rst.test"), Residual(seconds=60)])
    assert run_probes(world, [tcp_probe("rst")])["rst"]["recv"] == "ECONNRESET"
    after = [tcp_probe("control", timeout=1.2), tcp_probe("other-port", port=5222)]
    facts = run_probes(world, after)
    assert facts["control"]["connect"] == "timeout"
    assert facts["other-port"]["body"] == 200_000

    world.apply([SniRst(server_name="rst.test"), FirstSegmentOnly()])
    split = tcp_probe("split", data=hello("rst.test"), cuts=[100], pause=0.05)
    facts = run_probes(world, [split, tcp_probe("rst")])
    assert facts["split"]["body"] == 200_000
    assert facts["rst"]["recv"] == "ECONNRESET"


def test_parallel_policing(world: World) -> None:
    """Six hellos with one name at once: three pass, three are never acknowledged;
    another name passes."""
    world.apply([ParallelPolicing(server_name="many.test", at_once=3)])
    data = hello("many.test")
    probes = [tcp_probe(f"many-{n}", data=data, timeout=1.5) for n in range(6)]
    facts = run_probes(world, [*probes, tcp_probe("control")])
    assert sorted(facts[f"many-{n}"]["body"] for n in range(6)) == [0] * 3 + [200_000] * 3
    assert facts["control"]["body"] == 200_000


@pytest.mark.parametrize(
    "rule",
    [
        Police(server_name="slow.test", rate_bytes_per_s=100_000),
        Throttle(server_name="slow.test", rate_bytes_per_s=100_000),
    ],
)
def test_throttled_to_the_same_rate(world: World, rule: Rule) -> None:
    """200 kB at 100 kB/s take about 2 s, by lost packets or by a queue."""
    world.apply([rule], Line(delay_s=0.005))
    facts = run_probes(world, [tcp_probe("slow", timeout=8.0), tcp_probe("control")])
    assert facts["slow"]["recv"] == "eof"
    assert facts["slow"]["seconds"] == pytest.approx(2.05, abs=0.45)
    assert facts["control"]["seconds"] < 0.5
