"""Telegram's signed lists of reserve addresses, from an answer to a verified config.

``help.configSimple`` as Telegram Desktop (``special_config_request.cpp``) and TDLib
(``ConfigManager.cpp``, ``decode_config``) read it. The signature proves who wrote a list,
whoever brought it: a resolver, a front, a censor. Where the two clients differ, the
stricter one is followed. How the text travels is in `read_text`, what it says in `decode`.
"""

import base64
import binascii
import hashlib
import re
import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from typing import Any, Final, Literal, NamedTuple

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import load_pem_public_key

TELEGRAM_KEY: Final = """\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAyr+18Rex2ohtVy8sroGPBwXD3DOoKCSpjDqYoXgCqB7ioln4eDCF
fOBUlfXUEvM/fnKCpF46VkAftlb4VuPDeQSS/ZxZYEGqHaywlroVnXHIjgqoxiAd
192xRGreuXIaUKmkwlM9JID9WS2jUsTpzQ91L8MEPLJ/4zrBwZua8W5fECwCCh2c
9G5IzzBm+otMS/YKwmR1olzRCyEkyAEjXWqBI9Ftv5eG8m0VkBzOG655WIYdyV0H
fDK/NWcvGqa0w/nriMD6mDjKOryamw0OP9QuYgMN0C9xMW9y8SmP4h92OAWodTYg
Y1hZCxdv6cs5UnW9+PWvS+WIbkh+GaWYxwIDAQAB
-----END RSA PUBLIC KEY-----
"""
"""Ships in both clients named above and in Telegram for Android (``Datacenter.cpp``);
its fingerprint is 6f3a701151477715. No data centre uses it."""

CLOCK_TOLERANCE: Final = timedelta(minutes=10)
"""How far in the future a config may be dated: about what a quartz clock (20 ppm) drifts
in a year. The clients do not look; a date far ahead shows that our clock is far behind."""

TEXT_CHARS: Final = 344
MESSAGE_BYTES: Final = 256
"""Of a signature by RSA with 2048 bits, and of its base64."""

Form = Literal["dns_json", "text"]

Fault = Literal[
    "special_config_not_dns_json",
    "special_config_not_found",
    "special_config_wrong_length",
    "special_config_bad_signature",
    "special_config_malformed",
    "special_config_not_yet_valid",
    "special_config_expired",
]
"""One word for each thing that can be wrong, in the order in which it is looked for."""

_TXT: Final = 16
_NOT_BASE64: Final = re.compile(r"[^A-Za-z0-9+/=]+")
_ESCAPE: Final = re.compile(r"\\([0-9]{3}|.)", re.DOTALL)

_KEY: Final = slice(0, 32)
_IV: Final = slice(16, 32)
"""The second half of the key: no mistake, both clients say so."""
_CIPHERTEXT: Final = slice(32, 256)
_DATA: Final = slice(0, 208)
_DIGEST: Final = slice(208, 224)
"""Of what is decrypted: the first half of the SHA-256 of the data."""

_CONFIG_SIMPLE: Final = 0x5A592A6C
_ACCESS_POINT_RULE: Final = 0x4679B65F
_IP_PORT: Final = 0xD433AD73
_IP_PORT_SECRET: Final = 0x37982646
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PublicKey(NamedTuple):
    """An RSA key of 2048 bits."""

    modulus: int
    exponent: int


class SignedEndpoint(NamedTuple):
    """A data centre's address; with a secret it is an MTProxy in front of one."""

    address: str
    port: int
    secret: bytes


class Rule(NamedTuple):
    """Addresses of one data centre, and whose they are.

    ``phone_prefix_rules``: for example ``+7,-77``: numbers in +7, but not in +77. Empty:
    everybody's.
    """

    phone_prefix_rules: bytes
    dc_id: int
    endpoints: tuple[SignedEndpoint, ...]


class ConfigSimple(NamedTuple):
    """What a verified text says."""

    date: datetime
    expires: datetime
    rules: tuple[Rule, ...]

    def endpoints(self) -> tuple[tuple[int, SignedEndpoint], ...]:
        """Return each address once, with its data centre, in the order of the config.

        Whatever the phone number: it does not decide whether an address can be reached.
        There are 14 at most, for no more have room in 208 bytes.
        """
        return tuple(
            dict.fromkeys(
                (rule.dc_id, endpoint) for rule in self.rules for endpoint in rule.endpoints
            )
        )


class SpecialConfigError(ValueError):
    """An answer is no config that holds now.

    ``detail`` quotes nothing that the peer wrote. ``config`` is what a signature proved
    that is out of date.
    """

    def __init__(self, fault: Fault, detail: str = "", config: ConfigSimple | None = None) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault: Fault = fault
        self.detail = detail
        self.config = config


def load_key(pem: str) -> PublicKey:
    """Read a PEM public key, PKCS #1 or SubjectPublicKeyInfo.

    Raises:
        ValueError: if it is not one of an RSA key with 2048 bits.
    """
    try:
        key = load_pem_public_key(pem.encode())
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(key, RSAPublicKey) or key.key_size != MESSAGE_BYTES * 8:
        raise ValueError("not an RSA key of 2048 bits")
    numbers = key.public_numbers()
    return PublicKey(numbers.n, numbers.e)


def read_text(body: bytes, form: Form) -> str:
    """Return the text that an answer carries, with what surrounds its base64.

    ``dns_json``: the JSON form of a DNS answer. The strings of TXT records, which may be
    quoted and escaped as in a zone file (RFC 1035 section 5.1), longest record first:
    resolvers shuffle records. ``text``: the text, or JSON with a string of its length in
    it; the Firebase channels wrap it so, each in its own way, and since the text is signed
    it does not matter where in the document it stands.

    Raises:
        SpecialConfigError: if there is none.
    """
    if form == "dns_json":
        return _of_dns_json(body)
    try:
        strings = _strings(orjson.loads(body))
    except orjson.JSONDecodeError:
        strings = ()
    wrapped = (string for string in strings if len(_bare(string)) == TEXT_CHARS)
    text = next(wrapped, body.decode("latin-1"))
    if not _bare(text):
        raise SpecialConfigError("special_config_not_found", "no base64 in the answer")
    return text


def decode(text: str, keys: Iterable[PublicKey], now: datetime) -> ConfigSimple:
    """Verify a text, less everything in it that is not base64, and read what it says.

    The addresses are those signed, whatever they are: somebody who could sign loopback
    or private ones need not, and a lab with a key of its own has no others.

    Raises:
        SpecialConfigError: if it is not signed by one of the keys, or not valid now.
    """
    message = _message(_bare(text))
    data = next((data for key in keys if (data := _verified(message, key)) is not None), None)
    if data is None:
        raise SpecialConfigError("special_config_bad_signature")
    config = _parse(data)
    if config.date - CLOCK_TOLERANCE > now:
        raise SpecialConfigError("special_config_not_yet_valid", config=config)
    if config.expires < now:
        raise SpecialConfigError("special_config_expired", config=config)
    return config


def _of_dns_json(body: bytes) -> str:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not {"Status", "Answer"} & answer.keys():
        raise SpecialConfigError("special_config_not_dns_json")
    records = answer.get("Answer")
    texts = [
        record["data"]
        for record in (records if isinstance(records, list) else ())
        if isinstance(record, dict)
        and record.get("type") == _TXT
        and isinstance(record.get("data"), str)
    ]
    # Stable: records of one length stay as they came.
    text = "".join(map(_unescaped, sorted(texts, key=len, reverse=True)))
    if not _bare(text):
        status = answer.get("Status")
        code = status if isinstance(status, int) and 0 <= status < 2**16 else "missing"
        raise SpecialConfigError("special_config_not_found", f"response code {code}")
    return text


def _unescaped(text: str) -> str:
    # An escaped line break is three digits, which would pass for base64.
    return _ESCAPE.sub(lambda found: chr(int(found[1])) if len(found[1]) > 1 else found[1], text)


def _bare(text: str) -> str:
    return _NOT_BASE64.sub("", text)


def _strings(document: Any) -> Iterable[str]:
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _message(text: str) -> bytes:
    length = f"{len(text)} characters"
    if len(text) != TEXT_CHARS:
        raise SpecialConfigError("special_config_wrong_length", length)
    try:
        message = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise SpecialConfigError("special_config_wrong_length", f"{length}, padded") from None
    if len(message) != MESSAGE_BYTES:
        raise SpecialConfigError("special_config_wrong_length", f"{len(message)} bytes")
    # Bits that no byte takes up: an encoder leaves none, so somebody changed them.
    if base64.b64encode(message).decode() != text:
        raise SpecialConfigError("special_config_bad_signature", "spare bits")
    return message


def _verified(message: bytes, key: PublicKey) -> bytes | None:
    """Return the data that the key's owner signed, or None."""
    number = int.from_bytes(message, "big")
    if number >= key.modulus:
        return None
    block = pow(number, key.exponent, key.modulus).to_bytes(MESSAGE_BYTES, "big")
    decryptor = Cipher(AES256(block[_KEY]), CBC(block[_IV])).decryptor()
    plain = decryptor.update(block[_CIPHERTEXT]) + decryptor.finalize()
    data = plain[_DATA]
    return data if hashlib.sha256(data).digest()[:16] == plain[_DIGEST] else None


def _parse(data: bytes) -> ConfigSimple:
    """Read the object and what holds it; the rest of ``data`` is random."""
    (length,) = struct.unpack_from("<i", data)
    # The length counts its own four bytes.
    if not 0 < length <= len(data) or length % 4:
        raise _malformed("length", 0)
    reader = _Reader(data[:length])
    reader.integer()
    reader.constructor(_CONFIG_SIMPLE)
    date = _EPOCH + timedelta(seconds=reader.integer())
    expires = _EPOCH + timedelta(seconds=reader.integer())
    rules = tuple(_rule(reader) for _ in range(reader.count()))
    reader.end()
    if not rules:
        raise _malformed("no rules", length)
    return ConfigSimple(date, expires, rules)


def _rule(reader: "_Reader") -> Rule:
    reader.constructor(_ACCESS_POINT_RULE)
    prefixes = reader.string()
    dc_id = reader.integer()
    # The transports that name a data centre have two bytes for it.
    if not -(2**15) <= dc_id < 2**15:
        raise _malformed("data centre", reader.at)
    return Rule(prefixes, dc_id, tuple(_endpoint(reader) for _ in range(reader.count())))


def _endpoint(reader: "_Reader") -> SignedEndpoint:
    constructor = reader.constructor(_IP_PORT, _IP_PORT_SECRET)
    # A number like any other: on the wire the address's last byte comes first.
    address = str(IPv4Address(reader.integer() & 0xFFFF_FFFF))
    port = reader.integer()
    if not 1 <= port <= 65535:
        raise _malformed("port", reader.at)
    secret = reader.string() if constructor == _IP_PORT_SECRET else b""
    return SignedEndpoint(address, port, secret)


class _Reader:
    """Values of TL's binary form (``core.telegram.org/mtproto/serialize``), in order."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def integer(self) -> int:
        return int.from_bytes(self._take(4), "little", signed=True)

    def count(self) -> int:
        """Of a bare vector: no constructor, and elements that have one."""
        count = self.integer()
        # No element is shorter than its constructor.
        if not 0 <= count <= (len(self._data) - self.at) // 4:
            raise _malformed("count", self.at)
        return count

    def constructor(self, *expected: int) -> int:
        found = int.from_bytes(self._take(4), "little")
        if found not in expected:
            raise _malformed(f"constructor {found:08x}", self.at)
        return found

    def string(self) -> bytes:
        length, head = self._take(1)[0], 1
        if length == 254:
            length, head = int.from_bytes(self._take(3), "little"), 4
        elif length == 255:
            raise _malformed("string", self.at)
        value = self._take(length)
        self._take(-(head + length) % 4)
        return value

    def end(self) -> None:
        if self.at != len(self._data):
            raise _malformed("more than the object", self.at)

    def _take(self, size: int) -> bytes:
        value = self._data[self.at : self.at + size]
        if len(value) != size:
            raise _malformed("end", self.at)
        self.at += size
        return value


def _malformed(what: str, at: int) -> SpecialConfigError:
    return SpecialConfigError("special_config_malformed", f"{what} at byte {at}")
