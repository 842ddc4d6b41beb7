"""The server's part of Encrypted Client Hello (RFC 9849): a key, the inner hello, the proof.

No TLS library of Debian 12 has it. The inner hello is answered by OpenSSL, and the proof
that it was read is written into that ServerHello, so no handshake can be finished here:
the first message is what a real server sends, and all that a client's probe waits for.
"""

import hmac
import ssl
from contextlib import suppress
from hashlib import sha256, sha384
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

_ECH: Final = 0xFE0D
_KEM: Final = b"\x00\x20"
"""DHKEM(X25519, HKDF-SHA256) (RFC 9180 section 7.1)."""
_SUITE: Final = b"\x00\x01\x00\x01"
"""HKDF-SHA256 and AES-128-GCM."""
_CLIENT_HELLO: Final = b"\x01"
_SERVER_HELLO: Final = 2
_HANDSHAKE: Final = 22
_AES_256_SHA384: Final = b"\x13\x02"
_RETRY: Final = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""The random of a ServerHello that asks for another hello (RFC 8446 section 4.1.3)."""
_RANDOM_AT: Final = 6
_RANDOM_END: Final = 38
_PROOF_BYTES: Final = 8


class BadHelloError(ValueError):
    """The bytes are no hello, or none that can be answered here."""


class _CutShortError(BadHelloError):
    """More may come."""


class EchKey(NamedTuple):
    """A private key of X25519, and under which name hellos to it travel."""

    private: bytes
    public_name: str
    config_id: int = 1

    @property
    def config(self) -> bytes:
        """One ECHConfig (RFC 9849 section 4)."""
        public = X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()
        contents = bytes((self.config_id,)) + _KEM + _sized(2, public) + _sized(2, _SUITE)
        contents += bytes((64,)) + _sized(1, self.public_name.encode("ascii")) + _sized(2, b"")
        return _ECH.to_bytes(2, "big") + _sized(2, contents)

    @property
    def published(self) -> bytes:
        """What the zone has of it: an ECHConfigList."""
        return _sized(2, self.config)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.at : self.at + count]
        if len(piece) < count:
            raise _CutShortError("cut short")
        self.at += count
        return piece

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def sized(self, size: int) -> bytes:
        return self.take(self.number(size))


def read_message(stream: bytes) -> bytes | None:
    """Return the ClientHello at the start of a stream, records undone; None: not yet.

    Raises:
        BadHelloError: if there is none.
    """
    records, message = _Reader(stream), b""
    try:
        while True:
            if records.number(1) != _HANDSHAKE:
                raise BadHelloError("no handshake")
            records.take(2)
            message += records.sized(2)
            body = _Reader(message)
            if body.take(1) != _CLIENT_HELLO:
                raise BadHelloError("no ClientHello")
            with suppress(_CutShortError):
                body.sized(3)
                return message[: body.at]
    except _CutShortError:
        return None


def inner_of(message: bytes, key: EchKey) -> bytes | None:
    """Return the ClientHello inside of one, None if it has none for this key (section 7.1).

    One that refers to the outer one's extensions (section 5.1) cannot be answered.

    Raises:
        BadHelloError: if it is malformed.
    """
    body = message[4:]
    session_id, extensions = _parts(body)
    ech = extensions.get(_ECH)
    if ech is None:
        return None
    fields = _Reader(ech)
    if fields.take(1) != b"\0":
        return None
    suite, config_id = fields.take(4), fields.number(1)
    enc, payload = fields.sized(2), fields.sized(2)
    if suite != _SUITE or config_id != key.config_id or body.count(payload) != 1:
        return None
    try:
        aad = body.replace(payload, bytes(len(payload)))
        encoded = _open(key, enc, payload, aad)
    except InvalidTag:
        return None
    # Random and version, then the session id, which is empty inside and taken from outside.
    start = _Reader(encoded)
    head = start.take(34)
    start.sized(1)
    rest_at = start.at
    start.sized(2)
    start.sized(1)
    start.sized(2)
    whole = head + _sized(1, session_id) + encoded[rest_at : start.at]
    return _CLIENT_HELLO + _sized(3, whole)


def answer(message: bytes, key: EchKey, context: ssl.SSLContext) -> bytes:
    """Return the records that answer a ClientHello.

    Of an inner one that is the ServerHello with the proof; else OpenSSL's first flight.

    Raises:
        BadHelloError: if it cannot be answered.
    """
    inner = inner_of(message, key)
    flight = _flight(inner or message, context)
    if inner is None:
        return flight
    records = _Reader(flight)
    if records.number(1) != _HANDSHAKE:
        raise BadHelloError("refused by OpenSSL")
    records.take(2)
    first = records.sized(2)
    server_hello = first[: 4 + int.from_bytes(first[1:4])]
    if server_hello[0] != _SERVER_HELLO or server_hello[_RANDOM_AT:_RANDOM_END] == _RETRY:
        raise BadHelloError("no ServerHello")
    return b"\x16\x03\x03" + _sized(2, _with_proof(server_hello, inner))


def _parts(body: bytes) -> tuple[bytes, dict[int, bytes]]:
    """Return a ClientHello's session id and extensions."""
    reader = _Reader(body)
    reader.take(34)
    session_id = reader.sized(1)
    reader.sized(2)
    reader.sized(1)
    listed = _Reader(reader.sized(2))
    extensions = {}
    while listed.at < len(listed.data):
        kind = listed.number(2)
        extensions[kind] = listed.sized(2)
    return session_id, extensions


def _open(key: EchKey, enc: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Open the first message of HPKE's base mode (RFC 9180 sections 4.1 and 5.1)."""
    own = X25519PrivateKey.from_private_bytes(key.private)
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(enc))
    except ValueError as error:
        raise BadHelloError("no key of X25519") from error
    kem = b"HPKE-v1KEM" + _KEM
    extracted = hmac.digest(b"", kem + b"eae_prk" + shared, "sha256")
    parties = enc + own.public_key().public_bytes_raw()
    secret = _expand(32, b"\0\x20" + kem + b"shared_secret" + parties, extracted)
    version = b"HPKE-v1HPKE" + _KEM + _SUITE
    info = b"tls ech\0" + key.config
    context = b"\0" + hmac.digest(b"", version + b"psk_id_hash", "sha256")
    context += hmac.digest(b"", version + b"info_hash" + info, "sha256")
    schedule = hmac.digest(secret, version + b"secret", "sha256")
    opener = AESGCM(_expand(16, b"\0\x10" + version + b"key" + context, schedule))
    nonce = _expand(12, b"\0\x0c" + version + b"base_nonce" + context, schedule)
    return opener.decrypt(nonce, sealed, aad)


def _flight(message: bytes, context: ssl.SSLContext) -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(b"\x16\x03\x01" + _sized(2, message))
    with suppress(ssl.SSLError):  # at best it wants the client's next flight
        server.do_handshake()
    return outgoing.read()


def _with_proof(server_hello: bytes, inner: bytes) -> bytes:
    """Write into a ServerHello's random that the inner hello was read (section 7.2)."""
    suite_at = 39 + server_hello[38]
    is_long = server_hello[suite_at : suite_at + 2] == _AES_256_SHA384
    algorithm, digest = (SHA384(), sha384) if is_long else (SHA256(), sha256)
    at = _RANDOM_END - _PROOF_BYTES
    blank = server_hello[:at] + bytes(_PROOF_BYTES) + server_hello[_RANDOM_END:]
    transcript = digest(inner + blank).digest()
    zeros = bytes(algorithm.digest_size)
    secret = hmac.digest(zeros, inner[_RANDOM_AT:_RANDOM_END], digest)
    label = b"tls13 ech accept confirmation"
    info = b"\0\x08" + _sized(1, label) + _sized(1, transcript)
    proof = HKDFExpand(algorithm, _PROOF_BYTES, info).derive(secret)
    return server_hello[:at] + proof + server_hello[_RANDOM_END:]


def _expand(length: int, info: bytes, key: bytes) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)


def _sized(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data
