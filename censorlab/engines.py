"""Which engine can express which rule.

The loopback relay sees chunks of a stream that the kernel has acknowledged; the
middlebox sees packets, and ends no connection of its own.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from censorlab.rules import (
    Divert,
    DropAfterPackets,
    EncryptedDnsDrop,
    ForgedCertificate,
    FreezePackets,
    IcmpReject,
    LineCut,
    NatRebinding,
    Police,
    QuicSniDrop,
    RandomLoss,
    Rule,
    SynAckRst,
    UdpDrop,
)

_DNS_PORT: Final = 53


class NeedsPacketsError(ValueError):
    """The loopback engine cannot express a rule; the message says which and why."""


class NeedsStreamError(ValueError):
    """The packet engine cannot express a rule; the message says which and why."""


_BEYOND_CHUNKS: Final[Mapping[type[Rule], str]] = {
    IcmpReject: "an ICMP error is a packet of its own",
    SynAckRst: "the kernel's handshake cannot be rewritten",
    RandomLoss: "chunks of a stream are never lost",
    Police: "policing loses packets, and chunks are never lost",
    FreezePackets: "chunks are not packets",
    DropAfterPackets: "chunks are not packets",
    QuicSniDrop: "no QUIC server is on loopback",
    Divert: "the relay decides by name (forged_certificate), not by route",
    NatRebinding: "no address is translated on loopback",
    LineCut: "connections are not counted over all places",
}
_BEYOND_PACKETS: Final[Mapping[type[Rule], str]] = {
    ForgedCertificate: "the interceptor must end TLS itself; divert leads to one by address",
    EncryptedDnsDrop: "packets do not tell an encrypted resolver; syn_drop takes port 853",
}


def _name(rule: Rule) -> object:
    return rule.__struct_config__.tag


def needs_packets(kind: type[Rule]) -> bool:
    """Whether the loopback relay cannot express such rules, whatever their parameters."""
    return kind in _BEYOND_CHUNKS


def check_chunks(rules: Iterable[Rule]) -> None:
    """Check that the loopback relay can express all the rules.

    Raises:
        NeedsPacketsError: for the first that it cannot.
    """
    for rule in rules:
        reason = _BEYOND_CHUNKS.get(type(rule))
        if isinstance(rule, UdpDrop) and rule.port not in (None, _DNS_PORT):
            reason = "the only UDP on loopback is DNS, as port 53"
        if reason is not None:
            raise NeedsPacketsError(f"{_name(rule)} needs packets: {reason}")


def check_packets(rules: Iterable[Rule]) -> None:
    """Check that the packet middlebox can express all the rules.

    Raises:
        NeedsStreamError: for the first that it cannot.
    """
    for rule in rules:
        reason = _BEYOND_PACKETS.get(type(rule))
        if reason is not None:
            raise NeedsStreamError(f"{_name(rule)} needs a stream: {reason}")
