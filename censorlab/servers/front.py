"""What stands in front of a server, on haproxy: a CDN's edge, a gate that counts connections."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from censorlab.servers.certificates import Leaf
from censorlab.servers.program import FOLDER, Program, executable

_DEFAULTS = """
global
    maxconn 1000
    nbthread 1
defaults
    timeout connect 10s
    timeout client 120s
    timeout server 120s
"""


class Backend(NamedTuple):
    """Where a front hands connections on to."""

    address: str
    port: int


class RateLimit(NamedTuple):
    """More connections than this from one address in the period are closed at once."""

    connections: int
    period_s: int


def cdn_edge(
    leaves: Sequence[Leaf], backend: Backend, *, name: str = "haproxy", port: int = 443
) -> Program:
    """Terminate TLS for the certificates' names and ask the backend in plain HTTP.

    The first certificate is shown for other names.
    """
    files = {f"{name}/{n:03}.pem": leaf.certificate + leaf.key for n, leaf in enumerate(leaves)}
    certificates = " ".join(f"crt {FOLDER}/{file}" for file in files)
    body = f"""
    mode http
    bind :{port} ssl {certificates} alpn http/1.1
    bind :::{port} v6only ssl {certificates} alpn http/1.1
    server origin {_address(backend)}
"""
    return _program(name, files, body, (port,))


def tcp_front(
    ports: Sequence[int],
    backend: Backend,
    *,
    name: str = "haproxy",
    limit: RateLimit | None = None,
) -> Program:
    """Hand every connection on as it is; with a limit, close those above it."""
    binds = "".join(f"    bind :{port}\n    bind :::{port} v6only\n" for port in ports)
    counting = (
        ""
        if limit is None
        else f"""
    stick-table type ipv6 size 10k expire {limit.period_s}s store conn_rate({limit.period_s}s)
    tcp-request connection track-sc0 src
    tcp-request connection reject if {{ sc0_conn_rate gt {limit.connections} }}
"""
    )
    body = f"    mode tcp\n{binds}{counting}    server origin {_address(backend)}\n"
    return _program(name, {}, body, tuple(ports))


def name_front(
    port: int, default: Backend, others: Mapping[str, Backend], *, name: str = "front"
) -> Program:
    """Hand a connection on by the server name of its hello, as it is.

    A client that says nothing for five seconds is handed to the default backend.
    """
    body = f"""
    mode tcp
    bind :{port}
    bind :::{port} v6only
    tcp-request inspect-delay 5s
    tcp-request content accept if {{ req.len gt 0 }} !{{ req.ssl_hello_type 1 }}
    tcp-request content accept if {{ req.ssl_hello_type 1 }}
"""
    backends = ""
    for number, (server_name, backend) in enumerate(others.items()):
        body += f"    use_backend other{number} if {{ req.ssl_sni -i {server_name} }}\n"
        backends += f"backend other{number}\n    mode tcp\n    server own {_address(backend)}\n"
    body += f"    server origin {_address(default)}\n{backends}"
    return _program(name, {}, body, (port,))


def _address(backend: Backend) -> str:
    kind = "ipv6" if ":" in backend.address else "ipv4"
    return f"{kind}@{backend.address}:{backend.port}"


def _program(name: str, files: dict[str, bytes], body: str, ports: tuple[int, ...]) -> Program:
    configuration = f"{_DEFAULTS}\nlisten front\n{body}".encode()
    return Program(
        name=name,
        package="haproxy",
        files={**files, f"{name}/haproxy.cfg": configuration},
        # -db: neither a daemon nor a master, whatever the file says.
        words=(executable("haproxy", "haproxy"), "-db", "-f", f"{FOLDER}/{name}/haproxy.cfg"),
        listens=tuple(("tcp", port) for port in ports),
    )
