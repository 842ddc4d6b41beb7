"""DNS messages (RFC 1035) over dnspython's codec.

dnspython is the codec only: its query functions return the first acceptable
answer, which hides an injector's race, so the socket loop is ours.
"""

from typing import Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from probe.model.target import QueryType

MAX_ANSWERS: Final = 64
"""Bound on stored records of one message; real answers have under 20, and a
hostile 64 KiB message can hold some 4000."""


class MalformedMessageError(ValueError):
    """The bytes are not a DNS message."""


class BadNameError(ValueError):
    """The host name cannot be put into a query."""


class Record(NamedTuple):
    """One answer record: type mnemonic, address or name, TTL in seconds."""

    type: str
    value: str
    ttl_s: int


class Response(NamedTuple):
    """What a message says. ``matches`` is about id, question and QR bit."""

    rcode: str
    matches: bool
    id_matches: bool
    is_truncated: bool
    records: tuple[Record, ...]


def build_query(hostname: str, query_type: QueryType, message_id: int) -> bytes:
    """Encode a recursive query with EDNS0 of 1232 bytes (DNS Flag Day 2020).

    Raises:
        BadNameError: for a name that no query can carry.
    """
    try:
        name = dns.name.from_text(hostname)
    except (dns.exception.DNSException, UnicodeError) as error:
        raise BadNameError(f"{hostname!r}: {type(error).__name__}") from None
    message = dns.message.make_query(name, query_type, use_edns=0, payload=1232)
    message.id = message_id
    return message.to_wire()


def parse_response(data: bytes, query: bytes) -> Response:
    """Decode a message received in answer to ``query``.

    Raises:
        MalformedMessageError: for anything that is not a DNS message.
    """
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
        question = dns.message.from_wire(query).question
    except (dns.exception.DNSException, ValueError, IndexError, OverflowError) as error:
        raise MalformedMessageError(type(error).__name__) from None
    records = []
    for rrset in message.answer:
        kind = dns.rdatatype.to_text(rrset.rdtype)
        # In another class than IN an A record holds something else.
        if rrset.rdclass != dns.rdataclass.IN or kind not in {"A", "AAAA", "CNAME"}:
            continue
        for rdata in rrset:
            value = rdata.to_text()
            records.append(Record(kind, value.rstrip(".")[:255], int(rrset.ttl)))
    id_matches = data[:2] == query[:2]
    is_reply = bool(message.flags & dns.flags.QR) and message.opcode() == dns.opcode.QUERY
    return Response(
        rcode=dns.rcode.to_text(message.rcode())[:16],
        # Some middleboxes answer without the question section; resolvers that
        # refuse a query may do so too, so an empty question is no mismatch.
        matches=id_matches and is_reply and message.question in ([], question),
        id_matches=id_matches,
        is_truncated=bool(message.flags & dns.flags.TC),
        records=tuple(records[:MAX_ANSWERS]),
    )


def frame(message: bytes) -> bytes:
    """Prefix a message with its length, for streams (RFC 1035 §4.2.2)."""
    return len(message).to_bytes(2, "big") + message


def unframe(buffer: bytes) -> tuple[bytes, bytes] | None:
    """Split one length-prefixed message off a buffer; None if more is needed."""
    if len(buffer) < 2:
        return None
    end = 2 + int.from_bytes(buffer[:2], "big")
    if len(buffer) < end:
        return None
    return buffer[2:end], buffer[end:]
