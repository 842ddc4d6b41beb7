"""SOCKS4: one request, one reply ("SOCKS: A protocol for TCP proxy across firewalls", Lee)."""

import ipaddress
from typing import Final

REPLY_BYTES: Final = 8
GRANTED: Final = 90


def build_request(address: str, port: int, user: str) -> bytes:
    """Ask to connect to an IPv4 address; ``user`` is ASCII without zeros."""
    packed = ipaddress.IPv4Address(address).packed
    return b"\x04\x01" + port.to_bytes(2, "big") + packed + user.encode("ascii") + b"\0"


def read_reply(reply: bytes) -> int | None:
    """Return the code of a whole reply, None if these bytes are none."""
    return reply[1] if len(reply) == REPLY_BYTES and reply[0] == 0 else None
