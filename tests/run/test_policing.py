"""64 targets behind one address, and a censor that counts hellos: real peers, real kernels."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import msgspec
import pytest

from censorlab.authority import new_authority
from censorlab.packet.line import Line
from censorlab.rules import ParallelPolicing
from censorlab.scenarios import town
from censorlab.scenarios.cast import Authorities
from censorlab.servers.certificates import leaf
from censorlab.servers.program import MissingProgramError
from censorlab.servers.web import Site, nginx
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import World
from probe.model.target import Endpoint, Target, Targets

pytestmark = pytest.mark.netns

CROWD = 64
PLACE = "149.154.165.120"
NAMES = tuple(f"n{n}.policed.test" for n in range(CROWD))
POLICING = ParallelPolicing(
    server_name="*.policed.test", at_once=3, window_seconds=1.0, seconds=60.0
)
LINE = Line(delay_s=0.02)

BURST = f"""
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
answered = 0
for _ in range(5):
    plain = socket.create_connection(("{PLACE}", 443), 3)
    plain.settimeout(1)
    try:
        context.wrap_socket(plain, server_hostname="{NAMES[0]}").close()
        answered += 1
    except TimeoutError:
        pass
print(answered)
"""


@pytest.fixture(scope="module")
def policed() -> Iterator[tuple[World, str]]:
    """A world with one address for all names, beside hosts of other operators; and its anchor."""
    now = datetime.fromtimestamp(time.time(), tz=UTC)
    authorities = Authorities(new_authority("Lab"), new_authority("Forger"), now)

    def site(*names: str) -> Site:
        return Site(names, leaf(authorities.trusted, *names, now=now))

    sides = {"client": town.CLIENT_ADDRESSES, "server": (PLACE, *town.ALL_CONTROL_ADDRESSES)}
    try:
        web = nginx(
            [
                site(town.DEFAULT_NAME),
                site(*NAMES),
                *(site(host.server_name) for host in town.KNOWN_GOOD),
            ]
        )
        with World(sides) as world:
            for name, content in web.files.items():
                world.write(name, content)
            started = world.start("server", web.words)
            world.await_listening(started, web.listens)
            yield world, authorities.trusted.certificate
    except (UnsupportedSystemError, MissingProgramError) as error:
        pytest.skip(str(error))


def crowd(anchor: str, endpoint: Callable[[int], Endpoint]) -> Targets:
    """The town's list with one target of 64 members, and without lookups."""
    listed = town.targets_list(anchor)
    target = Target(
        id="messenger/crowd",
        service=town.SERVICE,
        combination_rule="all_of",
        endpoints=tuple(endpoint(n) for n in range(CROWD)),
    )
    controls = tuple(c for c in listed.controls if c.kind in {"known_good", "innocuous_name"})
    return msgspec.structs.replace(listed, targets=(target,), controls=controls, resolvers=())


def many_names(n: int) -> Endpoint:
    return Endpoint(
        address=PLACE, port=443, probes=("tcp", "tls"), server_name=NAMES[n], group=f"g{n}"
    )


def many_pages(n: int) -> Endpoint:
    return Endpoint(
        address=PLACE,
        port=443,
        probes=("tcp", "tls", "http"),
        server_name=NAMES[0],
        path=f"/{n}",
        group=f"g{n}",
    )


def test_the_censor_is_one(policed: tuple[World, str]) -> None:
    """A client in a hurry is policed: the first three hellos pass, the others are dropped."""
    world, _ = policed
    world.apply((POLICING,), LINE, 1)

    done = world.run("client", [sys.executable, "-c", BURST], timeout_s=20)

    assert done.stdout.strip() == "3", done.stderr


@pytest.mark.parametrize("endpoint", [many_names, many_pages])
def test_the_prober_is_never_policed(
    policed: tuple[World, str], endpoint: Callable[[int], Endpoint]
) -> None:
    """Every one of 64 targets works at the first attempt: none is called blocked, none was."""
    world, anchor = policed
    world.apply((POLICING,), LINE, 1)
    path = world.write("targets.json", json.dumps(_document(crowd(anchor, endpoint))).encode())
    words = [sys.executable, "-m", "probe.cli.main", "check", path, "-4", "-f", "json", "--seed=1"]

    done = world.run(
        "client", [*words, "--results", path.replace("targets.json", "results")], timeout_s=60
    )

    document = json.loads(done.stdout)
    (verdict,) = document["verdicts"]
    tests = [o for o in document["observations"] if o["role"] == "test"]
    assert (verdict["state"], verdict["n_ok"], verdict["n_total"]) == ("ok", CROWD, CROWD)
    assert {(o["failure"], o["attempt"]) for o in tests} == {(None, 1)}
    assert len([o for o in tests if o["step"] == "tls"]) == CROWD


def _document(targets: Targets) -> object:
    return msgspec.to_builtins(targets)
