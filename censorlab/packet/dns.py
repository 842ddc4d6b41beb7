"""DNS messages (RFC 1035) as far as an injector needs them: a question, an answer.

The resolvers of the lab use a DNS library; a censor's middlebox does not, and
must not share its strictness.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final, Literal, NamedTuple

from censorlab.addresses import packed
from censorlab.decide import Forgery, ResponseCode
from censorlab.packet.errors import MalformedPacketError

_CODES: Final[Mapping[ResponseCode, int]] = {
    "noerror": 0,
    "servfail": 2,
    "nxdomain": 3,
    "refused": 5,
}
_A: Final = 1
_AAAA: Final = 28

_HEADER: Final = Struct("!HHHHHH")
_RECORD: Final = Struct("!HHIH")
_RESPONSE: Final = 0x8000
_RECURSION_AVAILABLE: Final = 0x0080
_KEPT_FLAGS: Final = 0x7900
"""Opcode and "recursion desired" are copied from the query."""
_NAME_OF_QUESTION: Final = 0xC00C
"""A compression pointer to byte 12, where the question's name starts."""
_IN: Final = 1
_MAX_NAME_BYTES: Final = 255
_FORGED_TTL_S: Final = 300


class Question(NamedTuple):
    """The only question of a query; ``name`` has no final dot, the root is empty."""

    name: str
    record_type: int
    flags: int
    query_id: int
    section: bytes

    @property
    def ip_version(self) -> Literal[4, 6] | None:
        """The address family asked for, None for any other record type."""
        if self.record_type == _A:
            return 4
        return 6 if self.record_type == _AAAA else None


def read_question(message: bytes) -> Question:
    """Read the question of a query.

    Raises:
        MalformedPacketError: for anything but a query with one question.
    """
    if len(message) < _HEADER.size:
        raise MalformedPacketError(f"DNS message of {len(message)} bytes")
    query_id, flags, questions, _, _, _ = _HEADER.unpack_from(message)
    if flags & _RESPONSE or questions != 1:
        raise MalformedPacketError("not a DNS query with one question")
    labels: list[str] = []
    at = _HEADER.size
    while True:
        if at >= len(message):
            raise MalformedPacketError("DNS name cut short")
        length = message[at]
        at += 1
        if length == 0:
            break
        # A question comes first, so there is nothing it could point back to.
        if length > 63 or at + length - _HEADER.size > _MAX_NAME_BYTES:
            raise MalformedPacketError("DNS label or name too long")
        # Latin-1 keeps every byte; a cut label is caught at the next length.
        labels.append(message[at : at + length].decode("latin-1"))
        at += length
    if at + 4 > len(message):
        raise MalformedPacketError("DNS question cut short")
    record_type = int.from_bytes(message[at : at + 2], "big")
    section = message[_HEADER.size : at + 4]
    return Question(".".join(labels), record_type, flags, query_id, section)


def answer(question: Question, forgery: Forgery) -> bytes:
    """Return the forged answer to a query, as of a recursive resolver.

    Its address becomes the only record if it is of the family asked for, else
    the answer is empty.
    """
    record = b""
    if forgery.address is not None:
        address = packed(forgery.address)
        if question.ip_version == (4 if len(address) == 4 else 6):
            record = (
                _NAME_OF_QUESTION.to_bytes(2, "big")
                + _RECORD.pack(question.record_type, _IN, _FORGED_TTL_S, len(address))
                + address
            )
    code = _CODES[forgery.code]
    flags = _RESPONSE | question.flags & _KEPT_FLAGS | _RECURSION_AVAILABLE | code
    header = _HEADER.pack(question.query_id, flags, 1, 1 if record else 0, 0, 0)
    return header + question.section + record
