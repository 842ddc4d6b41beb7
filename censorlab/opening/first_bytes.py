"""Which protocol a client speaks, by its first bytes."""

from typing import Final, Literal, NamedTuple

from censorlab.opening import mtproto
from censorlab.opening.http import METHOD_BYTES, RequestReader, may_be_request
from censorlab.opening.tls import (
    ClientHello,
    HelloReader,
    MalformedHelloError,
    SplitHelloError,
)

_TLS_HANDSHAKE: Final = 0x16
_ENOUGH_BYTES: Final = 64
"""By then every recognisable beginning has shown itself."""


class Seen(NamedTuple):
    """A protocol, recognised for good; ``hello``, ``host`` or ``transport`` belong to it.

    TLS without a hello is one whose hello the censor does not put together.
    """

    protocol: Literal["tls", "http", "mtproto", "other"]
    hello: ClientHello | None = None
    host: str | None = None
    transport: mtproto.Transport | None = None


OTHER: Final = Seen("other")


class Opening:
    """A stream's first bytes until they are recognised.

    With ``first_record_only`` no hello is read that goes on in a second TLS record.
    """

    __slots__ = ("_first_record_only", "_hello", "_request", "data")

    def __init__(self, *, first_record_only: bool = False) -> None:
        self._first_record_only = first_record_only
        self.data = bytearray()
        """All that has been said so far."""
        self._hello: HelloReader | None = None
        self._request: RequestReader | None = None

    @property
    def is_half_said(self) -> bool:
        """Whether it is TLS or HTTP so far: its server says nothing before the rest."""
        return self._hello is not None or self._request is not None

    def feed(self, data: bytes) -> Seen | None:
        """Take more bytes; return what they are, None while more could tell."""
        if not data:
            return None
        is_first = not self.data
        self.data += data
        if is_first and data[0] == _TLS_HANDSHAKE:
            self._hello = HelloReader(first_record_only=self._first_record_only)
        if self._hello is not None:
            try:
                hello = self._hello.feed(data)
            except SplitHelloError:
                return Seen("tls")
            except MalformedHelloError:
                # An obfuscated preamble starts with this byte once in 256 times.
                self._hello = None
                return self._without_marks()
            return hello and Seen("tls", hello=hello)
        if is_first and may_be_request(data):
            self._request = RequestReader()
        if self._request is not None:
            if may_be_request(bytes(self.data[:METHOD_BYTES])):
                request = self._request.feed(data)
                return request and Seen("http", host=request.host)
            self._request = None  # its first letters were a method's
        return self._without_marks()

    def _without_marks(self) -> Seen | None:
        start = bytes(self.data[:_ENOUGH_BYTES])
        if transport := mtproto.recognise(start):
            return Seen("mtproto", transport=transport)
        return OTHER if len(start) >= _ENOUGH_BYTES else None
