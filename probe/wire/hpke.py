"""Hybrid public key encryption (RFC 9180), the sender's side of its base mode, once.

Written out because the bytes that Encrypted Client Hello authenticates contain the
encapsulated key: the key has to be known before anything is sealed, and the one call
that `cryptography` offers returns both at once.
"""

import hmac
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

X25519_SHA256: Final = 0x0020
"""KEM: DHKEM(X25519, HKDF-SHA256)."""

HKDF_SHA256: Final = 0x0001

KEY_BYTES: Final = {0x0001: 16, 0x0002: 32, 0x0003: 32}
"""AEADs that can be used, by number (RFC 9180 §7.3): AES-128-GCM, AES-256-GCM and
ChaCha20-Poly1305, with the size of their keys."""

TAG_BYTES: Final = 16
PUBLIC_BYTES: Final = 32

_NONCE_BYTES: Final = 12
_HASH: Final = "sha256"
_HASH_BYTES: Final = 32
_VERSION: Final = b"HPKE-v1"
_BASE_MODE: Final = b"\0"
_KEM_SUITE: Final = b"KEM" + X25519_SHA256.to_bytes(2, "big")


class Sender(NamedTuple):
    """A key known to us and to who can open ``enc``. For one message: the nonce is the first's."""

    enc: bytes
    aead_id: int
    key: bytes
    nonce: bytes

    def seal(self, aad: bytes, plaintext: bytes) -> bytes:
        """Encrypt, with 16 bytes of tag behind."""
        cipher = ChaCha20Poly1305 if self.aead_id == 0x0003 else AESGCM
        return cipher(self.key).encrypt(self.nonce, plaintext, aad)


def is_usable(public_key: bytes) -> bool:
    """Tell whether something can be sealed to a key of X25519 (RFC 7748 §6.1).

    A point of small order gives the same secret to everybody, zero, whatever it is
    multiplied with; so one number shows it.
    """
    if len(public_key) != PUBLIC_BYTES:
        return False
    try:
        _exchange(bytes(31) + b"\x40", public_key)
    except ValueError:
        return False
    return True


def set_up(public_key: bytes, info: bytes, aead_id: int, ephemeral: bytes) -> Sender:
    """Encapsulate a fresh key (RFC 9180 §5.1.1).

    Args:
        public_key: of X25519, such that `is_usable`.
        info: what both sides bind the key to.
        aead_id: one of `KEY_BYTES`.
        ephemeral: 32 random bytes, used once.
    """
    enc = X25519PrivateKey.from_private_bytes(ephemeral).public_key().public_bytes_raw()
    shared = _exchange(ephemeral, public_key)
    secret = _expand(
        _KEM_SUITE,
        _extract(_KEM_SUITE, b"", b"eae_prk", shared),
        b"shared_secret",
        enc + public_key,
        _HASH_BYTES,
    )
    numbers = (X25519_SHA256, HKDF_SHA256, aead_id)
    suite = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in numbers)
    context = (
        _BASE_MODE
        + _extract(suite, b"", b"psk_id_hash", b"")
        + _extract(suite, b"", b"info_hash", info)
    )
    schedule = _extract(suite, secret, b"secret", b"")
    return Sender(
        enc,
        aead_id,
        _expand(suite, schedule, b"key", context, KEY_BYTES[aead_id]),
        _expand(suite, schedule, b"base_nonce", context, _NONCE_BYTES),
    )


def _exchange(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(
        X25519PublicKey.from_public_bytes(public)
    )


def _extract(suite: bytes, salt: bytes, label: bytes, material: bytes) -> bytes:
    """LabeledExtract (RFC 9180 §4)."""
    return hmac.digest(salt, _VERSION + suite + label + material, _HASH)


def _expand(suite: bytes, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """LabeledExpand (RFC 9180 §4), of at most one block: nothing here is longer."""
    labelled = length.to_bytes(2, "big") + _VERSION + suite + label + info
    return hmac.digest(key, labelled + b"\x01", _HASH)[:length]
