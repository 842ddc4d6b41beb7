"""Encrypted Client Hello (RFC 9849): the published key, the hello, and what proves acceptance.

A server that could read the inner hello says so in eight bytes of its ServerHello that
depend on the inner hello's random and on nothing else that is secret. So one hello and
the first message of the answer are enough to know, without a handshake.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from probe.wire import hpke
from probe.wire.clienthello import (
    CIPHER_SUITES,
    ENCRYPTED_CLIENT_HELLO,
    GROUPS,
    RETRY_RANDOM,
    TLS12,
    TLS13,
    TLS13_SUITES,
    VERSIONS,
    RandomBytes,
    extension,
    handshake_record,
    hello_message,
    numbers,
    own_extensions,
    vector,
    x25519_share,
)

CONFIRMATION_BYTES: Final = 8

MAX_SERVER_HELLO_BYTES: Final = 4096
"""No ServerHello to a hello of ours is longer: under 200 bytes, or with the cookie of a
request for another hello a few hundred."""

_VERSION: Final = ENCRYPTED_CLIENT_HELLO
_MANDATORY: Final = 0x8000
_OUTER: Final = b"\0"
_INNER: Final = b"\1"
_PADDING_STEP: Final = 32
_NO_NAME_BYTES: Final = 9
"""What a server_name extension takes beside the name (RFC 9849 §6.1.3)."""

_HANDSHAKE_RECORD: Final = 22
_MESSAGE_HASH: Final = 254
_RANDOM_AT: Final = 4 + 2
_RANDOM_BYTES: Final = 32
_MAX_SESSION_ID_BYTES: Final = 32

_HASHES: Final = {0x1301: "sha256", 0x1302: "sha384", 0x1303: "sha256"}

_LDH_NAME: Final = re.compile(
    rb"(?!.{254})(?:(?!-)[a-z0-9-]{1,63}(?<!-)\.)*(?!-)[a-z0-9-]{1,63}(?<!-)", re.IGNORECASE
)
_IPV4_END: Final = re.compile(rb"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.IGNORECASE)
"""A last label that makes URL parsers read the whole as an IPv4 address."""


class BadConfigListError(ValueError):
    """The bytes are not an ECHConfigList; the message says where."""


class BadServerHelloError(ValueError):
    """The bytes are not a ServerHello; the message says why."""


class EchConfig(NamedTuple):
    """A published key that we can seal to. ``raw`` is the ECHConfig as published."""

    raw: bytes
    config_id: int
    public_key: bytes
    aead_id: int
    max_name_bytes: int
    public_name: str


class EchHello(NamedTuple):
    """What is sent, as one TLS record, and the message that is sealed inside it."""

    record: bytes
    inner: bytes


class _Reader:
    """Reads a structure of RFC 8446 §3 from the front; what is missing has a name."""

    def __init__(self, data: bytes, where: str) -> None:
        self.left = data
        self._where = where

    def take(self, count: int, what: str) -> bytes:
        if len(self.left) < count:
            raise BadConfigListError(f"{self._where} ends within {what}")
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def number(self, size: int, what: str) -> int:
        return int.from_bytes(self.take(size, what), "big")

    def vector(self, size: int, what: str) -> bytes:
        return self.take(self.number(size, what), what)

    def end(self) -> None:
        if self.left:
            raise BadConfigListError(f"{self._where} has {len(self.left)} bytes too many")


def usable_configs(data: bytes) -> tuple[EchConfig, ...]:
    """Return the keys of an ECHConfigList that we can seal to, in the publisher's order.

    Left out, as RFC 9849 §4 and §6.1 ask: other versions, mandatory extensions (we know
    none), algorithms that we do not have, keys to which nothing can be sealed, and public
    names that are not host names.

    Raises:
        BadConfigListError: the list, or a configuration of the known version, is ill-formed.
    """
    outer = _Reader(data, "ECHConfigList")
    reader = _Reader(outer.vector(2, "its length"), "ECHConfigList")
    outer.end()
    found = []
    while reader.left:
        start = reader.left
        version = reader.number(2, "a version")
        contents = reader.vector(2, "an ECHConfig")
        if version != _VERSION:
            continue
        config = _config_of(contents, start[: 4 + len(contents)])
        if config is not None:
            found.append(config)
    return tuple(found)


def _config_of(contents: bytes, raw: bytes) -> EchConfig | None:
    reader = _Reader(contents, "ECHConfig")
    config_id = reader.number(1, "config_id")
    kem = reader.number(2, "kem_id")
    public_key = reader.vector(2, "public_key")
    suites = _Reader(reader.vector(2, "cipher_suites"), "cipher_suites")
    max_name_bytes = reader.number(1, "maximum_name_length")
    public_name = reader.vector(1, "public_name")
    extensions = _Reader(reader.vector(2, "extensions"), "extensions")
    reader.end()
    aead_id = None
    while suites.left:
        kdf, aead = suites.number(2, "a KDF"), suites.number(2, "an AEAD")
        if aead_id is None and kdf == hpke.HKDF_SHA256 and aead in hpke.KEY_BYTES:
            aead_id = aead
    has_mandatory = False
    while extensions.left:
        has_mandatory |= bool(extensions.number(2, "a type") & _MANDATORY)
        extensions.vector(2, "an extension")
    if has_mandatory or aead_id is None or kem != hpke.X25519_SHA256:
        return None
    if not _is_host_name(public_name) or not hpke.is_usable(public_key):
        return None
    return EchConfig(
        raw, config_id, public_key, aead_id, max_name_bytes, public_name.decode("ascii")
    )


def _is_host_name(name: bytes) -> bool:
    return bool(_LDH_NAME.fullmatch(name)) and not _IPV4_END.fullmatch(name)


def build_ech_hello(
    server_name: str, config: EchConfig, random: RandomBytes, alpn: Sequence[str] = ()
) -> EchHello:
    """Return a ClientHello for the public name with one for ``server_name`` sealed inside.

    The outer one has the form of the profile ``ech`` of `build_client_hello`, so that the
    two differ only in whether somebody can open the extension. Extensions are not
    compressed (RFC 9849 §5.1 leaves that to the client).

    Args:
        server_name: an A-label.
        config: from `usable_configs`.
        random: where nonces and keys come from; as there, keys are not kept.
        alpn: application protocols, in both.

    Raises:
        UnicodeEncodeError: the name or a protocol is not ASCII.
    """
    session_id = random(_RANDOM_BYTES)
    start, rest = _inner(server_name, random, alpn)
    encoded = _padded(start + vector(1, b"") + rest, server_name, config)
    sender = hpke.set_up(
        config.public_key,
        b"tls ech\0" + config.raw,
        config.aead_id,
        random(hpke.PUBLIC_BYTES),
    )
    extensions = own_extensions(config.public_name, GROUPS, x25519_share(random), VERSIONS, alpn)
    payload_bytes = len(encoded) + hpke.TAG_BYTES
    extensions += extension(
        ENCRYPTED_CLIENT_HELLO,
        _OUTER
        + numbers(hpke.HKDF_SHA256, config.aead_id)
        + bytes((config.config_id,))
        + vector(2, sender.enc)
        + vector(2, bytes(payload_bytes)),
    )
    outer = (
        numbers(TLS12)
        + random(_RANDOM_BYTES)
        + vector(1, session_id)
        + vector(2, numbers(*CIPHER_SUITES))
        + vector(1, b"\0")
        + vector(2, extensions)
    )
    # What is authenticated is the outer hello with zeros for the payload (RFC 9849 §5.2),
    # and the payload is at its end.
    payload = sender.seal(outer, encoded)
    outer = outer[:-payload_bytes] + payload
    return EchHello(
        handshake_record(hello_message(outer)),
        hello_message(start + vector(1, session_id) + rest),
    )


def _inner(server_name: str, random: RandomBytes, alpn: Sequence[str]) -> tuple[bytes, bytes]:
    """Build the inner hello, cut where its session id belongs (RFC 9849 §6.1).

    It offers TLS 1.3 alone, and what that has no use for is left out.
    """
    extensions = own_extensions(server_name, GROUPS, x25519_share(random), (TLS13,), alpn)
    extensions += extension(ENCRYPTED_CLIENT_HELLO, _INNER)
    suites = vector(2, numbers(*TLS13_SUITES)) + vector(1, b"\0")
    return numbers(TLS12) + random(_RANDOM_BYTES), suites + vector(2, extensions)


def _padded(encoded: bytes, server_name: str, config: EchConfig) -> bytes:
    """Hide the name's length (RFC 9849 §6.1.3)."""
    if server_name:
        padding = max(0, config.max_name_bytes - len(server_name))
    else:
        padding = config.max_name_bytes + _NO_NAME_BYTES
    padding += -(len(encoded) + padding) % _PADDING_STEP
    return encoded + bytes(padding)


def read_server_hello(data: bytes) -> bytes | None:
    """Return the whole ServerHello at the start of an answer; None if more is needed.

    Args:
        data: what a peer sent, of which `classify_answer` said that it is one.

    Raises:
        BadServerHelloError: it is too long, or cut by something that does not belong there.
    """
    message = b""
    at = 0
    while at + 5 <= len(data):
        kind, size = data[at], int.from_bytes(data[at + 3 : at + 5], "big")
        body = data[at + 5 : at + 5 + size]
        at += 5 + size
        if kind != _HANDSHAKE_RECORD:
            # Before it, `classify_answer` lets warnings pass.
            if message:
                raise BadServerHelloError("a ServerHello is cut by another record")
            continue
        if not size:
            raise BadServerHelloError("a record is empty")
        message += body
        if len(message) >= 4:
            end = 4 + int.from_bytes(message[1:4], "big")
            if end > MAX_SERVER_HELLO_BYTES:
                raise BadServerHelloError("a ServerHello is too long")
            if len(message) >= end:
                return message[:end]
    if len(data) > 2 * MAX_SERVER_HELLO_BYTES:
        raise BadServerHelloError("a ServerHello is in too many pieces")
    return None


def is_accepted(hello: EchHello, answer: bytes) -> bool:
    """Tell whether a ServerHello's sender read the inner hello (RFC 9849 §7.2).

    True by chance once in 2^64. It can be false though the server has the key:

    - A request for another hello says so in an extension of its own (§7.2.1), which is
      looked for; a backend that knows nothing of ECH behind an operator's front sends none.
    - The key is older than the server's: what is published may lag by the record's TTL.
      The server then names its present keys, but encrypted, in a handshake that we do not finish.
    - Somebody on the path ended the TLS in between, as the public name's owner might.

    Raises:
        BadServerHelloError: the message is ill-formed.
    """
    suite_at = _suite_at(answer)
    algorithm = _HASHES.get(int.from_bytes(answer[suite_at : suite_at + 2], "big"))
    if algorithm is None:
        # TLS 1.2, which the inner hello does not offer.
        return False
    if answer[_RANDOM_AT : _RANDOM_AT + _RANDOM_BYTES] == RETRY_RANDOM:
        at = _confirmation_of_retry(answer, suite_at + 3)
        label = b"hrr ech accept confirmation"
        digest = hashlib.new(algorithm, hello.inner).digest()
        before = bytes((_MESSAGE_HASH,)) + vector(3, digest)
    else:
        at = _RANDOM_AT + _RANDOM_BYTES - CONFIRMATION_BYTES
        label = b"ech accept confirmation"
        before = hello.inner
    if at is None:
        return False
    end = at + CONFIRMATION_BYTES
    transcript = before + answer[:at] + bytes(CONFIRMATION_BYTES) + answer[end:]
    inner_random = hello.inner[_RANDOM_AT : _RANDOM_AT + _RANDOM_BYTES]
    secret = hmac.digest(bytes(hashlib.new(algorithm).digest_size), inner_random, algorithm)
    context = hashlib.new(algorithm, transcript).digest()
    # HKDF-Expand-Label (RFC 8446 §7.1), of one block.
    info = numbers(CONFIRMATION_BYTES) + vector(1, b"tls13 " + label) + vector(1, context)
    expected = hmac.digest(secret, info + b"\x01", algorithm)[:CONFIRMATION_BYTES]
    return hmac.compare_digest(expected, answer[at:end])


def _suite_at(answer: bytes) -> int:
    """Return where a ServerHello's cipher suite is."""
    session_at = _RANDOM_AT + _RANDOM_BYTES
    if len(answer) <= session_at or answer[session_at] > _MAX_SESSION_ID_BYTES:
        raise BadServerHelloError("a ServerHello has no session id")
    suite_at = session_at + 1 + answer[session_at]
    if len(answer) < suite_at + 3:
        raise BadServerHelloError("a ServerHello ends within its cipher suite")
    return suite_at


def _confirmation_of_retry(answer: bytes, at: int) -> int | None:
    """Return where the extension's eight bytes are in a HelloRetryRequest, if it is there."""
    end = at + 2 + int.from_bytes(answer[at : at + 2], "big")
    if end != len(answer) and len(answer) != at:
        raise BadServerHelloError("a HelloRetryRequest has extensions of another length")
    at += 2
    while at < len(answer):
        kind, size = int.from_bytes(answer[at : at + 2], "big"), answer[at + 2 : at + 4]
        at += 4
        body_bytes = int.from_bytes(size, "big")
        if len(size) < 2 or at + body_bytes > len(answer):
            raise BadServerHelloError("a HelloRetryRequest ends within an extension")
        if kind == ENCRYPTED_CLIENT_HELLO:
            if body_bytes != CONFIRMATION_BYTES:
                raise BadServerHelloError("a HelloRetryRequest confirms in another length")
            return at
        at += body_bytes
    return None
