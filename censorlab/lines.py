"""Cut a byte stream into lines."""

from typing import Final

import trio

_CHUNK_BYTES: Final = 65536


class Lines:
    """The lines of one stream, in order."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """Return the next line without its end, or None when the stream has ended."""
        while (end := self._buffer.find(b"\n")) < 0:
            chunk = await self._stream.receive_some(_CHUNK_BYTES)
            if not chunk:
                return None
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line
