"""The Host of an HTTP/1 request (RFC 9112), as a censor's matcher reads it."""

import re
from typing import Final, NamedTuple

_METHODS: Final = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"DELETE ")
_HOST: Final = re.compile(rb"\r\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n:]*)")
_END: Final = b"\r\n\r\n"
_MAX_HEAD_BYTES: Final = 16_384
"""Twice what common servers accept; no honest request waits for more."""


class Request(NamedTuple):
    """A request's head; ``host`` is lower case without a port, or None."""

    host: str | None


def may_be_request(data: bytes) -> bool:
    """Whether the bytes, perhaps cut short, start like an HTTP/1 request."""
    return any(data.startswith(m) or m.startswith(data) for m in _METHODS)


def read_request(data: bytes) -> Request | None:
    """Return the request whose bytes have come so far, None if its Host may follow."""
    match = _HOST.search(data)
    # The line must be whole, or "web.messenger.test" is read as "web.mess".
    if match and match.end() < len(data):
        return Request(match[1].strip().decode("latin-1").lower())
    if _END in data or len(data) > _MAX_HEAD_BYTES:
        return Request(None)
    return None
