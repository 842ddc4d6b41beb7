"""Answers of an honest resolver, and the forgeries of a dishonest one; no I/O."""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final, Literal

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from censorlab.decide import Forgery

_TTL_S: Final = 60
"""Short, as of names that move between addresses; nothing here caches."""

Zone = Mapping[str, tuple[str, ...]]
"""Host name (lower case, no final dot) to its addresses."""


class MalformedQueryError(ValueError):
    """The bytes are not a DNS query with one question."""


class Query:
    """A parsed query (RFC 1035 §4)."""

    def __init__(self, wire: bytes) -> None:
        try:
            message = dns.message.from_wire(wire)
        except dns.exception.DNSException as error:
            raise MalformedQueryError(str(error)) from error
        if len(message.question) != 1 or message.flags & dns.flags.QR:
            raise MalformedQueryError("not a query with one question")
        self._message = message
        self._question = message.question[0]
        self.name = self._question.name.to_text(omit_final_dot=True).lower()

    @property
    def ip_version(self) -> Literal[4, 6] | None:
        """The address family asked for, None for any other record type."""
        match self._question.rdtype:
            case dns.rdatatype.A:
                return 4
            case dns.rdatatype.AAAA:
                return 6
            case _:
                return None

    def answer(self, zone: Zone) -> bytes:
        """Answer truly: addresses, an empty answer, or NXDOMAIN."""
        addresses = zone.get(self.name)
        if addresses is None:
            return self._response(dns.rcode.NXDOMAIN)
        return self._response(dns.rcode.NOERROR, addresses)

    def forged(self, forgery: Forgery) -> bytes:
        """Answer as the censor chose."""
        addresses = () if forgery.address is None else (forgery.address,)
        return self._response(dns.rcode.from_text(forgery.code), addresses)

    def _response(self, rcode: dns.rcode.Rcode, addresses: tuple[str, ...] = ()) -> bytes:
        response = dns.message.make_response(self._message, recursion_available=True)
        response.set_rcode(rcode)
        fitting = [a for a in addresses if ip_address(a).version == self.ip_version]
        if fitting:
            response.answer.append(
                dns.rrset.from_text(
                    self._question.name,
                    _TTL_S,
                    dns.rdataclass.IN,
                    self._question.rdtype,
                    *fitting,
                )
            )
        return response.to_wire()
