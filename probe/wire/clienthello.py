"""ClientHellos of our own making (RFC 8446 §4.1.2), and what comes back on one.

A TLS library writes one form of hello. A censor that judges by the form, or a
path that loses long packets, shows only if the form can be chosen; so the three
profiles differ in one respect each, and agree in everything else. They are not
a browser's: nothing here pretends to be one.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from probe.wire.addresses import is_address

OwnProfile = Literal["small", "large", "ech"]
"""``small``: fits one packet anywhere. ``large``: with a post-quantum key share,
longer than a TCP segment. ``ech``: small, with an encrypted_client_hello."""

LARGE_BYTES: Final = 1536
"""At least so long is a large hello, by padding (RFC 7685): under a short name the key
share alone would still fit into one segment of 1460 bytes, which is Ethernet's."""

AnswerKind = Literal["server_hello", "hello_retry", "alert", "http", "other", "incomplete"]

RandomBytes = Callable[[int], bytes]
"""Returns so many random bytes, as `os.urandom` does."""

_ALERT_RECORD: Final = 21
_HANDSHAKE_RECORD: Final = 22
_RECORD_HEADER_BYTES: Final = 5
_FRAME_BYTES: Final = _RECORD_HEADER_BYTES + 4 + 2
"""Around head and extensions: record header, message header, length of extensions."""
_MAX_RECORD_BYTES: Final = 2**14
_CLIENT_HELLO: Final = 1
_SERVER_HELLO: Final = 2
_WARNING: Final = 1
_FATAL: Final = 2
_CLOSE_NOTIFY: Final = 0
UNRECOGNIZED_NAME: Final = 112

RETRY_RANDOM: Final = bytes.fromhex(
    "cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
)
"""A ServerHello with this for its random asks for another hello (RFC 8446 §4.1.3)."""

_RANDOM_ENDS: Final = 4 + 2 + 32
"""Message header, version and random: what tells a ServerHello from a retry."""

_SHORTEST_SERVER_HELLO: Final = 2 + 32 + 1 + 2 + 1
"""No session id, no extensions: allowed in TLS 1.2 (RFC 5246 §7.4.1.3)."""

MAX_WARNINGS: Final = 4
"""Warnings read past before the next one counts as the answer; OpenSSL does alike."""

_HTTP_STARTS: Final = (b"http/", b"<html", b"<!doctype html")
"""A plain web server's complaint; older ones send the page without a status line."""

# TLS 1.3 first (RFC 8446 §B.4), then what a server of TLS 1.2 still has: forward
# secret suites for both kinds of key, and one without (RFC 9325 §4.2).
TLS13_SUITES: Final = (0x1301, 0x1302, 0x1303)
CIPHER_SUITES: Final = (
    *TLS13_SUITES,
    *(0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8),
    0x009C,
)
_SIGNATURE_ALGORITHMS: Final = (0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)
_X25519: Final = 0x001D
_P256: Final = 0x0017
_P384: Final = 0x0018
_X25519_MLKEM768: Final = 0x11EC
GROUPS: Final = (_X25519, _P256, _P384)
X25519_BYTES: Final = 32
TLS13: Final = 0x0304
TLS12: Final = 0x0303
VERSIONS: Final = (TLS13, TLS12)

_SERVER_NAME: Final = 0
_SUPPORTED_GROUPS: Final = 10
_EC_POINT_FORMATS: Final = 11
_SIGNATURES: Final = 13
_ALPN: Final = 16
_PADDING: Final = 21
_EXTENDED_MASTER_SECRET: Final = 23
_SUPPORTED_VERSIONS: Final = 43
_PSK_MODES: Final = 45
_KEY_SHARE: Final = 51
ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D
_RENEGOTIATION_INFO: Final = 0xFF01

_MLKEM_PRIME: Final = 3329
_MLKEM768_COEFFICIENTS: Final = 3 * 256
_MLKEM_SEED_BYTES: Final = 32

_ECH_SUITE: Final = bytes.fromhex("00010001")
"""HKDF-SHA256 with AES-128-GCM (RFC 9180 §7), the pair that real configurations have."""
_ECH_TAG_BYTES: Final = 16
_ECH_PADDING: Final = 32

ALERTS: Final = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    42: "bad_certificate",
    43: "unsupported_certificate",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
    121: "ech_required",
}
"""Names of alert descriptions (RFC 8446 §6, RFC 9849 §11.2)."""


class Answer(NamedTuple):
    """What the first bytes of a peer are; level and description are an alert's."""

    kind: AnswerKind
    level: int | None = None
    description: int | None = None

    @property
    def alert_name(self) -> str | None:
        """The alert's name, or its number where it has none."""
        if self.description is None:
            return None
        return ALERTS.get(self.description, str(self.description))


def build_client_hello(
    server_name: str, profile: OwnProfile, random: RandomBytes, alpn: Sequence[str] = ()
) -> bytes:
    """Return a ClientHello, as whole TLS records, ready to be sent.

    Args:
        server_name: an A-label; empty, or an address, names nobody (RFC 6066 §3).
        profile: the form.
        random: where nonces and keys come from. The keys are not kept: the
            handshake cannot be finished, only its first answer read.
        alpn: application protocols.

    Raises:
        UnicodeEncodeError: the name or a protocol is not ASCII.
    """
    shares = x25519_share(random)
    groups: tuple[int, ...] = GROUPS
    if profile == "large":
        # The lattice's share comes first in the pair (draft-ietf-tls-ecdhe-mlkem §3).
        hybrid = mlkem768_key(random) + shares[-X25519_BYTES:]
        groups = (_X25519_MLKEM768, *groups)
        shares = numbers(_X25519_MLKEM768) + vector(2, hybrid) + shares
    extensions = own_extensions(server_name, groups, shares, VERSIONS, alpn)
    start = numbers(0x0303) + random(32)
    suites = vector(2, numbers(*CIPHER_SUITES)) + vector(1, b"\0")
    if profile == "ech":
        inner_bytes = len(start) + 1 + len(suites) + 2 + len(extensions)
        extensions += extension(ENCRYPTED_CLIENT_HELLO, _grease_ech(inner_bytes, random))
    # A session id is there although none is resumed: middleboxes want one (RFC 8446 §D.4).
    head = start + vector(1, random(32)) + suites
    if profile == "large":
        missing = LARGE_BYTES - _FRAME_BYTES - len(head) - len(extensions) - 4
        extensions += extension(_PADDING, bytes(max(0, missing)))
    return handshake_record(hello_message(head + vector(2, extensions)))


def x25519_share(random: RandomBytes) -> bytes:
    """Build the entry of key_share for a fresh key of X25519 (RFC 8446 §4.2.8)."""
    private = X25519PrivateKey.from_private_bytes(random(X25519_BYTES))
    return numbers(_X25519) + vector(2, private.public_key().public_bytes_raw())


def own_extensions(
    server_name: str,
    groups: Sequence[int],
    shares: bytes,
    versions: Sequence[int],
    alpn: Sequence[str],
) -> bytes:
    """Build the extensions that all our hellos of these versions have in common.

    Raises:
        UnicodeEncodeError: the name or a protocol is not ASCII.
    """
    has_tls12 = TLS12 in versions
    extensions = b""
    if server_name and not is_address(server_name):
        extensions += extension(_SERVER_NAME, host_name(server_name))
    if has_tls12:
        extensions += extension(_EXTENDED_MASTER_SECRET, b"")
        extensions += extension(_RENEGOTIATION_INFO, vector(1, b""))
    extensions += extension(_SUPPORTED_GROUPS, vector(2, numbers(*groups)))
    if has_tls12:
        extensions += extension(_EC_POINT_FORMATS, vector(1, b"\0"))
    if alpn:
        protocols = b"".join(vector(1, protocol.encode("ascii")) for protocol in alpn)
        extensions += extension(_ALPN, vector(2, protocols))
    extensions += extension(_SIGNATURES, vector(2, numbers(*_SIGNATURE_ALGORITHMS)))
    extensions += extension(_KEY_SHARE, vector(2, shares))
    extensions += extension(_PSK_MODES, vector(1, b"\1"))
    extensions += extension(_SUPPORTED_VERSIONS, vector(1, numbers(*versions)))
    return extensions


def hello_message(body: bytes) -> bytes:
    """Frame a ClientHello's body as a handshake message (RFC 8446 §4)."""
    return bytes((_CLIENT_HELLO,)) + vector(3, body)


def handshake_record(message: bytes) -> bytes:
    """Put a first handshake message into one record (RFC 8446 §5.1)."""
    return bytes((_HANDSHAKE_RECORD, 3, 1)) + vector(2, message)


def numbers(*numbers: int) -> bytes:
    """Concatenate 16-bit numbers."""
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def vector(prefix: int, data: bytes) -> bytes:
    """Prefix bytes with their length in ``prefix`` bytes (RFC 8446 3.4)."""
    return len(data).to_bytes(prefix, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    """Frame the body of an extension (RFC 8446 4.2)."""
    return numbers(kind) + vector(2, data)


def host_name(name: str) -> bytes:
    """Build the body of server_name (RFC 6066 3)."""
    return vector(2, b"\0" + vector(2, name.encode("ascii")))


def mlkem768_key(random: RandomBytes) -> bytes:
    """Return what nobody can tell from an ML-KEM-768 encapsulation key.

    768 coefficients of 12 bits below the prime, and a seed (FIPS 203 §5.1);
    servers check the bound, and without the secret key nothing more can be
    checked. Four random bytes to a coefficient leave no bias worth the name,
    and the work is bounded, which drawing until one fits is not.
    """
    drawn = random(4 * _MLKEM768_COEFFICIENTS)
    packed = bytearray()
    for at in range(0, len(drawn), 8):
        low = int.from_bytes(drawn[at : at + 4], "big") % _MLKEM_PRIME
        high = int.from_bytes(drawn[at + 4 : at + 8], "big") % _MLKEM_PRIME
        packed += (low | high << 12).to_bytes(3, "little")
    return bytes(packed) + random(_MLKEM_SEED_BYTES)


def _grease_ech(inner_bytes: int, random: RandomBytes) -> bytes:
    """Return an extension that only the holder of a key could tell from a real one.

    RFC 9849 §6.2: a config id, a real public key for the encapsulated one, and
    a payload as long as this hello would be if it were encrypted and padded.
    """
    public = X25519PrivateKey.from_private_bytes(random(32)).public_key().public_bytes_raw()
    padded = -(-inner_bytes // _ECH_PADDING) * _ECH_PADDING
    payload = random(padded + _ECH_TAG_BYTES)
    return b"\0" + _ECH_SUITE + random(1) + vector(2, public) + vector(2, payload)


def classify_answer(data: bytes) -> Answer:
    """Tell from a peer's first bytes what it answered to a ClientHello.

    ``incomplete`` means that more bytes would tell; a few hundred always do.
    Warnings are read past, as TLS libraries do before a version is agreed:
    servers of TLS 1.2 send one for a name that they do not know, and go on.
    """
    start = data[: max(map(len, _HTTP_STARTS))].lower()
    if any(start.startswith(known) for known in _HTTP_STARTS):
        return Answer("http")
    if any(known.startswith(start) for known in _HTTP_STARTS):
        return Answer("incomplete")
    at = warnings = 0
    message = b""
    while at < len(data):
        record, version, length = data[at], data[at + 1 : at + 2], data[at + 3 : at + 5]
        if record not in (_ALERT_RECORD, _HANDSHAKE_RECORD) or (version and version[0] != 3):
            return Answer("other")
        if len(length) < 2:
            break
        record_bytes = int.from_bytes(length, "big")
        at += _RECORD_HEADER_BYTES
        body = data[at : at + record_bytes]
        at += record_bytes
        if record == _ALERT_RECORD:
            # In plain text, before keys, an alert has two bytes and stands alone.
            if record_bytes != 2 or message or (body and body[0] not in (_WARNING, _FATAL)):
                return Answer("other")
            if len(body) < 2:
                break
            level, description = body
            if level == _FATAL or description == _CLOSE_NOTIFY or warnings == MAX_WARNINGS:
                return Answer("alert", level, description)
            warnings += 1
            continue
        if not 1 <= record_bytes <= _MAX_RECORD_BYTES:
            return Answer("other")
        message += body
        kind = _hello_kind(message)
        if kind != "incomplete":
            return Answer(kind)
    return Answer("incomplete")


def _hello_kind(message: bytes) -> AnswerKind:
    """Tell what the start of a handshake message is."""
    if message and message[0] != _SERVER_HELLO:
        return "other"
    if len(message) >= 4 and int.from_bytes(message[1:4], "big") < _SHORTEST_SERVER_HELLO:
        return "other"
    if len(message) >= 5 and message[4] != 3:
        return "other"
    if len(message) < _RANDOM_ENDS:
        return "incomplete"
    return "hello_retry" if message[6:_RANDOM_ENDS] == RETRY_RANDOM else "server_hello"
