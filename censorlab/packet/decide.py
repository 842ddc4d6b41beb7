"""A censor's decisions: pure functions of rules and of what a connection shows.

No state and no clock: what lasts (counts, buckets, residual blocks) is kept by
the middlebox.
"""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from censorlab.packet import dns
from censorlab.packet.addresses import address_set
from censorlab.packet.first_bytes import Seen
from censorlab.packet.rules import (
    Allowlist,
    DnsHijack,
    DropAfterPackets,
    EchDrop,
    FreezePackets,
    HttpBlockpage,
    HttpHostRst,
    IcmpReject,
    MtprotoDrop,
    PacketRule,
    Police,
    ProfileDrop,
    QuicSniDrop,
    RandomLoss,
    SniDropReply,
    SniReset,
    SynAckRst,
    SynDrop,
    SynRst,
    TlsVersionDrop,
    UdpDrop,
)
from censorlab.packet.tls import ClientHello
from censorlab.rules import (
    Blackout,
    DnsForge,
    DnsNxdomain,
    DnsRefused,
    DnsRule,
    DnsServfail,
    DnsTimeout,
    Freeze,
    IpDrop,
    SniDrop,
    SniRst,
    TcpRefuse,
    Throttle,
    matches,
)

_VERSIONS: Final = {"1.2": 0x0303, "1.3": 0x0304}

Action = Literal["pass", "drop", "drop_reply", "reset_both", "reset_client", "reset_server", "page"]


class Passage(NamedTuple):
    """What becomes of one packet because of the place it goes to or comes from."""

    action: Literal["pass", "drop", "refuse", "icmp", "syn_ack_to_rst"] = "pass"
    icmp: IcmpReject | None = None
    loss: float = 0.0


class Treatment(NamedTuple):
    """What becomes of a connection once its first bytes are known.

    ``more_packets`` counts from the hello, ``all_packets`` from the SYN,
    ``reply_bytes`` the server's IP bytes from the SYN-ACK.
    """

    action: Action = "pass"
    page: str = ""
    more_packets: int | None = None
    all_packets: int | None = None
    reply_bytes: int | None = None
    police: Police | None = None
    shape_bytes_per_s: int | None = None


class QueryVerdict(NamedTuple):
    """``answer`` None: none is sent; the query itself goes on if it ``passes``."""

    passes: bool
    answer: bytes | None = None


PASS: Final = Treatment()
PASSES: Final = Passage()
_LETS_QUERY_PASS: Final = QueryVerdict(passes=True)

PlaceRule = (
    Blackout
    | IpDrop
    | TcpRefuse
    | SynDrop
    | SynRst
    | SynAckRst
    | IcmpReject
    | UdpDrop
    | RandomLoss
    | Allowlist
)
Kind = Literal["syn", "syn_ack", "client_data", "tcp", "udp", "other"]


def on_place(
    rules: Iterable[PacketRule], server: bytes, port: int, kind: Kind, *, up: bool
) -> Passage:
    """Decide about a packet to (``up``) or from a server's place; port 0: none.

    A drop hides any answer; of answers the first rule's is given.
    """
    passage = PASSES
    for rule in rules:
        match rule:
            case Blackout():
                return Passage("drop")
            case IpDrop(addresses=addresses) if server in address_set(addresses):
                return Passage("drop")
            case SynDrop() if kind == "syn" and rule.covers(server, port):
                return Passage("drop")
            case UdpDrop() if kind == "udp" and up and rule.covers(server, port):
                return Passage("drop")
            case Allowlist(addresses=addresses) if kind in (
                "client_data",
                "udp",
                "other",
            ) and server not in address_set(addresses):
                return Passage("drop")
            case RandomLoss(share=share) if rule.covers(server, port):
                passage = passage._replace(loss=1 - (1 - passage.loss) * (1 - share))
            case _ if passage.action != "pass":
                pass
            case TcpRefuse(addresses=addresses) if kind == "syn" and server in address_set(
                addresses
            ):
                passage = passage._replace(action="refuse")
            case SynRst() if kind == "syn" and rule.covers(server, port):
                passage = passage._replace(action="refuse")
            case SynAckRst() if kind == "syn_ack" and rule.covers(server, port):
                passage = passage._replace(action="syn_ack_to_rst")
            case IcmpReject() if up and rule.covers(server, port):
                passage = passage._replace(action="icmp", icmp=rule)
            case _:
                pass
    return passage


def on_open(rules: Iterable[PacketRule], server: bytes) -> Treatment:
    """Decide about a flow before it says anything."""
    for rule in rules:
        match rule:
            case FreezePackets(server_name=None, packets=packets, addresses=addresses) if (
                server in address_set(addresses)
            ):
                return Treatment(all_packets=packets)
            case _:
                pass
    return PASS


def on_first_bytes(
    rules: Iterable[PacketRule], seen: Seen, server: bytes, port: int, opened: Treatment
) -> Treatment:
    """Decide about a connection by its first client bytes.

    ``opened`` is what ``on_open`` said. Silence hides any answer; of other
    actions the first rule's is taken.
    """
    if seen.hello is not None:
        return _on_hello(rules, seen.hello, server, opened)
    treatment = opened
    for rule in rules:
        match rule:
            case MtprotoDrop() if seen.protocol == "mtproto" and rule.covers(server, port):
                return treatment._replace(action="drop")
            case _ if seen.host is None or treatment.action != "pass":
                pass
            case HttpHostRst(host=pattern) if matches(pattern, seen.host):
                treatment = treatment._replace(action="reset_both")
            case HttpBlockpage(host=pattern, response=response) if matches(pattern, seen.host):
                treatment = treatment._replace(action="page", page=response)
            case _:
                pass
    return treatment


_RESETS: Final[dict[str, Action]] = {
    "both": "reset_both",
    "client": "reset_client",
    "server": "reset_server",
}


def _on_hello(
    rules: Iterable[PacketRule], hello: ClientHello, server: bytes, opened: Treatment
) -> Treatment:
    treatment = opened
    for rule in rules:
        if not _concerns(rule, hello, server):
            continue
        match rule:
            case SniDrop() | ProfileDrop() | TlsVersionDrop() | EchDrop():
                return treatment._replace(action="drop")
            case Freeze(after_bytes=limit):
                treatment = treatment._replace(reply_bytes=limit)
            case FreezePackets(packets=packets):
                treatment = treatment._replace(all_packets=packets)
            case DropAfterPackets(packets=packets):
                treatment = treatment._replace(more_packets=packets)
            case Throttle(rate_bytes_per_s=rate):
                treatment = treatment._replace(shape_bytes_per_s=rate)
            case Police():
                treatment = treatment._replace(police=rule)
            case _ if treatment.action != "pass":
                pass
            case SniRst():
                treatment = treatment._replace(action="reset_both")
            case SniReset(to=to):
                treatment = treatment._replace(action=_RESETS[to])
            case SniDropReply():
                treatment = treatment._replace(action="drop_reply")
            case _:
                pass
    return treatment


def _concerns(rule: PacketRule, hello: ClientHello, server: bytes) -> bool:
    match rule:
        case ProfileDrop(ja4=prefix):
            return hello.ja4.startswith(prefix)
        case TlsVersionDrop(version=version) if hello.version != _VERSIONS[version]:
            return False
        case EchDrop() if not hello.has_ech:
            return False
        case FreezePackets(addresses=addresses) if server not in address_set(addresses):
            return False
        case _:
            pattern: str | None = getattr(rule, "server_name", None)
            return (
                pattern is not None
                and hello.server_name is not None
                and matches(pattern, hello.server_name)
            )


def on_quic_hello(rules: Iterable[PacketRule], hello: ClientHello) -> bool:
    """Whether a QUIC connection with this hello is dropped."""
    return hello.server_name is not None and any(
        isinstance(rule, QuicSniDrop) and matches(rule.server_name, hello.server_name)
        for rule in rules
    )


def on_query(rules: Iterable[PacketRule], question: dns.Question) -> QueryVerdict:
    """Decide about a query on UDP/53; the first rule that names it wins.

    A forged address answers queries for its own family; others are left alone
    by an injector, and get an empty answer from a hijacker.
    """
    for rule in rules:
        if isinstance(rule, DnsHijack) and (rule.name is None or matches(rule.name, question.name)):
            return QueryVerdict(
                passes=False, answer=dns.answer(question, dns.NOERROR, rule.address)
            )
        if not isinstance(rule, DnsRule) or not matches(rule.name, question.name):
            continue
        match rule:
            case DnsForge(address=address):
                if question.record_type == (dns.AAAA if ":" in address else dns.A):
                    return QueryVerdict(
                        passes=True, answer=dns.answer(question, dns.NOERROR, address)
                    )
            case DnsTimeout():
                return QueryVerdict(passes=False)
            case DnsNxdomain():
                return QueryVerdict(passes=False, answer=dns.answer(question, dns.NXDOMAIN))
            case DnsRefused():
                return QueryVerdict(passes=False, answer=dns.answer(question, dns.REFUSED))
            case DnsServfail():
                return QueryVerdict(passes=False, answer=dns.answer(question, dns.SERVFAIL))
    return _LETS_QUERY_PASS
