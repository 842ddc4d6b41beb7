"""The lab's process: every peer, the censor before them, and the line that drives it.

``python -m censorlab.lab --targets PATH`` writes the targets list, prints one
JSON line when all is ready (`Ready`), then reads one `Command` per line and
answers each with an `Acknowledgement` once it is in force. It ends when told to
stop or when standard input closes, so it cannot outlive the process driving it.
"""

import argparse
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import orjson
import trio

from censorlab import topology
from censorlab.authority import AuthorityKeys, new_authority, server_context
from censorlab.door import BACKLOG, Attend, Door, bind_together
from censorlab.messages import (
    Acknowledgement,
    Command,
    MalformedMessageError,
    Ready,
    decode,
    encode,
)
from censorlab.peers.dns import StreamResolver, TlsResolver, serve_udp
from censorlab.peers.hold import hold
from censorlab.peers.site import DEFAULT_BODY_BYTES, SitePorts, SiteSettings
from censorlab.peers.socks import SocksProxy
from censorlab.relay import Origin, Relay
from censorlab.rules import Place, PlaceKind, Rule, on_connect

_LOOPBACK: Final = "127.0.0.1"

_WEB_EXIT_LIMIT_S: Final = 3.0
"""The web process ends within a tenth of a second of its input closing."""

_CHUNK_BYTES: Final = 65536


class UnsupportedSystemError(RuntimeError):
    """The operating system cannot play the lab's part."""


class WebPeerDiedError(RuntimeError):
    """The web process ended while it was needed."""


class _Lines:
    """Cuts a byte stream into lines."""

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


class Lab:
    """Doors to every public place, and the rules in force at them."""

    def __init__(self, web: SitePorts, forger: Origin, resolver: TlsResolver) -> None:
        self.ports: dict[str, int] = {}
        self._rules: tuple[Rule, ...] = ()
        self._web = Origin(_LOOPBACK, web.trusted)
        self._forger = forger
        self._tls_resolver = resolver
        self._doors: list[Door] = []
        self._datagrams: list[tuple[trio.socket.SocketType, Place]] = []
        self._origins: dict[tuple[str, int], Origin] = {}

    @property
    def rules_in_force(self) -> int:
        """How many rules hold now."""
        return len(self._rules)

    def _in_force(self) -> tuple[Rule, ...]:
        return self._rules

    def _publish(
        self, key: str, kind: PlaceKind, addresses: tuple[str, ...], attend: Attend
    ) -> int:
        bound = bind_together(addresses)
        port: int = bound[0].getsockname()[1]
        self.ports[key] = port
        for address, one in zip(addresses, bound, strict=True):
            self._doors.append(Door(Place(address, kind), one, attend))
        return port

    def _publish_behind_censor(
        self, key: str, kind: PlaceKind, addresses: tuple[str, ...], origin: Origin
    ) -> None:
        relay = Relay(self._in_force, origin, self._forger)
        port = self._publish(key, kind, addresses, relay.attend)
        for address in addresses:
            self._origins[address, port] = origin

    def _publish_udp(self, key: str, kind: PlaceKind, address: str) -> None:
        raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw.bind((address, 0))
        self.ports[key] = raw.getsockname()[1]
        self._datagrams.append((trio.socket.from_stdlib_socket(raw), Place(address, kind)))

    async def open(self, nursery: trio.Nursery) -> None:
        """Start the lab's own origins and open every public place."""

        async def origin_of(attend: Attend) -> Origin:
            listeners: list[trio.SocketListener] = await nursery.start(
                partial(trio.serve_tcp, attend, 0, host=_LOOPBACK, backlog=BACKLOG)
            )
            return Origin(_LOOPBACK, listeners[0].socket.getsockname()[1])

        silent = await origin_of(hold)
        dot = await origin_of(self._tls_resolver.attend)
        for group, address in topology.DC_ADDRESSES.items():
            self._publish_behind_censor(group, "service", (address,), silent)
        for name, addresses in topology.WEB_ADDRESSES.items():
            self._publish_behind_censor(name, "service", addresses, self._web)
        for host in topology.KNOWN_GOOD:
            self._publish_behind_censor(host.id, "control", (host.address,), self._web)
        resolver = (topology.RESOLVER_ADDRESS,)
        self._publish_udp("lab-udp", "resolver", topology.RESOLVER_ADDRESS)
        self._publish_udp("lab2-udp", "honest_resolver", topology.HONEST_RESOLVER_ADDRESS)
        self._publish("lab-tcp", "resolver", resolver, StreamResolver(topology.ZONE).attend)
        self._publish_behind_censor("lab-dot", "encrypted_resolver", resolver, dot)
        self._publish_behind_censor("lab-doh", "encrypted_resolver", resolver, self._web)
        proxy = SocksProxy(self._origins, topology.ZONE)
        self._publish("proxy", "proxy", (_LOOPBACK,), proxy.attend)
        for datagram_socket, place in self._datagrams:
            nursery.start_soon(serve_udp, datagram_socket, place, topology.ZONE, self._in_force)
        for door in self._doors:
            nursery.start_soon(door.serve)
        await self.apply(())

    async def apply(self, rules: tuple[Rule, ...]) -> None:
        """Put rules in force everywhere; connections that are open keep their own."""
        self._rules = rules
        for door in self._doors:
            await door.switch(on_connect(rules, door.place))


@asynccontextmanager
async def _web_process(settings: SiteSettings) -> AsyncIterator[SitePorts]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "censorlab.peers.web"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        await process.stdin.send_all(encode(settings))
        line = await _Lines(process.stdout).next()
        if line is None:
            raise WebPeerDiedError("the web process ended before it was ready")
        ports = decode(line, SitePorts)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_guard, process)
            yield ports
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await process.stdin.aclose()
            with trio.move_on_after(_WEB_EXIT_LIMIT_S):
                await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()
            await process.stdout.aclose()


async def _guard(process: trio.Process) -> None:
    code = await process.wait()
    raise WebPeerDiedError(f"the web process ended with code {code}")


async def _obey(lab: Lab, commands: trio.abc.ReceiveStream) -> None:
    lines = _Lines(commands)
    while (line := await lines.next()) is not None:
        try:
            command = decode(line, Command)
        except MalformedMessageError as error:
            _say(Acknowledgement(rules_in_force=lab.rules_in_force, error=str(error)))
            continue
        if command.rules is not None:
            await lab.apply(command.rules)
        _say(Acknowledgement(rules_in_force=lab.rules_in_force))
        if command.stop:
            return


def _say(message: Ready | Acknowledgement) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


async def run(targets_path: Path, body_bytes: int) -> None:
    """Run the lab on standard input and output until it is told to stop."""
    trusted = new_authority("Lab authority (simulated)")
    forger = new_authority("Interceptor (simulated)")
    settings = SiteSettings(
        trusted=trusted,
        forger=forger,
        names=topology.WEB_NAMES,
        default_name=topology.DEFAULT_NAME,
        zone=topology.ZONE,
        body_bytes=body_bytes,
    )
    async with _web_process(settings) as ports, trio.open_nursery() as nursery:
        lab = Lab(ports, Origin(_LOOPBACK, ports.forger), _tls_resolver(trusted))
        await lab.open(nursery)
        _write_targets(targets_path, lab.ports, trusted)
        _say(
            Ready(
                targets_path=str(targets_path),
                proxy_url=f"socks5://{_LOOPBACK}:{lab.ports['proxy']}",
                ports=lab.ports,
                zone=topology.ZONE,
            )
        )
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as commands:
            await _obey(lab, commands)
        nursery.cancel_scope.cancel()


def _tls_resolver(keys: AuthorityKeys) -> TlsResolver:
    context = server_context(keys, (topology.RESOLVER_NAME,), topology.DEFAULT_NAME)
    return TlsResolver(topology.ZONE, context)


def _write_targets(path: Path, ports: dict[str, int], trusted: AuthorityKeys) -> None:
    targets = topology.targets_list(ports, trusted.certificate)
    path.write_bytes(
        orjson.dumps(
            msgspec.to_builtins(targets), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run.

    Raises:
        UnsupportedSystemError: on anything but Linux.
    """
    parser = argparse.ArgumentParser(prog="python -m censorlab.lab", description=__doc__)
    parser.add_argument("--targets", type=Path, required=True, help="where to write the list")
    parser.add_argument("--body-bytes", type=int, default=DEFAULT_BODY_BYTES, help="size of a page")
    options = parser.parse_args(arguments)
    if sys.platform != "linux":
        raise UnsupportedSystemError(
            f"the loopback lab needs Linux, not {sys.platform}: it uses all of 127.0.0.0/8, "
            "and only there does a full accept queue drop SYNs"
        )
    trio.run(run, options.targets, options.body_bytes)


if __name__ == "__main__":
    main()
