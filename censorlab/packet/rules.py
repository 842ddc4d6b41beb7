"""Rules that need packets: what the loopback relay cannot express.

Those that it can are its own (``censorlab.rules``) and mean the same here, with
the fidelity of packets: ``SniDrop`` leaves the hello unacknowledged, ``Freeze``
counts whole IP packets, as netfilter's connbytes does, and ``Throttle`` queues
like a shaper. ``PacketRule`` is the union of both.
"""

from ipaddress import ip_address, ip_network
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from censorlab.packet.addresses import address_set
from censorlab.packet.icmp import UnreachableCode
from censorlab.rules import (
    Blackout,
    DnsForge,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    Freeze,
    IpDrop,
    ServerNamePattern,
    SniDrop,
    SniRst,
    TcpRefuse,
    Throttle,
)

EVERYWHERE: Final = ("0.0.0.0/0", "::/0")

Port = Annotated[int, Meta(ge=1, le=65535)]
Seconds = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
Networks = tuple[str, ...]
"""Addresses or networks, ``149.154.167.51`` or ``91.108.4.0/22``."""


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="rule"):
    pass


class _AddressRule(_Rule, frozen=True, kw_only=True):
    """At ``addresses``, on one port or (None) all."""

    addresses: Networks = EVERYWHERE
    port: Port | None = None

    def __post_init__(self) -> None:
        for network in self.addresses:
            ip_network(network)

    def covers(self, address: bytes, port: int) -> bool:
        """Whether the place of a server is among them."""
        return self.port in (None, port) and address in address_set(self.addresses)


class _NameRule(_Rule, frozen=True, kw_only=True):
    server_name: ServerNamePattern


class SynDrop(_AddressRule, frozen=True, kw_only=True, tag="syn_drop"):
    """SYNs vanish; all else passes."""


class SynRst(_AddressRule, frozen=True, kw_only=True, tag="syn_rst"):
    """SYNs are answered by RST from the server's address, and go no further."""


class SynAckRst(_AddressRule, frozen=True, kw_only=True, tag="syn_ack_rst"):
    """The server's SYN-ACK becomes a RST-ACK: refused, at the full round trip."""


class IcmpReject(_AddressRule, frozen=True, kw_only=True, tag="icmp_reject"):
    """Every packet to the place is answered by ICMP unreachable from the router.

    ``code`` is that of IPv4; IPv6 gets the nearest (RFC 4443 §3.1).
    """

    code: UnreachableCode = 13


class UdpDrop(_AddressRule, frozen=True, kw_only=True, tag="udp_drop"):
    """UDP datagrams to the place vanish."""


class RandomLoss(_AddressRule, frozen=True, kw_only=True, tag="random_loss"):
    """A share of the packets to and from the place is lost, by seeded chance."""

    share: Annotated[float, Meta(ge=0, le=1)]


class Allowlist(_Rule, frozen=True, kw_only=True, tag="allowlist"):
    """Elsewhere TCP connects, but no client byte arrives; UDP and ICMP vanish."""

    addresses: Networks

    def __post_init__(self) -> None:
        for network in self.addresses:
            ip_network(network)


class SniReset(_NameRule, frozen=True, kw_only=True, tag="sni_reset"):
    """RST when the ClientHello names the server.

    ``both``, as ``SniRst``: the censor is in the path and eats the hello.
    ``client``: it only listens beside the path, so the hello arrives.
    ``server``: the hello is eaten, and the client hears the server's own RST
    when it sends the hello again.
    """

    to: Literal["both", "client", "server"] = "both"


class SniDropReply(_NameRule, frozen=True, kw_only=True, tag="sni_drop_reply"):
    """The hello is delivered and acknowledged; what the server says is lost."""


class DropAfterPackets(_NameRule, frozen=True, kw_only=True, tag="drop_after_packets"):
    """After the hello so many more packets pass, both ways together, then none."""

    packets: Annotated[int, Meta(ge=0)] = 8


class TlsVersionDrop(_NameRule, frozen=True, kw_only=True, tag="tls_version_drop"):
    """Hellos are dropped whose highest TLS version is this one."""

    version: Literal["1.2", "1.3"]


class EchDrop(_NameRule, frozen=True, kw_only=True, tag="ech_drop"):
    """Hellos are dropped that carry the (outer) name and an ECH extension."""


class ProfileDrop(_Rule, frozen=True, kw_only=True, tag="profile_drop"):
    """Hellos are dropped whose JA4 starts so, whatever they name."""

    ja4: Annotated[str, Meta(min_length=1)]


class FreezePackets(_Rule, frozen=True, kw_only=True, tag="freeze_packets"):
    """A connection's first packets pass, SYN and both ways counted, then none.

    Without a name it holds for all TCP and UDP to the addresses.
    """

    packets: Count = 25
    addresses: Networks = EVERYWHERE
    server_name: ServerNamePattern | None = None

    def __post_init__(self) -> None:
        for network in self.addresses:
            ip_network(network)


class Police(_NameRule, frozen=True, kw_only=True, tag="police"):
    """Server-to-client packets above the rate are lost (a token bucket).

    The defaults are the 150 kbit/s of field reports and ten full packets, a
    slow start's first window.
    """

    rate_bytes_per_s: Count = 18_750
    burst_bytes: Annotated[int, Meta(ge=1500)] = 15_000


class ParallelPolicing(_NameRule, frozen=True, kw_only=True, tag="parallel_policing"):
    """More hellos to one (subnet, name) than ``at_once`` within a window are dropped.

    From the first one too many on, all of them are, until ``seconds`` have passed.
    """

    at_once: Count = 3
    window_seconds: Seconds = 1.0
    seconds: Seconds = 60.0


class HttpHostRst(_Rule, frozen=True, kw_only=True, tag="http_host_rst"):
    """RST to both when an HTTP request names the host."""

    host: ServerNamePattern


class HttpBlockpage(_Rule, frozen=True, kw_only=True, tag="http_blockpage"):
    """A response is injected and the connection closed; the server gets a RST.

    ``response`` is a whole HTTP message, short enough for one packet.
    """

    host: ServerNamePattern
    response: Annotated[str, Meta(min_length=1, max_length=1200)] = (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 36\r\n"
        "Connection: close\r\n\r\n<h1>Access is restricted by law</h1>"
    )


class MtprotoDrop(_AddressRule, frozen=True, kw_only=True, tag="mtproto_drop"):
    """First bytes that look like MTProto vanish, and all that follows both ways."""


class QuicSniDrop(_NameRule, frozen=True, kw_only=True, tag="quic_sni_drop"):
    """QUIC Initials that name the server vanish, and the flow with them."""


class DnsHijack(_Rule, frozen=True, kw_only=True, tag="dns_hijack"):
    """UDP/53 to any address is answered by the hijacker; no query arrives.

    ``name`` None: whatever is asked.
    """

    address: str
    name: ServerNamePattern | None = None

    def __post_init__(self) -> None:
        ip_address(self.address)


class Residual(_Rule, frozen=True, kw_only=True, tag="residual"):
    """After a hit, (client, server address, port) is dropped for so long.

    The connection that was hit goes on as its own rule says.
    """

    seconds: Seconds = 60.0


class FirstSegmentOnly(_Rule, frozen=True, kw_only=True, tag="first_segment_only"):
    """The censor does not reassemble: it reads the first data segment, no other."""


PacketRule = (
    IpDrop
    | TcpRefuse
    | SniRst
    | SniDrop
    | Throttle
    | Freeze
    | DnsForge
    | DnsNxdomain
    | DnsTimeout
    | DnsRefused
    | DnsServfail
    | Blackout
    | SynDrop
    | SynRst
    | SynAckRst
    | IcmpReject
    | UdpDrop
    | RandomLoss
    | Allowlist
    | SniReset
    | SniDropReply
    | DropAfterPackets
    | TlsVersionDrop
    | EchDrop
    | ProfileDrop
    | FreezePackets
    | Police
    | ParallelPolicing
    | HttpHostRst
    | HttpBlockpage
    | MtprotoDrop
    | QuicSniDrop
    | DnsHijack
    | Residual
    | FirstSegmentOnly
)
