"""UDP datagrams (RFC 768): headers read, datagrams built."""

from struct import Struct
from typing import Final, NamedTuple

from censorlab.packet import ip
from censorlab.packet.errors import MalformedPacketError

_HEADER: Final = Struct("!HHHH")


class Datagram(NamedTuple):
    """Ports and the place of the data, the packet's bytes ``data_at`` to ``end``."""

    source_port: int
    destination_port: int
    data_at: int
    end: int


def read_datagram(packet: bytes, header: ip.Header) -> Datagram:
    """Read the datagram in a packet.

    Raises:
        MalformedPacketError: if it is cut short, or its length is wrong.
    """
    at = header.payload_at
    if at + _HEADER.size > header.end:
        raise MalformedPacketError(f"UDP header of {header.end - at} bytes")
    source_port, destination_port, length, _ = _HEADER.unpack_from(packet, at)
    if not _HEADER.size <= length <= header.end - at:
        raise MalformedPacketError(f"UDP length {length} in {header.end - at} bytes")
    return Datagram(source_port, destination_port, at + _HEADER.size, at + length)


def build(
    source: tuple[bytes, int], destination: tuple[bytes, int], data: bytes, ttl: int
) -> bytes:
    """Return the packet of a datagram, checksums right.

    ``source`` and ``destination`` are (address bytes, port).
    """
    length = _HEADER.size + len(data)
    checksum = ip.transport_checksum(
        source[0],
        destination[0],
        ip.UDP,
        _HEADER.pack(source[1], destination[1], length, 0) + data,
    )
    # An all-zero field would say "no checksum" (RFC 768), which IPv6 forbids.
    payload = _HEADER.pack(source[1], destination[1], length, checksum or 0xFFFF) + data
    return ip.build(source[0], destination[0], ip.UDP, payload, ttl)
