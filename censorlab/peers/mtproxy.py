"""An MTProxy: plain, padded, and inside fake TLS with hellos of any size.

Nothing of the prober's is used, so that both cannot be wrong alike. Run as a program it
serves one port for others' clients to be checked against; in a test `MtProxy.attend` does.
The installable proxy of others, ``mtprotoproxy`` 1.0.6, knows only hellos of 517 bytes.
"""

import hashlib
import hmac
import os
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import trio
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.relay import Origin, connect, tunnel

_HELLO: Final = b"\x16\x03\x01"
_RANDOM_AT: Final = 11
_SHORTEST_HELLO: Final = _RANDOM_AT + 32 + 1
"""As far as the length of the session id, which the answer repeats."""
_MAX_RECORD: Final = 2**14 + 256
_CLOCK_LIMIT_S: Final = 120
"""As strict as telemt, the strictest known."""
_TAGS: Final = frozenset((b"\xef" * 4, b"\xee" * 4, b"\xdd" * 4))
_COVER_BYTES: Final = 2500
"""Of application data in the answer, where a site's certificate would be."""


class RefusedError(Exception):
    """The client does not know the secret; ``seen`` is what it has sent."""

    def __init__(self, seen: bytes) -> None:
        super().__init__("not a client of this proxy")
        self.seen = seen


class _Side:
    """The client's side of a connection, out of its records if it speaks fake TLS."""

    def __init__(self, client: trio.SocketStream, *, in_records: bool) -> None:
        self._client = client
        self._in_records = in_records

    async def receive(self) -> bytes:
        if not self._in_records:
            return bytes(await self._client.receive_some(65536))
        while True:
            kind, version, length = struct.unpack(">BHH", await receive_exactly(self._client, 5))
            if version != 0x0303 or length > _MAX_RECORD or kind not in (0x14, 0x17):
                raise ClientLeftError
            carried = await receive_exactly(self._client, length)
            if kind == 0x17:
                return carried

    async def send(self, data: bytes) -> None:
        if self._in_records:
            data = b"".join(
                _record(b"\x17", data[at : at + 2**14]) for at in range(0, len(data), 2**14)
            )
        await self._client.send_all(data)


class MtProxy:
    """One proxy: its secret of 16 bytes, its data centres by number, its cover site.

    Who does not know the secret gets the cover site, or silence without one; who names a
    data centre that is not there is disconnected.
    """

    def __init__(
        self, secret: bytes, centres: Mapping[int, Origin], cover: Origin | None = None
    ) -> None:
        self._secret = secret
        self._centres = centres
        self._cover = cover
        self._seen: set[bytes] = set()

    async def attend(self, client: trio.SocketStream) -> None:
        """Serve one client until either side leaves."""
        with suppress(ClientLeftError, OSError, trio.BrokenResourceError):
            try:
                await self._serve(client)
            except RefusedError as refused:
                await self._mask(client, refused.seen)

    async def _serve(self, client: trio.SocketStream) -> None:
        start = await receive_exactly(client, len(_HELLO))
        in_records = start == _HELLO
        if in_records:
            await self._shake_hands(client)
            start = b""
        side = _Side(client, in_records=in_records)
        while len(start) < 64:
            piece = await side.receive()
            if not piece:
                return
            start += piece
        await self._carry(side, start)

    async def _shake_hands(self, client: trio.SocketStream) -> None:
        length = await receive_exactly(client, 2)
        hello = _HELLO + length + await receive_exactly(client, int.from_bytes(length, "big"))
        if len(hello) < _SHORTEST_HELLO:
            raise RefusedError(hello)
        digest = hello[_RANDOM_AT : _RANDOM_AT + 32]
        blank = hello[:_RANDOM_AT] + bytes(32) + hello[_RANDOM_AT + 32 :]
        wanted = hmac.new(self._secret, blank, hashlib.sha256).digest()
        stamp = int.from_bytes(
            bytes(a ^ b for a, b in zip(digest[28:], wanted[28:], strict=True)), "little"
        )
        late = abs(time.time() - stamp) > _CLOCK_LIMIT_S
        if digest[:28] != wanted[:28] or late or digest in self._seen:
            raise RefusedError(hello)
        self._seen.add(digest)
        await client.send_all(self._flight(hello, digest))

    def _flight(self, hello: bytes, digest: bytes) -> bytes:
        """Return a server's first flight, with the keyed hash for its random."""
        session_id = hello[_RANDOM_AT + 32 :][: 1 + hello[_RANDOM_AT + 32]]
        key = X25519PrivateKey.generate().public_key().public_bytes_raw()
        extensions = b"\x00\x33\x00\x24\x00\x1d\x00\x20" + key + b"\x00\x2b\x00\x02\x03\x04"
        body = b"\x03\x03" + bytes(32) + session_id + b"\x13\x01\x00"
        body += len(extensions).to_bytes(2, "big") + extensions
        flight = _record(b"\x16", b"\x02" + len(body).to_bytes(3, "big") + body)
        flight += _record(b"\x14", b"\x01") + _record(b"\x17", os.urandom(_COVER_BYTES))
        random = hmac.new(self._secret, digest + flight, hashlib.sha256).digest()
        return flight[:_RANDOM_AT] + random + flight[_RANDOM_AT + 32 :]

    async def _carry(self, side: _Side, start: bytes) -> None:
        """Undo the client's obfuscation and put on one for the data centre."""
        receiving = _cipher(start[8:56], self._secret)
        sending = _cipher(start[8:56][::-1], self._secret)
        plain = receiving.update(start)
        if plain[56:60] not in _TAGS:
            raise RefusedError(start)
        (number,) = struct.unpack("<h", plain[60:62])
        centre = self._centres.get(number)
        if centre is None:
            return
        inner = b"\x01" * 8 + os.urandom(48) + plain[56:62] + b"\0\0"
        up, down = _cipher(inner[8:56], b""), _cipher(inner[8:56][::-1], b"")
        async with await connect(centre) as server:
            ciphered = up.update(inner)
            await server.send_all(inner[:56] + ciphered[56:] + up.update(plain[64:]))

            async def downwards() -> None:
                async for data in server:
                    await side.send(sending.update(down.update(bytes(data))))

            async def upwards() -> None:
                while data := await side.receive():
                    await server.send_all(up.update(receiving.update(data)))

            await _until_one_ends(downwards, upwards)

    async def _mask(self, client: trio.SocketStream, seen: bytes) -> None:
        if self._cover is None:
            while await client.receive_some():
                pass
            return
        async with await connect(self._cover) as site:
            await site.send_all(seen)
            await tunnel(client, site)


async def _until_one_ends(*ways: Callable[[], Awaitable[None]]) -> None:
    async def go(way: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
        with suppress(trio.BrokenResourceError, ClientLeftError):
            await way()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        for way in ways:
            nursery.start_soon(go, way, nursery.cancel_scope)


def _record(kind: bytes, data: bytes) -> bytes:
    return kind + b"\x03\x03" + len(data).to_bytes(2, "big") + data


def _cipher(key_and_iv: bytes, secret: bytes) -> CipherContext:
    key = key_and_iv[:32]
    if secret:
        key = hashlib.sha256(key + secret).digest()
    return Cipher(AES(key), CTR(key_and_iv[32:])).encryptor()


async def _main(port: int, secret: bytes, centre: Origin) -> None:
    proxy = MtProxy(secret, dict.fromkeys(range(1, 6), centre))
    await trio.serve_tcp(proxy.attend, port)


if __name__ == "__main__":
    trio.run(
        _main, int(sys.argv[1]), bytes.fromhex(sys.argv[2]), Origin(sys.argv[3], int(sys.argv[4]))
    )
