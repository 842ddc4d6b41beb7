"""``req_DH_params`` and what a data centre answers: proof that it holds an RSA key.

The request hides a new random number under the public key; the answer is encrypted
with a key made of that number, so only the private key's owner can make one that
decrypts. The exchange ends there: no authorization key comes to be. Source:
core.telegram.org/mtproto/auth_key, steps 4 and 5, with its present padding (RSA_PAD).
"""

import hashlib
import struct
from typing import Final

from probe.wire.mtproto import ige
from probe.wire.mtproto.framing import Random
from probe.wire.mtproto.messages import Message, Rejected
from probe.wire.mtproto.public_key import KEY_BITS, PublicKey
from probe.wire.mtproto.res_pq import NONCE_BYTES, ResPq
from probe.wire.mtproto.tl import Fields, big_number, string

NEW_NONCE_BYTES: Final = 32

_REQ_DH_PARAMS: Final = 0xD712E4BE
_P_Q_INNER_DATA: Final = 0x83C95AEC
_P_Q_INNER_DATA_DC: Final = 0xA9F55F95
_SERVER_DH_PARAMS_OK: Final = 0xD0E8075C
_SERVER_DH_PARAMS_FAIL: Final = 0x79CB045D
_SERVER_DH_INNER_DATA: Final = 0xB5890DBA

_PADDED_BYTES: Final = 192
"""To which RSA_PAD fills what it hides, of which 144 bytes may be used."""

_DH_BITS: Final = 2048
_GENERATORS: Final = range(2, 8)
_MARGIN: Final = 2 ** (_DH_BITS - 64)
"""How far from both ends Telegram's security guidelines want the server's power."""


class KeyExchange:
    """Send ``body`` as a message, then `read` the answer.

    ``factor`` is the smaller one of the product in ``res_pq``. ``dc_id`` is as in the
    obfuscation's start, 0 if it is not known.
    """

    def __init__(
        self, res_pq: ResPq, key: PublicKey, factor: int, *, dc_id: int, random: Random
    ) -> None:
        self._res_pq = res_pq
        self._new_nonce = random(NEW_NONCE_BYTES)
        nonces = res_pq.nonce + res_pq.server_nonce
        factors = big_number(factor) + big_number(res_pq.product // factor)
        # Written with the zeros that it came with: eight bytes.
        inner = string(res_pq.product.to_bytes(8, "big")) + factors + nonces + self._new_nonce
        if dc_id:
            inner = struct.pack("<I", _P_Q_INNER_DATA_DC) + inner + struct.pack("<i", dc_id)
        else:
            inner = struct.pack("<I", _P_Q_INNER_DATA) + inner
        hidden = hide(inner, key, random)
        self.body: Final = (
            struct.pack("<I", _REQ_DH_PARAMS)
            + nonces
            + factors
            + struct.pack("<Q", key.fingerprint)
            + string(hidden)
        )

    def read(self, message: Message) -> int | Rejected:
        """Return the server's Unix time if the answer proves the key. Never raises."""
        fields = Fields(message.body)
        try:
            constructor = fields.number(4)
            if constructor not in {_SERVER_DH_PARAMS_OK, _SERVER_DH_PARAMS_FAIL}:
                return Rejected("mtproto_wrong_constructor")
            if wrong := self._check_nonces(fields):
                return wrong
            if constructor == _SERVER_DH_PARAMS_FAIL:
                return self._read_refusal(fields.take(16))
            encrypted = fields.string()
        except EOFError:
            return Rejected("mtproto_truncated")
        answer = self._decrypt(encrypted)
        if answer is None:
            return Rejected("mtproto_wrong_key")
        try:
            return self._read_inner(Fields(answer))
        except EOFError:
            return Rejected("mtproto_truncated")

    def _check_nonces(self, fields: Fields) -> Rejected | None:
        if fields.take(NONCE_BYTES) != self._res_pq.nonce:
            return Rejected("mtproto_wrong_nonce")
        if fields.take(NONCE_BYTES) != self._res_pq.server_nonce:
            return Rejected("mtproto_wrong_server_nonce")
        return None

    def _read_refusal(self, new_nonce_hash: bytes) -> Rejected:
        # Who knows this hash has read what we hid, and refuses for another reason.
        knows = new_nonce_hash == _sha1(self._new_nonce)[4:]
        return Rejected("mtproto_key_refused", "after decrypting" if knows else None)

    def _decrypt(self, encrypted: bytes) -> bytes | None:
        """Return what is encrypted with our new nonce; None if nothing is."""
        if len(encrypted) % ige.BLOCK_BYTES or len(encrypted) <= hashlib.sha1().digest_size:  # noqa: S324 - MTProto's
            return None
        plain = ige.decrypt(encrypted, *temporary_key(self._new_nonce, self._res_pq.server_nonce))
        digest, rest = plain[:20], plain[20:]
        # Where the padding begins only its hash can tell, as long as nothing is trusted.
        for padding in range(min(ige.BLOCK_BYTES, len(rest))):
            answer = rest[: len(rest) - padding]
            if _sha1(answer) == digest:
                return answer
        return None

    def _read_inner(self, fields: Fields) -> int | Rejected:
        if fields.number(4) != _SERVER_DH_INNER_DATA:
            return Rejected("mtproto_wrong_constructor", "inside")
        if wrong := self._check_nonces(fields):
            return Rejected(wrong.fault, "inside")
        generator = fields.number(4)
        prime = int.from_bytes(fields.string(), "big")
        power = int.from_bytes(fields.string(), "big")
        server_time = fields.number(4)
        if prime.bit_length() != _DH_BITS:
            return Rejected("mtproto_wrong_dh", "prime")
        if generator not in _GENERATORS:
            return Rejected("mtproto_wrong_dh", "generator")
        if not _MARGIN <= power <= prime - _MARGIN:
            return Rejected("mtproto_wrong_dh", "power")
        return server_time


def hide(data: bytes, key: PublicKey, random: Random) -> bytes:
    """Pad and encrypt so that only the owner of ``key`` can read it (RSA_PAD)."""
    padded = data + random(_PADDED_BYTES - len(data))
    while True:
        temporary = random(32)
        hashed = padded[::-1] + hashlib.sha256(temporary + padded).digest()
        encrypted = ige.encrypt(hashed, temporary, bytes(32))
        block = _xor(temporary, hashlib.sha256(encrypted).digest()) + encrypted
        assert len(block) == KEY_BITS // 8
        if int.from_bytes(block, "big") < key.modulus:
            return key.encrypt(block)


def temporary_key(new_nonce: bytes, server_nonce: bytes) -> tuple[bytes, bytes]:
    """Return key and initialization vector of the answer."""
    crossed = _sha1(server_nonce + new_nonce)
    key = _sha1(new_nonce + server_nonce) + crossed[:12]
    return key, crossed[12:] + _sha1(new_nonce + new_nonce) + new_nonce[:4]


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()  # noqa: S324 - MTProto's choice


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))
