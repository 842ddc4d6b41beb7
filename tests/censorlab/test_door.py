"""A door does as it is told from its first moment to its last."""

import socket
from contextlib import suppress

import pytest
import trio

from censorlab.door import Door, bind_together
from censorlab.rules import Place

pytestmark = pytest.mark.anyio

ADDRESS = "127.50.1.1"
LIMIT_S = 5.0


async def test_orders_before_the_first_wait_are_obeyed() -> None:
    """A door that has started can be switched at once, any number of times."""
    (bound,) = bind_together((ADDRESS,))
    port = bound.getsockname()[1]
    door = Door(Place(ADDRESS, "service"), bound, trio.SocketStream.aclose)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(door.serve)
            await door.switch("open")
            await door.switch("drop")
            with socket.socket() as client:
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.connect((ADDRESS, port))
            await door.switch("open")
            socket.create_connection((ADDRESS, port), LIMIT_S).close()
            await door.close()


async def test_closing_ends_everything() -> None:
    """After `close` an open connection has ended, new ones are refused, `serve` is over."""
    (bound,) = bind_together((ADDRESS,))
    port = bound.getsockname()[1]
    attended = trio.Event()

    async def hold(_client: trio.SocketStream) -> None:
        attended.set()
        await trio.sleep_forever()

    door = Door(Place(ADDRESS, "service"), bound, hold)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(door.serve)
            await door.switch("open")
            with socket.create_connection((ADDRESS, port), LIMIT_S) as client:
                await attended.wait()
                await door.close()
                with suppress(ConnectionResetError):
                    assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((ADDRESS, port), LIMIT_S)
