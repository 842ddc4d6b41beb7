"""Run inside a namespace by test_partial_blocks: some data centres answer, the rest is silent.

Arguments: JSON of what is silent (``members`` as "target/member", ``targets``, ``families``,
``ports``), and one of the command's options for each run. Prints the runs' documents.
"""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import trustme
from silent_world import listen, serve, serve_page

from censorlab.servers.data_centre import data_centre

TARGETS = ("telegram/dc_pool", "telegram/media")
PORTS = (443, 5222)
START_LIMIT_S = 20.0


def is_silent(silent: dict[str, list[Any]], target: str, endpoint: dict[str, Any]) -> bool:
    family = 6 if ":" in endpoint["address"] else 4
    member = f"{target}/{endpoint['group']}"
    return (
        member in silent.get("members", ())
        or target in silent.get("targets", ())
        or family in silent.get("families", ())
    )


def drop(ports: list[int], addresses: list[str]) -> None:
    """Drop what arrives at these ports of these addresses."""
    lines = ["add table inet censor"]
    lines.append("add chain inet censor in { type filter hook input priority 0; }")
    for kind, mark in (("ip", "."), ("ip6", ":")):
        own = ", ".join(address for address in addresses if mark in address)
        rule = f"add rule inet censor in {kind} daddr {{ {own} }} tcp dport"
        lines += [f"{rule} {port} drop" for port in ports]
    subprocess.run(["nft", "-f", "-"], input="\n".join(lines), text=True, check=True)


def shortened(target: dict[str, Any]) -> dict[str, Any]:
    """Keep five data centres, one address of each family, two ports."""
    kept: dict[tuple[str, bool, int], dict[str, Any]] = {}
    for endpoint in target["endpoints"]:
        if endpoint["port"] in PORTS and not endpoint["group"].startswith("dc203"):
            key = (endpoint["group"], ":" in endpoint["address"], endpoint["port"])
            kept.setdefault(key, endpoint)
    return target | {"endpoints": list(kept.values())}


def main(silent: dict[str, list[Any]], runs: list[list[str]]) -> None:
    authority = trustme.CA()
    root = Path(__file__).resolve().parent.parent.parent
    listed = json.loads((root / "targets.json").read_bytes())
    listed["trust_anchors"] = [authority.cert_pem.bytes().decode()]
    listed["targets"] = [shortened(t) for t in listed["targets"] if t["id"] in TARGETS]
    listed["services"] = [s for s in listed["services"] if s["id"] == "telegram"]
    Path("targets.json").write_text(json.dumps(listed))
    for control in listed["controls"]:
        if control["kind"] == "known_good":
            serve(control["address"], control["server_name"], authority)
        elif control["kind"] == "portal_check":
            serve_page(control["address"])
    addresses = [
        endpoint["address"]
        for target in listed["targets"]
        for endpoint in target["endpoints"]
        if endpoint["port"] == PORTS[0] and not is_silent(silent, target["id"], endpoint)
    ]
    for address in addresses:
        # Loopback has the address from then on.
        listen(address, 9).close()
    with subprocess.Popen(data_centre(*PORTS, addresses=addresses).words) as centres:
        await_listening(addresses[-1], PORTS[-1])
        if ports := silent.get("ports"):
            drop(ports, addresses)
        started = [run(options) for options in runs]
        print(json.dumps([json.loads(each.communicate()[0]) for each in started]))
        centres.kill()


def run(options: list[str]) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "probe.cli.main", "check", "targets.json", "-f", "json", "-q"]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


def await_listening(address: str, port: int) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
            if client.connect_ex((address, port)) == 0:
                return
        assert time.monotonic() < deadline
        time.sleep(0.02)


if __name__ == "__main__":
    main(*map(json.loads, sys.argv[1:]))
