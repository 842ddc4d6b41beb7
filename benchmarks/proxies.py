"""How long ``reachwatch proxies`` takes for 100 links of which 20 work.

Claims: all ranked within 20 s, whatever the other 80 do; 15 s for an equal part each of
fake TLS that accepts and is silent, fake TLS that is never reached, silent SOCKS and closed
ports. All is on loopback, in two /24 and under one name for fake TLS, which is the worst for
the limits that the prober keeps to. Run: ``python benchmarks/proxies.py``, on an idle machine.

The floor is measured side by side: the same command with the 20 that work only.
"""

import random
import socket
import sys
from contextlib import ExitStack
from functools import partial
from time import monotonic

import orjson
import trio

from censorlab.peers.exact import ClientLeftError, receive_exactly
from censorlab.peers.mtproxy import MtProxy
from censorlab.relay import Origin
from censorlab.servers.data_centre import RefusedError, Session
from probe.net.trio_network import TrioNetwork

OF_EACH = 20
LIMIT_S = 15.0
SECRET = "00112233445566778899aabbccddeeff"
FAKE = f"ee{SECRET}{b'www.example.org'.hex()}"
NETWORK, UNREACHED = "127.7.7", "127.8.8"


async def data_centre(client: trio.SocketStream) -> None:
    """Answer for resPQ."""
    session = Session()
    now = TrioNetwork().wall_clock().timestamp()
    try:
        async for data in client:
            await client.send_all(session.receive(bytes(data), now, b"s" * 16))
    except (RefusedError, trio.BrokenResourceError):
        return


async def socks5(client: trio.SocketStream) -> None:
    """A SOCKS5 proxy from which every way leads to the data centre."""
    try:
        _, count = await receive_exactly(client, 2)
        await receive_exactly(client, count)
        await client.send_all(b"\x05\x00")
        await receive_exactly(client, 10)
        await client.send_all(b"\x05\x00\x00\x01" + bytes(6))
    except (ClientLeftError, trio.BrokenResourceError):
        return
    await data_centre(client)


async def silent(client: trio.SocketStream) -> None:
    async for _ in client:
        pass


def full_port(stack: ExitStack) -> int:
    """Return a port whose backlog is full: Linux drops further SYNs to it."""
    listener = stack.enter_context(socket.socket())
    listener.bind(("0.0.0.0", 0))
    listener.listen(0)
    port = int(listener.getsockname()[1])
    for _ in range(4):
        waiting = stack.enter_context(socket.socket())
        waiting.settimeout(0)
        waiting.connect_ex(("127.0.0.1", port))
    return port


def tg(host: str, port: int, secret: str) -> str:
    return f"tg://proxy?server={host}&port={port}&secret={secret}"


async def serve(nursery: trio.Nursery, attend: object) -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="0.0.0.0")
    nursery.start_soon(partial(trio.serve_listeners, attend, [listener]))  # type: ignore[arg-type] # one of those above
    return int(listener.socket.getsockname()[1])


async def ranked(links: list[str]) -> tuple[float, int]:
    """Return the seconds that the command takes, and how many proxies work by it."""
    words = [sys.executable, "-m", "probe.cli.main", "proxies", "-", "-f", "json"]
    random.Random(3).shuffle(links)
    began = monotonic()
    done = await trio.run_process(words, stdin="\n".join(links).encode(), capture_stdout=True)
    return monotonic() - began, orjson.loads(done.stdout)["proxies_working"]


async def measure() -> bool:
    with ExitStack() as stack:
        async with trio.open_nursery() as nursery:
            centre = Origin("127.0.0.1", await serve(nursery, data_centre))
            proxy = MtProxy(bytes.fromhex(SECRET), {2: centre}, None)
            good, mute = await serve(nursery, socks5), await serve(nursery, silent)
            telegram, full = await serve(nursery, proxy.attend), full_port(stack)
            hosts = (f"{NETWORK}.{number}" for number in range(1, 255))
            working = [f"socks5://{next(hosts)}:{good}" for _ in range(8)]
            for secret in (SECRET, f"dd{SECRET}", FAKE):
                working += [tg(next(hosts), telegram, secret) for _ in range(4)]
            dead = []
            for number in range(OF_EACH):
                dead += [tg(next(hosts), mute, FAKE), f"socks5://{next(hosts)}:{mute}"]
                dead += [tg(f"{UNREACHED}.{number + 1}", full, FAKE), f"socks5://{next(hosts)}:1"]
            floor_s, _ = await ranked(list(working))
            took_s, works = await ranked(working + dead)
            nursery.cancel_scope.cancel()
    print(f"the {len(working)} that work: {floor_s:.1f} s")
    share = took_s / LIMIT_S
    print(f"with {len(dead)} others: {took_s:.1f} s = {share:.2f} of the limit {LIMIT_S:.0f} s")
    print(f"{works} work")
    return took_s <= LIMIT_S and works == len(working)


if __name__ == "__main__":
    sys.exit(not trio.run(measure))
