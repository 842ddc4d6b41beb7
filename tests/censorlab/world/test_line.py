"""The line between real kernels: which packets it loses, and when the others arrive.

How late they may be is a matter for ``benchmarks/middlebox.py``.
"""

import sys
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import NamedTuple

import msgspec
import pytest

from censorlab.packet import udp
from censorlab.packet.line import Line
from censorlab.packet.middlebox import Middlebox
from censorlab.rules import RandomLoss, Rule
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import World

pytestmark = pytest.mark.netns

CLIENT, SERVER, PORT = "10.77.0.2", "198.51.100.1", 4000
SIDES = {"client": (CLIENT,), "server": (SERVER,)}
N = 10_000

RECORD = f"""
import json, socket, struct, sys, time
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try:
    packets.setsockopt(socket.SOL_SOCKET, 33, 32_000_000)  # SO_RCVBUFFORCE
except PermissionError:
    packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_000_000)
packets.bind(("{SERVER}", {PORT}))
packets.settimeout(10)
found = []
try:
    while len(found) < int(sys.argv[1]):
        number, sent = struct.unpack("!Id", packets.recv(100))
        found.append((number, time.monotonic() - sent))
except TimeoutError:  # the test shows what is missing
    pass
print(json.dumps(found))
"""
SEND = f"""
import socket, struct, sys, time
packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
packets.connect(("{SERVER}", {PORT}))
for number in range(int(sys.argv[1])):
    packets.send(struct.pack("!Id", number, time.monotonic()))
    if number % 20 == 19:
        time.sleep(0.002)  # 10 000 a second, so that no buffer overflows
"""


class Arrival(NamedTuple):
    number: int
    seconds: float
    """Under way, by the one monotonic clock that all namespaces have."""


@pytest.fixture(scope="module", params=["tun", "veth"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    try:
        with World(SIDES, link=request.param) as world:
            yield world
    except UnsupportedSystemError as error:
        pytest.skip(str(error))


def arrivals(world: World, n: int, n_expected: int) -> list[Arrival]:
    """Send ``n`` numbered datagrams; return those that arrive, in their order."""
    recorder = world.start("server", [sys.executable, "-c", RECORD, str(n_expected)])
    world.await_listening(recorder, [("udp", PORT)])
    sent = world.run("client", [sys.executable, "-c", SEND, str(n)], timeout_s=30)
    assert sent.returncode == 0, sent.stderr
    assert recorder.process.wait(30) == 0, recorder.last_words()
    return msgspec.json.decode(recorder.said.read_bytes(), type=list[Arrival])


def passing(rules: Sequence[Rule], line: Line, seed: int) -> list[int]:
    """Return the numbers that a middlebox of its own lets through, without any kernel."""
    box = Middlebox(rules, line, seed)
    ends = (ip_address(CLIENT).packed, 50_000), (ip_address(SERVER).packed, PORT)
    packet = udp.build(*ends, b"", 64)
    return [number for number in range(N) if box.handle("up", packet, 0.0)]


@pytest.mark.parametrize(
    ("rules", "loss", "share"),
    [((), 0.05, 0.05), ((RandomLoss(share=0.2),), 0.0, 0.2)],
    ids=["line", "rule"],
)
def test_the_share_is_lost_and_a_seed_says_which(
    world: World, rules: tuple[Rule, ...], loss: float, share: float
) -> None:
    """To 0.3 points of 10 000; the same numbers as anywhere else with the seed."""
    line = Line(loss=loss)
    expected = passing(rules, line, 7)
    world.apply(rules, line, 7)
    found = [arrival.number for arrival in arrivals(world, N, len(expected))]
    assert found == expected
    assert abs(1 - len(found) / N - share) <= 0.003
    counts = world.counts()
    assert (counts.up_out, counts.refused) == (len(expected), 0), "and none came after them"
    assert expected != passing(rules, line, 8)


@pytest.mark.parametrize("jitter_s", [0.0, 0.01])
def test_no_packet_is_early_or_overtakes(world: World, jitter_s: float) -> None:
    world.apply((), Line(delay_s=0.03, jitter_s=jitter_s))
    found = arrivals(world, 1000, 1000)
    assert [arrival.number for arrival in found] == list(range(1000))
    assert min(arrival.seconds for arrival in found) >= 0.03


def test_a_change_of_the_line_loses_nothing_under_way(world: World) -> None:
    """What was sent before still arrives, after its own delay."""
    world.apply((), Line(delay_s=0.5))
    recorder = world.start("server", [sys.executable, "-c", RECORD, "20"])
    world.await_listening(recorder, [("udp", PORT)])
    assert world.run("client", [sys.executable, "-c", SEND, "20"], timeout_s=30).returncode == 0
    world.apply()
    assert recorder.process.wait(30) == 0
    found = msgspec.json.decode(recorder.said.read_bytes(), type=list[Arrival])
    assert min(arrival.seconds for arrival in found) >= 0.5
