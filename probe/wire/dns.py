"""DNS messages (RFC 1035) over dnspython's codec.

dnspython is the codec only: its query functions return the first acceptable
answer, which hides an injector's race, so the socket loop is ours.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.svcbbase import ECHParam, ParamKey, PortParam, SVCBBase

from probe.model.target import QueryType

MAX_ANSWERS: Final = 64
"""Bound on stored records of one message; real answers have under 20, and a
hostile 64 KiB message can hold some 4000."""


HTTPS_PORT: Final = 443
"""Where a record of type HTTPS leads that names no port (RFC 9460 §9.1)."""

_UNDERSTOOD: Final = frozenset(
    (
        ParamKey.ALPN,
        ParamKey.NO_DEFAULT_ALPN,
        ParamKey.PORT,
        ParamKey.IPV4HINT,
        ParamKey.ECH,
        ParamKey.IPV6HINT,
    )
)
"""A record that makes any other parameter mandatory is not for us (RFC 9460 §8)."""

_SHOWN_ALPN: Final = (b"h3", b"h2", b"http/1.1")
"""What is kept of a record's protocols: a stranger's bytes are not."""


class MalformedMessageError(ValueError):
    """The bytes are not a DNS message."""


class BadNameError(ValueError):
    """The host name cannot be put into a query."""


class Record(NamedTuple):
    """One answer record: type mnemonic, address, name or words, TTL in seconds.

    The words of type HTTPS are ``alias``, or ``alpn=`` with protocols and ``ech``, or
    ``service`` where there is neither.
    """

    type: str
    value: str
    ttl_s: int


class Response(NamedTuple):
    """What a message says. ``matches`` is about id, question and QR bit.

    ``ech_config_list`` is that of an HTTPS record (RFC 9848); who may have forged it is
    the caller's to know.
    """

    rcode: str
    matches: bool
    id_matches: bool
    is_truncated: bool
    records: tuple[Record, ...]
    ech_config_list: bytes | None = None


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
    # A record of type HTTPS is an answer only to who asked for one.
    asked = {rrset.rdtype for rrset in question}
    kinds = {"A", "AAAA", "CNAME"} | ({"HTTPS"} if dns.rdatatype.HTTPS in asked else set())
    records = []
    services = []
    for rrset in message.answer:
        kind = dns.rdatatype.to_text(rrset.rdtype)
        # In another class than IN an A record holds something else.
        if rrset.rdclass != dns.rdataclass.IN or kind not in kinds:
            continue
        for rdata in rrset:
            if isinstance(rdata, SVCBBase):
                if rdata.target in {dns.name.root, rrset.name}:
                    services.append(rdata)
                value = _words(rdata)
            else:
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
        ech_config_list=_ech_config_list(services),
    )


def _words(service: SVCBBase) -> str:
    """Say what a record offers, without addresses or names."""
    if service.priority == 0:
        return "alias"
    protocols = getattr(service.params.get(ParamKey.ALPN), "ids", ())
    shown = [alpn.decode("ascii") for alpn in _SHOWN_ALPN if alpn in protocols]
    words = [f"alpn={','.join(shown)}"] if shown else []
    if ParamKey.ECH in service.params:
        words.append("ech")
    return " ".join(words) or "service"


def _ech_config_list(services: Iterable[SVCBBase]) -> bytes | None:
    """Return the keys of the record preferred for HTTPS on its own port, if there are any.

    Of records that lead to another host none comes here: the addresses that we know are
    not its.
    """
    for service in sorted(services, key=lambda service: service.priority):
        port = service.params.get(ParamKey.PORT)
        mandatory = getattr(service.params.get(ParamKey.MANDATORY), "keys", ())
        if isinstance(port, PortParam) and port.port != HTTPS_PORT:
            continue
        ech = service.params.get(ParamKey.ECH)
        if isinstance(ech, ECHParam) and _UNDERSTOOD.issuperset(mandatory):
            return bytes(ech.ech)
    return None


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
