"""The Host of an HTTP/1 request (RFC 9112), as a censor's matcher reads it."""

from typing import Final, NamedTuple

_METHODS: Final = (b"GET ", b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT ", b"DELETE ")
METHOD_BYTES: Final = max(map(len, _METHODS))
"""By then a request has shown that it is one."""

_LINE_END: Final = b"\r\n"
_MAX_HEAD_BYTES: Final = 16_384
"""Twice what common servers accept; no honest request waits for more."""


class Request(NamedTuple):
    """A request's head; ``host`` is lower case without a port, or None."""

    host: str | None


def may_be_request(data: bytes) -> bool:
    """Whether the bytes, perhaps cut short, start like an HTTP/1 request."""
    return any(data.startswith(m) or m.startswith(data) for m in _METHODS)


class RequestReader:
    """Reads a head that comes in pieces."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._line_at = 0
        self._searched = 0

    def feed(self, data: bytes) -> Request | None:
        """Take more bytes; return the request, None while its Host may follow."""
        self._data += data
        # The line must be whole, or "web.messenger.test" is read as "web.mess".
        while (end := self._data.find(_LINE_END, self._searched)) >= 0:
            line = bytes(self._data[self._line_at : end])
            if self._line_at and not line:
                return Request(None)
            name, _, value = line.partition(b":")
            if self._line_at and name.lower() == b"host":
                host = value.partition(b":")[0].strip()
                return Request(host.decode("latin-1").lower())
            self._line_at = self._searched = end + len(_LINE_END)
        self._searched = max(self._line_at, len(self._data) - 1)
        return Request(None) if len(self._data) > _MAX_HEAD_BYTES else None
