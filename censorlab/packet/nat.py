"""A router that translates a client's TCP ports, and forgets them now and then."""

from typing import Final, NamedTuple

from censorlab.packet import ip, tcp
from censorlab.packet.errors import MalformedPacketError
from censorlab.packet.flow import MAX_FLOWS

_FIRST_NEW_PORT: Final = 1024
_END_OF_NEW_PORTS: Final = 32_768
"""Below the range from which Linux takes a client's ports, so none is in use."""

_ONES: Final = 0xFFFF
_CHECKSUM_AT: Final = 16


class _Ends(NamedTuple):
    client: bytes
    port: int
    server: bytes
    server_port: int


class _Mapping(NamedTuple):
    epoch: int
    port: int
    """The other side's."""


class Nat:
    """Stands between the client and the censor; UDP and ICMP pass it as they are."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._started: float | None = None
        self._inside: dict[_Ends, _Mapping] = {}
        self._outside: dict[_Ends, _Mapping] = {}
        self._next_port = _FIRST_NEW_PORT

    def go_out(self, packet: bytes, now: float) -> bytes:
        """Return a client's packet as the world sees it."""
        if self._started is None:
            self._started = now
        read = _read(packet)
        if read is None:
            return packet
        header, segment = read
        ends = _Ends(
            header.source, segment.source_port, header.destination, segment.destination_port
        )
        known, epoch = self._inside.get(ends), self._epoch(now)
        if known is None or segment.flags & (tcp.SYN | tcp.ACK) == tcp.SYN:
            known = self._map(ends, epoch, ends.port)
        elif known.epoch < epoch:
            known = self._map(ends, epoch, self._new_port(ends))
        return _with_port(packet, header.payload_at, known.port)

    def come_in(self, packet: bytes, now: float) -> bytes | None:
        """Return a packet to the client as it expects it, None if nobody does."""
        read = _read(packet)
        if read is None:
            return packet
        header, segment = read
        ends = _Ends(
            header.destination, segment.destination_port, header.source, segment.source_port
        )
        known = self._outside.get(ends)
        if known is None or known.epoch < self._epoch(now):
            return None
        return _with_port(packet, header.payload_at + 2, known.port)

    def _epoch(self, now: float) -> int:
        return 0 if self._started is None else int((now - self._started) / self._every_s)

    def _map(self, ends: _Ends, epoch: int, port: int) -> _Mapping:
        former = self._inside.pop(ends, None)
        if former is not None:
            self._outside.pop(ends._replace(port=former.port), None)
        elif len(self._inside) >= MAX_FLOWS:
            oldest = next(iter(self._inside))
            self._outside.pop(oldest._replace(port=self._inside.pop(oldest).port), None)
        self._inside[ends] = _Mapping(epoch, port)
        self._outside[ends._replace(port=port)] = _Mapping(epoch, ends.port)
        return self._inside[ends]

    def _new_port(self, ends: _Ends) -> int:
        """Return a port that is free towards this server; there are as many as any client's."""
        for _ in range(_FIRST_NEW_PORT, _END_OF_NEW_PORTS):
            port = self._next_port
            self._next_port += 1
            if self._next_port == _END_OF_NEW_PORTS:
                self._next_port = _FIRST_NEW_PORT
            if ends._replace(port=port) not in self._outside:
                break
        return port


def _read(packet: bytes) -> tuple[ip.Header, tcp.Segment] | None:
    try:
        header = ip.read_header(packet)
        if header.protocol != ip.TCP:
            return None
        return header, tcp.read_segment(packet, header)
    except MalformedPacketError:
        return None


def _with_port(packet: bytes, at: int, port: int) -> bytes:
    """Write a port at a place, and correct the checksum by the difference (RFC 1624)."""
    old = int.from_bytes(packet[at : at + 2], "big")
    if old == port:
        return packet
    header = ip.read_header(packet)
    checksum_at = header.payload_at + _CHECKSUM_AT
    checksum = int.from_bytes(packet[checksum_at : checksum_at + 2], "big")
    total = (~checksum & _ONES) + (~old & _ONES) + port
    while total > _ONES:
        total = (total & _ONES) + (total >> 16)
    changed = bytearray(packet)
    changed[at : at + 2] = port.to_bytes(2, "big")
    changed[checksum_at : checksum_at + 2] = (~total & _ONES).to_bytes(2, "big")
    return bytes(changed)
