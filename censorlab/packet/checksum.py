"""The Internet checksum (RFC 1071)."""

from typing import Final

_ONES: Final = 0xFFFF


def internet_checksum(data: bytes) -> int:
    """Return the checksum of the bytes, whose own checksum field is zero.

    Over bytes that hold a right checksum the result is 0. A last odd byte is
    padded by zero.
    """
    if len(data) % 2:
        data += b"\0"
    number = int.from_bytes(data, "big")
    # 2**16 = 1 modulo 2**16 - 1, so the one's complement sum of all words is the
    # whole as one number modulo 65535: a single division, many times faster here
    # than a loop. Zero has two forms; a sum of words is +0 only if all are zero.
    total = number % _ONES or (_ONES if number else 0)
    return ~total & _ONES
