"""Obfuscated2: a stream without a mark, keyed by its own first 64 bytes.

It hides the framing from filters, and, with the secret of a proxy, the proxy from
those who do not know it; it authenticates nothing.
"""

import hashlib
import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from probe.wire.mtproto.framing import Random

START_BYTES: Final = 64
SECRET_BYTES: Final = 16

_TAKEN: Final = frozenset(
    (b"HEAD", b"POST", b"GET ", b"OPTI", b"\xee" * 4, b"\xdd" * 4, b"\x16\x03\x01\x02")
)
"""What a server takes for another protocol, or another framing."""


class Obfuscation:
    """Both directions of one connection, from the client's side.

    ``tag`` is that of the framing inside, four bytes; ``dc_id`` tells a proxy where
    to connect. ``start`` is sent first, then what `encrypt` returns.
    """

    def __init__(self, tag: bytes, dc_id: int, random: Random, secret: bytes = b"") -> None:
        assert len(tag) == 4
        assert len(secret) in {0, SECRET_BYTES}
        plain = _draw(random)[:56] + tag + struct.pack("<h", dc_id) + random(2)
        self._sending = _cipher(plain[8:56], secret).encryptor()
        self._receiving = _cipher(plain[8:56][::-1], secret).decryptor()
        # The whole start advances the key stream; its keys must stay legible.
        self.start: Final = plain[:56] + self._sending.update(plain)[56:]

    def encrypt(self, data: bytes) -> bytes:
        """Return the next bytes to send."""
        return self._sending.update(data)

    def decrypt(self, data: bytes) -> bytes:
        """Return what the next received bytes mean."""
        return self._receiving.update(data)


def _draw(random: Random) -> bytes:
    while True:
        drawn = random(START_BYTES)
        # Zeros in the second word are how a server knows full framing.
        if drawn[0] != 0xEF and drawn[:4] not in _TAKEN and drawn[4:8] != bytes(4):
            return drawn


def _cipher(key_and_iv: bytes, secret: bytes) -> Cipher[CTR]:
    key = key_and_iv[:32]
    if secret:
        key = hashlib.sha256(key + secret).digest()
    return Cipher(AES(key), CTR(key_and_iv[32:]))
