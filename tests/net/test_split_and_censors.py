"""Which split gets past which censor: nginx behind the packet engine, and behind stock tools."""

import importlib.util
import json
import os
import sys
import time
from datetime import UTC, datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Final

import pytest

from censorlab.authority import new_authority
from censorlab.kernel.translate import Devices, translate
from censorlab.packet.line import Line
from censorlab.rules import FirstRecordOnly, FirstSegmentOnly, Rule, SniRst
from censorlab.servers.certificates import leaf
from censorlab.servers.program import MissingProgramError
from censorlab.servers.web import Site, nginx
from censorlab.world.namespaces import near_device
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import RouterWorld, World

pytestmark = pytest.mark.netns

HERE: Final = Path(__file__).parent
ADDRESS: Final = "198.51.100.1"
SIDES: Final = {"client": ("10.77.0.2", "fd77::2"), "server": (ADDRESS, "2001:db8:51::1")}
NAME: Final = "web.messenger.test"
STRIKES: Final = SniRst(server_name="*.messenger.test")

HAS_UTLS: Final = importlib.util.find_spec("utls") is not None
PROFILES: Final = ("default", "tls12", *(("chrome", "firefox", "safari") if HAS_UTLS else ()))
SPLITS: Final = (None, "segments", "records")
Form = tuple[str, str | None]
FORMS: Final[tuple[Form, ...]] = tuple(product(PROFILES, SPLITS))

CENSORS: Final[dict[str, tuple[tuple[Rule, ...], set[str | None]]]] = {
    "none": ((), {None, "segments", "records"}),
    "reads all": ((STRIKES,), set()),
    "first segment": ((STRIKES, FirstSegmentOnly()), {"segments"}),
    "first record": ((STRIKES, FirstRecordOnly()), {"records"}),
    "first of both": ((STRIKES, FirstSegmentOnly(), FirstRecordOnly()), {"segments", "records"}),
}
"""A censor's rules, and with which splits a hello gets past it."""

Outcomes = dict[Form, tuple[str | None, int]]
"""Failure, and bytes of the first flight, by form of hello."""

SEGMENT_BYTES: Final = 1448
"""Of an Ethernet, with timestamps."""


def ask(world: World | RouterWorld, authority: str, forms: tuple[Form, ...]) -> Outcomes:
    wanted = {"authority": authority, "address": ADDRESS, "name": NAME, "forms": forms}
    path = os.pathsep.join((str(HERE.parent), str(HERE.parent.parent)))
    done = world.run(
        "client",
        ["env", f"PYTHONPATH={path}", sys.executable, str(HERE / "split_client.py")],
        timeout_s=60,
        given=json.dumps(wanted),
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(forms, json.loads(done.stdout), strict=True))


def serve(world: World | RouterWorld) -> str:
    """Start the site; return its authority."""
    authority = new_authority("Ours")
    site = Site((NAME,), leaf(authority, NAME, now=datetime.fromtimestamp(time.time(), UTC)))
    try:
        program = nginx([site])
    except MissingProgramError as error:
        pytest.skip(f"{error} (make peers)")
    for name, content in program.files.items():
        world.write(name, content)
    world.await_listening(world.start("server", program.words), program.listens)
    return authority.certificate


@cache
def engine() -> dict[str, Outcomes]:
    found = {}
    with World(SIDES) as world:
        authority = serve(world)
        for censor, (rules, _) in CENSORS.items():
            world.apply(rules)
            found[censor] = ask(world, authority, FORMS)
    return found


def stock_tools() -> Outcomes:
    sides = list(SIDES)
    devices = Devices(near_device(sides, "client"), near_device(sides, "server"))
    with RouterWorld(SIDES) as world:
        authority = serve(world)
        world.apply(translate((STRIKES,), Line(), devices))
        return ask(
            world, authority, tuple(form for form in FORMS if form[0] in ("default", "tls12"))
        )


@pytest.mark.parametrize("censor", CENSORS)
def test_the_packet_engine(censor: str) -> None:
    """A split works if the censor does not put together what it cuts, in every form of hello.

    A hello longer than a segment is in two anyway: a censor that reads the first one
    misses it without any split.
    """
    try:
        found = engine()[censor]
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    past = CENSORS[censor][1]
    reads_segment = any(isinstance(rule, FirstSegmentOnly) for rule in CENSORS[censor][0])
    for (profile, split), (failure, sent_bytes) in found.items():
        passes = split in past or (reads_segment and sent_bytes > SEGMENT_BYTES)
        assert failure == (None if passes else "connection_reset"), (profile, split)


def test_stock_tools() -> None:
    """They look for a string in a packet: any cut within the name hides it from them."""
    try:
        found = stock_tools()
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    for (_, split), (failure, _) in found.items():
        assert failure == ("connection_reset" if split is None else None)
