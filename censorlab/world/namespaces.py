"""Make and furnish the two network namespaces, from inside the middlebox process.

Neither has a name: open descriptors and running processes hold them, so the
kernel removes them with the last of these, however it ends.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from censorlab.world.tun import DEVICE, QUEUE_PACKETS, UnsupportedSystemError, open_tun

_CLONE_NEWNET: Final = 0x40000000
"""From sched.h; ``os.unshare`` came with Python 3.12."""

_MTU: Final = 1500

_SETTINGS: Final = {
    # The lab has IPv6 even where the host has switched it off.
    "ipv6/conf/all/disable_ipv6": "0",
    # A router's packets come from addresses that no route points to.
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    # A slow path in one test must not be remembered in the next.
    "ipv4/tcp_no_metrics_save": "1",
    # The host's choice would be inherited; this one is in every kernel.
    "ipv4/tcp_congestion_control": "reno",
    "ipv4/ip_unprivileged_port_start": "0",
    "ipv4/icmp_ratelimit": "0",
}


class Side(NamedTuple):
    """One end: its namespace's descriptor and its packets'."""

    namespace: int
    packets: int


def make_side(addresses: Iterable[str]) -> Side:
    """Move this process into a new namespace that owns the addresses.

    Everything else is routed to the TUN device.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        reason = os.strerror(ctypes.get_errno())
        raise UnsupportedSystemError(f"cannot make a network namespace: {reason}")
    for name, value in _SETTINGS.items():
        _set(name, value)
    packets = open_tun()
    lines = [
        "link set lo up",
        # No link-local address: its chatter would reach the middlebox.
        f"link set {DEVICE} addrgenmode none mtu {_MTU} txqueuelen {QUEUE_PACKETS} up",
        *(f"addr add {address} dev lo nodad" for address in addresses if ":" in address),
        *(f"addr add {address}/32 dev lo" for address in addresses if ":" not in address),
        f"route add 0.0.0.0/0 dev {DEVICE}",
        f"route add ::/0 dev {DEVICE}",
    ]
    _run(["ip", "-batch", "-"], "\n".join(lines))
    return Side(os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), packets)


def _set(name: str, value: str) -> None:
    try:
        Path("/proc/sys/net", name).write_text(value)
    except OSError as error:
        raise UnsupportedSystemError(f"cannot set net/{name}: {error.strerror}") from error


def _run(words: list[str], given: str = "") -> None:
    done = subprocess.run(words, input=given, capture_output=True, text=True, check=False)  # noqa: S603  fixed words
    if done.returncode:
        raise UnsupportedSystemError(f"{words[0]}: {done.stderr.strip()}")


def set_resolvers(resolvers: Iterable[str]) -> None:
    """Give this process's mount namespace a resolv.conf of its own.

    The file lies in a memory file system that only its mount keeps alive.

    Raises:
        UnsupportedSystemError: if mounting is not allowed.
    """
    text = "".join(f"nameserver {ip_address(resolver)}\n" for resolver in resolvers)
    folder = "/dev/shm"  # noqa: S108  any existing folder; covered only in this namespace
    _run(["mount", "-t", "tmpfs", "censorlab", folder])
    Path(folder, "resolv.conf").write_text(text)
    _run(["mount", "--bind", f"{folder}/resolv.conf", "/etc/resolv.conf"])
    _run(["umount", folder])
