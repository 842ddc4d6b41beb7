"""The other side of Encrypted Client Hello (RFC 9849), written from the server's view.

It shares nothing with what it tests: structures are read from the front, the key is
decapsulated with the private half, and the inner hello is answered by OpenSSL. What OpenSSL
lacks, the confirmation, is put into its ServerHello afterwards, so that no handshake can be
finished, but the first message is what a real server would send.
"""

import hashlib
import hmac
import ssl
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

ECH = 0xFE0D
RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def u16(number: int) -> bytes:
    return number.to_bytes(2, "big")


def sized(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


@dataclass(frozen=True, kw_only=True)
class Key:
    """A server's key, and how it is published."""

    private: bytes = bytes(range(1, 33))
    config_id: int = 7
    suites: tuple[tuple[int, int], ...] = ((1, 1),)
    max_name_bytes: int = 32
    public_name: bytes = b"public.example"
    extensions: bytes = b""
    kem: int = 0x0020
    version: int = ECH
    public: bytes | None = None
    tail: bytes = b""

    @property
    def public_bytes(self) -> bytes:
        if self.public is not None:
            return self.public
        return X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()

    @property
    def config(self) -> bytes:
        contents = bytes((self.config_id,)) + u16(self.kem) + sized(2, self.public_bytes)
        contents += sized(2, b"".join(u16(kdf) + u16(aead) for kdf, aead in self.suites))
        contents += bytes((self.max_name_bytes,)) + sized(1, self.public_name)
        contents += sized(2, self.extensions) + self.tail
        return u16(self.version) + sized(2, contents)


def published(*keys: Key) -> bytes:
    """Return an ECHConfigList."""
    return sized(2, b"".join(key.config for key in keys))


class Hello(NamedTuple):
    """A ClientHello's fields; ``extensions`` in order."""

    random: bytes
    session_id: bytes
    suites: bytes
    extensions: tuple[tuple[int, bytes], ...]


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def sized(self, size: int) -> bytes:
        return self.take(int.from_bytes(self.take(size), "big"))

    @property
    def rest(self) -> bytes:
        return self.data[self.at :]


def body_of(record: bytes) -> bytes:
    """Return the body of a ClientHello that is one record and nothing else."""
    cursor = _Cursor(record)
    assert cursor.take(3) == b"\x16\x03\x01"
    message = _Cursor(cursor.sized(2))
    assert cursor.rest == b""
    assert message.take(1) == b"\x01"
    body = message.sized(3)
    assert message.rest == b""
    return body


def read_hello(body: bytes) -> tuple[Hello, bytes]:
    """Return a ClientHello's fields, and what is behind it."""
    cursor = _Cursor(body)
    assert cursor.take(2) == b"\x03\x03"
    random = cursor.take(32)
    session_id = cursor.sized(1)
    suites = cursor.sized(2)
    assert cursor.sized(1) == b"\0"
    listed = _Cursor(cursor.sized(2))
    extensions = []
    while listed.rest:
        kind = int.from_bytes(listed.take(2), "big")
        extensions.append((kind, listed.sized(2)))
    assert len(dict(extensions)) == len(extensions)
    return Hello(random, session_id, suites, tuple(extensions)), cursor.rest


def name_in(hello: Hello) -> str:
    """Return the server name of a hello."""
    listed = _Cursor(_Cursor(dict(hello.extensions)[0]).sized(2))
    assert listed.take(1) == b"\0"
    return listed.sized(2).decode("ascii")


def _expand(length: int, info: bytes, key: bytes) -> bytes:
    return HKDFExpand(SHA256(), length, info).derive(key)


def decapsulated(key: Key, enc: bytes, aead: int, sealed: bytes, aad: bytes) -> bytes:
    """Open a first message of HPKE's base mode (RFC 9180 sections 4.1 and 5.1)."""
    own = X25519PrivateKey.from_private_bytes(key.private)
    shared = own.exchange(X25519PublicKey.from_public_bytes(enc))
    kem = b"HPKE-v1KEM\x00\x20"
    prk = hmac.digest(b"", kem + b"eae_prk" + shared, "sha256")
    own_bytes = own.public_key().public_bytes_raw()
    secret = _expand(32, b"\0\x20" + kem + b"shared_secret" + enc + own_bytes, prk)
    suite = b"HPKE-v1HPKE\x00\x20\x00\x01" + u16(aead)
    info = b"tls ech\0" + key.config
    context = b"\0" + hmac.digest(b"", suite + b"psk_id_hash", "sha256")
    context += hmac.digest(b"", suite + b"info_hash" + info, "sha256")
    schedule = hmac.digest(secret, suite + b"secret", "sha256")
    size = {1: 16, 2: 32, 3: 32}[aead]
    opener = (ChaCha20Poly1305 if aead == 3 else AESGCM)(
        _expand(size, u16(size) + suite + b"key" + context, schedule)
    )
    nonce = _expand(12, b"\0\x0c" + suite + b"base_nonce" + context, schedule)
    return opener.decrypt(nonce, sealed, aad)


class Opened(NamedTuple):
    """What a server makes of a hello: both, and the inner one as a whole message."""

    outer: Hello
    inner: Hello
    message: bytes
    encoded_bytes: int


def open_hello(record: bytes, key: Key) -> Opened | None:
    """Read a hello as a server with this key does; None if it cannot (section 7.1)."""
    body = body_of(record)
    outer, rest = read_hello(body)
    assert rest == b""
    cursor = _Cursor(dict(outer.extensions)[ECH])
    assert cursor.take(1) == b"\0"
    kdf, aead = (int.from_bytes(cursor.take(2), "big") for _ in range(2))
    config_id = cursor.take(1)[0]
    enc, payload = cursor.sized(2), cursor.sized(2)
    assert cursor.rest == b""
    if config_id != key.config_id or (kdf, aead) not in key.suites:
        return None
    assert body.count(payload) == 1
    try:
        encoded = decapsulated(key, enc, aead, payload, body.replace(payload, bytes(len(payload))))
    except InvalidTag:
        return None
    inner, padding = read_hello(encoded)
    assert padding.strip(b"\0") == b""
    assert inner.session_id == b""
    bare = encoded[: len(encoded) - len(padding)]
    whole = bare[:34] + sized(1, outer.session_id) + bare[35:]
    return Opened(outer, inner, b"\x01" + sized(3, whole), len(encoded))


def openssl_answer(message: bytes, context: ssl.SSLContext) -> bytes:
    """Return the first handshake message that OpenSSL answers to a ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(b"\x16\x03\x01" + sized(2, message))
    with pytest.raises(ssl.SSLError):  # at best it wants the client's next flight
        server.do_handshake()
    cursor = _Cursor(outgoing.read())
    assert cursor.take(1) == b"\x16"
    cursor.take(2)
    answer = _Cursor(cursor.sized(2))
    kind = answer.take(1)
    assert kind == b"\x02"
    return kind + sized(3, answer.sized(3))


def confirmed(answer: bytes, inner: bytes) -> bytes:
    """Return a ServerHello that says that the inner hello was read (section 7.2)."""
    suite_at = 39 + answer[38]
    retries = answer[6:38] == RETRY
    if retries:
        extensions = sized(
            2, _Cursor(answer[suite_at + 3 :]).sized(2) + u16(ECH) + sized(2, bytes(8))
        )
        answer = b"\x02" + sized(3, answer[4 : suite_at + 3] + extensions)
        at = len(answer) - 8
    else:
        at = 30
    algorithm = SHA384() if answer[suite_at : suite_at + 2] == b"\x13\x02" else SHA256()
    if retries:
        inner_part = b"\xfe" + sized(3, hashlib.new(algorithm.name, inner).digest())
        label = b"tls13 hrr ech accept confirmation"
    else:
        inner_part, label = inner, b"tls13 ech accept confirmation"
    blank = answer[:at] + bytes(8) + answer[at + 8 :]
    digest = hashlib.new(algorithm.name, inner_part + blank).digest()
    secret = hmac.digest(bytes(algorithm.digest_size), inner[6:38], algorithm.name)
    info = b"\0\x08" + sized(1, label) + sized(1, digest)
    return answer[:at] + HKDFExpand(algorithm, 8, info).derive(secret) + answer[at + 8 :]


def record_of(message: bytes) -> bytes:
    return b"\x16\x03\x03" + sized(2, message)


def answer_to(record: bytes, key: Key, context: ssl.SSLContext) -> bytes:
    """Return what a server with this key answers first: to the inner hello, or the outer."""
    opened = open_hello(record, key)
    if opened is None:
        return record_of(openssl_answer(b"\x01" + sized(3, body_of(record)), context))
    return record_of(confirmed(openssl_answer(opened.message, context), opened.message))
