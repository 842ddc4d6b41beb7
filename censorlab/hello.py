"""Read the server name out of a TLS ClientHello (RFC 8446 §4.1.2, RFC 6066 §3).

The censor's own reader, written apart from the prober's on purpose: a shared
parser would share its mistakes. It reassembles TCP chunks and TLS records, so
a hello split at any place is still read.
"""

from typing import Final, NamedTuple

_HANDSHAKE_RECORD: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME_EXTENSION: Final = 0
_HOST_NAME: Final = 0
_MAX_RECORD_BYTES: Final = 2**14
"""RFC 8446 §5.1: limit of a plaintext record."""

MAX_HELLO_BYTES: Final = 2**16
"""Bound on what is buffered: forty times the largest hello of a browser with a
post-quantum key share, so only an attacker comes near it."""


class MalformedHelloError(ValueError):
    """The bytes cannot be the start of a TLS ClientHello."""


class Hello(NamedTuple):
    """A complete ClientHello; ``server_name`` is None if it names no host."""

    server_name: str | None


def read_hello(buffer: bytes) -> Hello | None:
    """Return the ClientHello at the start of a growing buffer, None if more is needed.

    Bytes after the hello are ignored.

    Raises:
        MalformedHelloError: if no continuation could make it a ClientHello.
    """
    message = _handshake_bytes(buffer)
    if message[:1] and message[0] != _CLIENT_HELLO:
        raise MalformedHelloError(f"handshake message {message[0]} instead of ClientHello")
    if len(message) < 4:
        return None
    length = int.from_bytes(message[1:4], "big")
    if length > MAX_HELLO_BYTES:
        raise MalformedHelloError(f"hello of {length} bytes (limit {MAX_HELLO_BYTES})")
    if len(message) < 4 + length:
        if len(buffer) > 2 * MAX_HELLO_BYTES:
            # One byte to a record costs five of framing; nobody does that honestly.
            raise MalformedHelloError("hello spread over too many records")
        return None
    return Hello(_server_name(_Cursor(message[4 : 4 + length])))


def _handshake_bytes(buffer: bytes) -> bytes:
    """Payloads of the leading handshake records, the last one perhaps cut short."""
    payload = bytearray()
    at = 0
    while at < len(buffer):
        if buffer[at] != _HANDSHAKE_RECORD:
            if len(payload) >= 4 and len(payload) >= 4 + int.from_bytes(payload[1:4], "big"):
                break
            raise MalformedHelloError(f"record type {buffer[at]} instead of handshake")
        if len(buffer) > at + 1 and buffer[at + 1] != 3:
            raise MalformedHelloError(f"record version {buffer[at + 1]}.x")
        if len(buffer) < at + 5:
            break
        length = int.from_bytes(buffer[at + 3 : at + 5], "big")
        if not 1 <= length <= _MAX_RECORD_BYTES:
            raise MalformedHelloError(f"handshake record of {length} bytes")
        payload += buffer[at + 5 : at + 5 + length]
        at += 5 + length
    return bytes(payload)


class _Cursor:
    """Takes length-prefixed pieces off a complete message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        piece = self._data[self._at : self._at + count]
        if len(piece) < count:
            raise MalformedHelloError(f"needs {count} bytes, has {len(piece)}")
        self._at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, prefix: int) -> bytes:
        return self.take(self.number(prefix))

    @property
    def is_empty(self) -> bool:
        return self._at == len(self._data)


def _server_name(hello: _Cursor) -> str | None:
    hello.take(2 + 32)  # legacy_version, random
    hello.vector(1)  # legacy_session_id
    hello.vector(2)  # cipher_suites
    hello.vector(1)  # legacy_compression_methods
    if hello.is_empty:
        return None  # TLS 1.2 allows a hello without extensions
    extensions = _Cursor(hello.vector(2))
    while not extensions.is_empty:
        extension, body = extensions.number(2), extensions.vector(2)
        if extension == _SERVER_NAME_EXTENSION:
            return _host_name(_Cursor(_Cursor(body).vector(2)))
    return None


def _host_name(names: _Cursor) -> str | None:
    while not names.is_empty:
        name_type, name = names.number(1), names.vector(2)
        if name_type == _HOST_NAME:
            try:
                return name.decode("ascii")
            except UnicodeDecodeError:
                raise MalformedHelloError("host name is not ASCII") from None
    return None
