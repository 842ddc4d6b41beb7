"""Network namespaces for tests: own routes, own devices, nothing of the host's."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ENVIRONMENT = {
    "PYTHONPATH": str(ROOT),
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "REACHWATCH_CONSENT": "measure",
}
"""What a command in a namespace needs, and nothing of who started the tests."""

# A veth pair whose far end nobody answers on, behind a gateway with a fixed
# link-layer address: packets leave and vanish, as behind a silent censor.
SILENT_WORLD = """
set -e
ip link set lo up
ip link add v0 type veth peer name v1
ip addr add 10.7.0.2/24 dev v0
ip -6 addr add fd00:7::2/64 dev v0 nodad
ip link set v0 up
ip link set v1 up
ip neigh add 10.7.0.1 lladdr 02:00:00:00:00:01 dev v0
ip -6 neigh add fd00:7::1 lladdr 02:00:00:00:00:01 dev v0
ip route add default via 10.7.0.1 dev v0
ip -6 route add default via fd00:7::1 dev v0
"""


def prefix() -> list[str]:
    """Return the command that enters a fresh network namespace, or skip the test."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("network namespaces need Linux and unshare(1)")
    entering = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    if subprocess.run([*entering, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not allow network namespaces")
    return entering


def words(*inner: str, setup: str = "") -> list[str]:
    """Return the words that set up a fresh namespace and run a command there."""
    if setup and shutil.which("ip") is None:
        pytest.skip("needs ip(8) from iproute2")
    return [*prefix(), "sh", "-c", f'{setup}\nexec "$@"', "sh", *inner]


def command(*arguments: str, setup: str = "") -> list[str]:
    """Return the words that run ``reachwatch`` in a fresh namespace."""
    return words(sys.executable, "-m", "probe.cli.main", *arguments, setup=setup)
