"""A host without a network, in a namespace of its own: nothing there has a route."""

import json
import os
import subprocess
import sys

import pytest

import netns

SCRIPT = """
import errno, json, trio
from probe.net.api import ResolutionError
from probe.net.own import identifying_strings
from probe.net.trio_network import TrioNetwork

async def connect(network, address):
    connection = network.open_tcp(address, 443)
    try:
        await connection.connect()
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        connection.close()

async def main():
    network = TrioNetwork()
    try:
        await network.getaddrinfo("www.example.org", 4)
    except ResolutionError as error:
        resolution = error.name
    print(json.dumps({
        "route4": network.route_errno("192.0.2.1"),
        "route6": network.route_errno("2001:db8::1"),
        "connect": await connect(network, "192.0.2.1"),
        "resolution": resolution,
        "own": [s for s in identifying_strings(["192.0.2.1", "2001:db8::1"]) if s[:3] == "192"],
    }))

trio.run(main)
"""


@pytest.mark.netns
def test_without_a_network_everything_says_so() -> None:
    """Routing table, connect and resolver name what is missing; no own address is found."""
    done = subprocess.run(
        [*netns.prefix(), sys.executable, "-W", "error", "-c", SCRIPT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(netns.ROOT), "RES_OPTIONS": "timeout:1 attempts:1"},
    )

    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["route4"] == found["connect"] == "ENETUNREACH"
    assert found["route6"] in {"ENETUNREACH", "EADDRNOTAVAIL", "EAFNOSUPPORT"}
    assert found["resolution"] == "EAI_AGAIN"
    assert found["own"] == []
