"""Packets that a censor makes up, in the name of one end of a TCP connection."""

from typing import Final, NamedTuple

from censorlab.packet import tcp
from censorlab.packet.flow import FlowKey

FORGED_TTL: Final = 61
"""Unlike that of the peers, so that a test can tell a forged packet."""


class Offence(NamedTuple):
    """A client's segment with data that a rule struck."""

    key: FlowKey
    packet: bytes
    segment: tcp.Segment
    data: bytes


def refusal(key: FlowKey, ack: int) -> bytes:
    """Return a RST-ACK to a SYN (RFC 9293 §3.10.7.1), as from the server."""
    return tcp.build(key[3:5], key[1:3], seq=0, ack=ack, flags=tcp.RST | tcp.ACK, ttl=FORGED_TTL)


def client_reset(offence: Offence) -> bytes:
    """Return the RST that ends the client's side."""
    return _answer(offence, tcp.RST | tcp.ACK)


def server_reset(offence: Offence) -> bytes:
    """Return the RST that ends the server's side, where the data have not arrived.

    Hence the server expects the sequence number that they started at, and any
    other RST would only be challenged (RFC 5961 §3.2).
    """
    return reset_in_answer(offence.key, offence.segment, offence.segment.ack)


def page(offence: Offence, response: str) -> bytes:
    """Return a whole response with the FIN, as from the server."""
    return _answer(offence, tcp.PSH | tcp.ACK | tcp.FIN, response.encode())


def _answer(offence: Offence, flags: int, data: bytes = b"") -> bytes:
    return tcp.build(
        offence.key[3:5],
        offence.key[1:3],
        seq=offence.segment.ack,
        ack=offence.segment.seq + len(offence.data),
        flags=flags,
        ttl=FORGED_TTL,
        data=data,
    )


def truncation(key: FlowKey, segment: tcp.Segment, data: bytes) -> bytes:
    """Return a server's segment with ``data`` for its own and the FIN after them."""
    flags = tcp.PSH | tcp.ACK | tcp.FIN
    return tcp.build(
        key[3:5],
        key[1:3],
        seq=segment.seq,
        ack=segment.ack,
        flags=flags,
        ttl=FORGED_TTL,
        data=data,
    )


def reset_in_answer(key: FlowKey, segment: tcp.Segment, ack: int) -> bytes:
    """Return the RST that ends the server's side instead of a client's segment."""
    flags = tcp.RST | tcp.ACK
    return tcp.build(key[1:3], key[3:5], seq=segment.seq, ack=ack, flags=flags, ttl=FORGED_TTL)


def bare_acknowledgement(key: FlowKey, reply_seq: int, ack: int) -> bytes:
    """Return the server's acknowledgement without the data it came with."""
    return tcp.build(key[3:5], key[1:3], seq=reply_seq, ack=ack, flags=tcp.ACK, ttl=FORGED_TTL)
