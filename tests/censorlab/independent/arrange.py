"""The town behind a plain Linux router, where a test interferes with stock tools of its own.

No line of the lab's censor runs here: iptables, nginx, unbound, mitmproxy and a few
dozen lines of asyncio are the whole of it.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from censorlab.authority import new_authority
from censorlab.scenarios import town
from censorlab.scenarios.cast import Authorities, Part, cast_of
from censorlab.scenarios.stage import Stage, furnish
from censorlab.servers.certificates import Leaf, leaf
from censorlab.servers.program import FOLDER, Program, executable
from censorlab.servers.quic_site import quic_site
from censorlab.world.messages import Order
from censorlab.world.world import RouterWorld

NOW: Final = datetime.now(UTC)  # noqa: TID251  certificates are valid around the real time
AUTHORITIES: Final = Authorities(new_authority("Lab Root"), new_authority("Somebody Else"), NOW)

BOX: Final = "172.20.0.1"
"""Of a side that the client is led to without asking for it."""
SERVICE: Final = ("149.154.160.0/20", "2001:67c:4e8::/48")
OWN: Final = (*town.ALL_WEB_ADDRESSES, town.SITE_ADDRESS)
NAMES: Final = (town.WEB_NAME, town.SHORT_NAME)
NAMED: Final = "-m string --string messenger.test --algo bm"
"""Any packet that has the service's names in clear text."""

ACCUSED: Final = frozenset({"blocked", "likely_blocked"})
RUN_LIMIT_S: Final = 60.0
_TOOLS: Final = ("iptables", "ip6tables")
PAGE: Final = "location / { try_files /page.html =404; }"


class Vhost(NamedTuple):
    """A virtual host of the service's web: its certificate, and what nginx does for it."""

    leaf: Leaf
    answer: str = PAGE


class Place(NamedTuple):
    """Where a test arranges, and then asks."""

    world: RouterWorld
    stage: Stage

    def route(self, *lines: str) -> None:
        """Carry commands out at the router."""
        self.world.apply([Order(words=("sh", "-ec", line)) for line in lines])

    def forward(self, *rules: str, table: str = "filter") -> None:
        """Append to the router's FORWARD chain, of both IP versions."""
        for rule in rules:
            self.route(*(f"{tool} -t {table} -A FORWARD {rule}" for tool in _TOOLS))

    def put(self, side: str, program: Program) -> None:
        """Start a program on a side, and wait for it to listen."""
        for name, content in program.files.items():
            self.world.write(name, content)
        started = self.world.start(side, program.words)
        self.world.await_listening(started, program.listens)

    def put_at_router(self, program: Program, port: int) -> None:
        """Start a program in the router's own namespace, and wait for it to listen."""
        for name, content in program.files.items():
            self.world.write(name, content)
        words = ("nsenter", f"--net=/proc/{self.world.middle_pid}/ns/net", "--", *program.words)
        self.world.start("client", words)
        listening = f"grep -q ':{port:04X} .* 0A ' /proc/self/net/tcp /proc/self/net/tcp6"
        self.route(f"for _ in $(seq 100); do {listening} && exit 0; sleep 0.1; done; exit 1")

    def check(self) -> dict[str, dict[str, Any]]:
        """Run `reachwatch check` as the client; return its verdicts by target."""
        words = [sys.executable, "-m", "probe.cli.main", "check", self.stage.targets]
        words += ["--results", self.stage.results, "-f", "json", "-q", "--seed", "1"]
        done = self.stage.run_client(words, timeout_s=RUN_LIMIT_S)
        verdicts = json.loads(done.stdout.splitlines()[-1])["verdicts"]
        return {one["target_id"]: one for one in verdicts if one["tactic"] == "none"}


def trusted(*names: str) -> Leaf:
    """Return a good certificate."""
    return leaf(AUTHORITIES.trusted, *names, now=NOW)


def web(hosts: Mapping[str, Vhost], *, tls_port: int = 443) -> Program:
    """Serve the town's names; these by what is said of them. The first is for all others."""
    below = f"{FOLDER}/own"
    every = {name: Vhost(trusted(name)) for name in (town.DEFAULT_NAME, *NAMES, town.SITE_NAME)}
    every |= hosts
    files = {"own/page.html": (b"<!doctype html><title>page</title><p>" + b"A page.\n" * 6000)}
    servers = ""
    for number, (name, host) in enumerate(every.items()):
        files[f"own/{number}.pem"] = host.leaf.certificate
        files[f"own/{number}.key"] = host.leaf.key
        default = "" if number else "default_server"
        servers += f"""
    server {{
        listen {tls_port} ssl {default};
        listen [::]:{tls_port} ssl {default};
        listen 80 {default};
        listen [::]:80 {default};
        server_name {name};
        ssl_certificate {below}/{number}.pem;
        ssl_certificate_key {below}/{number}.key;
        {host.answer}
    }}"""
    temporary = "".join(
        f"    {kind}_temp_path {below}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    files["own/nginx.conf"] = f"""
daemon off;
user root;
master_process off;
pid {below}/pid;
error_log stderr error;
events {{ worker_connections 1000; }}
http {{
    access_log off;
    types {{ text/html html; }}
    root {below};
    server_names_hash_bucket_size 128;
{temporary}{servers}
}}
""".encode()
    return Program(
        name="own",
        package="nginx",
        files=files,
        words=(executable("nginx", "nginx"), "-c", f"{below}/nginx.conf", "-e", "stderr"),
        listens=(("tcp", tls_port), ("tcp", 80)),
    )


def script(name: str, text: str, port: int, *arguments: str) -> Program:
    """Return a Python program of the test's."""
    file = f"{name}.py"
    return Program(
        name=name,
        package="python3",
        files={file: text.encode()},
        words=(sys.executable, f"{FOLDER}/{file}", *arguments),
        listens=(("tcp", port),),
    )


@contextmanager
def place(*own_web: Program) -> Iterator[Place]:
    """Open the town; with ``own_web`` the service's web is these, on a kernel of its own."""
    cast = cast_of((), AUTHORITIES)
    sides = {**cast.sides, "box": (BOX,)}
    parts = list(cast.parts)
    if own_web:
        # The control to which failing names are sent must not share the service's fate.
        sides = {side: tuple(a for a in own if a not in OWN) for side, own in sides.items()}
        sides["own"] = OWN
        quic = quic_site(trusted(town.WEB_NAME), sides["server"])
        parts = [Part("server", quic) if part.program.name == quic.name else part for part in parts]
        parts += [Part("own", program) for program in own_web]
    changed = cast._replace(sides=sides, parts=tuple(parts))
    with RouterWorld(sides, nameservers=(town.ISP_RESOLVER,)) as world:
        opened = Place(world, furnish(world, changed))
        opened.route(
            "ip route add blackhole 0.0.0.0/0",
            "ip -6 route add blackhole ::/0",
            # REDIRECT goes to the address of the device on which a packet came.
            "ip addr add 10.99.0.1/32 dev side0",
        )
        yield opened
