"""AES-256 in IGE mode: each block is mixed with its neighbours on both sides.

No current library has it, so it is built from the single-block operation. Source:
core.telegram.org/mtproto/description and Campbell's "Infinite Garble Extension".
"""

from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

BLOCK_BYTES: Final = 16


def encrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Encrypt whole blocks; ``iv`` is the block of ciphertext before them, then of plaintext."""
    block = Cipher(AES(key), ECB()).encryptor()  # noqa: S305 - the mode is IGE, around single blocks
    before, behind = _halves(iv)
    done = bytearray()
    for plain in _blocks(data):
        before = int.from_bytes(block.update(_bytes(plain ^ before)), "big") ^ behind
        behind = plain
        done += _bytes(before)
    return bytes(done)


def decrypt(data: bytes, key: bytes, iv: bytes) -> bytes:
    """Undo `encrypt`."""
    block = Cipher(AES(key), ECB()).decryptor()  # noqa: S305 - as above
    before, behind = _halves(iv)
    done = bytearray()
    for cipher in _blocks(data):
        behind = int.from_bytes(block.update(_bytes(cipher ^ behind)), "big") ^ before
        before = cipher
        done += _bytes(behind)
    return bytes(done)


def _blocks(data: bytes) -> list[int]:
    assert len(data) % BLOCK_BYTES == 0
    return [
        int.from_bytes(data[at : at + BLOCK_BYTES], "big")
        for at in range(0, len(data), BLOCK_BYTES)
    ]


def _halves(iv: bytes) -> tuple[int, int]:
    assert len(iv) == 2 * BLOCK_BYTES
    return int.from_bytes(iv[:BLOCK_BYTES], "big"), int.from_bytes(iv[BLOCK_BYTES:], "big")


def _bytes(number: int) -> bytes:
    return number.to_bytes(BLOCK_BYTES, "big")
