"""What a censor does: pure functions from rules and stream state to an action.

Nothing here reads a clock or a socket, and no outcome depends on which of two
packets comes first: where a real injector races the true answer, the rule says
that the forged one is sent first.

A connection keeps the rules it was opened under.
"""

from ipaddress import ip_address
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

SEGMENT_BYTES: Final = 1400
"""A paced sender sends this much at a time: about one Ethernet segment, so that
a client sees a slow stream, not a burst per TLS record."""

ServerNamePattern = Annotated[str, Meta(min_length=1, max_length=253)]
"""A host name, or ``*.`` and a suffix for every name below it."""

PlaceKind = Literal[
    "service", "control", "resolver", "encrypted_resolver", "honest_resolver", "proxy"
]
ConnectAction = Literal["open", "drop", "refuse"]
QueryAction = Literal["answer", "forge_then_answer", "nxdomain", "silence", "refused", "servfail"]


class _Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="rule"):
    pass


class IpDrop(_Rule, frozen=True, kw_only=True, tag="ip_drop"):
    """SYNs (and datagrams) to the addresses vanish."""

    addresses: tuple[str, ...]


class TcpRefuse(_Rule, frozen=True, kw_only=True, tag="tcp_refuse"):
    """SYNs to the addresses are answered by RST."""

    addresses: tuple[str, ...]


class SniRst(_Rule, frozen=True, kw_only=True, tag="sni_rst"):
    """RST to the client as soon as its ClientHello names the server."""

    server_name: ServerNamePattern


class SniDrop(_Rule, frozen=True, kw_only=True, tag="sni_drop"):
    """The hello that names the server is swallowed; the connection stays silent.

    On loopback the kernel acknowledges the hello before the relay reads it, so a
    client sees "acknowledged, then silence" (``sni_drop_reply``), never the
    unacknowledged hello of an in-path drop: that needs a packet filter.
    """

    server_name: ServerNamePattern


class Throttle(_Rule, frozen=True, kw_only=True, tag="throttle"):
    """Server-to-client bytes are paced from the first one on.

    The default is 128 kbit/s, a rate reported from the field.
    """

    server_name: ServerNamePattern
    rate_bytes_per_s: Annotated[int, Meta(ge=1)] = 16_000


class Freeze(_Rule, frozen=True, kw_only=True, tag="freeze"):
    """After so many server-to-client bytes nothing passes either way; no RST."""

    server_name: ServerNamePattern
    after_bytes: Annotated[int, Meta(ge=0)]


class ForgedCertificate(_Rule, frozen=True, kw_only=True, tag="forged_certificate"):
    """An interceptor with an authority of its own answers at the true address."""

    server_name: ServerNamePattern


class DnsForge(_Rule, frozen=True, kw_only=True, tag="dns_forge"):
    """UDP: a forged answer first, the true one after it on the same socket.

    Queries for the other address family than the forged one are left alone.
    """

    name: ServerNamePattern
    address: str

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


class EncryptedDnsDrop(_Rule, frozen=True, kw_only=True, tag="encrypted_dns_drop"):
    """SYNs to the DoT and DoH ports vanish."""


class Blackout(_Rule, frozen=True, kw_only=True, tag="blackout"):
    """A dead line: nothing answers, controls, resolvers and proxy included."""


DnsRule = DnsForge | DnsNxdomain | DnsTimeout | DnsRefused | DnsServfail
Rule = (
    IpDrop
    | TcpRefuse
    | SniRst
    | SniDrop
    | Throttle
    | Freeze
    | ForgedCertificate
    | DnsForge
    | DnsNxdomain
    | DnsTimeout
    | DnsRefused
    | DnsServfail
    | EncryptedDnsDrop
    | Blackout
)


class Place(NamedTuple):
    """An address that clients reach, and what it is."""

    address: str
    kind: PlaceKind


class Treatment(NamedTuple):
    """What happens to a connection after its first client bytes."""

    action: Literal["pass", "reset", "swallow"] = "pass"
    intercepted: bool = False
    rate_bytes_per_s: int | None = None
    freeze_after_bytes: int | None = None


class Paced(NamedTuple):
    """Server-to-client state: bytes passed on, and when the line is free again."""

    passed_bytes: int = 0
    free_at: float = 0.0


class Release(NamedTuple):
    """Pass on ``n_bytes`` bytes at time ``at``; ``state`` holds from then on."""

    n_bytes: int
    at: float
    state: Paced


class QueryVerdict(NamedTuple):
    """What becomes of a UDP query; ``address`` is the forged answer's."""

    action: QueryAction
    address: str = ""


PASS: Final = Treatment()


def matches(pattern: str, name: str) -> bool:
    """Whether a host name is the pattern's, ignoring case and a final dot."""
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return name == pattern


def on_connect(rules: tuple[Rule, ...], place: Place) -> ConnectAction:
    """Decide about SYNs to a place. A drop hides a refusal."""
    refused = False
    for rule in rules:
        match rule:
            case Blackout():
                return "drop"
            case IpDrop(addresses=addresses) if place.address in addresses:
                return "drop"
            case EncryptedDnsDrop() if place.kind == "encrypted_resolver":
                return "drop"
            case TcpRefuse(addresses=addresses) if place.address in addresses:
                refused = True
            case _:
                pass
    return "refuse" if refused else "open"


def on_hello(rules: tuple[Rule, ...], server_name: str | None) -> Treatment:
    """Decide about a connection whose first bytes name a server, or none."""
    treatment = PASS
    if server_name is None:
        return treatment
    for rule in rules:
        match rule:
            case SniRst(server_name=pattern) if matches(pattern, server_name):
                treatment = treatment._replace(action="reset")
            case SniDrop(server_name=pattern) if matches(pattern, server_name):
                # A reset that was also ordered would end the silence.
                treatment = treatment._replace(action="swallow")
            case Throttle(server_name=pattern, rate_bytes_per_s=rate) if matches(
                pattern, server_name
            ):
                treatment = treatment._replace(rate_bytes_per_s=rate)
            case Freeze(server_name=pattern, after_bytes=limit) if matches(pattern, server_name):
                treatment = treatment._replace(freeze_after_bytes=limit)
            case ForgedCertificate(server_name=pattern) if matches(pattern, server_name):
                treatment = treatment._replace(intercepted=True)
            case _:
                pass
    return treatment


def on_reply(treatment: Treatment, state: Paced, offered: int, now: float) -> Release | None:
    """Decide how many of ``offered`` (>= 1) server bytes pass, and when.

    Returns None when the connection is frozen: nothing passes any more.
    """
    count = offered
    if treatment.freeze_after_bytes is not None:
        count = min(count, treatment.freeze_after_bytes - state.passed_bytes)
        if count <= 0:
            return None
    at = now
    if treatment.rate_bytes_per_s is not None:
        count = min(count, SEGMENT_BYTES)
        # No credit for idle time: a keep-alive pause must not buy a burst.
        at = max(now, state.free_at) + count / treatment.rate_bytes_per_s
    return Release(count, at, Paced(state.passed_bytes + count, at))


def on_query(
    rules: tuple[Rule, ...], place: Place, name: str, ip_version: Literal[4, 6] | None
) -> QueryVerdict:
    """Decide about a UDP query. ``ip_version`` is that of A or AAAA, else None.

    The first rule that names the query wins; a dead line or a dropped address
    comes before all of them. An honest resolver is outside the censor's reach.
    """
    if on_connect(rules, place) == "drop":
        return QueryVerdict("silence")
    if place.kind != "resolver":
        return QueryVerdict("answer")
    for rule in rules:
        if not isinstance(rule, DnsRule) or not matches(rule.name, name):
            continue
        match rule:
            case DnsForge(address=address):
                if ip_address(address).version == ip_version:
                    return QueryVerdict("forge_then_answer", address)
            case DnsNxdomain():
                return QueryVerdict("nxdomain")
            case DnsTimeout():
                return QueryVerdict("silence")
            case DnsRefused():
                return QueryVerdict("refused")
            case DnsServfail():
                return QueryVerdict("servfail")
    return QueryVerdict("answer")
