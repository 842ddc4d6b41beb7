"""RSA public keys as MTProto knows them: by the end of a hash."""

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from probe.wire.mtproto.tl import big_number

KEY_BITS: Final = 2048
"""Of every key of Telegram's: its padding and its special configs fill 256 bytes."""


class PublicKeyError(ValueError):
    """A text is not an RSA public key of 2048 bits in PEM; the message says what it is."""


class PublicKey(NamedTuple):
    """``fingerprint`` is unsigned."""

    modulus: int
    exponent: int
    fingerprint: int

    def encrypt(self, block: bytes) -> bytes:
        """Apply the bare RSA operation to a block of 256 bytes that is below the modulus."""
        number = pow(int.from_bytes(block, "big"), self.exponent, self.modulus)
        return number.to_bytes(KEY_BITS // 8, "big")


def read_public_key(pem: str) -> PublicKey:
    """Read ``BEGIN RSA PUBLIC KEY`` (PKCS #1) or ``BEGIN PUBLIC KEY`` (RFC 5280).

    Raises:
        PublicKeyError: if it is something else.
    """
    try:
        key = load_pem_public_key(pem.strip().encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PublicKeyError("not a public key in PEM") from None
    if not isinstance(key, RSAPublicKey):
        raise PublicKeyError("not an RSA key")
    if key.key_size != KEY_BITS:
        raise PublicKeyError(f"of {key.key_size} bits, not {KEY_BITS}")
    numbers = key.public_numbers()
    return PublicKey(numbers.n, numbers.e, fingerprint(numbers.n, numbers.e))


def read_public_keys(pems: Iterable[str]) -> dict[int, PublicKey]:
    """Return keys by fingerprint.

    Raises:
        PublicKeyError: for the first that is none.
    """
    return {key.fingerprint: key for key in map(read_public_key, pems)}


def fingerprint(modulus: int, exponent: int) -> int:
    """Return the low 64 bits of the SHA-1 of both numbers, written as in `tl`.

    Of SHA-1's last eight bytes, the first is the lowest.
    """
    digest = hashlib.sha1(big_number(modulus) + big_number(exponent)).digest()  # noqa: S324 - MTProto's choice
    return int.from_bytes(digest[-8:], "little")
