"""IPv4 (RFC 791) and IPv6 (RFC 8200) packets: headers read, packets built."""

from struct import Struct
from typing import Final, NamedTuple

from censorlab.packet.checksum import internet_checksum
from censorlab.packet.errors import MalformedPacketError

ICMP: Final = 1
TCP: Final = 6
UDP: Final = 17
ICMPV6: Final = 58

NO_TRANSPORT: Final = -1
"""Protocol of a later fragment: it carries no transport header to read."""

_HEADER_4: Final = Struct("!BBHHHBBH4s4s")
_HEADER_6: Final = Struct("!IHBB16s16s")
_OFFSET_OR_MORE: Final = 0x3FFF
_DONT_FRAGMENT: Final = 0x4000
_FRAGMENT_6: Final = 44
_EXTENSIONS_6: Final = frozenset({0, 43, 60})
"""Hop-by-hop, routing and destination options, which share one layout."""

_MAX_EXTENSIONS: Final = 8
"""No sender uses more than three; the bound keeps a forged chain cheap."""


class Header(NamedTuple):
    """Where a packet goes and what it carries.

    ``source`` and ``destination`` are 4 or 16 bytes. The transport header
    starts at byte ``payload_at``; the packet ends at byte ``end`` (bytes after
    it are link padding). ``protocol`` is ``NO_TRANSPORT`` for any fragment.
    """

    source: bytes
    destination: bytes
    protocol: int
    payload_at: int
    end: int


def read_header(packet: bytes) -> Header:
    """Read the IP header, extension headers included.

    Raises:
        MalformedPacketError: if it is cut short, or its lengths contradict it.
    """
    if not packet:
        raise MalformedPacketError("empty packet")
    version = packet[0] >> 4
    if version == 4:
        return _read_4(packet)
    if version == 6:
        return _read_6(packet)
    raise MalformedPacketError(f"IP version {version}")


def _read_4(packet: bytes) -> Header:
    if len(packet) < _HEADER_4.size:
        raise MalformedPacketError(f"IPv4 header of {len(packet)} bytes")
    first, _, end, _, fragment, _, protocol, _, source, destination = _HEADER_4.unpack_from(packet)
    payload_at = (first & 15) * 4
    if not _HEADER_4.size <= payload_at <= end <= len(packet):
        raise MalformedPacketError(f"IPv4 lengths {payload_at}, {end} in {len(packet)} bytes")
    if fragment & _OFFSET_OR_MORE:
        protocol = NO_TRANSPORT
    return Header(source, destination, protocol, payload_at, end)


def _read_6(packet: bytes) -> Header:
    at = _HEADER_6.size
    if len(packet) < at:
        raise MalformedPacketError(f"IPv6 header of {len(packet)} bytes")
    _, length, protocol, _, source, destination = _HEADER_6.unpack_from(packet)
    end = at + length
    if end > len(packet):
        raise MalformedPacketError(f"IPv6 payload of {length} bytes in {len(packet)}")
    for _ in range(_MAX_EXTENSIONS):
        if protocol == _FRAGMENT_6:
            return Header(source, destination, NO_TRANSPORT, at, end)
        if protocol not in _EXTENSIONS_6:
            return Header(source, destination, protocol, at, end)
        if at + 8 > end:
            raise MalformedPacketError("IPv6 extension header cut short")
        protocol, at = packet[at], at + 8 * (packet[at + 1] + 1)
        if at > end:
            raise MalformedPacketError("IPv6 extension header beyond the packet")
    raise MalformedPacketError(f"more than {_MAX_EXTENSIONS} IPv6 extension headers")


def build(source: bytes, destination: bytes, protocol: int, payload: bytes, ttl: int) -> bytes:
    """Return a packet without options; the length of ``source`` says which version."""
    if len(source) == 16:
        return _HEADER_6.pack(6 << 28, len(payload), protocol, ttl, source, destination) + payload
    end = _HEADER_4.size + len(payload)
    fields = (0x45, 0, end, 0, _DONT_FRAGMENT, ttl, protocol)
    checksum = internet_checksum(_HEADER_4.pack(*fields, 0, source, destination))
    return _HEADER_4.pack(*fields, checksum, source, destination) + payload


def transport_checksum(source: bytes, destination: bytes, protocol: int, payload: bytes) -> int:
    """Return the checksum of a transport message whose checksum field is zero.

    The pseudo-header is that of RFC 9293 §3.1 or RFC 8200 §8.1; both sum up to
    the same words, whatever their order.
    """
    pseudo = source + destination + len(payload).to_bytes(4, "big") + protocol.to_bytes(4, "big")
    return internet_checksum(pseudo + payload)
