"""TCP segments (RFC 9293): headers read, segments built."""

from struct import Struct
from typing import Final, NamedTuple

from censorlab.packet import ip
from censorlab.packet.errors import MalformedPacketError

FIN: Final = 1
SYN: Final = 2
RST: Final = 4
PSH: Final = 8
ACK: Final = 16

SEQUENCE_SPACE: Final = 2**32

_HEADER: Final = Struct("!HHIIBBHHH")
_WINDOW: Final = 65535


class Segment(NamedTuple):
    """A segment's header; its data are the packet's bytes ``data_at`` to the end."""

    source_port: int
    destination_port: int
    seq: int
    ack: int
    flags: int
    data_at: int


def read_segment(packet: bytes, header: ip.Header) -> Segment:
    """Read the segment in a packet.

    Raises:
        MalformedPacketError: if it is cut short, or its data offset is wrong.
    """
    at = header.payload_at
    if at + _HEADER.size > header.end:
        raise MalformedPacketError(f"TCP header of {header.end - at} bytes")
    source_port, destination_port, seq, ack, offset, flags, _, _, _ = _HEADER.unpack_from(
        packet, at
    )
    data_at = at + (offset >> 4) * 4
    if not at + _HEADER.size <= data_at <= header.end:
        raise MalformedPacketError(f"TCP data offset {offset >> 4}")
    return Segment(source_port, destination_port, seq, ack, flags, data_at)


def build(
    source: tuple[bytes, int],
    destination: tuple[bytes, int],
    *,
    seq: int,
    ack: int,
    flags: int,
    ttl: int,
    data: bytes = b"",
) -> bytes:
    """Return the packet of a segment without options, both checksums right.

    ``source`` and ``destination`` are (address bytes, port).
    """
    fields = (
        source[1],
        destination[1],
        seq % SEQUENCE_SPACE,
        ack % SEQUENCE_SPACE,
        _HEADER.size // 4 << 4,
        flags,
        _WINDOW,
    )
    checksum = ip.transport_checksum(
        source[0], destination[0], ip.TCP, _HEADER.pack(*fields, 0, 0) + data
    )
    payload = _HEADER.pack(*fields, checksum, 0) + data
    return ip.build(source[0], destination[0], ip.TCP, payload, ttl)
