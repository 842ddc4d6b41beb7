"""The same rules in both forms, seen by a plain client and by the server behind."""

import json
import sys
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from censorlab.kernel.translate import Devices, translate
from censorlab.packet.line import Line
from censorlab.rules import Divert, Rule
from censorlab.world.namespaces import near_device
from censorlab.world.world import RouterWorld, World

HERE: Final = Path(__file__).parent
CLIENT: Final = HERE.parent / "scenarios" / "plain_client.py"
SERVER: Final = HERE / "plain_server.py"

SERVERS: Final = ("198.51.100.1", "198.51.100.2", "203.0.113.1", "2001:db8:51::1", "2001:db8:52::1")
ONE: Final = {4: "198.51.100.1", 6: "2001:db8:51::1"}
OTHER: Final = {4: "203.0.113.1", 6: "2001:db8:52::1"}
SIDES: Final = {
    "client": ("10.77.0.2", "fd77::2"),
    "server": SERVERS,
    "interceptor": ("0.0.0.0/0", "::/0"),
}
SILENT: Final = 4443
LISTENS: Final = [("tcp", 443), ("tcp", 4443), ("udp", 53), ("udp", 443)]
FACTS: Final = ("connect", "icmp", "recv", "acked", "received", "datagrams")
TIMEOUT_S: Final = 0.8
Facts = dict[str, Any]


class Probe(NamedTuple):
    """``at`` and ``at_6`` are probed alike; ``pieces`` are sent one after the other.

    ``facts`` limits what is compared to what is not chance.
    """

    kind: str
    at: dict[int, str]
    port: int = 443
    pieces: tuple[bytes, ...] = ()
    pause_s: float = 0.0
    turn: int = 0
    facts: tuple[str, ...] = FACTS


class Case(NamedTuple):
    rules: tuple[Rule, ...]
    probes: tuple[Probe, ...]
    line: Line = Line()


class Sight(NamedTuple):
    """What the client saw, for each probe by both IP versions, and the server."""

    client: list[Facts]
    server: list[Facts]


def independent(case: Case) -> Sight:
    sides = list(SIDES)
    devices = Devices(near_device(sides, "client"), near_device(sides, "interceptor"))
    orders = translate(case.rules, case.line, devices)
    with RouterWorld(SIDES) as world:
        return _sight(world, case, lambda: world.apply(orders))


def engine(case: Case) -> Sight:
    with World(SIDES) as world:
        return _sight(world, case, lambda: world.apply(case.rules, case.line))


def _sight(world: World | RouterWorld, case: Case, apply: Any) -> Sight:
    names = ["server"]
    names += ["interceptor"] if any(isinstance(rule, Divert) for rule in case.rules) else []
    started = {
        side: world.start(side, [sys.executable, "-I", "-S", str(SERVER), side, *addresses])
        for side, addresses in zip(names, (SERVERS, ()), strict=False)
    }
    for side, one in started.items():
        listens = [socket for socket in LISTENS if socket[0] == "tcp" or side == "server"]
        world.await_listening(one, listens)
    apply()
    probes = [_plain(probe, probe.at[version]) for probe in case.probes for version in (4, 6)]
    done = world.run(
        "client", [sys.executable, "-I", "-S", str(CLIENT)], timeout_s=30, given=json.dumps(probes)
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    wanted = [probe.facts for probe in case.probes for _ in (4, 6)]
    client = [
        {key: facts[key] for key in keys if key in facts}
        for facts, keys in zip(found, wanted, strict=True)
    ]
    return Sight(client, _stories(started["server"]))


def _stories(started: Any) -> list[Facts]:
    """What the server tells of the connections that have ended, once it says no more."""
    text, quiet_since = "", time.monotonic()
    while time.monotonic() - quiet_since < 0.3:
        if (now := started.said.read_text()) != text:
            text, quiet_since = now, time.monotonic()
        time.sleep(0.02)
    return sorted((json.loads(line) for line in text.splitlines()), key=json.dumps)


def _plain(probe: Probe, address: str) -> Facts:
    return {
        "kind": probe.kind,
        "address": address,
        "port": probe.port,
        "name": "",
        "authority": "",
        "pieces": [piece.hex() for piece in probe.pieces],
        "pause_s": probe.pause_s,
        "timeout_s": TIMEOUT_S,
        "turn": probe.turn,
    }
