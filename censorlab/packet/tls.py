"""What a ClientHello shows besides its name: versions, ECH, a fingerprint.

The name is read by ``censorlab.hello``; this reads a hello that it accepted.
"""

from hashlib import sha256
from typing import Final, NamedTuple

from censorlab.hello import MalformedHelloError, read_hello

_SERVER_NAME: Final = 0
_SIGNATURE_ALGORITHMS: Final = 13
_ALPN: Final = 16
_SUPPORTED_VERSIONS: Final = 43
_ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D
_VERSION_NAMES: Final = {0x0304: "13", 0x0303: "12", 0x0302: "11", 0x0301: "10"}
_RECORD_HEADER_BYTES: Final = 5
_MAX_RECORD_BYTES: Final = 2**14


class ClientHello(NamedTuple):
    """A complete hello. ``version`` is the highest offered, as ``0x0304`` for TLS 1.3."""

    server_name: str | None
    version: int
    has_ech: bool
    ja4: str


def read_client_hello(buffer: bytes) -> ClientHello | None:
    """Return the hello at the start of TLS records, None if more is needed.

    Raises:
        MalformedHelloError: if no continuation could make it a ClientHello.
    """
    hello = read_hello(buffer)
    if hello is None:
        return None
    return _traits(_message(buffer), hello.server_name)


def as_records(handshake: bytes) -> bytes:
    """Put QUIC's bare handshake bytes into TLS records, for the same reader."""
    return b"".join(
        b"\x16\x03\x03" + len(piece).to_bytes(2, "big") + piece
        for at in range(0, len(handshake), _MAX_RECORD_BYTES)
        if (piece := handshake[at : at + _MAX_RECORD_BYTES])
    )


def _message(buffer: bytes) -> bytes:
    """Join the records' payloads, up to the hello's own length."""
    message = bytearray()
    at = 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        length = int.from_bytes(buffer[at + 3 : at + _RECORD_HEADER_BYTES], "big")
        at += _RECORD_HEADER_BYTES
        message += buffer[at : at + length]
        at += length
    return bytes(message[4 : 4 + int.from_bytes(message[1:4], "big")])


def _vector(data: bytes, at: int, prefix: int) -> tuple[bytes, int]:
    start = at + prefix
    end = start + int.from_bytes(data[at:start], "big")
    if end > len(data):
        raise MalformedHelloError(f"vector to byte {end} of {len(data)}")
    return data[start:end], end


def _words(data: bytes) -> list[int]:
    """Two-byte numbers, GREASE (RFC 8701) left out."""
    words = [int.from_bytes(data[n : n + 2], "big") for n in range(0, len(data) - 1, 2)]
    return [word for word in words if word & 0x0F0F != 0x0A0A or word >> 8 != word & 0xFF]


def _traits(body: bytes, server_name: str | None) -> ClientHello:
    legacy_version = int.from_bytes(body[:2], "big")
    _, at = _vector(body, 34, 1)  # session id, after version and random
    ciphers, at = _vector(body, at, 2)
    _, at = _vector(body, at, 1)  # compression methods
    extensions: dict[int, bytes] = {}
    if at < len(body):
        block, _ = _vector(body, at, 2)
        at = 0
        while at < len(block):
            kind = int.from_bytes(block[at : at + 2], "big")
            extensions[kind], at = _vector(block, at + 2, 2)
    versions = _words(extensions.get(_SUPPORTED_VERSIONS, b"")[1:])
    version = max(versions, default=legacy_version)
    has_ech = _ENCRYPTED_CLIENT_HELLO in extensions
    return ClientHello(server_name, version, has_ech, _ja4(version, _words(ciphers), extensions))


def _ja4(version: int, ciphers: list[int], extensions: dict[int, bytes]) -> str:
    """JA4 (FoxIO's specification) of a hello over TCP."""
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
