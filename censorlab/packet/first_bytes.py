"""What a client's first bytes on a TCP connection show to a censor."""

from contextlib import suppress
from typing import Final, Literal, NamedTuple

from censorlab.hello import MalformedHelloError
from censorlab.packet import http, mtproto
from censorlab.packet.tls import ClientHello, read_client_hello

_TLS_HANDSHAKE: Final = 0x16
_ENOUGH_BYTES: Final = 64
"""By then every recognisable beginning has shown itself."""


class Seen(NamedTuple):
    """A protocol, recognised for good; ``hello`` or ``host`` belong to it."""

    protocol: Literal["tls", "http", "mtproto", "other"]
    hello: ClientHello | None = None
    host: str | None = None


OTHER: Final = Seen("other")


def recognise(data: bytes) -> Seen | None:
    """Return what the bytes (at least one) are, None if more could tell."""
    if data[0] == _TLS_HANDSHAKE:
        # An obfuscated preamble starts with this byte once in 256 times.
        with suppress(MalformedHelloError):
            hello = read_client_hello(data)
            return hello and Seen("tls", hello=hello)
    if http.may_be_request(data):
        request = http.read_request(data)
        return request and Seen("http", host=request.host)
    if mtproto.recognise(data):
        return Seen("mtproto")
    return OTHER if len(data) >= _ENOUGH_BYTES else None
