"""Make and furnish the sides' network namespaces, from inside the middle's process.

None has a name: open descriptors and running processes hold them, so the
kernel removes them with the last of these, however it ends.
"""

import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from censorlab.world.links import (
    DEVICE,
    MAC,
    MTU,
    QUEUE_PACKETS,
    PacketLink,
    TunLink,
    VethLink,
    switch_offloads_off,
)
from censorlab.world.messages import Link
from censorlab.world.system import (
    UnsupportedSystemError,
    current_network,
    enter_network,
    new_network,
    run,
    set_sysctl,
)

FOLDER: Final = "/run/reachwatch-lab"
"""Where programs of a world keep files. It lies in a memory file system over
``/run`` that only the world sees, so it ends with the world."""

EVERY_ADDRESS: Final = ("0.0.0.0/0", "::/0")

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
    "ipv6/icmp/ratelimit": "0",
}

_ROUTER_SETTINGS: Final = {**_SETTINGS, "ipv4/ip_forward": "1", "ipv6/conf/all/forwarding": "1"}


class Side(NamedTuple):
    """One end: its namespace's descriptor and its packets' link; a router needs no link."""

    namespace: int
    link: PacketLink | None


def allowed_link(wanted: Link | None) -> Link:
    """Return the link to use: the wanted one, or TUN where its node may be opened."""
    if wanted is not None:
        return wanted
    return "tun" if os.access("/dev/net/tun", os.R_OK | os.W_OK) else "veth"


def make_sides(sides: Mapping[str, tuple[str, ...]], link: Link) -> dict[str, Side]:
    """Make a namespace for each side, in the middle's own one left as it was.

    The first side is the client. All but its own addresses lie behind its device.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    middle = current_network()
    client_addresses = next(iter(sides.values()))
    made = {
        name: _make_side(number, addresses, client_addresses, link, middle)
        for number, (name, addresses) in enumerate(sides.items())
    }
    os.close(middle)
    return made


def make_router(sides: Mapping[str, tuple[str, ...]], addresses: Iterable[str]) -> dict[str, Side]:
    """Make the sides, and forward between them by the kernel of the current namespace.

    ``addresses`` are the router's own, which its ICMP errors come from.

    Raises:
        UnsupportedSystemError: if the machine does not allow it.
    """
    made = make_sides(sides, "veth")
    for name, value in _ROUTER_SETTINGS.items():
        set_sysctl(name, value)
    lines = ["link set lo up", *_owned(addresses)]
    for number, own in enumerate(sides.values()):
        lines += [f"route add {address} dev {_near(number)}" for address in _exact(own)]
    run(["ip", "-batch", "-"], "\n".join(lines))
    return {name: side._replace(link=None) for name, side in made.items()}


def near_device(sides: Iterable[str], name: str) -> str:
    """Return the name of a side's device in the middle."""
    return _near(list(sides).index(name))


def _near(number: int) -> str:
    return f"side{number}"


def _exact(addresses: Iterable[str]) -> list[str]:
    return [address for address in addresses if address not in EVERY_ADDRESS]


def _owned(addresses: Iterable[str]) -> list[str]:
    return [
        f"addr add {address} dev lo nodad" if ":" in address else f"addr add {address} dev lo"
        for address in _exact(addresses)
    ]


def _make_side(
    number: int,
    addresses: tuple[str, ...],
    client_addresses: tuple[str, ...],
    link: Link,
    middle: int,
) -> Side:
    namespace = new_network()
    for name, value in _SETTINGS.items():
        set_sysctl(name, value)
    packets: PacketLink | None = None
    if link == "tun":
        packets = TunLink()
    else:
        enter_network(middle)
        _make_pair(number, namespace)
        packets = VethLink(_near(number))
        enter_network(namespace)
        switch_offloads_off(DEVICE)
    lines = [
        "link set lo up",
        # No link-local address: its chatter would reach the middlebox.
        f"link set {DEVICE} addrgenmode none mtu {MTU} txqueuelen {QUEUE_PACKETS} up",
        *_owned(addresses),
    ]
    if any(address in EVERY_ADDRESS for address in addresses):
        # In the main table, where the client's own routes go before it.
        lines += [f"route add local {network} dev lo table main" for network in EVERY_ADDRESS]
        lines += [f"route add {address} dev {DEVICE}" for address in client_addresses]
    else:
        lines += [f"route add {network} dev {DEVICE}" for network in EVERY_ADDRESS]
    run(["ip", "-batch", "-"], "\n".join(lines))
    enter_network(middle)
    return Side(namespace, packets)


def _make_pair(number: int, namespace: int) -> None:
    near = _near(number)
    pair = f"link add {near} address {MAC} type veth peer name {DEVICE} address {MAC}"
    lines = [
        pair,
        f"link set {DEVICE} arp off",
        # The command inherits the descriptor, and finds it under its own number.
        f"link set {DEVICE} netns /proc/self/fd/{namespace}",
        f"link set {near} arp off addrgenmode none mtu {MTU} txqueuelen {QUEUE_PACKETS} up",
    ]
    run(["ip", "-batch", "-"], "\n".join(lines), inherited=(namespace,))
    switch_offloads_off(near)


def make_folder(nameservers: Iterable[str]) -> None:
    """Give this process's mount namespace a ``FOLDER`` and a resolv.conf of its own.

    Raises:
        UnsupportedSystemError: if mounting is not allowed.
    """
    configuration = Path("/etc/resolv.conf").resolve()
    for covered in ("/run", "/dev/shm"):  # noqa: S108  shared memory is files too
        run(["mount", "-t", "tmpfs", "-o", "mode=1777", "reachwatch-lab", covered])
    Path(FOLDER).mkdir()
    text = "".join(f"nameserver {ip_address(server)}\n" for server in nameservers)
    if configuration.is_relative_to("/run"):
        # The link's end has just been covered with the rest of /run.
        configuration.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_text(text)
        return
    if not configuration.exists():
        raise UnsupportedSystemError(f"no {configuration} to cover with the lab's")
    own = Path(FOLDER, "resolv.conf")
    own.write_text(text)
    run(["mount", "--bind", str(own), str(configuration)])
