"""What is kept in netfilter's two marks.

A packet's mark lives as long as the packet, a connection's as long as conntrack
remembers the connection.
"""

from typing import Final

# A packet's ---------------------------------------------------------------

MAX_PATTERNS: Final = 24
"""Bits 0 to 23 say which patterns a packet contains."""
FRESH: Final = 1 << 29
"""This packet has decided what becomes of its connection."""
DIVERTED: Final = 1 << 30
"""This packet goes to the interceptor, whatever its destination."""

# A connection's -----------------------------------------------------------

CLASS: Final = 0x7F
"""Which class of tc, from 1 on."""
N_CLASSES: Final = 64
"""Judged connections get one class after the other, each its own until so many
are open at once."""
JUDGED: Final = 1 << 7
"""The connection's first data have been read."""
ANSWERED: Final = 1 << 8
"""An earlier rule has chosen the answer."""
SILENCED: Final = 1 << 9
"""Policed: nothing passes."""
FIRST_RULE_BIT: Final = 10
MAX_RULES: Final = 32 - FIRST_RULE_BIT
"""From here on each rule about names has a bit: the connection is one of its."""


def packet_has(bits: int) -> str:
    """Return nftables' match for a packet's mark with any of the bits."""
    return f"meta mark & {bits:#x} != 0x0"


def packet_lacks(bits: int) -> str:
    """Return nftables' match for a packet's mark with none of the bits."""
    return f"meta mark & {bits:#x} == 0x0"


def connection_has(bits: int) -> str:
    """Return nftables' match for a connection's mark with any of the bits."""
    return f"ct mark & {bits:#x} != 0x0"


def connection_lacks(bits: int) -> str:
    """Return nftables' match for a connection's mark with none of the bits."""
    return f"ct mark & {bits:#x} == 0x0"
