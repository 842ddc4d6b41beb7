"""Data centres on loopback, a good one and some that misbehave, each at an address of its own.

Arguments: a file with a private RSA key, address and port of a site with TLS, and the fault of
each; some are proxies before the good one. The first line printed is their places as JSON, by
fault; it ends with its input.
"""

import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import trio
from mtproto.transport.packets.base_packet import BasePacket
from mtproto.transport.packets.error_packet import ErrorPacket
from mtproto.transport.packets.message_packet import UnencryptedMessagePacket

from censorlab.door import Attend
from censorlab.peers.mtproxy import MtProxy
from censorlab.relay import Origin
from censorlab.servers.data_centre import CentreKey, RefusedError, Session
from censorlab.servers.data_centre_answers import TELEGRAM_FINGERPRINTS, Centre

ANOTHER_CENTRE = 4
"""Its number where another is asked for."""
SPEECHES = {
    "http": b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nContent-Length: 0\r\n\r\n",
    # What OpenSSL's server says to bytes that are no TLS: alert 70, protocol_version.
    "tls": b"\x15\x03\x01\x00\x02\x02\x46",
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
}
"""Of servers that are no data centres: what they say to whatever comes."""
SECRET = bytes.fromhex("00112233445566778899aabbccddeeff")
"""Of the proxies."""


class Faulty(Centre):
    """A data centre with one fault; ``good``, ``impostor`` and ``another_centre`` answer well."""

    def __init__(self, fault: str, key: CentreKey) -> None:
        # An impostor offers the keys of Telegram and holds none.
        super().__init__(None if fault == "impostor" else key)
        self._fault = fault
        self._earlier: BasePacket | None = None
        if fault == "replay":
            asked = struct.pack("<I", 0xBE7E8EF1) + os.urandom(16)
            question = UnencryptedMessagePacket(4, asked)
            self._earlier = super().answer(question, time.time(), os.urandom(16))

    def answer(self, packet: object, now: float, server_nonce: bytes) -> BasePacket:
        good = super().answer(packet, now, server_nonce)
        if self._earlier is not None:
            return self._earlier
        if self._fault.isdecimal():
            return ErrorPacket(int(self._fault))
        if not isinstance(good, UnencryptedMessagePacket):
            return good
        data = good.message_data
        if self._fault == "wrong_nonce":
            data = data[:4] + data[4:20][::-1] + data[20:]
        elif self._fault == "wrong_fingerprint":
            count = len(TELEGRAM_FINGERPRINTS) + 1
            data = data[: -8 * count] + bytes(range(1, 8 * count + 1))
        return UnencryptedMessagePacket(good.message_id, data)


async def attend(fault: str, centre: Centre, client: trio.SocketStream) -> None:
    if fault in SPEECHES:
        if await client.receive_some():
            await client.send_all(SPEECHES[fault])
        return
    session = Session(centre, ANOTHER_CENTRE if fault == "another_centre" else None)
    try:
        async for data in client:
            if fault == "close":
                return
            sent = session.receive(bytes(data), time.time(), os.urandom(16))
            await client.send_all(sent)
            if session.is_over:
                return
    except (RefusedError, trio.BrokenResourceError):
        return


def bound(faults: list[str]) -> Iterator[tuple[str, trio.SocketListener]]:
    for number, fault in enumerate(faults, 1):
        listener = socket.create_server((f"127.61.{number}.1", 0))
        yield fault, trio.SocketListener(trio.socket.from_stdlib_socket(listener))


def handler(fault: str, key: CentreKey, site: Origin, good: Origin) -> Attend:
    match fault:
        case "proxy":
            return MtProxy(SECRET, {2: good}).attend
        case "proxy_with_a_site":
            return MtProxy(SECRET, {2: good}, site).attend
        case "proxy_to_others":
            return MtProxy(SECRET, {4: good}).attend
    return partial(attend, fault, Faulty(fault, key))


async def main(key: CentreKey, site: Origin, faults: list[str]) -> None:
    listeners = dict(bound(faults))
    places = {fault: Origin(*one.socket.getsockname()) for fault, one in listeners.items()}
    print(json.dumps(places), flush=True)
    async with trio.open_nursery() as nursery:
        for fault, listener in listeners.items():
            serve = handler(fault, key, site, places["good"])
            nursery.start_soon(trio.serve_listeners, serve, [listener])
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    own = CentreKey.from_pem(Path(sys.argv[1]).read_bytes())
    trio.run(main, own, Origin(sys.argv[2], int(sys.argv[3])), sys.argv[4:])
