"""Servers of a test's own choice behind the censor, driven from any thread or loop."""

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
from censorlab.messages import Server
from censorlab.process import LabFailedError, LabProcess
from censorlab.rulebook import UnknownRuleError, WrongParameterError

NAME = "web.telegram.org"
LIMIT_S = 5.0


@pytest.fixture
def censor(lab_process: LabProcess, tmp_path: Path) -> Iterator[Censor]:
    one = Censor(lab_process, tmp_path / "ca.pem")
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
    assert (first.address, second.address) == ("127.40.1.1", "127.40.1.2")
    assert first.names == (NAME, "t.me")
    assert first.url == f"https://{NAME}:{first.port}/"
    for server in (first, second):
        for name in server.names:
            assert shake_hands(censor, server, name) == "TLSv1.3"
            assert answered(resolve(censor, name)) == [server.address]
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(censor, first, "telegram.org")


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
    censor.add("ip_drop", addresses=[server.address])
    censor.add("sni_rst", server_name=NAME)
    proxy = Proxy.from_url(censor.proxy_url)
    for host in (server.address, NAME):
        raw = proxy.connect(host, server.port, timeout=LIMIT_S)
        assert shake_hands(censor, server, NAME, raw)


def test_rules_hold_for_servers_that_come_later(censor: Censor) -> None:
    """A server that opens on a dead line is silent, and answers once that is lifted."""
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


def test_a_refused_order_changes_nothing(censor: Censor, lab_process: LabProcess) -> None:
    """After an error all is as before: the servers, the rules, the next order."""
    server = censor.serve(NAME)
    for taken in (NAME, "web.messenger.test"):
        with pytest.raises(LabFailedError, match=f"{taken} is already served"):
            censor.serve("www.example.org", taken)
    with pytest.raises(UnknownRuleError):
        censor.add("sni_reset", server_name=NAME)
    with pytest.raises(WrongParameterError):
        censor.add("sni_rst", name=NAME)
    with pytest.raises(LabFailedError, match="at most 254 servers"):
        lab_process.add_servers([(f"a{n}.test",) for n in range(255)])
    assert shake_hands(censor, server, NAME)
    assert resolve(censor, "www.example.org").rcode() == dns.rcode.NXDOMAIN
    assert censor.serve("www.example.org").address == "127.40.1.2"


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
        seen.append(server.address)

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
