"""Worlds on either kind of link, and with the kernel's own router in the middle."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from censorlab.packet.line import Line
from censorlab.rules import Blackout, Divert, IpDrop
from censorlab.world.messages import Order
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import RouterWorld, Started, World, WorldFailedError

pytestmark = pytest.mark.netns

SIDES = {
    "client": ("10.77.0.2", "fd77::2"),
    "server": ("198.51.100.1", "198.51.100.2", "2001:db8:51::1"),
    "resolver": ("198.51.100.53",),
    "interceptor": ("0.0.0.0/0", "::/0"),
}
SAY_WHO = (
    "import socket, sys, threading\n"
    "server = socket.create_server(('::', 80), family=socket.AF_INET6, dualstack_ipv6=True)\n"
    "while True:\n"
    "    stream, _ = server.accept()\n"
    "    stream.sendall(sys.argv[1].encode())\n"
    "    stream.close()\n"
)
ASK = (
    "import socket, sys\n"
    "try:\n"
    "    with socket.create_connection((sys.argv[1], 80), 2.0) as stream:\n"
    "        print(stream.recv(100).decode())\n"
    "except OSError as error:\n"
    "    print(type(error).__name__)\n"
)


def start_servers(world: World | RouterWorld) -> dict[str, Started]:
    started = {
        side: world.start(side, [sys.executable, "-c", SAY_WHO, side]) for side in list(SIDES)[1:]
    }
    for one in started.values():
        world.await_listening(one, [("tcp", 80)])
    return started


def who_answers(world: World | RouterWorld, address: str) -> str:
    done = world.run("client", [sys.executable, "-c", ASK, address], timeout_s=10)
    return done.stdout.strip() or done.stderr


@pytest.fixture(scope="module", params=["tun", "veth"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    try:
        with World(SIDES, nameservers=["198.51.100.53"], link=request.param) as world:
            assert world.link == request.param
            start_servers(world)
            yield world
    except UnsupportedSystemError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("address", "side"),
    [
        ("198.51.100.1", "server"),
        ("198.51.100.2", "server"),
        ("2001:db8:51::1", "server"),
        ("198.51.100.53", "resolver"),
        ("198.51.100.99", "TimeoutError"),
    ],
)
def test_each_side_answers_at_its_own_addresses(world: World, address: str, side: str) -> None:
    """An address that nobody owns is silent, as a dead host is."""
    world.apply()
    assert who_answers(world, address) == side


@pytest.mark.parametrize("address", ["198.51.100.1", "2001:db8:51::1", "203.0.113.77"])
def test_what_is_diverted_is_answered_in_the_true_address_s_name(
    world: World, address: str
) -> None:
    """The client's kernel takes the interceptor's segments for the server's."""
    world.apply([Divert()])
    assert who_answers(world, address) == "interceptor"
    world.apply()


def test_a_connection_is_counted_and_delayed(world: World) -> None:
    """20 ms each way: connect and answer take two round trips, and packets add up."""
    world.apply((), Line(delay_s=0.02))
    start = time.monotonic()
    assert who_answers(world, "198.51.100.1") == "server"
    assert time.monotonic() - start >= 0.08
    counts = world.counts()
    assert counts.up_in >= 4, "SYN, acknowledgement, and both for the answer"
    assert counts.down_in >= 2
    assert counts.refused == 0


def test_rules_of_the_next_application_are_the_only_ones(world: World) -> None:
    world.apply([IpDrop(addresses=("198.51.100.1",))])
    assert who_answers(world, "198.51.100.1") == "TimeoutError"
    world.apply([Blackout()])
    assert who_answers(world, "198.51.100.2") == "TimeoutError"
    world.apply()
    assert who_answers(world, "198.51.100.1") == "server"


def test_files_and_name_servers_are_the_worlds_own(world: World) -> None:
    """A file put there is found at the same path by programs, and nowhere outside."""
    path = world.write("one/two.txt", b"three")
    done = world.run("server", ["cat", path, "/etc/resolv.conf"], timeout_s=5)
    assert done.stdout == "threenameserver 198.51.100.53\n"
    assert world.read("one/two.txt") == b"three"
    assert "one/two.txt" in world.names("one")
    assert not Path(path).exists()


def test_a_program_that_ends_says_why(world: World) -> None:
    started = world.start("server", [sys.executable, "-c", "raise SystemExit('no such peer')"])
    with pytest.raises(WorldFailedError, match="no such peer"):
        world.await_listening(started, [("tcp", 81)])


def test_a_program_that_does_not_listen_is_named(world: World) -> None:
    started = world.start("server", ["sleep", "60"])
    with pytest.raises(WorldFailedError, match="sleep does not listen on"):
        world.await_listening(started, [("tcp", 82)], timeout_s=0.1)


def test_the_kernel_routes_between_the_same_sides() -> None:
    """The independent middle: netfilter drops, and an impossible order is an error."""
    try:
        with RouterWorld(SIDES) as world:
            start_servers(world)
            assert who_answers(world, "198.51.100.2") == "server"
            assert who_answers(world, "2001:db8:51::1") == "server"
            world.apply([Order(words=("ip", "route", "replace", "blackhole", "198.51.100.2"))])
            assert who_answers(world, "198.51.100.2") != "server"
            assert who_answers(world, "198.51.100.1") == "server"
            with pytest.raises(UnsupportedSystemError, match="argument is required"):
                world.apply([Order(words=("ip", "link", "add", "no-such"))])
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
