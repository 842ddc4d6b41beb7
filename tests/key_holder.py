"""The owner of an RSA key, as a data centre answers with it: in Telethon's words.

Telethon's types of MTProto, its IGE (OpenSSL's own, where the system has one), its
derivation of keys and its fingerprints; only the undoing of RSA_PAD, which no client
has, is written here, from core.telegram.org/mtproto/auth_key.
"""

import functools
import hashlib
import os

import rsa as bare_rsa
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from telethon.crypto import AES
from telethon.crypto.rsa import _compute_fingerprint
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl.functions import ReqDHParamsRequest
from telethon.tl.types import (
    PQInnerData,
    PQInnerDataDc,
    ServerDHInnerData,
    ServerDHParamsFail,
    ServerDHParamsOk,
)

# RFC 3526 section 3: any safe prime of this size will do.
PRIME = int(
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
    "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
    "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"
    "83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B"
    "E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510"
    "15728E5A8AACAA68FFFFFFFFFFFFFFFF",
    16,
)


class KeyHolder:
    """Holds a key; ``changes`` are to what it says inside, such as ``g=1``."""

    def __init__(self, private: rsa.RSAPrivateKey, **changes: object) -> None:
        self._numbers = private.private_numbers()
        self._public = private.public_key()
        self._changes = changes
        self.opened: PQInnerData | PQInnerDataDc | None = None

    def pem(self, form: PublicFormat = PublicFormat.PKCS1) -> str:
        return self._public.public_bytes(Encoding.PEM, form).decode()

    @property
    def fingerprint(self) -> int:
        numbers = self._public.public_numbers()
        return _compute_fingerprint(bare_rsa.PublicKey(numbers.n, numbers.e)) % 2**64

    def answer(self, body: bytes, server_time: int, *, refuses: bool = False) -> bytes:
        """Return the body that answers a ``req_DH_params``."""
        request = BinaryReader(body).tgread_object()
        assert isinstance(request, ReqDHParamsRequest)
        assert request.public_key_fingerprint % 2**64 == self.fingerprint
        inner = self._open(request.encrypted_data)
        self.opened = inner
        p, q, product = (int.from_bytes(one, "big") for one in (inner.p, inner.q, inner.pq))
        assert p < q
        assert p * q == product
        assert (inner.p, inner.q) == (request.p, request.q)
        nonces = {"nonce": request.nonce, "server_nonce": request.server_nonce}
        new_nonce = inner.new_nonce.to_bytes(32, "little", signed=True)
        if refuses:
            known = int.from_bytes(hashlib.sha1(new_nonce).digest()[4:], "little", signed=True)
            return bytes(ServerDHParamsFail(**nonces, new_nonce_hash=known))
        said = {
            **nonces,
            "g": 3,
            "dh_prime": PRIME.to_bytes(256, "big"),
            "g_a": pow(3, 2**255 + 7, PRIME).to_bytes(256, "big"),
            "server_time": server_time,
        }
        sealed = bytes(ServerDHInnerData(**{**said, **self._changes}))
        key, iv = generate_key_data_from_nonce(request.server_nonce, inner.new_nonce)
        hashed = hashlib.sha1(sealed).digest() + sealed
        hashed += os.urandom(-len(hashed) % 16)
        return bytes(ServerDHParamsOk(**nonces, encrypted_answer=AES.encrypt_ige(hashed, key, iv)))

    def _open(self, encrypted: bytes) -> PQInnerData | PQInnerDataDc:
        assert len(encrypted) == 256
        numbers = self._numbers
        opened = pow(int.from_bytes(encrypted, "big"), numbers.d, numbers.public_numbers.n)
        block = opened.to_bytes(256, "big")
        mask = hashlib.sha256(block[32:]).digest()
        temporary = bytes(a ^ b for a, b in zip(block[:32], mask, strict=True))
        hashed = AES.decrypt_ige(block[32:], temporary, bytes(32))
        padded = hashed[:192][::-1]
        if hashlib.sha256(temporary + padded).digest() != hashed[192:]:
            raise NotForUsError
        found = BinaryReader(padded).tgread_object()
        assert isinstance(found, PQInnerData | PQInnerDataDc)
        return found


class NotForUsError(Exception):
    """What came was not encrypted with this key."""


@functools.cache
def private_key(which: str) -> rsa.RSAPrivateKey:
    """Return a key of the name ``which``, made once."""
    return rsa.generate_private_key(65537, 2048)
