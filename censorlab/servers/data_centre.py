"""A Telegram data centre as far as a key can be agreed on, on every one of its transports.

Run by `data_centre`; needs no account, as what it answers does not either. It shares no
code with the prober, and its framings are those of PyPI's ``mtproto``.
"""

import argparse
import os
import ssl
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import trio
from mtproto.transport.packets.base_packet import BasePacket

from censorlab.servers.certificates import Leaf
from censorlab.servers.data_centre_answers import Centre
from censorlab.servers.data_centre_framing import Framed, RefusedError
from censorlab.servers.data_centre_http import METHODS, Posts, WebSocket
from censorlab.servers.data_centre_rsa import CentreKey
from censorlab.servers.program import FOLDER, Program

__all__ = ["PORTS", "CentreKey", "RefusedError", "Session", "answer", "data_centre"]

PORTS: Final = (443, 80, 5222)
"""Those that official clients try on each address."""

_READ_BYTES: Final = 65_536
_TLS_START: Final = b"\x16\x03\x01"
"""A handshake record of the version that hellos name."""


def data_centre(
    *ports: int,
    name: str = "data_centre",
    key: CentreKey | None = None,
    leaf: Leaf | None = None,
    numbers: Mapping[str, int] = MappingProxyType({}),
    addresses: Sequence[str] = (),
) -> Program:
    """Serve MTProto on these addresses (all, if none is named), in each of its transports.

    With a ``key``, keys can be agreed on, by clients that know it. With a ``leaf``, a
    connection that begins as TLS is one, and the same is served inside. ``numbers``
    are of data centres by address: there a client that names another is told so.
    """
    chosen = ports or PORTS
    files: dict[str, bytes] = {}
    words = [sys.executable, "-m", "censorlab.servers.data_centre"]
    if key:
        files[f"{name}/key.pem"] = key.private_pem
        words += ["--key", f"{FOLDER}/{name}/key.pem"]
    if leaf:
        files |= {f"{name}/leaf.pem": leaf.certificate, f"{name}/leaf-key.pem": leaf.key}
        words += ["--leaf", f"{FOLDER}/{name}/leaf.pem", f"{FOLDER}/{name}/leaf-key.pem"]
    for address, number in numbers.items():
        words += ["--number", address, str(number)]
    for address in addresses:
        words += ["--address", address]
    return Program(
        name=name,
        package="mtproto",
        files=files,
        words=(*words, *map(str, chosen)),
        listens=tuple(("tcp", port) for port in chosen),
    )


class Session:
    """One connection without its socket: bytes in, bytes out, whatever the transport.

    ``is_over``: to be closed once what `receive` returned is sent. ``number`` is as in
    `Framed`.
    """

    def __init__(self, centre: Centre | None = None, number: int | None = None) -> None:
        self._centre = centre or Centre()
        self._number = number
        self._start = b""
        self._spoken: Framed | Posts | WebSocket | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be said."""
        return self._spoken is not None and self._spoken.is_over

    def receive(self, data: bytes, now: float, server_nonce: bytes) -> bytes:
        """Return the answers to what these bytes complete; ``now`` is Unix time.

        Raises:
            RefusedError: if they cannot be understood.
        """
        if self._spoken is None:
            self._start += data
            # Four bytes tell HTTP from the rest, and the one framing that needs fewer
            # sends no less than its tag and a frame.
            if len(self._start) < 4:
                return b""
            data = self._start
            self._spoken = self._recognize(data[:4])
        return self._spoken.receive(data, now, server_nonce)

    def _recognize(self, start: bytes) -> Framed | Posts | WebSocket:
        if start == b"GET ":
            return WebSocket(self._centre, self._number)
        if start in METHODS:
            return Posts(self._centre)
        return Framed(self._centre, self._number)


def answer(packet: object, now: float, server_nonce: bytes) -> BasePacket:
    """Return what a data centre without a key of its own answers to one packet."""
    return Centre().answer(packet, now, server_nonce)


@dataclass(frozen=True)
class _Service:
    centre: Centre
    tls: ssl.SSLContext | None
    numbers: Mapping[str, int]

    async def serve(self, client: trio.SocketStream) -> None:
        """Attend one connection until somebody ends it."""
        number = self.numbers.get(client.socket.getsockname()[0])
        session = Session(self.centre, number)
        with suppress(trio.BrokenResourceError, RefusedError):
            start = await _start_of(client) if self.tls else b""
            stream: trio.abc.Stream = trio.StapledStream(client, _Resumed(start, client))
            if self.tls and start == _TLS_START:
                stream = trio.SSLStream(stream, self.tls, server_side=True, https_compatible=True)
            while not session.is_over and (data := await stream.receive_some(_READ_BYTES)):
                if sent := session.receive(bytes(data), time.time(), os.urandom(16)):
                    await stream.send_all(sent)
            await stream.aclose()


class _Resumed(trio.abc.ReceiveStream):
    """A stream of which the first bytes were read already."""

    def __init__(self, start: bytes, rest: trio.abc.ReceiveStream) -> None:
        self._start = start
        self._rest = rest

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Return those first; what the reader has no room for must not be asked of it."""
        if not self._start:
            return await self._rest.receive_some(max_bytes)
        start, self._start = self._start, b""
        return start

    async def aclose(self) -> None:
        """Close the stream."""
        await self._rest.aclose()


async def _start_of(client: trio.SocketStream) -> bytes:
    """Read as long as it may become TLS."""
    start = b""
    while len(start) < len(_TLS_START) and _TLS_START.startswith(start):
        piece = await client.receive_some(len(_TLS_START) - len(start))
        if not piece:
            break
        start += piece
    return start


async def _main(service: _Service, addresses: Sequence[str], ports: Sequence[int]) -> None:
    async with trio.open_nursery() as nursery:
        for address in addresses or (None,):
            for port in ports:
                serve = partial(trio.serve_tcp, service.serve, port, host=address)
                nursery.start_soon(serve)


def _service(options: argparse.Namespace) -> _Service:
    key = CentreKey.from_pem(options.key.read_bytes()) if options.key else None
    tls = None
    if options.leaf:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*options.leaf)
        tls.set_alpn_protocols(["http/1.1"])
    numbers = {address: int(number) for address, number in options.number}
    return _Service(Centre(key), tls, numbers)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--leaf", nargs=2)
    parser.add_argument("--number", nargs=2, action="append", default=[])
    parser.add_argument("--address", action="append", default=[])
    parser.add_argument("port", type=int, nargs="+")
    options = parser.parse_args()
    trio.run(_main, _service(options), options.address, options.port)


if __name__ == "__main__":
    main()
