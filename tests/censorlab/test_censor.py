"""Servers of a test's own choice behind the censor, driven from any thread or loop.

All of it in both forms of the lab: an address for each place, and one for all.
"""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import dns.message
import dns.query
import dns.rcode
import pytest
import trio
from python_socks.sync import Proxy

from censorlab.censor import Censor, NotAHostNameError
from censorlab.decide import on_connect
from censorlab.engines import NeedsPacketsError
from censorlab.messages import Server
from censorlab.one_address import NeedsManyAddressesError
from censorlab.process import LabFailedError, LabProcess
from censorlab.rulebook import (
    LOOPBACK_RULES,
    UnknownRuleError,
    WrongParameterError,
    parameters_of,
    rule_named,
)
from censorlab.rules import Blackout, IcmpReject, IpDrop, Place, PlaceKind, Rule, SynDrop

NAME = "web.telegram.org"
LIMIT_S = 5.0


@pytest.fixture(scope="module")
def one_address_lab() -> Iterator[LabProcess]:
    with LabProcess(one_address=True) as lab:
        yield lab


@pytest.fixture(params=["lab_process", "one_address_lab"])
def lab_of_either_form(request: pytest.FixtureRequest) -> LabProcess:
    lab: LabProcess = request.getfixturevalue(request.param)
    return lab


@pytest.fixture
def censor(lab_of_either_form: LabProcess, tmp_path: Path) -> Iterator[Censor]:
    one = Censor(lab_of_either_form, tmp_path / "ca.pem")
    yield one
    one.reset()


@pytest.fixture
def linux_censor(lab_process: LabProcess, tmp_path: Path) -> Iterator[Censor]:
    one = Censor(lab_process, tmp_path / "ca.pem")
    yield one
    one.reset()


@pytest.fixture
def one_address_censor(one_address_lab: LabProcess, tmp_path: Path) -> Iterator[Censor]:
    one = Censor(one_address_lab, tmp_path / "ca.pem")
    yield one
    one.reset()


def shake_hands(
    censor: Censor, server: Server, name: str, raw: socket.socket | None = None
) -> str | None:
    """The protocol version of a verified TLS handshake."""
    raw = raw or socket.create_connection((server.address, server.port), LIMIT_S)
    with raw, censor.ssl_context().wrap_socket(raw, server_hostname=name) as tls:
        return tls.version()


def resolve(censor: Censor, name: str) -> dns.message.Message:
    address, port = censor.dns
    return dns.query.udp(dns.message.make_query(name, "A"), address, LIMIT_S, port)


def answered(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


def test_served_names(censor: Censor) -> None:
    """Each server has its address and a certificate for each of its names, and no others."""
    first, second = censor.serve(NAME, "t.me"), censor.serve("www.example.org")
    addresses = (first.address, second.address)
    if censor.one_address:
        assert addresses == ("127.0.0.1", "127.0.0.1")
        assert first.port != second.port
    else:
        assert addresses == ("127.40.1.1", "127.40.1.2")
    assert first.names == (NAME, "t.me")
    assert first.url == f"https://{NAME}:{first.port}/"
    for server in (first, second):
        for name in server.names:
            assert shake_hands(censor, server, name) == "TLSv1.3"
            assert answered(resolve(censor, name)) == [server.address]
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(censor, first, "telegram.org")


def test_plain_http(censor: Censor) -> None:
    """A server also answers without TLS, and rules that read HTTP hold there."""

    def get() -> bytes:
        with socket.create_connection((server.address, server.http_port), LIMIT_S) as client:
            client.sendall(f"GET / HTTP/1.0\r\nHost: {NAME}\r\n\r\n".encode())
            return b"".join(iter(lambda: client.recv(65536), b""))

    server = censor.serve(NAME)
    assert get().startswith(b"HTTP/1.0 200")
    censor.add("http_blockpage", host=NAME)
    assert get().startswith(b"HTTP/1.1 403")
    censor.clear()
    censor.add("http_truncate", host=NAME, after_bytes=1000)
    assert len(get()) == 1000
    censor.add("http_host_rst", host="*.telegram.org")
    with pytest.raises(ConnectionResetError):
        get()


def test_reset_forgets_all(censor: Censor) -> None:
    """After a reset neither rule, server, name nor connection of before is left."""
    server = censor.serve(NAME)
    censor.add("dns_refused", name="*.org")
    with socket.create_connection((server.address, server.port), LIMIT_S) as held:
        censor.reset()
        assert held.recv(1) == b""
    assert resolve(censor, NAME).rcode() == dns.rcode.NXDOMAIN
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.address, server.port), LIMIT_S)
    # The next test's first server is where this one's was.
    assert censor.serve("a.test").address == server.address
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(censor, censor.serve("b.test"), NAME)


def test_rules_add_up_until_they_are_cleared(censor: Censor) -> None:
    """Each rule holds besides those before it; clearing lifts all and leaves the servers."""
    server = censor.serve(NAME, "t.me", "www.example.org")
    censor.add("sni_rst", server_name="*.telegram.org")
    censor.add("forged_certificate", server_name="t.me")
    with pytest.raises(ConnectionResetError):
        shake_hands(censor, server, NAME)
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(censor, server, "t.me")
    assert shake_hands(censor, server, "www.example.org")
    censor.clear()
    for name in server.names:
        assert shake_hands(censor, server, name)


def test_the_proxy_is_outside(censor: Censor) -> None:
    """Through the proxy a blocked server answers, asked for by name or address."""
    server = censor.serve(NAME)
    censor.add("syn_rst", addresses=[server.address], port=server.port)
    censor.add("sni_rst", server_name=NAME)
    with pytest.raises(ConnectionRefusedError):
        shake_hands(censor, server, NAME)
    proxy = Proxy.from_url(censor.proxy_url)
    for host in (server.address, NAME):
        raw = proxy.connect(host, server.port, timeout=LIMIT_S)
        assert shake_hands(censor, server, NAME, raw)


def test_a_rule_holds_for_servers_that_come_later(censor: Censor) -> None:
    """The order of `add` and `serve` is free."""
    censor.add("sni_rst", server_name="*.telegram.org")
    server = censor.serve(NAME)
    with pytest.raises(ConnectionResetError):
        shake_hands(censor, server, NAME)


def test_a_server_that_opens_on_a_dead_line(linux_censor: Censor) -> None:
    """It is silent from its first moment, and answers once that is lifted."""
    censor = linux_censor
    censor.add("blackout")
    server = censor.serve(NAME)
    with socket.socket() as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect((server.address, server.port))
    censor.clear()
    assert shake_hands(censor, server, NAME)


def test_a_new_server_disturbs_none(censor: Censor) -> None:
    """A connection to one server lives on while others come."""
    server = censor.serve(NAME)
    raw = socket.create_connection((server.address, server.port), LIMIT_S)
    with raw, censor.ssl_context().wrap_socket(raw, server_hostname=NAME) as tls:
        censor.serve("www.example.org")
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        assert tls.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize(
    "names", [(), ("T.me",), ("localhost",), ("127.0.0.1",), ("*.telegram.org",), ("a.test", "-")]
)
def test_names_that_are_none(censor: Censor, names: tuple[str, ...]) -> None:
    """Only complete host names can be served."""
    with pytest.raises(NotAHostNameError, match="host names"):
        censor.serve(*names)


def test_a_refused_order_changes_nothing(censor: Censor, lab_of_either_form: LabProcess) -> None:
    """After an error all is as before: the servers, the rules, the next order."""
    server = censor.serve(NAME)
    for taken in (NAME, "web.messenger.test"):
        with pytest.raises(LabFailedError, match=f"{taken} is already served"):
            censor.serve("www.example.org", taken)
    with pytest.raises(UnknownRuleError):
        censor.add("sni_block", server_name=NAME)
    with pytest.raises(WrongParameterError):
        censor.add("sni_rst", name=NAME)
    with pytest.raises(NeedsPacketsError, match="icmp_reject needs packets: an ICMP error"):
        censor.add("icmp_reject")
    with pytest.raises(LabFailedError, match="icmp_reject needs packets"):
        lab_of_either_form.apply([IcmpReject()])
    with pytest.raises(LabFailedError, match="at most 254 servers"):
        lab_of_either_form.add_servers([(f"a{n}.test",) for n in range(255)])
    assert shake_hands(censor, server, NAME)
    assert resolve(censor, "www.example.org").rcode() == dns.rcode.NXDOMAIN
    censor.serve("www.example.org")


def test_threads(censor: Censor) -> None:
    """Orders of eight threads at once are all obeyed, and every thread sees its own."""
    start, seen = threading.Barrier(8), []

    def order(number: int) -> None:
        start.wait(LIMIT_S)
        server = censor.serve(f"a{number}.test")
        shake_hands(censor, server, f"a{number}.test")
        censor.add("sni_rst", server_name=f"a{number}.test")
        with pytest.raises(ConnectionResetError):
            shake_hands(censor, server, f"a{number}.test")
        seen.append((server.address, server.port))

    with ExitStack() as stack:
        for number in range(8):
            thread = threading.Thread(target=order, args=(number,))
            thread.start()
            stack.callback(thread.join)
    assert len(set(seen)) == 8


async def asyncio_client(censor: Censor, server: Server) -> bytes:
    reader, writer = await asyncio.open_connection(
        server.address, server.port, ssl=censor.ssl_context(), server_hostname=NAME
    )
    writer.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    start = await reader.readexactly(12)
    writer.transport.abort()
    return start


async def trio_client(censor: Censor, server: Server) -> bytes:
    raw = trio.socket.socket()
    await raw.connect((server.address, server.port))
    async with trio.SocketStream(raw) as stream:
        tls = trio.SSLStream(stream, censor.ssl_context(), server_hostname=NAME)
        await tls.send_all(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        return bytes(await tls.receive_some(12))


@pytest.mark.parametrize(
    ("run", "client", "is_reset"),
    [
        (asyncio.run, asyncio_client, ConnectionResetError),
        (lambda main: trio.run(lambda: main), trio_client, trio.BrokenResourceError),
    ],
    ids=["asyncio", "trio"],
)
def test_event_loops(
    censor: Censor,
    run: Callable[[Coroutine[None, None, None]], None],
    client: Callable[[Censor, Server], Awaitable[bytes]],
    is_reset: type[Exception],
) -> None:
    """Orders given inside a running loop are in force for the loop's next connection."""

    async def main() -> None:
        server = censor.serve(NAME)
        assert await client(censor, server) == b"HTTP/1.1 200"
        censor.add("sni_rst", server_name=NAME)
        with pytest.raises(is_reset):
            await client(censor, server)
        censor.clear()
        assert await client(censor, server) == b"HTTP/1.1 200"

    run(main())


def test_the_authority_is_a_file(censor: Censor) -> None:
    """The file holds one certificate, and the context trusts nothing else."""
    assert censor.ca_file.read_text().count("BEGIN CERTIFICATE") == 1
    assert censor.ssl_context().cert_store_stats()["x509_ca"] == 1
    assert urlsplit(censor.proxy_url).scheme == "socks5"


def drops_syns(rule: Rule) -> bool:
    """Whether a rule drops SYNs to some place of the lab."""
    kinds: tuple[PlaceKind, ...] = ("service", "encrypted_resolver")
    return any(on_connect((rule,), Place("127.0.0.1", kind, 443)) == "drop" for kind in kinds)


GIVEN: dict[str, object] = {
    "addresses": ["127.0.0.1"],
    "port": 443,
    "name": NAME,
    "server_name": NAME,
    "host": NAME,
    "address": "127.0.0.1",
    "after_bytes": 1,
    "version": "1.3",
    "ja4": "t",
}


@pytest.mark.parametrize("name", LOOPBACK_RULES)
def test_each_rule_is_obeyed_or_refused(
    name: str, linux_censor: Censor, one_address_censor: Censor
) -> None:
    """Linux plays every rule of loopback; one address plays those that drop no SYN.

    Nor does it take a rule that names places by address alone.
    """
    known = parameters_of(name)
    parameters = {key: value for key, value in GIVEN.items() if key in known}
    if name == "udp_drop":
        parameters["port"] = 53
    linux_censor.add(name, **parameters)
    rule = rule_named(name, parameters)
    if drops_syns(rule):
        with pytest.raises(NeedsManyAddressesError, match=f"{name} drops SYNs"):
            one_address_censor.add(name, **parameters)
    elif "addresses" in known and ("port" not in known or name == "udp_drop"):
        with pytest.raises(NeedsManyAddressesError, match=f"{name} names places by address"):
            one_address_censor.add(name, **parameters)
    else:
        one_address_censor.add(name, **parameters)


def test_one_address_tells_places_by_port(one_address_censor: Censor) -> None:
    """A rule for one port leaves its neighbours alone, and one without a port is refused."""
    censor = one_address_censor
    first, second = censor.serve(NAME), censor.serve("www.example.org")
    censor.add("syn_rst", addresses=[first.address], port=first.port)
    with pytest.raises(ConnectionRefusedError):
        shake_hands(censor, first, NAME)
    assert shake_hands(censor, second, "www.example.org")
    with pytest.raises(NeedsManyAddressesError, match="syn_rst without a port names every place"):
        censor.add("syn_rst", addresses=[first.address])
    censor.clear()
    assert shake_hands(censor, first, NAME)


def test_the_lab_itself_refuses_what_one_address_cannot(one_address_lab: LabProcess) -> None:
    """Whoever drives it: a drop is an error, and the lab goes on."""
    for rule in (Blackout(), IpDrop(addresses=("127.0.0.1",)), SynDrop(port=1)):
        with pytest.raises(LabFailedError, match="on Linux only"):
            one_address_lab.apply([rule])
    one_address_lab.apply([])


def test_the_whole_topology_at_one_address(one_address_lab: LabProcess) -> None:
    """The list for a prober names 127.0.0.1 only, each place with a port of its own."""
    targets = one_address_lab.targets
    endpoints = [e for target in targets.targets for e in target.endpoints if "tcp" in e.probes]
    places = [(e.address, e.port) for e in endpoints if "dns" not in e.probes]
    places += [(c.address, c.port) for c in targets.controls if c.address]
    places += [(one.address, one.port) for one in targets.resolvers]
    assert {address for address, _ in places} == {"127.0.0.1"}
    assert len(set(places)) == len(places)
    for address, port in places:
        if port not in {one_address_lab.ready.ports[key] for key in ("lab-udp", "lab2-udp")}:
            socket.create_connection((address, port), LIMIT_S).close()
