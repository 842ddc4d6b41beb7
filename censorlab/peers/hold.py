"""A server that accepts, reads, and says nothing: enough for a TCP probe."""

from typing import Final

import trio

_CHUNK_BYTES: Final = 65536


async def hold(client: trio.SocketStream) -> None:
    """Keep the connection until the client leaves."""
    try:
        while await client.receive_some(_CHUNK_BYTES):
            pass
    except trio.BrokenResourceError:
        return
