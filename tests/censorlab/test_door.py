"""A door does as it is told from its first moment to its last."""

import socket
from contextlib import suppress

import pytest
import trio

from censorlab.door import CannotDropError, Door, DroppingDoor, bind_together, can_drop_syns
from censorlab.rules import Place

pytestmark = pytest.mark.anyio

ADDRESS = "127.50.1.1"
LOOPBACK = "127.0.0.1"
LIMIT_S = 5.0


async def echo(client: trio.SocketStream) -> None:
    async for chunk in client:
        await client.send_all(chunk)


async def test_orders_before_the_first_wait_are_obeyed() -> None:
    """A door that has started can be switched at once, any number of times."""
    (bound,) = bind_together((ADDRESS,))
    port = bound.getsockname()[1]
    door = DroppingDoor(Place(ADDRESS, "service"), bound, trio.SocketStream.aclose)
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


async def test_a_portable_door_opens_and_refuses() -> None:
    """Without Linux's means a door keeps its port over every switch, connections live on.

    A drop is an error, after which the door refuses.
    """
    (bound,) = bind_together((LOOPBACK,))
    port = bound.getsockname()[1]
    door = Door(Place(LOOPBACK, "service", port), bound, echo)
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(door.serve)
            await door.switch("open")
            held = await trio.open_tcp_stream(LOOPBACK, port)  # noqa: TID251 -- one address
            for _ in range(20):
                await door.switch("refuse")
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((LOOPBACK, port), LIMIT_S)
                await door.switch("open")
                socket.create_connection((LOOPBACK, port), LIMIT_S).close()
            await held.send_all(b"x")
            assert await held.receive_some(1) == b"x"
            await held.aclose()
            with pytest.raises(CannotDropError, match=r"127\.0\.0\.1 cannot be dropped"):
                await door.switch("drop")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((LOOPBACK, port), LIMIT_S)
            await door.close()


def test_the_drop_is_probed() -> None:
    """It works at a loopback address of Linux, and not at an address that is not there."""
    assert can_drop_syns(ADDRESS)
    assert not can_drop_syns("192.0.2.1")


@pytest.mark.parametrize("kind", [Door, DroppingDoor])
async def test_closing_ends_everything(kind: type[Door]) -> None:
    """After `close` an open connection has ended, new ones are refused, `serve` is over."""
    (bound,) = bind_together((ADDRESS,))
    port = bound.getsockname()[1]
    attended = trio.Event()

    async def hold(_client: trio.SocketStream) -> None:
        attended.set()
        await trio.sleep_forever()

    door = kind(Place(ADDRESS, "service"), bound, hold)
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
