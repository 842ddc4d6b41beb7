"""A test list of 300 sites at a round trip of 100 ms, a fifth of their addresses black-holed.

Claims: the whole check takes at most 1.15 times the bound of the design (§6), or less; the
process that measures takes at most 150 MB; nobody who answers is accused. Run where network
namespaces are allowed: ``python benchmarks/test_list.py [ROWS] [SEED]``.

The bound is ``max(d·t, N·[(1-b)·k·r + b·t]/C)``, N chains of which a share b is black-holed.
d·t are both tries of a connect that nobody answers, the second twice as long. Starts are paced
rather than capped, so C, the chains at once, is the starts a second times the mean life of a
chain, which is what stands in the brackets: the second term is the time to start them all.

The rows are a sample of Citizen Lab's lists where they are, else names like theirs. One site
in ten shares its address with two others.
"""

import os
import random
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import msgspec
import orjson

from censorlab.authority import new_authority
from censorlab.packet.line import Line
from censorlab.rules import IpDrop
from censorlab.scenarios import town
from censorlab.servers.certificates import leaf
from censorlab.servers.resolver import unbound
from censorlab.servers.web import Site, nginx
from censorlab.world.world import World
from probe.model.target import Resolver, Targets
from probe.plan.limits import ATTEMPTS, CONNECT_TIMEOUT_S
from probe.run.limits import STARTS_PER_S
from probe.wire.addresses import is_address
from probe.wire.lists.assemble import Heading, assemble
from probe.wire.lists.read import read_list

ROWS: Final = 300
RTT_S: Final = 0.1
SILENT_SHARE: Final = 0.2
MOST: Final = 1.15
MOST_BYTES: Final = 150_000_000
PUBLIC: Final = (town.PUBLIC_RESOLVER, "149.112.112.112", "94.140.14.14", "208.67.222.222")
"""Public resolvers, a network each, as in the built-in list."""

SHARING: Final = 3
"""Sites on one address, of every tenth three."""

NAMES_PER_SITE: Final = 10
IDLE_LAG_S: Final = 0.25
"""The loop was 0.15 s late where two cores had this benchmark alone."""

RUN_LIMIT_S: Final = 180.0
PAGE_BYTES: Final = 20_000
HEADER: Final = "url,category_code,category_description,date_added,source,notes"

_MEASURED: Final = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""
"""Runs a command and says its peak memory, in kB."""


def sample(rows: int, seed: int) -> bytes:
    """Return a list of so many rows, real ones if they are here."""
    data = Path(
        os.environ.get("REACHWATCH_DATA", Path(__file__).resolve().parents[2] / "shared/data")
    )
    found = [
        line
        for path in sorted((data / "citizenlab").glob("*.csv"))
        for line in path.read_text(encoding="utf-8").splitlines()[1:]
    ]
    made = [f"http{'' if n % 6 == 0 else 's'}://site-{n}.test/,NEWS,News,,," for n in range(rows)]
    print("rows of Citizen Lab's lists" if found else "made-up rows: the lists are not here")
    chosen = random.Random(seed).sample(found or made, rows)
    return "\n".join([HEADER, *chosen]).encode()


def places(targets: Targets) -> dict[str, str]:
    """Give each name an address: most a network of their own, some one of a few shared."""
    hosts = list(dict.fromkeys(e.address for t in targets.targets for e in t.endpoints))
    found = {}
    for number, host in enumerate(hosts):
        is_shared = number // SHARING % 10 == 0
        own = f"45.{60 + number // 250}.{number % 250}.10"
        shared = f"104.16.{number // SHARING}.1"
        found[host] = host if is_address(host) else shared if is_shared else own
    return found


def resolvers() -> tuple[Resolver, ...]:
    """Return resolvers as the built-in list has them: of several operators."""
    found = [Resolver(id="isp-udp", protocol="udp", address=town.ISP_RESOLVER, port=53)]
    for number, address in enumerate(PUBLIC):
        found += [
            Resolver(id=f"public-{number}-udp", protocol="udp", address=address, port=53),
            Resolver(
                id=f"public-{number}-dot",
                protocol="dot",
                address=address,
                port=853,
                server_name=town.RESOLVER_NAME,
            ),
        ]
    return tuple(found)


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    chance = random.Random(seed)
    now = datetime.now(UTC)  # noqa: TID251 - certificates of a lab are valid around the present
    authority = new_authority("Lab Root")
    town_list = town.targets_list(authority.certificate)
    _, read = read_list(sample(rows, seed), form=None, private=False)
    made = assemble(read, town_list, Heading(name="sample", updated="2030-03-01")).targets
    assert made is not None
    listed = msgspec.structs.replace(
        made,
        controls=town_list.controls,
        resolvers=resolvers(),
        trust_anchors=town_list.trust_anchors,
    )
    found = places(made)
    addresses = sorted(set(found.values()))
    silent = set(chance.sample(addresses, round(len(addresses) * SILENT_SHARE)))
    names = [name for name in found if not is_address(name)]
    controls = [host.server_name for host in town.KNOWN_GOOD]
    sites = [
        Site(tuple(part), leaf(authority, *part, now=now))
        for start in range(0, len(names), NAMES_PER_SITE)
        if (part := names[start : start + NAMES_PER_SITE])
    ]
    sites[:0] = [
        Site((name,), leaf(authority, name, now=now))
        for name in (town.DEFAULT_NAME, town.INNOCUOUS_NAME, *controls)
    ]
    zone = {**town.ZONE, **{name: (found[name],) for name in names}}
    certificate = leaf(authority, town.RESOLVER_NAME, now=now)
    programs = [
        ("server", nginx(sites, page_bytes=PAGE_BYTES)),
        ("resolver", unbound(zone, addresses=[town.ISP_RESOLVER], name="isp")),
        (
            "resolver",
            unbound(zone, addresses=PUBLIC, name="public", leaf=certificate),
        ),
    ]
    sides = {
        "client": town.CLIENT_ADDRESSES,
        "server": (*town.ALL_CONTROL_ADDRESSES, *addresses),
        "resolver": (town.ISP_RESOLVER, *PUBLIC),
    }
    with World(sides, nameservers=(town.ISP_RESOLVER,)) as world:
        for side, program in programs:
            for name, content in program.files.items():
                world.write(name, content)
            world.await_listening(world.start(side, program.words), program.listens)
        world.apply([IpDrop(addresses=tuple(sorted(silent)))], Line(delay_s=RTT_S / 2), seed)
        path = world.write("targets.json", orjson.dumps(msgspec.to_builtins(listed)))
        command = [sys.executable, "-c", _MEASURED, sys.executable, "-m", "probe.cli.main"]
        command += ["check", path, "-f", "json", "-q", "--seed", str(seed)]
        command += ["--results", path.replace("targets.json", "results")]
        started = monotonic()
        agreed = {"REACHWATCH_CONSENT": "measure"}  # nothing leaves the world
        done = world.run("client", command, timeout_s=RUN_LIMIT_S, environment=agreed)
        took_s = monotonic() - started
    *_, said = done.stderr.split()
    judge(orjson.loads(done.stdout.splitlines()[-1]), silent, took_s, int(said) * 1024)


def judge(document: dict[str, Any], silent: set[str], took_s: float, peak: int) -> None:
    """Compare with the claims; exit 1 if one fails."""
    rows = document["observations"]
    chains = {
        (row["target_id"], row["address"])
        for row in rows
        if row["role"] == "test" and row["step"] == "tcp" and row["follow_up"] is None
    }
    lost = sum(address in silent for _, address in chains)
    bound = max(CONNECT_TIMEOUT_S * (2**ATTEMPTS - 1), len(chains) / STARTS_PER_S)
    reached = {row["target_id"] for row in rows if row["step"] == "http" and not row["failure"]}
    states = Counter(verdict["state"] for verdict in document["verdicts"])
    accused = [
        verdict["target_id"]
        for verdict in document["verdicts"]
        if verdict["state"] in {"blocked", "likely_blocked"}
    ]
    ratio = took_s / bound
    lag_s = max(row["loop_lag_s"] for row in rows)
    print(
        f"{len(document['verdicts'])} targets, {len(chains)} chains, {lost} of them black-holed: "
        f"{', '.join(f'{count} {state}' for state, count in sorted(states.items()))}"
    )
    print(f"bound {bound:.1f} s; the run's last row at {max(row['t'] for row in rows):.1f} s")
    if lag_s > IDLE_LAG_S:
        print(f"this machine is busy: the event loop was late by {lag_s:.2f} s; times are its own")
    print(f"whole command {took_s:.1f} s = {ratio:.2f} of the bound (claim: {MOST})")
    print(f"peak memory {peak / 1e6:.0f} MB (claim: {MOST_BYTES / 1e6:.0f} MB)")
    print(f"accused: {len(accused)} (claim: none), pages read: {len(reached)}")
    sys.exit(ratio > MOST or peak > MOST_BYTES or bool(accused))


if __name__ == "__main__":
    main()
