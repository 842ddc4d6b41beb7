"""Sets of addresses and networks that answer fast."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

_MEMORY: Final = 65_536
"""Answers kept; a client under test talks to a few thousand addresses."""


class AddressSet:
    """Addresses as 4 or 16 bytes, in networks written as text."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks: list[IPv4Network | IPv6Network] = [ip_network(n) for n in networks]
        self._known: dict[bytes, bool] = {}

    def __contains__(self, address: bytes) -> bool:
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= _MEMORY:
                self._known.clear()
            parsed = ip_address(address)
            known = any(parsed in network for network in self._networks)
            self._known[address] = known
        return known


@lru_cache(maxsize=1024)
def address_set(networks: tuple[str, ...]) -> AddressSet:
    """Return the set of the networks, one for all rules that name the same."""
    return AddressSet(networks)


def subnet(address: bytes) -> bytes:
    """Return the /24 or /48 of an address: what policing counts together."""
    return address[:3] if len(address) == 4 else address[:6]


def packed(address: str) -> bytes:
    """Return the 4 or 16 bytes of an address."""
    return ip_address(address).packed
