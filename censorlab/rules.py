"""What a censor can be told to do: every rule, as data.

Both engines take these, the loopback relay and the packet middlebox, and both
ask the same functions (``censorlab.decide``). What one of them cannot express
it refuses (``censorlab.engines``). Where they show a client different things,
the rule says so.

No outcome depends on which of two packets comes first: where a real injector
races the true answer, the forged one is sent first. A connection is judged once,
by its first client bytes, and keeps the rules it was opened under.
"""

from ipaddress import ip_address, ip_network
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from censorlab.opening.mtproto import Transport

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")

_MAX_PAGE_BYTES: Final = 1200
"""Fits one packet of any line, headers included."""

ServerNamePattern = Annotated[str, Meta(min_length=1, max_length=253)]
"""A host name, or ``*.`` and a suffix for every name below it."""

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Networks = tuple[str, ...]
"""Addresses or networks, ``149.154.167.51`` or ``91.108.4.0/22`` or ``::/0``."""

UnreachableCode = Literal[0, 1, 3, 9, 10, 13]
"""Network, host, port unreachable; network, host prohibited; filtered (RFC 1812 §5.2.7.1)."""

PlaceKind = Literal[
    "service", "control", "resolver", "encrypted_resolver", "honest_resolver", "proxy"
]
ConnectAction = Literal["open", "drop", "refuse"]


class Place(NamedTuple):
    """An address and port that clients of the loopback lab reach, and what it is."""

    address: str
    kind: PlaceKind
    port: int = 0


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="rule"):
    pass


class _NetworksRule(_Rule, frozen=True, kw_only=True):
    """At ``addresses``, on every port."""

    addresses: Networks

    def __post_init__(self) -> None:
        for network in self.addresses:
            ip_network(network)


class _PlaceRule(_Rule, frozen=True, kw_only=True):
    """At ``addresses``, on one port or (None) all."""

    addresses: Networks = EVERYWHERE
    port: Port | None = None

    def __post_init__(self) -> None:
        for network in self.addresses:
            ip_network(network)


class _NameRule(_Rule, frozen=True, kw_only=True):
    """For connections whose TLS ClientHello names the server."""

    server_name: ServerNamePattern


# Lines and places ---------------------------------------------------------


class Blackout(_Rule, frozen=True, kw_only=True, tag="blackout"):
    """A dead line: nothing answers, controls, resolvers and proxy included."""


class LineCut(_Rule, frozen=True, kw_only=True, tag="line_cut"):
    """A line that dies in the middle of a run: benign.

    The client's first ``after_flows`` TCP connections and UDP exchanges work;
    when it opens one more, that one and all others are dead both ways.
    """

    after_flows: Count


class NatRebinding(_Rule, frozen=True, kw_only=True, tag="nat_rebinding"):
    """A home router that forgets its TCP mappings every so many seconds: benign.

    The epochs count from the client's first packet. A connection opened in an
    earlier one gets a new port when the client speaks again, so the server,
    which knows no such connection, answers with its own RST; what the server
    sends to the forgotten port is lost.
    """

    every_s: Seconds


class IpDrop(_NetworksRule, frozen=True, kw_only=True, tag="ip_drop"):
    """Every packet to and from the addresses vanishes."""


class TcpRefuse(_NetworksRule, frozen=True, kw_only=True, tag="tcp_refuse"):
    """SYNs to the addresses are answered by RST."""


class SynDrop(_PlaceRule, frozen=True, kw_only=True, tag="syn_drop"):
    """SYNs vanish; all else passes."""


class SynRst(_PlaceRule, frozen=True, kw_only=True, tag="syn_rst"):
    """SYNs are answered by RST from the server's address, and go no further."""


class SynAckRst(_PlaceRule, frozen=True, kw_only=True, tag="syn_ack_rst"):
    """The server's SYN-ACK becomes a RST-ACK: refused, at the full round trip."""


class IcmpReject(_PlaceRule, frozen=True, kw_only=True, tag="icmp_reject"):
    """Every packet to the place is answered by ICMP unreachable from the router.

    ``code`` is that of IPv4; IPv6 gets the nearest (RFC 4443 §3.1).
    """

    code: UnreachableCode = 13


class UdpDrop(_PlaceRule, frozen=True, kw_only=True, tag="udp_drop"):
    """UDP datagrams to the place vanish.

    The only UDP on loopback is DNS, and 53 is its port there, whatever the
    number that the system gave the resolver.
    """


class RandomLoss(_PlaceRule, frozen=True, kw_only=True, tag="random_loss"):
    """A share of the packets to and from the place is lost, by seeded chance."""

    share: Annotated[float, Meta(ge=0, le=1)]


class Divert(_PlaceRule, frozen=True, kw_only=True, tag="divert"):
    """Packets to the place go to another machine, which answers in its name.

    A captive portal, a hijacked resolver, an interceptor with certificates of
    its own. Decided packet by packet; addresses are left as they are.
    """

    protocol: Literal["tcp", "udp"] | None = None


class Allowlist(_NetworksRule, frozen=True, kw_only=True, tag="allowlist"):
    """Elsewhere TCP connects, but no client byte arrives; UDP and ICMP vanish."""


class EncryptedDnsDrop(_Rule, frozen=True, kw_only=True, tag="encrypted_dns_drop"):
    """SYNs to the DoT and DoH ports of the lab's resolvers vanish."""


class FreezePackets(_NetworksRule, frozen=True, kw_only=True, tag="freeze_packets"):
    """A connection's first packets pass, SYN and both ways counted, then none.

    Without a name it holds for all TCP and UDP to the addresses.
    """

    packets: Count = 25
    addresses: Networks = EVERYWHERE
    server_name: ServerNamePattern | None = None


# TLS by name --------------------------------------------------------------


class SniRst(_NameRule, frozen=True, kw_only=True, tag="sni_rst"):
    """RST to both ends instead of the ClientHello."""


class SniReset(_NameRule, frozen=True, kw_only=True, tag="sni_reset"):
    """RST when the ClientHello names the server, to whom one likes.

    ``both``, as ``SniRst``: the censor is in the path and eats the hello.
    ``client``: it only listens beside the path, so the hello arrives.
    ``server``: the hello is eaten, and the client hears the server's own RST
    when it sends the hello again. (Loopback: the client is reset at once.)
    """

    to: Literal["both", "client", "server"] = "both"


class SniDrop(_NameRule, frozen=True, kw_only=True, tag="sni_drop"):
    """The hello is swallowed, and so is all that follows it.

    On loopback the kernel acknowledges the hello before the relay reads it, so a
    client sees "acknowledged, then silence" (``SniDropReply``), never the
    unacknowledged hello of an in-path drop.
    """


class SniDropReply(_NameRule, frozen=True, kw_only=True, tag="sni_drop_reply"):
    """The hello is delivered and acknowledged; what the server says is lost."""


class DropAfterPackets(_NameRule, frozen=True, kw_only=True, tag="drop_after_packets"):
    """After the hello so many more packets pass, both ways together, then none."""

    packets: Annotated[int, Meta(ge=0)] = 8


class RecordDrop(_NameRule, frozen=True, kw_only=True, tag="record_drop"):
    """Of the client's TLS records so many with application data pass, then nothing.

    They are counted on the reassembled stream. The packet that starts the next
    one vanishes, with all that follows both ways (loopback: from its first byte
    on). The Finished of TLS 1.3 is such a record too.
    """

    records: Count = 1


class TlsVersionDrop(_NameRule, frozen=True, kw_only=True, tag="tls_version_drop"):
    """Hellos are dropped whose highest TLS version is this one."""

    version: Literal["1.2", "1.3"]


class EchDrop(_NameRule, frozen=True, kw_only=True, tag="ech_drop"):
    """Hellos are dropped that carry the (outer) name and an ECH extension."""


class ProfileDrop(_NetworksRule, frozen=True, kw_only=True, tag="profile_drop"):
    """Hellos to the addresses are dropped whose JA4 starts so, whatever they name.

    Those pass whose JA4 starts like one of ``unless``.
    """

    addresses: Networks = EVERYWHERE
    ja4: Annotated[str, Meta(min_length=1)]
    unless: tuple[str, ...] = ()


class Throttle(_NameRule, frozen=True, kw_only=True, tag="throttle"):
    """Server-to-client bytes are shaped from the first one on.

    The default is 128 kbit/s, a rate reported from the field.
    """

    rate_bytes_per_s: Count = 16_000


class Police(_NameRule, frozen=True, kw_only=True, tag="police"):
    """Server-to-client packets above the rate are lost (a token bucket).

    The defaults are the 150 kbit/s of field reports and ten full packets, a
    slow start's first window.
    """

    rate_bytes_per_s: Count = 18_750
    burst_bytes: Annotated[int, Meta(ge=1500)] = 15_000


class Freeze(_NameRule, frozen=True, kw_only=True, tag="freeze"):
    """After so many server-to-client bytes nothing passes either way; no RST.

    Whole IP packets are counted, as netfilter's connbytes does; on loopback the
    bytes of the stream.
    """

    after_bytes: Annotated[int, Meta(ge=0)]


class ForgedCertificate(_NameRule, frozen=True, kw_only=True, tag="forged_certificate"):
    """An interceptor with an authority of its own answers at the true address."""


class ParallelPolicing(_NameRule, frozen=True, kw_only=True, tag="parallel_policing"):
    """More hellos to one (subnet, name) than ``at_once`` within a window are dropped.

    From the first one too many on, all of them are, until ``seconds`` have passed.
    """

    at_once: Count = 3
    window_seconds: Seconds = 1.0
    seconds: Seconds = 60.0


# HTTP and MTProto ---------------------------------------------------------


class HttpHostRst(_Rule, frozen=True, kw_only=True, tag="http_host_rst"):
    """RST to both when an HTTP request names the host."""

    host: ServerNamePattern


class HttpBlockpage(_Rule, frozen=True, kw_only=True, tag="http_blockpage"):
    """A response is injected and the connection closed; the server gets a RST.

    ``response`` is a whole HTTP message, a page or a redirect, of at most 1200
    bytes in UTF-8.
    """

    host: ServerNamePattern
    response: Annotated[str, Meta(min_length=1)] = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 36\r\n"
        "Connection: close\r\n\r\n<h1>Access is restricted by law</h1>"
    )

    def __post_init__(self) -> None:
        size = len(self.response.encode())
        if size > _MAX_PAGE_BYTES:
            raise ValueError(f"response of {size} bytes (limit {_MAX_PAGE_BYTES})")


class HttpTruncate(_Rule, frozen=True, kw_only=True, tag="http_truncate"):
    """Of the reply to a request for the host so many bytes pass, then it ends.

    The censor closes in the server's name (FIN), and resets the server.
    """

    host: ServerNamePattern
    after_bytes: Count


class MtprotoDrop(_PlaceRule, frozen=True, kw_only=True, tag="mtproto_drop"):
    """First bytes that look like MTProto vanish, and all that follows both ways.

    ``transports``: those that are looked for; empty means all that can be recognised.
    """

    transports: tuple[Transport, ...] = ()


# UDP ----------------------------------------------------------------------


class QuicSniDrop(_NameRule, frozen=True, kw_only=True, tag="quic_sni_drop"):
    """QUIC Initials that name the server vanish, and the flow with them."""


class DnsForge(_Rule, frozen=True, kw_only=True, tag="dns_forge"):
    """UDP: a forged answer first, the true one after it on the same socket.

    Queries for the other address family than the forged one are left alone.
    """

    name: ServerNamePattern
    address: str

    def __post_init__(self) -> None:
        ip_address(self.address)


class DnsHijack(_Rule, frozen=True, kw_only=True, tag="dns_hijack"):
    """UDP/53 to any address is answered by the hijacker; no query arrives.

    ``name`` None: whatever is asked. Queries for the other address family get an
    empty answer. On loopback the honest resolver is out of the hijacker's reach.
    """

    address: str
    name: ServerNamePattern | None = None

    def __post_init__(self) -> None:
        ip_address(self.address)


class DnsNxdomain(_Rule, frozen=True, kw_only=True, tag="dns_nxdomain"):
    """UDP: NXDOMAIN instead of the answer; TCP stays honest."""

    name: ServerNamePattern


class DnsTimeout(_Rule, frozen=True, kw_only=True, tag="dns_timeout"):
    """UDP: the query vanishes."""

    name: ServerNamePattern


class DnsRefused(_Rule, frozen=True, kw_only=True, tag="dns_refused"):
    """UDP: REFUSED instead of the answer."""

    name: ServerNamePattern


class DnsServfail(_Rule, frozen=True, kw_only=True, tag="dns_servfail"):
    """UDP: SERVFAIL instead of the answer."""

    name: ServerNamePattern


# How the censor works -----------------------------------------------------


class Residual(_Rule, frozen=True, kw_only=True, tag="residual"):
    """After a hit, (client, server address, port, protocol) is dropped for so long.

    The connection that was hit goes on as its own rule says. On loopback a new
    one opens and stays silent; packets drop its SYN.
    """

    seconds: Seconds = 60.0


class FirstSegmentOnly(_Rule, frozen=True, kw_only=True, tag="first_segment_only"):
    """The censor does not reassemble: it reads the first data segment, no other.

    It reads all TLS records in that segment. On loopback the kernel may hand over two
    segments as one chunk; where it counts them (Linux) a hello in two is not read.
    """


class FirstRecordOnly(_Rule, frozen=True, kw_only=True, tag="first_record_only"):
    """The censor reads a hello only if it is whole in the first TLS record.

    It puts TCP segments together unless ``FirstSegmentOnly`` is in force too; the two
    together are a search for a string in single packets, as stock tools do it.
    """


DnsRule = DnsForge | DnsHijack | DnsNxdomain | DnsTimeout | DnsRefused | DnsServfail
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
    | Divert
    | Allowlist
)
"""Those that look at nothing but where a packet goes to or comes from."""
Rule = (
    PlaceRule
    | DnsRule
    | LineCut
    | NatRebinding
    | EncryptedDnsDrop
    | FreezePackets
    | SniRst
    | SniReset
    | SniDrop
    | SniDropReply
    | DropAfterPackets
    | RecordDrop
    | TlsVersionDrop
    | EchDrop
    | ProfileDrop
    | Throttle
    | Police
    | Freeze
    | ForgedCertificate
    | ParallelPolicing
    | HttpHostRst
    | HttpBlockpage
    | HttpTruncate
    | MtprotoDrop
    | QuicSniDrop
    | Residual
    | FirstSegmentOnly
    | FirstRecordOnly
)
