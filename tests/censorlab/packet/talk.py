"""TCP connections through a middlebox, packet by packet, over either IP version."""

import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import ip_address
from typing import NamedTuple

import pytest

from censorlab.packet import ip, tcp
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Direction, Middlebox, Outgoing
from censorlab.rules import Rule

NAME = "web.messenger.test"
ISN, SERVER_ISN = 2**32 - 100, 2**32 - 2_000
"""Both ends' numbers wrap early."""

RST_ACK = tcp.RST | tcp.ACK
DATA = tcp.PSH | tcp.ACK


class Ends(NamedTuple):
    client: bytes
    server: bytes
    overhead: int
    """Bytes of the IP and TCP headers."""


FOUR = Ends(ip_address("10.77.0.2").packed, ip_address("149.154.167.51").packed, 40)
SIX = Ends(ip_address("fd77::2").packed, ip_address("2001:67c:4e8:f002::a").packed, 60)
SERVER_NETWORKS = ("149.154.160.0/20", "2001:67c:4e8::/48")

_used = [FOUR]


@contextmanager
def over(used: Ends) -> Iterator[None]:
    _used.append(used)
    yield
    _used.pop()


def ends() -> Ends:
    return _used[-1]


@cache
def hello(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


HELLO = hello(NAME)


class Conversation:
    """One connection; ``acked`` is what the client acknowledges, ``heard`` the server."""

    def __init__(
        self, box: Middlebox, port: int = 40_000, now: float = 0.0, isn: int = ISN
    ) -> None:
        self.box, self.now, self.isn = box, now, isn
        self.client, self.server = (ends().client, port), (ends().server, 443)
        self.acked = self.reply_seq = SERVER_ISN + 1
        self.heard = isn + 1
        self.is_open = bool(self.up(tcp.SYN, seq=isn) and self.down(18, seq=SERVER_ISN))

    def up(self, flags: int = 24, data: bytes = b"", seq: int | None = None) -> list[Outgoing]:
        packet = tcp.build(
            self.client,
            self.server,
            seq=self.isn + 1 if seq is None else seq,
            ack=self.acked,
            flags=flags,
            ttl=64,
            data=data,
        )
        return self.box.handle("up", packet, self.now)

    def down(self, flags: int = 16, data: bytes = b"", seq: int | None = None) -> list[Outgoing]:
        packet = tcp.build(
            self.server,
            self.client,
            seq=self.reply_seq if seq is None else seq,
            ack=self.heard,
            flags=flags,
            ttl=64,
            data=data,
        )
        if seq is None:
            self.reply_seq += len(data)
        return self.box.handle("down", packet, self.now)

    def say_hello(self, name: str = NAME) -> list[Outgoing]:
        return self.up(data=hello(name))


def talk(*rules: Rule, line: Line | None = None) -> Conversation:
    return Conversation(Middlebox(rules, line))


def read(packet: bytes) -> tuple[ip.Header, tcp.Segment, bytes]:
    header = ip.read_header(packet)
    segment = tcp.read_segment(packet, header)
    return header, segment, packet[segment.data_at : header.end]


def shown(outgoing: Iterable[Outgoing]) -> list[tuple[Direction, int]]:
    """Direction and TCP flags of what leaves."""
    return [(o.direction, read(o.packet)[1].flags) for o in outgoing]


def has_right_checksums(packet: bytes) -> bool:
    header = ip.read_header(packet)
    payload = packet[header.payload_at :]
    return ip.transport_checksum(header.source, header.destination, header.protocol, payload) == 0
