"""An RSA key of a data centre's own, and what clients encrypt to it.

Nobody here has Telegram's keys: a client finishes the key exchange only with a data
centre whose public key it was told.
"""

import hashlib
from typing import Final, NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from censorlab.servers.data_centre_words import number_of, string

KEY_BYTES: Final = 256
_PADDED_BYTES: Final = 192
_BLOCK_BYTES: Final = 16


class Opened(NamedTuple):
    """What was encrypted to a key: the data, and whatever fills it up behind.

    ``digest``: the SHA-1 that older clients put in front of the data; None in today's
    form (RSA_PAD), which was verified here.
    """

    data: bytes
    digest: bytes | None


class CentreKey:
    """A private key of 2048 bits."""

    def __init__(self, private: rsa.RSAPrivateKey) -> None:
        self._private = private
        public = private.public_key().public_numbers()
        self._modulus: Final = public.n
        self._exponent: Final = private.private_numbers().d
        digest = hashlib.sha1(  # noqa: S324  as Telegram's keys are named
            string(_bytes_of(public.n)) + string(_bytes_of(public.e))
        ).digest()
        self.fingerprint: Final = number_of(digest[-8:])

    @classmethod
    def generate(cls) -> "CentreKey":
        """Make one; it takes about a tenth of a second."""
        return cls(rsa.generate_private_key(public_exponent=65_537, key_size=8 * KEY_BYTES))

    @classmethod
    def from_pem(cls, data: bytes) -> "CentreKey":
        """Read what `private_pem` wrote."""
        private = serialization.load_pem_private_key(data, None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return cls(private)

    @property
    def private_pem(self) -> bytes:
        """The key, for a server of its own process."""
        return self._private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )

    @property
    def public_pem(self) -> str:
        """What a client has to be told, as PKCS #1 (RFC 8017): Telethon reads no other."""
        return (
            self._private.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.PKCS1)
            .decode()
        )

    def open(self, encrypted: bytes) -> Opened | None:
        """Return what a client encrypted, in today's form or the old; None for neither."""
        if len(encrypted) != KEY_BYTES:
            return None
        sealed = int.from_bytes(encrypted, "big")
        if sealed >= self._modulus:
            return None
        plain = pow(sealed, self._exponent, self._modulus).to_bytes(KEY_BYTES, "big")
        if (data := _unpad(plain)) is not None:
            return Opened(data, None)
        # The old form is one byte shorter than the key. Its digest covers the data only,
        # whose end the reader of the data finds.
        return Opened(plain[21:], plain[1:21]) if plain[0] == 0 else None


def ige(key: bytes, vectors: bytes, data: bytes, *, encrypt: bool) -> bytes:
    """Encrypt or decrypt whole blocks by AES in Infinite Garble Extension."""
    # The library has no IGE: it is made of single blocks.
    cipher = Cipher(AES(key), ECB())  # noqa: S305
    turn = (cipher.encryptor() if encrypt else cipher.decryptor()).update
    # In front of the block goes the last one that came out, behind it the last that went in.
    before, behind = vectors[:_BLOCK_BYTES], vectors[_BLOCK_BYTES:]
    if not encrypt:
        before, behind = behind, before
    done = b""
    for start in range(0, len(data), _BLOCK_BYTES):
        block = data[start : start + _BLOCK_BYTES]
        before = _xor(turn(_xor(block, before)), behind)
        behind = block
        done += before
    return done


def _unpad(plain: bytes) -> bytes | None:
    """Undo RSA_PAD: a random AES key, hidden by the hash of what it encrypts."""
    hidden, sealed = plain[:32], plain[32:]
    key = _xor(hidden, hashlib.sha256(sealed).digest())
    opened = ige(key, bytes(2 * _BLOCK_BYTES), sealed, encrypt=False)
    data, digest = opened[:_PADDED_BYTES][::-1], opened[_PADDED_BYTES:]
    return data if hashlib.sha256(key + data).digest() == digest else None


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
