"""ICMP errors (RFC 792, RFC 1812) and their ICMPv6 twins (RFC 4443)."""

from struct import Struct
from typing import Final

from censorlab.packet import ip
from censorlab.packet.checksum import internet_checksum
from censorlab.rules import UnreachableCode

_HEADER: Final = Struct("!BBHI")
_UNREACHABLE_4: Final = 3
_UNREACHABLE_6: Final = 1
_CODES_6: Final[dict[int, int]] = {0: 0, 1: 3, 3: 4, 9: 1, 10: 1, 13: 1}
"""No route, address unreachable, port unreachable; one code for all bans."""

_QUOTED_4: Final = 28
"""RFC 792: the offender's header and eight bytes. More is allowed, not needed."""
_QUOTED_6: Final = 1232
"""RFC 4443 §3.1: as much as fits the minimum MTU of 1280."""


def unreachable(router: bytes, offender: bytes, code: UnreachableCode, ttl: int) -> bytes:
    """Return the error packet that ``router`` sends to the source of ``offender``.

    ``offender`` is a valid packet; ``router`` is of the same IP version. For
    IPv6 the code is translated.
    """
    header = ip.read_header(offender)
    if len(router) == 16:
        return ip.build(
            router, header.source, ip.ICMPV6, _message_6(router, header, offender, code), ttl
        )
    # Options move the eight bytes that hold the ports.
    quoted = offender[: header.payload_at - 20 + _QUOTED_4]
    message = _HEADER.pack(_UNREACHABLE_4, code, 0, 0) + quoted
    checksum = internet_checksum(message)
    return ip.build(
        router,
        header.source,
        ip.ICMP,
        _HEADER.pack(_UNREACHABLE_4, code, checksum, 0) + quoted,
        ttl,
    )


def _message_6(router: bytes, header: ip.Header, offender: bytes, code: int) -> bytes:
    quoted, code_6 = offender[:_QUOTED_6], _CODES_6[code]
    message = _HEADER.pack(_UNREACHABLE_6, code_6, 0, 0) + quoted
    checksum = ip.transport_checksum(router, header.source, ip.ICMPV6, message)
    return _HEADER.pack(_UNREACHABLE_6, code_6, checksum, 0) + quoted
