"""One world for the whole session; where there can be none, its tests are skipped."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import World

HERE = Path(__file__).parent
ADDRESSES = (*(f"198.51.100.{n}" for n in range(1, 40)), "149.154.167.51", "2001:db8:51::1")
UDP_ADDRESSES = (*(f"198.51.100.{n}" for n in range(1, 4)), "2001:db8:51::1")
Probe = dict[str, Any]
Facts = dict[str, Any]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    try:
        with World(ADDRESSES) as world:
            words = [sys.executable, str(HERE / "plain_server.py"), *UDP_ADDRESSES]
            listens = [("tcp", 80), ("tcp", 443), ("tcp", 5222), ("udp", 53), ("udp", 4433)]
            world.start_server(words, listens=listens)
            yield world
    except UnsupportedSystemError as error:
        pytest.skip(str(error))


def run_probes(world: World, probes: list[Probe]) -> dict[str, Facts]:
    """Run all at once on the client's side; facts by the probes' names."""
    words = [sys.executable, str(HERE / "plain_client.py")]
    done = world.run_client(words, timeout_s=30, given=json.dumps(probes))
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return json.loads(done.stdout)
