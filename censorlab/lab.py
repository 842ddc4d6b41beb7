"""The lab's process: every peer, the censor before them, and the line that drives it.

``python -m censorlab.lab --targets PATH`` writes the targets list, prints one
JSON line when all is ready (`Ready`), then reads one `Command` per line and
answers each with an `Acknowledgement` once it is in force. It ends when told to
stop or when standard input closes, so it cannot outlive the process driving it.
"""

import argparse
import socket
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import orjson
import trio

from censorlab import topology
from censorlab.authority import AuthorityKeys, Certificates, new_authority
from censorlab.door import BACKLOG, Attend, Door, bind_together
from censorlab.lines import Lines
from censorlab.messages import (
    Acknowledgement,
    Command,
    MalformedMessageError,
    Ready,
    Server,
    ServerNames,
    decode,
    encode,
)
from censorlab.peers.dns import StreamResolver, TlsResolver, serve_udp
from censorlab.peers.hold import hold
from censorlab.peers.site import DEFAULT_BODY_BYTES, SiteSettings
from censorlab.peers.socks import SocksProxy
from censorlab.relay import Origin, Relay
from censorlab.rules import Place, PlaceKind, Rule, on_connect
from censorlab.web_process import WebProcess, web_process

_LOOPBACK: Final = "127.0.0.1"


class UnsupportedSystemError(RuntimeError):
    """The operating system cannot play the lab's part."""


class NameTakenError(ValueError):
    """A name is asked for twice, or is one of the topology's."""


class AddressesTakenError(ValueError):
    """More servers are asked for than there are addresses for them."""


class _Added(NamedTuple):
    server: Server
    door: Door


class Lab:
    """Doors to every public place, and the rules in force at them.

    ``nursery`` is where everything runs; its end closes all.
    """

    def __init__(self, nursery: trio.Nursery, web: WebProcess, keys: AuthorityKeys) -> None:
        self.ports: dict[str, int] = {}
        self._nursery = nursery
        self._web_process = web
        self._web = Origin(_LOOPBACK, web.ports.trusted)
        self._forger = Origin(_LOOPBACK, web.ports.forger)
        self._keys = keys
        self._rules: tuple[Rule, ...] = ()
        self._zone = dict(topology.ZONE)
        self._added: dict[ServerNames, _Added] = {}
        self._doors: list[Door] = []
        self._datagrams: list[tuple[trio.socket.SocketType, Place]] = []
        self._origins: dict[tuple[str, int], Origin] = {}

    @property
    def rules_in_force(self) -> int:
        """How many rules hold now."""
        return len(self._rules)

    @property
    def added(self) -> tuple[Server, ...]:
        """The servers besides the topology's, in the order in which they were asked for."""
        return tuple(one.server for one in self._added.values())

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

    async def open(self) -> None:
        """Start the lab's own origins and open every public place."""

        async def origin_of(attend: Attend) -> Origin:
            listeners: list[trio.SocketListener] = await self._nursery.start(
                partial(trio.serve_tcp, attend, 0, host=_LOOPBACK, backlog=BACKLOG)
            )
            return Origin(_LOOPBACK, listeners[0].socket.getsockname()[1])

        silent = await origin_of(hold)
        certificates = Certificates(self._keys, topology.DEFAULT_NAME, (topology.RESOLVER_NAME,))
        dot = await origin_of(TlsResolver(self._zone, certificates.context).attend)
        for group, address in topology.DC_ADDRESSES.items():
            self._publish_behind_censor(group, "service", (address,), silent)
        for name, addresses in topology.WEB_ADDRESSES.items():
            self._publish_behind_censor(name, "service", addresses, self._web)
        for host in topology.KNOWN_GOOD:
            self._publish_behind_censor(host.id, "control", (host.address,), self._web)
        resolver = (topology.RESOLVER_ADDRESS,)
        self._publish_udp("lab-udp", "resolver", topology.RESOLVER_ADDRESS)
        self._publish_udp("lab2-udp", "honest_resolver", topology.HONEST_RESOLVER_ADDRESS)
        self._publish("lab-tcp", "resolver", resolver, StreamResolver(self._zone).attend)
        self._publish_behind_censor("lab-dot", "encrypted_resolver", resolver, dot)
        self._publish_behind_censor("lab-doh", "encrypted_resolver", resolver, self._web)
        proxy = SocksProxy(self._origins, self._zone)
        self._publish("proxy", "proxy", (_LOOPBACK,), proxy.attend)
        for datagram_socket, place in self._datagrams:
            self._nursery.start_soon(serve_udp, datagram_socket, place, self._zone, self._in_force)
        for door in self._doors:
            await self._nursery.start(door.serve)
        await self.apply(())

    async def apply(self, rules: tuple[Rule, ...]) -> None:
        """Put rules in force everywhere; connections that are open keep their own."""
        self._rules = rules
        for door in (*self._doors, *(one.door for one in self._added.values())):
            await door.switch(on_connect(rules, door.place))

    async def add_servers(self, wanted: tuple[ServerNames, ...]) -> None:
        """Serve these besides the topology's names, and none that was added before.

        Raises:
            NameTakenError: for a name that is already served; nothing is changed.
            AddressesTakenError: for too many servers; nothing is changed.
        """
        names: set[str] = set(topology.ZONE)
        for name in (name for one in wanted for name in one):
            if name in names:
                raise NameTakenError(f"{name} is already served")
            names.add(name)
        if len(wanted) > len(topology.ADDED_ADDRESSES):
            raise AddressesTakenError(f"at most {len(topology.ADDED_ADDRESSES)} servers at once")
        for old in self._added.keys() - set(wanted):
            await self._withdraw(self._added.pop(old))
        free = set(topology.ADDED_ADDRESSES) - {server.address for server in self.added}
        addresses = (address for address in topology.ADDED_ADDRESSES if address in free)
        self._added = {
            one: self._added.get(one) or await self._new_server(one, next(addresses))
            for one in wanted
        }
        self._zone.clear()
        self._zone.update(topology.ZONE)
        for server in self.added:
            self._zone.update(dict.fromkeys(server.names, (server.address,)))
        await self._web_process.host(self._zone)
        await self.apply(self._rules)

    async def _new_server(self, names: ServerNames, address: str) -> _Added:
        (bound,) = bind_together((address,))
        port: int = bound.getsockname()[1]
        self._origins[address, port] = self._web
        relay = Relay(self._in_force, self._web, self._forger)
        door = Door(Place(address, "service"), bound, relay.attend)
        await self._nursery.start(door.serve)
        return _Added(Server(names=names, address=address, port=port), door)

    async def _withdraw(self, added: _Added) -> None:
        del self._origins[added.server.address, added.server.port]
        await added.door.close()


async def _obey(lab: Lab, commands: trio.abc.ReceiveStream) -> None:
    lines = Lines(commands)

    def acknowledge(error: str | None = None) -> None:
        in_force = lab.rules_in_force
        _say(Acknowledgement(rules_in_force=in_force, servers=lab.added, error=error))

    while (line := await lines.next()) is not None:
        try:
            command = decode(line, Command)
            if command.servers is not None:
                await lab.add_servers(command.servers)
        except (MalformedMessageError, NameTakenError, AddressesTakenError) as error:
            acknowledge(str(error))
            continue
        if command.rules is not None:
            await lab.apply(command.rules)
        acknowledge()
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
        default_name=topology.DEFAULT_NAME,
        zone=topology.ZONE,
        body_bytes=body_bytes,
    )
    async with web_process(settings) as web, trio.open_nursery() as nursery:
        lab = Lab(nursery, web, trusted)
        await lab.open()
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
