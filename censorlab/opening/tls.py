"""What a TLS ClientHello shows (RFC 8446 §4.1.2, RFC 6066 §3): name, versions, fingerprint.

The censor's own reader, written apart from the prober's on purpose. A hello
split at any place, over TCP chunks and TLS records, is still read.
"""

from hashlib import sha256
from typing import Final, NamedTuple

_HANDSHAKE_RECORD: Final = 22
_APPLICATION_DATA: Final = 23
_CLIENT_HELLO: Final = 1
_RECORD_HEADER_BYTES: Final = 5
_MESSAGE_HEADER_BYTES: Final = 4
_MAX_RECORD_BYTES: Final = 2**14
"""RFC 8446 §5.1: limit of a plaintext record."""

_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D
_VERSION_NAMES: Final = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}

MAX_HELLO_BYTES: Final = 2**16
"""Bound on what is buffered: forty times the largest hello of a browser with a
post-quantum key share, so only an attacker comes near it."""


class MalformedHelloError(ValueError):
    """The bytes cannot be the start of a TLS ClientHello."""


class SplitHelloError(MalformedHelloError):
    """A hello goes on in a record that this reader does not read."""


class ClientHello(NamedTuple):
    """A complete hello.

    ``server_name`` is None if it names no host; ``version`` is the highest
    offered, as ``0x0304`` for TLS 1.3; ``ja4`` is FoxIO's fingerprint of a
    hello over TCP.
    """

    server_name: str | None
    version: int
    has_ech: bool
    ja4: str


class HelloReader:
    """Reads the ClientHello at the start of a stream that comes in pieces.

    With ``first_record_only`` one that goes on in a second record is not read.
    """

    def __init__(self, *, first_record_only: bool = False) -> None:
        self._first_record_only = first_record_only
        self._received = 0
        self._header = bytearray()
        self._record_left = 0
        self._message = bytearray()

    def feed(self, data: bytes) -> ClientHello | None:
        """Take more bytes; return the hello once it is whole, None before.

        Bytes after the hello are ignored.

        Raises:
            SplitHelloError: if the rest of it is in a record that is not read.
            MalformedHelloError: if no continuation could make it a ClientHello.
        """
        self._received += len(data)
        at = 0
        while at < len(data):
            if self._record_left == 0:
                at += self._read_record_header(data, at)
                continue
            piece = data[at : at + self._record_left]
            self._message += piece
            self._record_left -= len(piece)
            at += len(piece)
            length = self._length()
            if length is not None and len(self._message) >= length:
                return _read_body(bytes(self._message[_MESSAGE_HEADER_BYTES:length]))
            if self._first_record_only and self._record_left == 0:
                raise SplitHelloError("hello goes on in a second record")
        if self._received > 2 * MAX_HELLO_BYTES:
            # One byte to a record costs five of framing; nobody does that honestly.
            raise MalformedHelloError("hello spread over too many records")
        return None

    def _read_record_header(self, data: bytes, at: int) -> int:
        """Take what is there of a record's header; return how many bytes that was."""
        header = self._header
        taken = data[at : at + _RECORD_HEADER_BYTES - len(header)]
        header += taken
        if header[0] != _HANDSHAKE_RECORD:
            raise MalformedHelloError(f"record type {header[0]} instead of handshake")
        if len(header) > 1 and header[1] != 3:
            raise MalformedHelloError(f"record version {header[1]}.x")
        if len(header) == _RECORD_HEADER_BYTES:
            self._record_left = int.from_bytes(header[3:], "big")
            if not 1 <= self._record_left <= _MAX_RECORD_BYTES:
                raise MalformedHelloError(f"handshake record of {self._record_left} bytes")
            header.clear()
        return len(taken)

    def _length(self) -> int | None:
        """Return the length of the message and its header, once known."""
        message = self._message
        if message[0] != _CLIENT_HELLO:
            raise MalformedHelloError(f"handshake message {message[0]} instead of ClientHello")
        if len(message) < _MESSAGE_HEADER_BYTES:
            return None
        length = int.from_bytes(message[1:_MESSAGE_HEADER_BYTES], "big")
        if length > MAX_HELLO_BYTES:
            raise MalformedHelloError(f"hello of {length} bytes (limit {MAX_HELLO_BYTES})")
        return _MESSAGE_HEADER_BYTES + length


def read_client_hello(data: bytes) -> ClientHello | None:
    """Return the hello at the start of the bytes, None if more is needed.

    Raises:
        MalformedHelloError: if no continuation could make it a ClientHello.
    """
    return HelloReader().feed(data)


def as_records(handshake: bytes) -> bytes:
    """Put QUIC's bare handshake bytes into TLS records, for the same reader."""
    return b"".join(
        b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece
        for at in range(0, len(handshake), _MAX_RECORD_BYTES)
        if (piece := handshake[at : at + _MAX_RECORD_BYTES])
    )


class ApplicationDataCounter:
    """Counts records of application data in a TLS stream that comes in pieces."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._header = bytearray()
        self._record_left = 0

    def feed(self, data: bytes) -> int | None:
        """Take more bytes; return where in them the first record too many starts.

        A record starts with its first byte, which says its type.
        """
        at = 0
        while at < len(data):
            if self._record_left:
                skipped = min(self._record_left, len(data) - at)
                self._record_left -= skipped
                at += skipped
                continue
            if not self._header and data[at] == _APPLICATION_DATA:
                if self._allowed == 0:
                    return at
                self._allowed -= 1
            taken = data[at : at + _RECORD_HEADER_BYTES - len(self._header)]
            self._header += taken
            at += len(taken)
            if len(self._header) == _RECORD_HEADER_BYTES:
                self._record_left = int.from_bytes(self._header[3:], "big")
                self._header.clear()
        return None


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


def _read_body(body: bytes) -> ClientHello:
    hello = _Cursor(body)
    legacy_version = hello.number(2)
    hello.take(32)  # random
    hello.vector(1)  # legacy_session_id
    ciphers = _words(hello.vector(2))
    hello.vector(1)  # legacy_compression_methods
    extensions: dict[int, bytes] = {}
    if not hello.is_empty:  # TLS 1.2 allows a hello without extensions
        block = _Cursor(hello.vector(2))
        while not block.is_empty:
            kind = block.number(2)
            # Servers refuse a repeated extension, so the first is what counts.
            extensions.setdefault(kind, block.vector(2))
    versions = _words(extensions.get(_SUPPORTED_VERSIONS, b"")[1:])
    version = max(versions, default=legacy_version)
    name = _host_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else None
    has_ech = _ENCRYPTED_CLIENT_HELLO in extensions
    return ClientHello(name, version, has_ech, _ja4(version, ciphers, extensions))


def _host_name(extension: bytes) -> str | None:
    names = _Cursor(_Cursor(extension).vector(2))
    while not names.is_empty:
        name_type, name = names.number(1), names.vector(2)
        if name_type == _HOST_NAME:
            try:
                return name.decode("ascii")
            except UnicodeDecodeError:
                raise MalformedHelloError("host name is not ASCII") from None
    return None


def _words(data: bytes) -> list[int]:
    """Two-byte numbers, GREASE (RFC 8701) left out."""
    words = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data) - 1, 2)]
    return [word for word in words if word & 0x0F0F != 0x0A0A or word >> 8 != word & 0xFF]


def _ja4(version: int, ciphers: list[int], extensions: dict[int, bytes]) -> str:
    kinds = [kind for kind in extensions if _words(kind.to_bytes(2, "big"))]
    protocols = extensions.get(_ALPN, b"")
    first = protocols[3 : 3 + protocols[2]] if len(protocols) > 2 else b""
    alpn = "00"
    if first:
        ends = first[:1] + first[-1:]
        alpn = ends.decode() if ends.isalnum() else first.hex()[0] + first.hex()[-1]
    hashed = sorted(kind for kind in kinds if kind not in (_SERVER_NAME, _ALPN))
    algorithms = _words(extensions.get(_SIGNATURE_ALGORITHMS, b"")[2:])
    tail = _joined(hashed) + ("_" + _joined(algorithms) if algorithms else "")
    target = "d" if _SERVER_NAME in extensions else "i"
    counts = f"{min(len(ciphers), 99):02}{min(len(kinds), 99):02}"
    start = f"t{_VERSION_NAMES.get(version, '00')}{target}{counts}{alpn}"
    return f"{start}_{_short_hash(_joined(sorted(ciphers)))}_{_short_hash(tail)}"


def _joined(numbers: list[int]) -> str:
    return ",".join(f"{number:04x}" for number in numbers)


def _short_hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
