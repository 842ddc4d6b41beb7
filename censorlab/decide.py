"""A censor's decisions: pure functions of rules and of what a connection shows.

Both engines ask these. No state and no clock of their own: what lasts (counts,
queues, residual blocks) is kept by the engines and by ``censorlab.memory``.
"""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple

from censorlab.addresses import address_set, packed
from censorlab.opening.first_bytes import Seen
from censorlab.opening.tls import ClientHello
from censorlab.rules import (
    Allowlist,
    Blackout,
    ConnectAction,
    Divert,
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsRule,
    DnsServfail,
    DnsTimeout,
    DropAfterPackets,
    EchDrop,
    EncryptedDnsDrop,
    ForgedCertificate,
    Freeze,
    FreezePackets,
    HttpBlockpage,
    HttpHostRst,
    HttpTruncate,
    IcmpReject,
    IpDrop,
    MtprotoDrop,
    Place,
    Police,
    ProfileDrop,
    QuicSniDrop,
    RandomLoss,
    RecordDrop,
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
    UnreachableCode,
)

SEGMENT_BYTES: Final = 1400
"""A paced relay sends this much at a time: about one Ethernet segment, so that
a client sees a slow stream, not a burst per TLS record."""

DNS_PORT: Final = 53

_VERSIONS: Final = {"1.2": 0x0303, "1.3": 0x0304}

Kind = Literal["syn", "syn_ack", "client_data", "tcp", "udp", "other"]
Action = Literal["pass", "drop", "drop_reply", "reset_both", "reset_client", "reset_server", "page"]
ResponseCode = Literal["noerror", "nxdomain", "refused", "servfail"]


class Passage(NamedTuple):
    """What becomes of one packet because of the place it goes to or comes from."""

    action: Literal["pass", "drop", "refuse", "icmp", "syn_ack_to_rst"] = "pass"
    icmp_code: UnreachableCode | None = None
    loss: float = 0.0
    is_diverted: bool = False


class Treatment(NamedTuple):
    """What becomes of a connection once its first bytes are known.

    ``more_packets`` counts from the hello, ``all_packets`` from the SYN,
    ``reply_bytes`` what the server sends, as ``Freeze`` has it. ``truncate_at``
    is a number of bytes of the server's stream, ``records`` one of the client's
    TLS records with application data.
    """

    action: Action = "pass"
    page: str = ""
    more_packets: int | None = None
    all_packets: int | None = None
    reply_bytes: int | None = None
    police: Police | None = None
    shape_bytes_per_s: int | None = None
    truncate_at: int | None = None
    records: int | None = None
    is_intercepted: bool = False


class Forgery(NamedTuple):
    """An answer to a query; an address of the other family than asked for: empty."""

    code: ResponseCode
    address: str | None = None


class QueryVerdict(NamedTuple):
    """Whether the query goes on, and what is answered before that, if anything."""

    passes: bool
    forgery: Forgery | None = None


class Paced(NamedTuple):
    """Server-to-client state of a relay: bytes passed on, and when it is free again."""

    passed_bytes: int = 0
    free_at: float = 0.0


class Release(NamedTuple):
    """Pass on ``n_bytes`` bytes at time ``at``; ``state`` holds from then on."""

    n_bytes: int
    at: float
    state: Paced


PASS: Final = Treatment()
PASSES: Final = Passage()
_LETS_QUERY_PASS: Final = QueryVerdict(passes=True)
_SILENCE: Final = QueryVerdict(passes=False)


def matches(pattern: str, name: str) -> bool:
    """Whether a host name is the pattern's, ignoring case and a final dot."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return name == pattern


def covers(
    rule: SynDrop | SynRst | SynAckRst | IcmpReject | UdpDrop | RandomLoss | Divert | MtprotoDrop,
    server: bytes,
    port: int,
) -> bool:
    """Whether the place of a server is among a rule's."""
    return rule.port in (None, port) and server in address_set(rule.addresses)


# Places -------------------------------------------------------------------


def on_place(rules: Iterable[Rule], server: bytes, port: int, kind: Kind, *, up: bool) -> Passage:
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
            case SynDrop() if kind == "syn" and covers(rule, server, port):
                return Passage("drop")
            case UdpDrop() if kind == "udp" and up and covers(rule, server, port):
                return Passage("drop")
            case Allowlist(addresses=addresses) if kind in (
                "client_data",
                "udp",
                "other",
            ) and server not in address_set(addresses):
                return Passage("drop")
            case RandomLoss(share=share) if covers(rule, server, port):
                passage = passage._replace(loss=1 - (1 - passage.loss) * (1 - share))
            case Divert(protocol=protocol) if (
                up and _is_of(protocol, kind) and covers(rule, server, port)
            ):
                passage = passage._replace(is_diverted=True)
            case _ if passage.action != "pass":
                pass
            case TcpRefuse(addresses=addresses) if kind == "syn" and server in address_set(
                addresses
            ):
                passage = passage._replace(action="refuse")
            case SynRst() if kind == "syn" and covers(rule, server, port):
                passage = passage._replace(action="refuse")
            case SynAckRst() if kind == "syn_ack" and covers(rule, server, port):
                passage = passage._replace(action="syn_ack_to_rst")
            case IcmpReject(code=code) if up and covers(rule, server, port):
                passage = passage._replace(action="icmp", icmp_code=code)
            case _:
                pass
    return passage


def _is_of(protocol: Literal["tcp", "udp"] | None, kind: Kind) -> bool:
    match protocol:
        case None:
            return True
        case "udp":
            return kind == "udp"
        case "tcp":
            return kind not in ("udp", "other")


def on_connect(rules: tuple[Rule, ...], place: Place) -> ConnectAction:
    """Decide about SYNs to a place of the loopback lab."""
    if place.kind == "encrypted_resolver" and any(isinstance(r, EncryptedDnsDrop) for r in rules):
        return "drop"
    match on_place(rules, packed(place.address), place.port, "syn", up=True).action:
        case "drop":
            return "drop"
        case "refuse":
            return "refuse"
        case _:
            return "open"


# Connections --------------------------------------------------------------


def on_open(rules: Iterable[Rule], server: bytes) -> Treatment:
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
    rules: Iterable[Rule], seen: Seen, server: bytes, port: int, opened: Treatment = PASS
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
            case MtprotoDrop(transports=wanted) if (
                seen.protocol == "mtproto"
                and (not wanted or seen.transport in wanted)
                and covers(rule, server, port)
            ):
                return treatment._replace(action="drop")
            case _ if seen.host is None:
                pass
            case HttpTruncate(host=pattern, after_bytes=limit) if matches(pattern, seen.host):
                treatment = treatment._replace(truncate_at=limit)
            case _ if treatment.action != "pass":
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
    rules: Iterable[Rule], hello: ClientHello, server: bytes, opened: Treatment
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
            case RecordDrop(records=records):
                treatment = treatment._replace(records=records)
            case Throttle(rate_bytes_per_s=rate):
                treatment = treatment._replace(shape_bytes_per_s=rate)
            case Police():
                treatment = treatment._replace(police=rule)
            case ForgedCertificate():
                treatment = treatment._replace(is_intercepted=True)
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


def _concerns(rule: Rule, hello: ClientHello, server: bytes) -> bool:
    match rule:
        case ProfileDrop(ja4=prefix, unless=passing, addresses=addresses):
            is_meant = hello.ja4.startswith(prefix) and not hello.ja4.startswith(passing)
            return is_meant and server in address_set(addresses)
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


def on_quic_hello(rules: Iterable[Rule], hello: ClientHello) -> bool:
    """Whether a QUIC connection with this hello is dropped."""
    return hello.server_name is not None and any(
        isinstance(rule, QuicSniDrop) and matches(rule.server_name, hello.server_name)
        for rule in rules
    )


def on_reply(treatment: Treatment, state: Paced, offered: int, now: float) -> Release | None:
    """Decide how many of ``offered`` (>= 1) server bytes a relay passes, and when.

    Returns None once ``Treatment.reply_bytes`` have passed: nothing does any
    more. What lies beyond ``truncate_at`` is not offered.
    """
    count = offered
    if treatment.reply_bytes is not None:
        count = min(count, treatment.reply_bytes - state.passed_bytes)
        if count <= 0:
            return None
    at = now
    if treatment.shape_bytes_per_s is not None:
        count = min(count, SEGMENT_BYTES)
        # No credit for idle time: a keep-alive pause must not buy a burst.
        at = max(now, state.free_at) + count / treatment.shape_bytes_per_s
    return Release(count, at, Paced(state.passed_bytes + count, at))


# DNS ----------------------------------------------------------------------


def on_query(rules: Iterable[Rule], name: str, ip_version: Literal[4, 6] | None) -> QueryVerdict:
    """Decide about a query over UDP; the first rule that names it wins.

    ``ip_version`` is that of A or AAAA, else None. A forged address answers
    queries for its own family; others are left alone by an injector, and get an
    empty answer from a hijacker.
    """
    for rule in rules:
        if not isinstance(rule, DnsRule):
            continue
        if rule.name is not None and not matches(rule.name, name):
            continue
        match rule:
            case DnsHijack(address=address):
                return QueryVerdict(passes=False, forgery=Forgery("noerror", address))
            case DnsForge(address=address):
                if ip_address(address).version == ip_version:
                    return QueryVerdict(passes=True, forgery=Forgery("noerror", address))
            case DnsTimeout():
                return _SILENCE
            case DnsNxdomain():
                return QueryVerdict(passes=False, forgery=Forgery("nxdomain"))
            case DnsRefused():
                return QueryVerdict(passes=False, forgery=Forgery("refused"))
            case DnsServfail():
                return QueryVerdict(passes=False, forgery=Forgery("servfail"))
    return _LETS_QUERY_PASS


def on_query_at(
    rules: tuple[Rule, ...], place: Place, name: str, ip_version: Literal[4, 6] | None
) -> QueryVerdict:
    """Decide about a query to a resolver of the loopback lab.

    A dead line or a dropped address comes before any rule about names. An
    honest resolver is outside the reach of those.
    """
    if on_place(rules, packed(place.address), DNS_PORT, "udp", up=True).action == "drop":
        return _SILENCE
    if place.kind != "resolver":
        return _LETS_QUERY_PASS
    return on_query(rules, name, ip_version)
