"""Run on the client's side by test_icmp: what the prober's sockets learn of ICMP errors.

Reads a JSON list of [what, address, port] and writes a JSON list of facts.
"""

import errno
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import trio

from probe.net.api import TcpConnection
from probe.net.trio_network import TrioNetwork

LIMIT_S = 20
Facts = dict[str, Any]


async def outcome(call: Callable[[], Awaitable[object]]) -> str | None:
    """Return the errno's name, None where there was no error."""
    try:
        with trio.fail_after(LIMIT_S):
            await call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return None


async def tcp(address: str, port: int) -> Facts:
    connection = TrioNetwork().open_tcp(address, port)
    try:
        return {"errno": await outcome(connection.connect), "icmp": connection.icmp_error()}
    finally:
        connection.close()


async def udp(address: str, port: int) -> Facts:
    sock = TrioNetwork().open_udp(address, port)
    try:
        await sock.send(b"x")
        return {"errno": await outcome(sock.receive), "icmp": sock.icmp_error()}
    finally:
        sock.close()


async def syn_hop(address: str, port: int) -> Facts:
    """Connect with SYNs that do not come far."""
    connection = TrioNetwork().open_tcp(address, port)
    try:
        connection.set_hop_limit(1)
        return {"errno": await outcome(connection.connect), "icmp": connection.icmp_error()}
    finally:
        connection.close()


async def hops(address: str, port: int) -> Facts:
    """Connect all the way, send bytes that do not come far, then let them."""
    connection = TrioNetwork().open_tcp(address, port)
    try:
        await connection.connect()
        connection.set_hop_limit(1)
        await connection.send_all(b"hello")
        facts: Facts = {
            "errnos": [await outcome(connection.receive_some) for _ in range(2)],
            "icmp": connection.icmp_error(),
            "acked": acked(connection),
        }
        connection.set_hop_limit(None)
        facts["restored"] = await received(connection)
        return facts
    finally:
        connection.close()


def acked(connection: TcpConnection) -> int:
    info = connection.tcp_info()
    assert info is not None
    return info.bytes_acked


async def received(connection: TcpConnection) -> str:
    """Receive; errors from before the limit was lifted are waiting."""
    with trio.fail_after(LIMIT_S):
        while True:
            try:
                return (await connection.receive_some()).decode()
            except OSError:
                continue


KINDS = {"tcp": tcp, "udp": udp, "syn_hop": syn_hop, "hops": hops}


async def main() -> None:
    wanted = json.load(sys.stdin)
    found: list[Facts] = [{} for _ in wanted]

    async def ask(number: int, kind: str, address: str, port: int) -> None:
        found[number] = await KINDS[kind](address, port)

    async with trio.open_nursery() as nursery:
        for number, (kind, address, port) in enumerate(wanted):
            nursery.start_soon(ask, number, kind, address, port)
    print(json.dumps(found))


if __name__ == "__main__":
    trio.run(main)
