"""Fake TLS of MTProxy (secrets that begin with ``ee``), from the client's side.

A ClientHello whose random is a keyed hash of itself; an answer that looks like a
server's first flight, keyed too; then obfuscated MTProto in records of application
data. Proxies show whoever does not know the secret the real site of the domain, so
that an answer without the right hash is a TLS server's, and not the proxy's. Source:
TDLib's TlsInit and TcpTransport, mtprotoproxy, telemt.
"""

import hashlib
import hmac
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from probe.wire.clienthello import (
    RandomBytes,
    classify_answer,
    extension,
    host_name,
    mlkem768_key,
    numbers,
    vector,
)

HelloForm = Literal["current", "old"]
"""``old``: 517 bytes, as clients sent until 2025 and proxies of 2019 demand. ``current``:
about 1.8 kB, with a post-quantum share. The suites, extensions and sizes are those that
tdjson 1.8.69 was seen to send, so that a filter by such marks treats both alike."""

OLD_BYTES: Final = 517

MAX_CHUNK_BYTES: Final = 2878
"""Of application data that clients put into one record."""

MAX_RECORD_BYTES: Final = 2**14 + 256
"""RFC 8446 section 5.2."""

AnswerFault = Literal["faketls_masked", "faketls_not_tls"]
"""``masked``: TLS, but not by somebody who knows the secret: it is wrong, a real site is
shown in the proxy's place, or somebody intercepts."""

_DIGEST_AT: Final = 11
"""Headers of record and message, and the version, are before the random."""
_DIGEST: Final = slice(_DIGEST_AT, _DIGEST_AT + 32)

_ECHO_BYTES: Final = 6

_FLIGHT: Final = (b"\x16\x03\x03", b"\x14\x03\x03\x00\x01\x01\x17\x03\x03")
"""A ServerHello; a change of cipher, and the start of application data."""
_CHANGE_CIPHER: Final = b"\x14\x03\x03\x00\x01\x01"

_SUITES: Final = bytes.fromhex("130113021303c02bc02fc02cc030cca9cca8c013c014009c009d002f0035")
_OLD_SIGNATURES: Final = bytes.fromhex("04030804040105030805050108060601")
_LATTICE_SIGNATURES: Final = bytes.fromhex("090409050906")
_ECH_PAYLOADS: Final = (144, 176, 208, 240)


class Verdict(NamedTuple):
    """The answer to a hello: ``fault`` is None if it is from who knows the secret."""

    fault: AnswerFault | None
    detail: str | None = None


class RecordError(ValueError):
    """What came is no record of the connection that the handshake opened."""


class FakeTls:
    """One connection: send ``hello``, feed `receive_answer`, then `wrap` and `unwrap`.

    ``secret`` has 16 bytes, ``domain`` is an A-label, ``now`` is Unix time.
    """

    def __init__(
        self, secret: bytes, domain: str, form: HelloForm, *, now: float, random: RandomBytes
    ) -> None:
        self._secret = secret
        self.hello: Final = _signed(_build_hello(domain, form, random), secret, now)
        self._buffer = bytearray()
        self._has_sent = False

    def receive_answer(self, data: bytes) -> Verdict | None:
        """Return what the answer is once that is known, None before; never raises.

        Bytes behind a good answer are kept for `unwrap`. At most an answer and one
        ``data`` are kept.
        """
        self._buffer += data
        at = 0
        for prefix in _FLIGHT:
            have = self._buffer[at : at + len(prefix)]
            if have != prefix[: len(have)]:
                return self._other()
            head_ends = at + len(prefix) + 2
            if len(self._buffer) < head_ends:
                return None
            length = int.from_bytes(self._buffer[head_ends - 2 : head_ends], "big")
            if length > MAX_RECORD_BYTES:
                return self._other()
            at = head_ends + length
        if len(self._buffer) < at:
            return None
        answer = self._buffer[:at]
        digest = bytes(answer[_DIGEST])
        answer[_DIGEST] = bytes(32)
        wanted = hmac.digest(self._secret, self.hello[_DIGEST] + answer, hashlib.sha256)
        if not hmac.compare_digest(digest, wanted):
            return Verdict("faketls_masked", "wrong hmac")
        del self._buffer[:at]
        return Verdict(None)

    def _other(self) -> Verdict:
        # Beyond the header's length and kind no server begins like a client by chance.
        if len(self._buffer) >= _ECHO_BYTES and self.hello.startswith(
            self._buffer[: len(self.hello)]
        ):
            return Verdict("faketls_not_tls", "echo")
        answer = classify_answer(bytes(self._buffer))
        if answer.kind == "alert":
            return Verdict("faketls_masked", f"alert {answer.alert_name}")
        if answer.kind == "http":
            return Verdict("faketls_not_tls", "http")
        is_tls = self._buffer[0] in (0x15, 0x16) and self._buffer[1:2] in b"\x03"
        return Verdict("faketls_masked" if is_tls else "faketls_not_tls")

    def wrap(self, data: bytes) -> bytes:
        """Return data as records."""
        start = b"" if self._has_sent else _CHANGE_CIPHER
        self._has_sent = True
        chunks = (data[at : at + MAX_CHUNK_BYTES] for at in range(0, len(data), MAX_CHUNK_BYTES))
        return start + b"".join(b"\x17\x03\x03" + vector(2, chunk) for chunk in chunks)

    def unwrap(self, data: bytes) -> bytes:
        """Return what the records that are complete now carry; an unfinished one is kept.

        Raises:
            RecordError: another record, such as an alert, or none at all.
        """
        self._buffer += data
        carried = b""
        while len(self._buffer) >= 5:
            length = int.from_bytes(self._buffer[3:5], "big")
            if self._buffer[1:3] != b"\x03\x03" or length > MAX_RECORD_BYTES:
                raise RecordError
            if self._buffer[0] not in (0x14, 0x17):
                raise RecordError
            if len(self._buffer) < 5 + length:
                break
            if self._buffer[0] == 0x17:
                carried += self._buffer[5 : 5 + length]
            del self._buffer[: 5 + length]
        return carried


def _signed(hello: bytes, secret: bytes, now: float) -> bytes:
    """Put the hash into a hello whose random is zero; its end carries the time."""
    digest = hmac.digest(secret, hello, hashlib.sha256)
    # Negative or far times do not fit 32 bits; a wrong clock is the proxy's to refuse.
    stamp = (int(now) & 0xFFFF_FFFF).to_bytes(4, "little")
    last = bytes(a ^ b for a, b in zip(digest[28:], stamp, strict=True))
    return hello[:_DIGEST_AT] + digest[:28] + last + hello[_DIGEST_AT + 32 :]


def _build_hello(domain: str, form: HelloForm, random: RandomBytes) -> bytes:
    """Build a hello with zeros for its random."""
    grease = _grease(random)
    extensions = _extensions(domain, form, grease, random)
    # Browsers of today shuffle theirs, and so do current clients.
    if form == "current":
        _shuffle(extensions, random)
    head = numbers(0x0303) + bytes(32) + vector(1, random(32))
    head += vector(2, grease[0] + _SUITES) + vector(1, b"\0")
    block = _bare(grease[2]) + b"".join(extensions) + grease[3] + vector(2, b"\0")
    if form == "old":
        missing = OLD_BYTES - 5 - 4 - len(head) - 2 - len(block) - 4
        block += extension(21, bytes(missing))
    message = b"\x01" + vector(3, head + vector(2, block))
    return b"\x16\x03\x01" + vector(2, message)


def _extensions(
    domain: str, form: HelloForm, grease: list[bytes], random: RandomBytes
) -> list[bytes]:
    is_current = form == "current"
    x25519 = _x25519(random)
    groups = grease[1] + (numbers(0x11EC) if is_current else b"") + numbers(0x1D, 0x17, 0x18)
    shares = grease[1] + vector(2, b"\0")
    if is_current:
        shares += numbers(0x11EC) + vector(2, mlkem768_key(random) + x25519)
    shares += numbers(0x1D) + vector(2, x25519)
    signatures = (_LATTICE_SIGNATURES if is_current else b"") + _OLD_SIGNATURES
    protocols = vector(1, b"h2") + vector(1, b"http/1.1")
    found = [
        extension(0, host_name(domain)),
        extension(23, b""),
        extension(0xFF01, b"\0"),
        extension(10, vector(2, groups)),
        extension(11, vector(1, b"\0")),
        extension(35, b""),
        extension(16, vector(2, protocols)),
        extension(5, b"\1\0\0\0\0"),
        extension(13, vector(2, signatures)),
        extension(18, b""),
        extension(51, vector(2, shares)),
        extension(45, vector(1, b"\1")),
        extension(43, vector(1, grease[4] + numbers(0x0304, 0x0303))),
        extension(27, vector(1, numbers(2))),
        extension(0x44CD if is_current else 0x4469, vector(2, vector(1, b"h2"))),
    ]
    if is_current:
        payload = random(_ECH_PAYLOADS[random(1)[0] % len(_ECH_PAYLOADS)])
        cipher = numbers(1, 1) + random(1)
        encapsulated = vector(2, _x25519(random))
        found.append(extension(0xFE0D, b"\0" + cipher + encapsulated + vector(2, payload)))
    return found


def _x25519(random: RandomBytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(random(32)).public_key().public_bytes_raw()


def _bare(kind: bytes) -> bytes:
    return kind + vector(2, b"")


def _grease(random: RandomBytes) -> list[bytes]:
    """Return reserved values (RFC 8701): suite, group, two extensions, version."""
    values = [(byte & 0xF0) | 0x0A for byte in random(5)]
    if values[2] == values[3]:
        values[3] ^= 0x10
    return [bytes((value, value)) for value in values]


def _shuffle(items: list[bytes], random: RandomBytes) -> None:
    """Shuffle in place (Fisher and Yates); the bias of a 16-bit remainder is no mark."""
    for last in range(len(items) - 1, 0, -1):
        chosen = int.from_bytes(random(2), "big") % (last + 1)
        items[last], items[chosen] = items[chosen], items[last]
