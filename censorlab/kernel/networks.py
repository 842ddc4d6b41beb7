"""Addresses and ports in the words of nftables, for one IP version at a time."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final, Literal

Family = Literal["ip", "ip6"]
"""A table of nftables, and the protocol's name in a match."""
Direction = Literal["up", "down"]
"""``up`` is from the client to the server."""

FAMILIES: Final[tuple[Family, ...]] = ("ip", "ip6")
_VERSIONS: Final[dict[Family, int]] = {"ip": 4, "ip6": 6}


def toward(client_device: str, direction: Direction) -> str:
    """Return the match for packets of a direction."""
    return f'{"iifname" if direction == "up" else "oifname"} "{client_device}"'


def servers(
    family: Family, networks: Iterable[str], direction: Direction, *, inside: bool = True
) -> str | None:
    """Return the match for the server being in (or outside) networks; "" for any.

    None: none of the family's packets can match.
    """
    own = _merged(family, networks)
    if any(network.prefixlen == 0 for network in own):
        return "" if inside else None
    if not own:
        return None if inside else ""
    field = "daddr" if direction == "up" else "saddr"
    elements = ", ".join(map(str, own))
    return f"{family} {field} {'' if inside else '!= '}{{ {elements} }}"


def port_of(
    port: int | None, direction: Direction, protocol: Literal["tcp", "udp"] | None = None
) -> str:
    """Return the match for the server's port and the protocol; "" for any."""
    kind = f"meta l4proto {protocol}" if protocol else ""
    if port is None:
        return kind
    # Nothing else has ports.
    kind = kind or "meta l4proto { tcp, udp }"
    return f"{kind} th {'dport' if direction == 'up' else 'sport'} {port}"


def _merged(family: Family, networks: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """Return a family's networks; nftables refuses those that overlap."""
    if family == "ip":
        parsed = map(ip_network, networks)
        return [*collapse_addresses(n for n in parsed if isinstance(n, IPv4Network))]
    parsed = map(ip_network, networks)
    return [*collapse_addresses(n for n in parsed if isinstance(n, IPv6Network))]


def statement(*parts: str | None) -> str:
    """Return the parts that say something, as one rule."""
    return " ".join(part for part in parts if part)
