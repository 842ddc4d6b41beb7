"""Small programs of the tests': a front that reads server names, a sick host, a plain proxy."""

from typing import Final

_PUMP: Final = """
async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()
"""

FRONT: Final = (
    _PUMP
    + """
import asyncio, socket, sys
mode, *names = sys.argv[1:]

async def front(reader, writer):
    hello = await reader.read(65536)
    if any(name.encode() in hello for name in names):
        if mode == "hang":
            await asyncio.sleep(300)
        writer.close()
        return
    behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", 8443)
    behind_writer.write(hello)
    await asyncio.gather(pump(reader, behind_writer), pump(behind_reader, writer))

async def main():
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        own = socket.socket(family)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            own.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        own.bind((address, 443))
        own.listen(100)
        await asyncio.start_server(front, sock=own)
    await asyncio.Event().wait()

asyncio.run(main())
"""
)
"""Hands TLS on to port 8443; hellos with some names it closes, or leaves without an answer."""

SICK_HOST: Final = """
import asyncio

async def host(reader, writer):
    await reader.read(4096)
    await asyncio.sleep(300)

async def main():
    server = await asyncio.start_server(host, "127.0.0.1", 9000)
    await server.serve_forever()

asyncio.run(main())
"""
"""Takes every request, and answers none."""

PROXY: Final = (
    _PUMP
    + """
import asyncio, socket, struct

async def proxied(reader, writer):
    original = writer.get_extra_info("socket").getsockopt(socket.SOL_IP, 80, 16)
    port, packed = struct.unpack_from("!H4s", original, 2)
    try:
        there = asyncio.open_connection(socket.inet_ntoa(packed), port)
        far_reader, far_writer = await asyncio.wait_for(there, 10)
    except (OSError, TimeoutError):
        writer.close()
        return
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

async def main():
    server = await asyncio.start_server(proxied, "0.0.0.0", 12345, backlog=400)
    await server.serve_forever()

asyncio.run(main())
"""
)
"""Connects to where the client wanted to go (SO_ORIGINAL_DST), after it let the client in."""
