"""What a data centre answers before there is a key: resPQ, and the key exchange behind it.

As in Telegram's description of it (core.telegram.org/mtproto/auth_key). What needs a key
that was agreed on is not understood here, and gets the transport error for that.
"""

import hashlib
import secrets
import struct
from dataclasses import dataclass
from typing import Final

from mtproto.transport.packets.base_packet import BasePacket
from mtproto.transport.packets.error_packet import ErrorPacket
from mtproto.transport.packets.message_packet import UnencryptedMessagePacket

from censorlab.servers.data_centre_rsa import CentreKey, Opened, ige
from censorlab.servers.data_centre_words import Fields, string

NOT_FOUND: Final = 404
"""Transport error for what it does not understand, and for unknown keys."""
WRONG_CENTRE: Final = 444
"""Transport error for who asks for another data centre."""

TELEGRAM_FINGERPRINTS: Final = (0xD09D1D85DE64FD85, 0x0BC35F3509F7B7A5, 0xC3B42B026CE86B21)
"""The keys that production data centres offer."""
P: Final = 0x494C553B
Q: Final = 0x53911073
PQ: Final = (P * Q).to_bytes(8, "big")
"""The example in Telegram's description of the handshake."""

_VECTOR: Final = 0x1CB5C415
_REQ_PQ: Final = (0x60469778, 0xBE7E8EF1)
"""``req_pq`` and ``req_pq_multi``."""
_RES_PQ: Final = 0x05162463
_REQ_DH_PARAMS: Final = 0xD712E4BE
_INNER_DATA: Final = (0x83C95AEC, 0xA9F55F95, 0x3C6A84D4, 0x56FDDF88)
"""``p_q_inner_data``, and the same with ``_dc``, ``_temp`` and ``_temp_dc``."""
_DH_PARAMS_OK: Final = 0xD0E8075C
_DH_INNER_DATA: Final = 0xB5890DBA
_SET_CLIENT_DH_PARAMS: Final = 0xF5045F1F
_CLIENT_DH_INNER_DATA: Final = 0x6643B654
_DH_GEN_OK: Final = 0x3BCBF734

GENERATOR: Final = 3
PRIME: Final = int(
    "c71caeb9c6b1c9048e6c522f70f13f73980d40238e3e21c14934d037563d930f"
    "48198a0aa7c14058229493d22530f4dbfa336f6e0ac925139543aed44cce7c37"
    "20fd51f69458705ac68cd4fe6b6b13abdc9746512969328454f18faf8c595f64"
    "2477fe96bb2a941d5bcd1d4ac8cc49880708fa9b378e3c4f3a9060bee67cf9a4"
    "a4a695811051907e162753b56b0f6b410dba74d8a84b2a14b3144e0ef1284754"
    "fd17ed950d5965b4b9dd46582db1178d169c6bc465b0d6ff9ca3928fef5b9ae4"
    "e418fc15e83ebea0f87fa9ff5eed70050ded2849f47bf959d956850ce929851f"
    "0d8115f635b105ee2e4e15d04b2454bf6f4fadf034b10403119cd8e3b92fcc5b",
    16,
)
"""The one that Telegram uses: some clients take no other."""
_PRIME_BYTES: Final = 256

_MAX_UNFINISHED: Final = 1000
"""Exchanges that are remembered; who begins more has the oldest forgotten."""


class _NotUnderstoodError(Exception):
    """The request is none that can be answered."""


@dataclass(frozen=True)
class _Exchange:
    """One exchange of which the client has the server's half."""

    new_nonce: bytes
    secret: int
    key: bytes
    vectors: bytes


class Centre:
    """One data centre behind all its connections.

    Without a ``key`` of its own it offers Telegram's, as an impostor could: nobody
    gets further than resPQ.
    """

    def __init__(self, key: CentreKey | None = None) -> None:
        self._key = key
        self._exchanges: dict[bytes, _Exchange] = {}

    def answer(self, packet: object, now: float, server_nonce: bytes) -> BasePacket:
        """Return the answer to one packet, or a transport error; ``now`` is Unix time."""
        if not isinstance(packet, UnencryptedMessagePacket):
            return ErrorPacket(NOT_FOUND)
        try:
            body = self._answer(Fields(bytes(packet.message_data)), now, server_nonce)
        except (_NotUnderstoodError, EOFError):
            return ErrorPacket(NOT_FOUND)
        # An answer's number: Unix time in the upper half, 1 modulo 4.
        return UnencryptedMessagePacket(int(now * 2**32) & ~3 | 1, body)

    def _answer(self, request: Fields, now: float, server_nonce: bytes) -> bytes:
        constructor = request.number(4)
        nonce = request.take(16)
        if constructor in _REQ_PQ:
            return self._res_pq(nonce, server_nonce)
        nonces = nonce + request.take(16)
        if constructor == _REQ_DH_PARAMS:
            return self._dh_params(request, nonces, now)
        if constructor == _SET_CLIENT_DH_PARAMS:
            return self._dh_gen(request, nonces)
        raise _NotUnderstoodError

    def _res_pq(self, nonce: bytes, server_nonce: bytes) -> bytes:
        # In front: some clients take the first that they know.
        own = (self._key.fingerprint,) if self._key else ()
        fingerprints = (*own, *TELEGRAM_FINGERPRINTS)
        keys = struct.pack(f"<II{len(fingerprints)}Q", _VECTOR, len(fingerprints), *fingerprints)
        return struct.pack("<I", _RES_PQ) + nonce + server_nonce + string(PQ) + keys

    def _dh_params(self, request: Fields, nonces: bytes, now: float) -> bytes:
        p, q, fingerprint = request.string(), request.string(), request.number(8)
        opened = self._open(fingerprint, request.string())
        if (int.from_bytes(p, "big"), int.from_bytes(q, "big")) != (P, Q):
            raise _NotUnderstoodError
        new_nonce = _new_nonce(opened, nonces)
        key, vectors = _hiding(new_nonce, nonces[16:])
        secret = int.from_bytes(secrets.token_bytes(_PRIME_BYTES), "big")
        public = pow(GENERATOR, secret, PRIME)
        inner = (
            struct.pack("<I", _DH_INNER_DATA)
            + nonces
            + struct.pack("<I", GENERATOR)
            + string(PRIME.to_bytes(_PRIME_BYTES, "big"))
            + string(public.to_bytes(_PRIME_BYTES, "big"))
            + struct.pack("<I", int(now))
        )
        hashed = _sha1(inner) + inner
        hashed += secrets.token_bytes(-len(hashed) % 16)
        if len(self._exchanges) >= _MAX_UNFINISHED:
            del self._exchanges[next(iter(self._exchanges))]
        self._exchanges[nonces] = _Exchange(new_nonce, secret, key, vectors)
        sealed = ige(key, vectors, hashed, encrypt=True)
        return struct.pack("<I", _DH_PARAMS_OK) + nonces + string(sealed)

    def _open(self, fingerprint: int, encrypted: bytes) -> Opened:
        opened = self._key.open(encrypted) if self._key else None
        if self._key is None or fingerprint != self._key.fingerprint or opened is None:
            raise _NotUnderstoodError
        return opened

    def _dh_gen(self, request: Fields, nonces: bytes) -> bytes:
        exchange = self._exchanges.pop(nonces, None)
        encrypted = request.string()
        if exchange is None or len(encrypted) % 16:
            raise _NotUnderstoodError
        hashed = ige(exchange.key, exchange.vectors, encrypted, encrypt=False)
        inner = Fields(hashed[20:])
        if inner.number(4) != _CLIENT_DH_INNER_DATA or inner.take(32) != nonces:
            raise _NotUnderstoodError
        inner.number(8)  # which try it is, for clients that failed
        public = int.from_bytes(inner.string(), "big")
        if _sha1(hashed[20 : 20 + inner.at]) != hashed[:20] or not 1 < public < PRIME - 1:
            raise _NotUnderstoodError
        agreed = pow(public, exchange.secret, PRIME).to_bytes(_PRIME_BYTES, "big")
        shown = _sha1(exchange.new_nonce + b"\x01" + _sha1(agreed)[:8])[-16:]
        return struct.pack("<I", _DH_GEN_OK) + nonces + shown


def _new_nonce(opened: Opened, nonces: bytes) -> bytes:
    """Return the client's secret nonce from the inner data of an exchange with these nonces."""
    fields = Fields(opened.data)
    kind = fields.number(4)
    numbers = (fields.string(), fields.string(), fields.string())
    are_same = numbers == (PQ, P.to_bytes(4, "big"), Q.to_bytes(4, "big"))
    if kind not in _INNER_DATA or not are_same or fields.take(32) != nonces:
        raise _NotUnderstoodError
    new_nonce = fields.take(32)
    # The number of the data centre, and how long a temporary key is to last.
    fields.take(4 * (0, 1, 1, 2)[_INNER_DATA.index(kind)])
    if opened.digest not in {None, _sha1(opened.data[: fields.at])}:
        raise _NotUnderstoodError
    return new_nonce


def _hiding(new_nonce: bytes, server_nonce: bytes) -> tuple[bytes, bytes]:
    """Return key and vectors of what both sides send until there is a key."""
    both = _sha1(server_nonce + new_nonce)
    key = _sha1(new_nonce + server_nonce) + both[:12]
    return key, both[12:] + _sha1(new_nonce + new_nonce) + new_nonce[:4]


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data).digest()  # noqa: S324  as the protocol has it
