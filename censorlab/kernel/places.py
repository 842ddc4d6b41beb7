"""Rules about places: each packet by itself, wherever it goes to or comes from."""

from collections.abc import Iterable
from typing import Final, get_args

from censorlab.kernel.marks import DIVERTED
from censorlab.kernel.networks import (
    Direction,
    Family,
    port_of,
    servers,
    statement,
    toward,
)
from censorlab.rules import (
    Allowlist,
    Blackout,
    Divert,
    IcmpReject,
    IpDrop,
    RandomLoss,
    Rule,
    SynAckRst,
    SynDrop,
    SynRst,
    TcpRefuse,
    UdpDrop,
)

SYN: Final = "tcp flags & (syn | ack) == syn"
_SYN_ACK: Final = "tcp flags & (syn | ack) == (syn | ack)"
HAS_DATA: Final = "@ih,0,8 0x00-0xff"
"""Something follows the TCP header: without that the match finds nothing to read."""

_MILLION: Final = 1_000_000

_UNREACHABLE: Final[dict[Family, dict[int, str]]] = {
    "ip": {
        0: "icmp type net-unreachable",
        1: "icmp type host-unreachable",
        3: "icmp type port-unreachable",
        9: "icmp type net-prohibited",
        10: "icmp type host-prohibited",
        13: "icmp type admin-prohibited",
    },
    "ip6": {
        0: "icmpv6 type no-route",
        1: "icmpv6 type addr-unreachable",
        3: "icmpv6 type port-unreachable",
        9: "icmpv6 type admin-prohibited",
        10: "icmpv6 type admin-prohibited",
        13: "icmpv6 type admin-prohibited",
    },
}
"""Six of IPv4, and the nearest of IPv6 (RFC 4443 §3.1)."""


def is_about_places(rule: Rule) -> bool:
    """Whether this module expresses the rule."""
    return isinstance(
        rule,
        Blackout
        | IpDrop
        | SynDrop
        | UdpDrop
        | Allowlist
        | RandomLoss
        | TcpRefuse
        | SynRst
        | SynAckRst
        | IcmpReject
        | Divert,
    )


def lost(share: float) -> str:
    """Return the rule that loses a share of the packets, by the kernel's own chance."""
    parts = round(share * _MILLION)
    if parts in (0, _MILLION):  # nftables refuses comparisons that say nothing
        return "drop" if parts else "continue"
    return f"numgen random mod {_MILLION} < {parts} drop"


def place_lines(rules: Iterable[Rule], family: Family, client_device: str) -> list[str]:
    """Return nftables rules: silence first, then losses, then answers in their order."""
    known = tuple(rules)
    return [
        *(line for rule in known for line in _silence(rule, family, client_device)),
        *(line for rule in known for line in _losses(rule, family, client_device)),
        *(line for rule in known for line in _answers(rule, family, client_device)),
    ]


def divert_lines(rules: Iterable[Rule], family: Family, client_device: str) -> list[str]:
    """Return nftables rules that mark, before routing, what goes to the interceptor."""
    lines = []
    for rule in rules:
        if not isinstance(rule, Divert):
            continue
        match = servers(family, rule.addresses, "up")
        if match is not None:
            where = port_of(rule.port, "up", rule.protocol)
            act = f"meta mark set meta mark | {DIVERTED:#x}"
            lines.append(statement(toward(client_device, "up"), match, where, act))
    return lines


def _silence(rule: Rule, family: Family, client_device: str) -> list[str]:
    up, down = toward(client_device, "up"), toward(client_device, "down")
    match rule:
        case Blackout():
            return ["drop"]
        case IpDrop(addresses=addresses):
            return [
                statement(toward(client_device, direction), match, "drop")
                for direction in get_args(Direction)
                if (match := servers(family, addresses, direction)) is not None
            ]
        case SynDrop(addresses=addresses, port=port):
            match = servers(family, addresses, "up")
            return (
                []
                if match is None
                else [statement(up, match, port_of(port, "up", "tcp"), SYN, "drop")]
            )
        case UdpDrop(addresses=addresses, port=port):
            match = servers(family, addresses, "up")
            return (
                [] if match is None else [statement(up, match, port_of(port, "up", "udp"), "drop")]
            )
        case Allowlist(addresses=addresses):
            out = servers(family, addresses, "up", inside=False)
            back = servers(family, addresses, "down", inside=False)
            if out is None or back is None:
                return []
            return [
                statement(up, out, "meta l4proto tcp", HAS_DATA, "drop"),
                statement(up, out, "meta l4proto != tcp", "drop"),
                statement(down, back, "meta l4proto != tcp", "drop"),
            ]
        case _:
            return []


def _losses(rule: Rule, family: Family, client_device: str) -> list[str]:
    if not isinstance(rule, RandomLoss):
        return []
    return [
        statement(
            toward(client_device, direction), match, port_of(rule.port, direction), lost(rule.share)
        )
        for direction in get_args(Direction)
        if (match := servers(family, rule.addresses, direction)) is not None
    ]


def _answers(rule: Rule, family: Family, client_device: str) -> list[str]:
    up, down = toward(client_device, "up"), toward(client_device, "down")
    match rule:
        case TcpRefuse(addresses=addresses):
            match, port = servers(family, addresses, "up"), None
        case SynRst(addresses=addresses, port=port) | IcmpReject(addresses=addresses, port=port):
            match = servers(family, addresses, "up")
        case SynAckRst(addresses=addresses, port=port):
            match = servers(family, addresses, "down")
        case _:
            return []
    if match is None:
        return []
    match rule:
        case SynAckRst():
            where = port_of(port, "down", "tcp")
            # The packet itself is rewritten, so it keeps the server's time and route.
            return [statement(down, match, where, _SYN_ACK, "tcp flags set rst | ack accept")]
        case IcmpReject(code=code):
            return [
                statement(
                    up, match, port_of(port, "up"), f"reject with {_UNREACHABLE[family][code]}"
                )
            ]
        case _:
            return [statement(up, match, port_of(port, "up", "tcp"), SYN, "reject with tcp reset")]
