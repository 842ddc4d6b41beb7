"""The lab's process: every peer, the censor before them, and the line that drives it.

``python -m censorlab.lab`` writes the targets list to a file, prints one JSON line
when all is ready (`Ready`), then reads one `Command` per line and answers each
with an `Acknowledgement` once it is in force. It ends when told to stop or when
standard input closes, so it cannot outlive the process driving it, and takes the
file with it.
"""

import argparse
import os
import socket
import sys
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import orjson
import trio

from censorlab import topology
from censorlab.authority import AuthorityKeys, Certificates, new_authority
from censorlab.decide import on_connect
from censorlab.door import (
    BACKLOG,
    Attend,
    Door,
    DroppingDoor,
    bind_together,
    can_drop_syns,
)
from censorlab.engines import NeedsPacketsError, check_chunks
from censorlab.lines import Lines
from censorlab.memory import Memory
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
from censorlab.one_address import check_one_address
from censorlab.peers.dns import StreamResolver, TlsResolver, serve_udp
from censorlab.peers.hold import hold
from censorlab.peers.site import DEFAULT_BODY_BYTES, SiteSettings
from censorlab.peers.socks import SocksProxy
from censorlab.relay import Gate, Origin, Relay
from censorlab.rules import Place, PlaceKind, Rule
from censorlab.topology import placed
from censorlab.web_process import WebProcess, web_process
from probe.model.target import Targets

_LOOPBACK: Final = "127.0.0.1"
_CHUNK_BYTES: Final = 65536
_WATCH_INTERVAL_S: Final = 1.0


class NameTakenError(ValueError):
    """A name is asked for twice, or is one of the topology's."""


class AddressesTakenError(ValueError):
    """More servers are asked for than there are addresses for them."""


class _Added(NamedTuple):
    slot: str
    """The topology's address for it, wherever it really is."""
    server: Server
    doors: tuple[Door, ...]


class Lab:
    """Doors to every public place, and the rules in force at them.

    ``nursery`` is where everything runs; its end closes all. ``one_address``: for
    systems with 127.0.0.1 only; rules are then refused that need more.
    """

    def __init__(
        self, nursery: trio.Nursery, web: WebProcess, keys: AuthorityKeys, *, one_address: bool
    ) -> None:
        self.ports: dict[str, int] = {}
        self._one_address = one_address
        self._placement = topology.together if one_address else topology.spread
        self._nursery = nursery
        self._web_process = web
        self._web = Origin(_LOOPBACK, web.ports.trusted)
        self._forger = Origin(_LOOPBACK, web.ports.forger)
        self._plain = Origin(_LOOPBACK, web.ports.plain)
        self._keys = keys
        self._memory = Memory()
        self._zone = topology.zone(self._placement)
        self._added: dict[ServerNames, _Added] = {}
        self._doors: list[Door] = []
        self._datagrams: list[tuple[trio.socket.SocketType, Place]] = []
        self._origins: dict[tuple[str, int], Origin] = {}

    @property
    def rules_in_force(self) -> int:
        """How many rules hold now."""
        return len(self._memory.rules)

    @property
    def added(self) -> tuple[Server, ...]:
        """The servers besides the topology's, in the order in which they were asked for."""
        return tuple(one.server for one in self._added.values())

    def _door(self, kind: PlaceKind, bound: socket.socket, attend: Attend) -> Door:
        address, port = bound.getsockname()
        make = Door if self._one_address else DroppingDoor
        return make(Place(address, kind, port), bound, Gate(self._in_force, attend).attend)

    def _in_force(self) -> Memory:
        return self._memory

    def _publish(
        self, key: str, kind: PlaceKind, addresses: tuple[str, ...], attend: Attend
    ) -> int:
        bound = bind_together(placed(addresses, self._placement))
        port: int = bound[0].getsockname()[1]
        self.ports[key] = port
        self._doors.extend(self._door(kind, one, attend) for one in bound)
        return port

    def _publish_behind_censor(
        self, key: str, kind: PlaceKind, addresses: tuple[str, ...], origin: Origin
    ) -> None:
        relay = Relay(self._in_force, origin, self._forger)
        port = self._publish(key, kind, addresses, relay.attend)
        for address in placed(addresses, self._placement):
            self._origins[address, port] = origin

    def _publish_udp(self, key: str, kind: PlaceKind, address: str) -> None:
        raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        raw.bind((self._placement(address), 0))
        address, self.ports[key] = raw.getsockname()
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

    def check(self, rules: Iterable[Rule]) -> None:
        """Check that this lab can express all the rules.

        Raises:
            NeedsPacketsError: for the first that it cannot.
        """
        check_chunks(rules)
        if self._one_address:
            check_one_address(rules)

    async def apply(self, rules: tuple[Rule, ...]) -> None:
        """Put checked rules in force everywhere; connections that are open keep their own."""
        self._memory = Memory(rules)
        await self._switch_doors()

    async def _switch_doors(self) -> None:
        added = (door for one in self._added.values() for door in one.doors)
        for door in (*self._doors, *added):
            await door.switch(on_connect(self._memory.rules, door.place))

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
        taken = {one.slot for one in self._added.values()}
        slots = (slot for slot in topology.ADDED_ADDRESSES if slot not in taken)
        self._added = {
            one: self._added.get(one) or await self._new_server(one, next(slots)) for one in wanted
        }
        self._zone.clear()
        self._zone.update(topology.zone(self._placement))
        for server in self.added:
            self._zone.update(dict.fromkeys(server.names, (server.address,)))
        await self._web_process.host(self._zone)
        await self._switch_doors()

    async def _new_server(self, names: ServerNames, slot: str) -> _Added:
        address = self._placement(slot)
        doors = []
        for origin in (self._web, self._plain):
            (bound,) = bind_together((address,))
            relay = Relay(self._in_force, origin, self._forger)
            door = self._door("service", bound, relay.attend)
            self._origins[address, door.place.port] = origin
            await self._nursery.start(door.serve)
            doors.append(door)
        port, http_port = (door.place.port for door in doors)
        server = Server(names=names, address=address, port=port, http_port=http_port)
        return _Added(slot, server, tuple(doors))

    async def _withdraw(self, added: _Added) -> None:
        for door in added.doors:
            del self._origins[door.place.address, door.place.port]
            await door.close()


class _StandardInput(trio.abc.ReceiveStream):
    """Standard input, read in a thread: no system's event loop knows every kind of pipe."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # Not through `sys.stdin`: the thread may still wait, holding its lock,
        # when the interpreter ends.
        return await trio.to_thread.run_sync(
            os.read, sys.stdin.fileno(), max_bytes or _CHUNK_BYTES, abandon_on_cancel=True
        )

    async def aclose(self) -> None:
        """Leave it open: it is the process's."""


async def _obey(lab: Lab, commands: trio.abc.ReceiveStream) -> None:
    lines = Lines(commands)

    def acknowledge(error: str | None = None) -> None:
        in_force = lab.rules_in_force
        _say(Acknowledgement(rules_in_force=in_force, servers=lab.added, error=error))

    while (line := await lines.next()) is not None:
        try:
            command = decode(line, Command)
            lab.check(command.rules or ())
            if command.servers is not None:
                await lab.add_servers(command.servers)
        except (
            MalformedMessageError,
            NeedsPacketsError,
            NameTakenError,
            AddressesTakenError,
        ) as error:
            acknowledge(str(error))
            continue
        if command.rules is not None:
            await lab.apply(command.rules)
        acknowledge()
        if command.stop:
            return


async def _watch_driver(driver: int, lab: trio.CancelScope) -> None:
    """End the lab if its driver is killed while a process forked from it holds the pipe."""
    while os.getppid() == driver:  # noqa: ASYNC110 -- no event tells of it on every system
        await trio.sleep(_WATCH_INTERVAL_S)
    lab.cancel()


def _say(message: Ready | Acknowledgement) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


async def run(targets_path: Path, body_bytes: int, *, one_address: bool) -> None:
    """Run the lab on standard input and output until it is told to stop."""
    driver = os.getppid()  # now: once it hears of this lab it may be gone
    placement = topology.together if one_address else topology.spread
    zone = topology.zone(placement)
    trusted = new_authority("Lab authority (simulated)")
    forger = new_authority("Interceptor (simulated)")
    settings = SiteSettings(
        trusted=trusted,
        forger=forger,
        default_name=topology.DEFAULT_NAME,
        zone=zone,
        body_bytes=body_bytes,
    )
    async with web_process(settings) as web, trio.open_nursery() as nursery:
        lab = Lab(nursery, web, trusted, one_address=one_address)
        await lab.open()
        _write_targets(
            targets_path, topology.targets_list(lab.ports, trusted.certificate, placement)
        )
        _say(
            Ready(
                targets_path=str(targets_path),
                proxy_url=f"socks5://{_LOOPBACK}:{lab.ports['proxy']}",
                ports=lab.ports,
                zone=zone,
                one_address=one_address,
            )
        )
        nursery.start_soon(_watch_driver, driver, nursery.cancel_scope)
        await _obey(lab, _StandardInput())
        nursery.cancel_scope.cancel()


def _write_targets(path: Path, targets: Targets) -> None:
    path.write_bytes(
        orjson.dumps(
            msgspec.to_builtins(targets), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m censorlab.lab", description=__doc__)
    parser.add_argument("--body-bytes", type=int, default=DEFAULT_BODY_BYTES, help="size of a page")
    parser.add_argument(
        "--one-address",
        action="store_true",
        help="put every place at 127.0.0.1, as is done where SYNs cannot be dropped",
    )
    options = parser.parse_args(arguments)
    one_address = options.one_address or not can_drop_syns(topology.ADDED_ADDRESSES[0])
    with tempfile.TemporaryDirectory(prefix="censorlab-") as folder:
        trio.run(
            partial(run, Path(folder) / "targets.json", options.body_bytes, one_address=one_address)
        )


if __name__ == "__main__":
    main()
