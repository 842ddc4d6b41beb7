"""IP addresses as text: bogons, ranges, networks, and keeping them out of text."""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Final

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# Deliberately wider than valid addresses: in free text a false alarm costs a
# few characters, a missed address costs a volunteer's safety.
# A fifth number may be a port (1.2.3.4.443, as packet dumps print it).
_IPV4: Final = re.compile(r"(?<!\d)\d{1,3}(?:\.\d{1,3}){3}(?!\d)")
# A colon may stand before an address (ip:2001:db8::1) and behind it.
_IPV6: Final = re.compile(
    r"(?:(?<![0-9A-Za-z:])[0-9A-Fa-f]{1,4}|(?<!:))(?::[0-9A-Fa-f]{0,4}){2,9}(?![0-9A-Za-z])"
)
_PUNCTUATION: Final = (("", ""), ("", ":"), (":", ""), (":", ":"))
_LINK_ADDRESS_COLONS: Final = 5
"""A MAC address has as many, a time of day at most three. Sign-in pages print the
visitor's MAC address as they print the IP address."""
SCRUBBED: Final = "[scrubbed]"


def is_address(text: str) -> bool:
    """Tell whether the text is an IPv4 or IPv6 address literal."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def a_label(name: str) -> str:
    """Return a host name as it goes onto the wire (RFC 3490); ASCII stays as it is.

    Raises:
        UnicodeError: no wire form exists.
    """
    return name if name.isascii() else name.encode("idna").decode()


def ip_version(address: str) -> int:
    """Return 4 or 6; raises ValueError for anything but an address literal."""
    return ipaddress.ip_address(address).version


def is_bogon(address: str) -> bool:
    """Tell whether an address cannot be a public server's (RFC 6890 registries)."""
    parsed = ipaddress.ip_address(address)
    return not parsed.is_global or parsed.is_multicast


def network_of(address: str) -> str:
    """Return the /24 or /48 that an address lies in.

    That is the unit by which censors and operators treat addresses alike, so it
    is the unit for pacing and for counting independent failures.
    """
    prefix = 24 if ip_version(address) == 4 else 48
    return str(ipaddress.ip_network(f"{address}/{prefix}", strict=False))


def parse_ranges(ranges: Sequence[str]) -> tuple[IPNetwork, ...]:
    """Parse CIDR blocks; raises ValueError naming the first bad one."""
    return tuple(ipaddress.ip_network(text) for text in ranges)


def is_expected(address: str, ranges: Iterable[IPNetwork]) -> bool | None:
    """Tell whether an address lies in one of the ranges; None without ranges."""
    blocks = tuple(ranges)
    if not blocks:
        return None
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == block.version and parsed in block for block in blocks)


def scrub(text: str) -> str:
    """Replace everything that looks like an IP or MAC address.

    Block pages and captive portals like to print the visitor's address.
    """
    return _IPV6.sub(_scrub_ipv6, _IPV4.sub(SCRUBBED, text))


def _scrub_ipv6(match: re.Match[str]) -> str:
    # "12:30:00" and "std::" have colons too: only what parses is an address.
    text = match.group()
    for before, behind in _PUNCTUATION:
        if text.startswith(before) and text.endswith(behind):
            core = text[len(before) : len(text) - len(behind)]
            if core.count(":") >= _LINK_ADDRESS_COLONS or is_address(core):
                return f"{before}{SCRUBBED}{behind}"
    return text
