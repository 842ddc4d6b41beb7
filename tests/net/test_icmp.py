"""ICMP errors of a real router: each code is told from each other, and from a reset."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from censorlab.world.messages import Order
from censorlab.world.system import UnsupportedSystemError
from censorlab.world.world import RouterWorld

pytestmark = pytest.mark.netns

HERE: Final = Path(__file__).parent
SERVER: Final = HERE.parent / "censorlab" / "kernel" / "plain_server.py"
V4, V6 = "198.51.100.1", "2001:db8:51::1"
SIDES: Final = {"client": ("10.77.0.2", "fd77::2"), "server": (V4, V6)}

OPEN, CLOSED, RESET, AT_TARGET = 443, 9, 7100, 7200

# What the router is told, the code it then sends, and the errno that Linux makes of it.
ICMP: Final = {
    "net-unreachable": (0, "ENETUNREACH"),
    "host-unreachable": (1, "EHOSTUNREACH"),
    "prot-unreachable": (2, "ENOPROTOOPT"),
    "port-unreachable": (3, "ECONNREFUSED"),
    "net-prohibited": (9, "ENETUNREACH"),
    "host-prohibited": (10, "EHOSTUNREACH"),
    "admin-prohibited": (13, "EHOSTUNREACH"),
}
ICMPV6: Final = {
    "no-route": (0, "ENETUNREACH"),
    "admin-prohibited": (1, "EACCES"),
    "addr-unreachable": (3, "EHOSTUNREACH"),
    "port-unreachable": (4, "ECONNREFUSED"),
}
CASES: Final = [
    *((V4, 3, code, number) for code, number in ICMP.values()),
    *((V6, 1, code, number) for code, number in ICMPV6.values()),
]


def port_of(code: int) -> int:
    return 7000 + code


def table(hook: str, *rules: str) -> str:
    lines = "\n".join(rules)
    return f"table inet t {{\nchain c {{\ntype filter hook {hook} priority 0;\n{lines}\n}}\n}}\n"


ROUTER: Final = table(
    "forward",
    f"tcp dport {RESET} reject with tcp reset",
    *(f"th dport {port_of(code)} reject with icmp type {word}" for word, (code, _) in ICMP.items()),
    *(
        f"th dport {port_of(code)} reject with icmpv6 type {word}"
        for word, (code, _) in ICMPV6.items()
    ),
)
TARGET: Final = table("input", f"th dport {AT_TARGET} reject with icmpx type admin-prohibited")

Key = tuple[str, str, int]
WANTED: Final[list[Key]] = [
    *(
        (kind, address, port)
        for kind in ("tcp", "udp")
        for address in (V4, V6)
        for port in (OPEN, CLOSED, AT_TARGET)
    ),
    *((kind, address, port_of(code)) for kind in ("tcp", "udp") for address, _, code, _ in CASES),
    *(("tcp", address, RESET) for address in (V4, V6)),
    *((kind, address, OPEN) for kind in ("syn_hop", "hops") for address in (V4, V6)),
]


@pytest.fixture(scope="module")
def seen() -> dict[Key, Any]:
    """Ask everything at once, behind one router."""
    if shutil.which("nft") is None:
        pytest.skip("needs nft(8) from nftables")
    try:
        with RouterWorld(SIDES) as world:
            server = world.start("server", [sys.executable, str(SERVER), "server", V4, V6])
            world.await_listening(server, [("tcp", OPEN), ("udp", OPEN)])
            world.apply([Order(words=("nft", "-f", "-"), given=ROUTER)])
            told = world.run("server", ["nft", "-f", "-"], timeout_s=30, given=TARGET)
            assert told.returncode == 0, told.stderr
            done = world.run(
                "client",
                [sys.executable, "-W", "error", str(HERE / "icmp_client.py")],
                timeout_s=120,
                given=json.dumps(WANTED),
            )
    except UnsupportedSystemError as error:
        pytest.skip(str(error))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return dict(zip(WANTED, json.loads(done.stdout), strict=True))


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_each_code_of_a_router(
    seen: dict[Key, Any], kind: str, case: tuple[str, int, int, str]
) -> None:
    """errno merges codes; type and code are as they were sent, and by somebody on the path."""
    address, icmp_type, code, number = case

    facts = seen[kind, address, port_of(code)]

    assert facts == {"errno": number, "icmp": [icmp_type, code, "path"]}


@pytest.mark.parametrize("address", [V4, V6])
@pytest.mark.parametrize("port", [RESET, CLOSED])
def test_a_reset_is_no_icmp_error(seen: dict[Key, Any], address: str, port: int) -> None:
    """The errno of a port-unreachable, by the router or by the target, and nothing queued."""
    assert seen["tcp", address, port] == {"errno": "ECONNREFUSED", "icmp": None}


@pytest.mark.parametrize(("address", "icmp"), [(V4, [3, 3, "target"]), (V6, [1, 4, "target"])])
def test_a_closed_port_answers_itself(seen: dict[Key, Any], address: str, icmp: object) -> None:
    """Over UDP a host answers for its closed ports, from its own address."""
    assert seen["udp", address, CLOSED] == {"errno": "ECONNREFUSED", "icmp": icmp}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("address", "icmp", "number"),
    [(V4, [3, 13, "target"], "EHOSTUNREACH"), (V6, [1, 1, "target"], "EACCES")],
)
def test_a_firewall_of_the_target(
    seen: dict[Key, Any], kind: str, address: str, icmp: object, number: str
) -> None:
    """A prohibition by the target is not one by the path."""
    assert seen[kind, address, AT_TARGET] == {"errno": number, "icmp": icmp}


@pytest.mark.parametrize("kind", ["tcp", "udp"])
@pytest.mark.parametrize("address", [V4, V6])
def test_an_answer_has_no_error(seen: dict[Key, Any], kind: str, address: str) -> None:
    """The same sockets, where nothing is in the way."""
    assert seen[kind, address, OPEN] == {"errno": None, "icmp": None}


@pytest.mark.parametrize(("address", "icmp"), [(V4, [11, 0, "path"]), (V6, [3, 0, "path"])])
def test_a_syn_that_dies_on_the_way(seen: dict[Key, Any], address: str, icmp: object) -> None:
    """The router says that the packet was too old (RFC 792, RFC 4443 section 3.3)."""
    assert seen["syn_hop", address, OPEN] == {"errno": "EHOSTUNREACH", "icmp": icmp}


@pytest.mark.parametrize("address", [V4, V6])
def test_bytes_that_die_on_the_way(seen: dict[Key, Any], address: str) -> None:
    """Each error is raised, none is queued, nothing arrives; without a limit it then does."""
    assert seen["hops", address, OPEN] == {
        "errnos": ["EHOSTUNREACH", "EHOSTUNREACH"],
        "icmp": None,
        "acked": 1,
        "restored": "server",
    }
