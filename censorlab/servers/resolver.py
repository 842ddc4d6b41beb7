"""A resolver that knows the simulated internet and asks nobody: unbound with local data."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from censorlab.servers.program import FOLDER, Program, Socket, executable

if TYPE_CHECKING:
    # It needs an extra; names of the simulated internet are for loopback too.
    from censorlab.servers.certificates import Leaf

DNS_PORT: Final = 53
DOT_PORT: Final = 853
DOH_PORT: Final = 443
DOH_PATH: Final = "/dns-query"

_CLOSED_PORT: Final = 1
"""Nothing listens there: the kernel refuses at once and unbound answers SERVFAIL."""

Failure = Literal["NXDOMAIN", "REFUSED", "SERVFAIL"]


def unbound(
    records: Mapping[str, Iterable[str]],
    *,
    addresses: Sequence[str],
    name: str = "unbound",
    failures: Mapping[str, Failure] | None = None,
    leaf: "Leaf | None" = None,
    keys: Mapping[str, bytes] | None = None,
    ttl_s: int = 300,
) -> Program:
    """Answer these names with these IPv4 and IPv6 addresses; others do not exist.

    Listens on ``addresses``, which the kernel need not own yet: UDP and TCP, and
    with a certificate DoT (RFC 7858) and DoH (RFC 8484) at `DOH_PATH` too. Names
    in ``failures``, and all below them, get that answer. Answers keep the order
    of the addresses given. ``keys`` are ECHConfigLists of names (RFC 9848).
    """
    below = f"{FOLDER}/{name}"
    files: dict[str, bytes] = {}
    ports = [DNS_PORT]
    encrypted = ""
    if leaf is not None:
        ports += [DOT_PORT, DOH_PORT]
        files[f"{name}/certificate.pem"] = leaf.certificate
        files[f"{name}/key.pem"] = leaf.key
        encrypted = f"""
    tls-service-pem: "{below}/certificate.pem"
    tls-service-key: "{below}/key.pem"
    tls-port: {DOT_PORT}
    https-port: {DOH_PORT}
    http-endpoint: "{DOH_PATH}"
"""
    interfaces = "".join(
        f"    interface: {address}@{port}\n" for address in addresses for port in ports
    )
    lines = [
        f'    local-data: "{owner.rstrip(".")}. {ttl_s} IN {_type(address)} {address}"'
        for owner, given in records.items()
        for address in given
    ]
    lines += [
        f'    local-data: "{owner.rstrip(".")}. {ttl_s} IN HTTPS 1 . ech={b64encode(key).decode()}"'
        for owner, key in (keys or {}).items()
    ]
    zones = []
    forwards = []
    for owner, failure in (failures or {}).items():
        zones.append(f'    local-zone: "{owner.rstrip(".")}." {_zone_type(failure)}')
        if failure == "SERVFAIL":
            # No zone type gives SERVFAIL; a forwarder that refuses does.
            forwards.append(
                f'forward-zone:\n    name: "{owner.rstrip(".")}."\n'
                f"    forward-addr: 127.0.0.1@{_CLOSED_PORT}\n"
                f"    forward-tcp-upstream: yes"
            )
    text = f"""
server:
    directory: "{below}"
    chroot: ""
    username: ""
    pidfile: "{below}/pid"
    use-syslog: no
    logfile: ""
    verbosity: 0
    do-daemonize: no
    num-threads: 1
    outgoing-range: 128
    num-queries-per-thread: 64
    so-reuseport: no
    msg-cache-size: 1m
    rrset-cache-size: 1m
    ip-freebind: yes
    access-control: 0.0.0.0/0 allow
    access-control: ::/0 allow
    module-config: "iterator"
    do-not-query-localhost: no
    rrset-roundrobin: no
{interfaces}{encrypted}
    local-zone: "." static
{chr(10).join((*zones, *lines))}
remote-control:
    control-enable: no
{chr(10).join(forwards)}
"""
    files[f"{name}/unbound.conf"] = text.encode()
    listens: list[Socket] = [("udp", DNS_PORT), *(("tcp", port) for port in ports)]
    return Program(
        name=name,
        package="unbound",
        files=files,
        words=(executable("unbound", "unbound"), "-d", "-p", "-c", f"{below}/unbound.conf"),
        listens=tuple(listens),
    )


def _type(address: str) -> str:
    return "A" if ip_address(address).version == 4 else "AAAA"


def _zone_type(failure: Failure) -> str:
    match failure:
        case "NXDOMAIN":
            return "always_nxdomain"
        case "REFUSED":
            return "always_refuse"
        case "SERVFAIL":
            return "always_transparent"
