"""A data centre of foreign parts: PyPI's mtproto frames it, Telethon words it.

Its WebSocket is aiohttp's, in a thread with a loop of its own.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from mtproto.enums import ConnectionRole
from mtproto.transport.connection import Connection
from mtproto.transport.packets.message_packet import UnencryptedMessagePacket
from telethon.extensions import BinaryReader
from telethon.tl.functions import ReqPqMultiRequest
from telethon.tl.types import ResPQ

from key_holder import KeyHolder
from loopback import ADDRESS

PRODUCT = 0x17ED48941A08F981
SERVER_TIME = 1_800_000_000


class ForeignCentre:
    """One connection without its socket, in any transport but WebSocket."""

    def __init__(self, holder: KeyHolder, *, refuses: bool = False) -> None:
        self._holder = holder
        self._refuses = refuses
        self._connection: Connection[Any] = Connection(ConnectionRole.SERVER)

    def receive(self, data: bytes) -> bytes:
        self._connection.data_received(data)
        packet = self._connection.next_event()
        if not isinstance(packet, UnencryptedMessagePacket):
            assert packet is None
            return b""
        body = self._answer(packet.message_data)
        number = SERVER_TIME << 32 | 1
        return bytes(self._connection.send(UnencryptedMessagePacket(number, body)))

    def _answer(self, body: bytes) -> bytes:
        request = BinaryReader(body).tgread_object()
        if not isinstance(request, ReqPqMultiRequest):
            return self._holder.answer(body, SERVER_TIME, refuses=self._refuses)
        signed = (self._holder.fingerprint ^ 2**63) - 2**63
        server_nonce = int.from_bytes(b"s" * 16, "little")
        product = PRODUCT.to_bytes(8, "big")
        return bytes(ResPQ(request.nonce, server_nonce, product, [1, signed]))


class ObfuscatedCentre:
    """The same inside obfuscated2, which the library has only with a compiled one."""

    def __init__(self, holder: KeyHolder) -> None:
        self._inner = ForeignCentre(holder)
        self._start = b""
        self._up: Any = None
        self._down: Any = None

    def receive(self, data: bytes) -> bytes:
        if self._up is None:
            self._start += data
            if len(self._start) < 64:
                return b""
            start, data = self._start[:64], self._start[64:]
            keys, back = start[8:56], start[8:56][::-1]
            self._up = Cipher(AES(keys[:32]), CTR(keys[32:])).decryptor()
            self._down = Cipher(AES(back[:32]), CTR(back[32:])).encryptor()
            self._inner.receive(self._up.update(start)[56:60])
        sent = self._inner.receive(self._up.update(data))
        return bytes(self._down.update(sent))


def _application(holder: KeyHolder) -> web.Application:
    async def open_websocket(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(protocols=["binary"], heartbeat=30)
        await websocket.prepare(request)
        centre = ObfuscatedCentre(holder)
        async for message in websocket:
            if sent := centre.receive(message.data):
                # In pieces that have nothing to do with frames.
                for at in range(0, len(sent), 50):
                    await websocket.send_bytes(sent[at : at + 50])
        return websocket

    async def open_without(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse()
        await websocket.prepare(request)
        await websocket.close()
        return websocket

    async def leave(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://core.example/"})

    application = web.Application()
    application.router.add_get("/apiws", open_websocket)
    application.router.add_get("/without", open_without)
    application.router.add_get("/elsewhere", leave)
    return application


@contextmanager
def websocket_centre(holder: KeyHolder) -> Iterator[int]:
    """Serve in a thread; yield the port."""
    loop = asyncio.new_event_loop()
    started = threading.Event()
    ports: list[int] = []
    runner = web.AppRunner(_application(holder), access_log=None, shutdown_timeout=0.1)

    async def start() -> None:
        await runner.setup()
        site = web.TCPSite(runner, ADDRESS, 0)
        await site.start()
        ports.append(runner.addresses[0][1])
        started.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(start())
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        assert started.wait(10)
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
