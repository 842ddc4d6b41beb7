"""Initial packets as a QUIC client protects them (RFC 9001 §5), for the reader to open."""

import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")


def _derived(secret: bytes, label: bytes, size: int) -> bytes:
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
    return HKDFExpand(hashes.SHA256(), size, info).derive(secret)


def initial(destination_id: bytes, number: int, pieces: list[tuple[int, bytes]]) -> bytes:
    """A packet with one CRYPTO frame to each (offset, bytes), and a PING between them."""
    secret = _derived(hmac.digest(SALT, destination_id, "sha256"), b"client in", 32)
    key, iv, mask_key = (
        _derived(secret, label, size)
        for label, size in ((b"quic key", 16), (b"quic iv", 12), (b"quic hp", 16))
    )
    payload = b"".join(
        b"\x01\x06"
        + (0x4000 | at).to_bytes(2, "big")
        + (0x4000 | len(data)).to_bytes(2, "big")
        + data
        for at, data in pieces
    ) + bytes(30)
    length = (0x4000 | (4 + len(payload) + 16)).to_bytes(2, "big")
    ids = bytes((len(destination_id),)) + destination_id + b"\0"
    header = b"\xc3\0\0\0\x01" + ids + b"\0" + length + number.to_bytes(4, "big")
    nonce = bytes(a ^ b for a, b in zip(iv, number.to_bytes(12, "big"), strict=True))
    sealed = AESGCM(key).encrypt(nonce, payload, header)
    mask = Cipher(algorithms.AES(mask_key), modes.ECB()).encryptor().update(sealed[:16])
    protected = bytearray(header)
    protected[0] ^= mask[0] & 0x0F
    for n in range(4):
        protected[len(header) - 4 + n] ^= mask[1 + n]
    return bytes(protected) + sealed
