"""Read a known number of bytes from a stream."""

import trio


class ClientLeftError(Exception):
    """The stream ended before the message did."""


async def receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """Return exactly ``count`` bytes.

    Raises:
        ClientLeftError: if the stream ends first.
        trio.BrokenResourceError: if it is reset.
    """
    data = bytearray()
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        if not chunk:
            raise ClientLeftError
        data += chunk
    return bytes(data)
