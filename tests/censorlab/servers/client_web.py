"""Clients of the web, run inside a namespace: ``http.client``, and Telethon over ``websockets``.

Arguments: the data centre's address, its public key and an authority's certificate in PEM.
Prints JSON: what they say.
"""

import asyncio
import http.client
import json
import os
import ssl
import struct
import sys
import time
from contextlib import suppress
from typing import Any

import websockets
from client_telethon import FRAMINGS, agree
from telethon.crypto import rsa
from telethon.extensions import BinaryReader
from telethon.tl.functions import ReqPqMultiRequest

NAME = "pluto.web.telegram.org"


def post(connection: http.client.HTTPConnection, path: str, host: str) -> dict[str, object]:
    """Ask for resPQ by Telethon's words, and have it read the answer."""
    nonce = int.from_bytes(os.urandom(16), "little", signed=True)
    body = bytes(ReqPqMultiRequest(nonce))
    number = int(time.time()) << 32
    packet = bytes(8) + struct.pack("<QI", number, len(body)) + body
    connection.request("POST", path, packet, {"Host": host})
    response = connection.getresponse()
    data = response.read()
    with BinaryReader(data) as reader:
        reader.read(20)
        answer = reader.tgread_object()
    return {
        "status": response.status,
        "answer": type(answer).__name__,
        "echoed": answer.nonce == nonce,
        "origin": response.headers.get("Access-Control-Allow-Origin"),
        "is_kept": connection.sock is not None,
    }


def over_http(address: str) -> dict[str, object]:
    connection = http.client.HTTPConnection(address, 80, timeout=10)
    found: dict[str, object] = {
        path: post(connection, path, host)
        for path, host in (("/api", address), ("/apiw1", "anything.example"))
    }
    connection.request("OPTIONS", "/apiw1", headers={"Origin": "https://web.telegram.org"})
    response = connection.getresponse()
    response.read()
    allowed = {name.lower(): value for name, value in response.getheaders()}
    found["preflight"] = {
        "status": response.status,
        "methods": allowed.get("access-control-allow-methods"),
    }
    connection.request("POST", "/api", bytes(40))
    response = connection.getresponse()
    found["nonsense"] = {"status": response.status, "body": response.read().hex()}
    return found


async def over_socket(uri: str, **options: Any) -> dict[str, object]:
    """Agree on a key by Telethon, whose stream is carried in a WebSocket."""
    async with websockets.connect(uri, subprotocols=["binary"], proxy=None, **options) as socket:

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async def back() -> None:
                async for message in socket:
                    writer.write(message)

            returning = asyncio.ensure_future(back())
            # Whatever pieces the stream comes in: messages mean nothing here.
            while data := await reader.read(1000):
                await socket.send([data[:7], data[7:]])
            returning.cancel()
            writer.close()

        async with await asyncio.start_server(carry, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            found = await agree(FRAMINGS["obfuscated"], "127.0.0.1", port)
        return found | {"subprotocol": socket.subprotocol}


async def refusal(uri: str, **options: Any) -> str:
    try:
        async with websockets.connect(uri, proxy=None, **options):
            return "opened"
    except websockets.InvalidHandshake as error:
        return f"{type(error).__name__}: {error}"


async def main(address: str, key: str, authority: str) -> dict[str, object]:
    rsa.add_key(key, old=False)
    tls = ssl.create_default_context(cadata=authority)
    found = over_http(address)
    with suppress(asyncio.CancelledError):
        found["ws"] = await over_socket(f"ws://{address}/apiws")
        found["wss"] = await over_socket(f"wss://{NAME}/apiws", ssl=tls, host=address, port=443)
        found["ws without a subprotocol"] = await refusal(f"ws://{address}/apiws")
        found["ws elsewhere"] = await refusal(f"ws://{address}/", subprotocols=["binary"])
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
