"""Each rule's signature, as a plain socket client sees it (not the prober).

Signatures after the reference on methods of interference: what ``connect`` and
``recv`` raise, and what Linux's TCP_INFO counts.
"""

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from censorlab.process import LabProcess
from censorlab.rules import (
    Allowlist,
    Blackout,
    EncryptedDnsDrop,
    ForgedCertificate,
    Freeze,
    HttpBlockpage,
    IpDrop,
    RecordDrop,
    SniDrop,
    SniRst,
    TcpRefuse,
    Throttle,
)
from censorlab.topology import (
    DC_ADDRESSES,
    KNOWN_GOOD,
    RESOLVER_ADDRESS,
    SERVICE_PATTERN,
    WEB_ADDRESSES,
)

NAME = "web.messenger.test"
OTHER_NAME = "www.example.test"
WEB_ADDRESS = WEB_ADDRESSES[NAME][0]
DC = DC_ADDRESSES["dc1"]
PAGE_BYTES = 48_000
CONNECT_LIMIT_S = 5.0


class TcpInfo(NamedTuple):
    retransmits: int
    unacked: int
    bytes_acked: int
    bytes_received: int


def tcp_info(sock: socket.socket) -> TcpInfo:
    # Offsets in Linux's struct tcp_info.
    raw = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 136)
    (unacked,) = struct.unpack_from("=I", raw, 24)
    (retransmits,) = struct.unpack_from("=I", raw, 100)
    acked, received = struct.unpack_from("=QQ", raw, 120)
    return TcpInfo(retransmits, unacked, acked, received)


@contextmanager
def connected(address: str, port: int, limit_s: float = CONNECT_LIMIT_S) -> Iterator[socket.socket]:
    with socket.create_connection((address, port), limit_s) as sock:
        yield sock


def is_silent(address: str, port: int, limit_s: float) -> bool:
    """Whether a connection neither completes nor fails within the limit."""
    with socket.socket() as sock:
        sock.settimeout(0)
        sock.connect_ex((address, port))
        return not select.select([], [sock], [], limit_s)[1]


def hello_of(name: str) -> bytes:
    outgoing = ssl.MemoryBIO()
    context = ssl.create_default_context()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


class Page(NamedTuple):
    head: bytes
    body: bytes
    seconds: float
    """From the request's end to the last byte."""


def get(lab: LabProcess, context: ssl.SSLContext, name: str, host: str = "") -> Page:
    """GET / at the web address under a server name."""
    with (
        connected(WEB_ADDRESS, lab.ready.ports[NAME], 10) as sock,
        context.wrap_socket(sock, server_hostname=name) as tls,
    ):
        tls.sendall(b"GET / HTTP/1.1\r\nHost: " + (host or name).encode() + b"\r\n\r\n")
        started = time.monotonic()
        data = bytearray()
        while len(data) < PAGE_BYTES:
            data += tls.recv(65536)
        head, _, body = bytes(data).partition(b"\r\n\r\n")
        while len(body) < PAGE_BYTES:
            body += tls.recv(65536)
        return Page(head, body, time.monotonic() - started)


@pytest.fixture
def indifferent() -> ssl.SSLContext:
    """A client that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_without_rules_everything_answers(lab: LabProcess, trusting: ssl.SSLContext) -> None:
    """Every published TCP endpoint connects and every host shows its own certificate."""
    for group, address in DC_ADDRESSES.items():
        with connected(address, lab.ready.ports[group]) as sock:
            assert not select.select([sock], [], [], 0)[0]
    hosts = [(n, a, n) for n, addresses in WEB_ADDRESSES.items() for a in addresses]
    hosts += [(h.id, h.address, h.server_name) for h in KNOWN_GOOD]
    for key, address, name in hosts:
        with (
            connected(address, lab.ready.ports[key]) as sock,
            trusting.wrap_socket(sock, server_hostname=name) as tls,
        ):
            assert tls.version() == "TLSv1.3"


def test_page(lab: LabProcess, trusting: ssl.SSLContext) -> None:
    """A page has a title, a length, and the same bytes every time."""
    page = get(lab, trusting, NAME)
    assert b"200 OK" in page.head
    assert f"content-length: {PAGE_BYTES}".encode() in page.head.lower()
    assert len(page.body) == PAGE_BYTES
    assert b"<title>web.messenger.test (simulated)</title>" in page.body
    assert page.body == get(lab, trusting, NAME).body


def test_unknown_name_completes_under_a_default_certificate(
    lab: LabProcess, trusting: ssl.SSLContext, indifferent: ssl.SSLContext
) -> None:
    """A contrast handshake ends, by name mismatch (62) for a client that verifies."""
    assert get(lab, indifferent, OTHER_NAME).body
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        get(lab, trusting, OTHER_NAME)
    assert caught.value.verify_code == 62


def test_ip_drop_is_a_real_drop(lab: LabProcess) -> None:
    """SYN, SYN again, nothing: the kernel retransmits and connect times out."""
    lab.apply([IpDrop(addresses=(DC,))])
    with socket.socket() as sock:
        sock.settimeout(1.5)
        with pytest.raises(TimeoutError):
            sock.connect((DC, lab.ready.ports["dc1"]))
        assert tcp_info(sock).retransmits >= 1
    with connected(DC_ADDRESSES["dc2"], lab.ready.ports["dc2"]):
        pass


def test_tcp_refuse_is_a_closed_port(lab: LabProcess) -> None:
    """RST to the SYN."""
    lab.apply([TcpRefuse(addresses=(DC,))])
    with pytest.raises(ConnectionRefusedError), connected(DC, lab.ready.ports["dc1"]):
        pass


def established(port: int) -> int:
    """Connections on a port as the kernel lists them, either end."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[3] == "01" and f"{port:04X}" in (row[1][-4:], row[2][-4:]) for row in rows)


def test_rules_switch_back_and_forth(lab: LabProcess) -> None:
    """Twenty times dropped, refused and free, and nothing of it is left over.

    The first connection after lifting works at once: no SYN retransmission, no
    filler left in the queue, no TIME_WAIT in the way.
    """
    port = lab.ready.ports["dc1"]
    for _ in range(20):
        lab.apply([IpDrop(addresses=(DC,))])
        assert is_silent(DC, port, 0.05)
        lab.apply([TcpRefuse(addresses=(DC,))])
        with pytest.raises(ConnectionRefusedError), connected(DC, port):
            pass
        lab.apply([IpDrop(addresses=(DC,))])
        assert is_silent(DC, port, 0.05)
        lab.apply([])
        assert established(port) == 0
        with connected(DC, port) as sock:
            assert tcp_info(sock).retransmits == 0


def test_switching_under_load(lab: LabProcess) -> None:
    """A client that keeps connecting cannot make a drop fail or a lift hang."""
    port, stop = lab.ready.ports["dc1"], threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            with socket.socket() as sock:
                sock.settimeout(0)
                sock.connect_ex((DC, port))
                select.select([], [sock], [], 0.01)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        for _ in range(20):
            lab.apply([IpDrop(addresses=(DC,))])
            assert is_silent(DC, port, 0.05)
            lab.apply([])
            with connected(DC, port):
                pass
    finally:
        stop.set()
        thread.join()


def test_sni_rst(lab: LabProcess, trusting: ssl.SSLContext, indifferent: ssl.SSLContext) -> None:
    """ECONNRESET after the hello; another name at the same address is free."""
    lab.apply([SniRst(server_name=SERVICE_PATTERN)])
    with connected(WEB_ADDRESS, lab.ready.ports[NAME]) as sock:
        sock.sendall(hello_of(NAME))
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionResetError):
        get(lab, trusting, NAME)
    assert get(lab, indifferent, OTHER_NAME).body


def test_sni_rst_reads_through_splitting(lab: LabProcess) -> None:
    """This censor reassembles: a hello in two segments is reset as well."""
    lab.apply([SniRst(server_name=SERVICE_PATTERN)])
    hello = hello_of(NAME)
    with connected(WEB_ADDRESS, lab.ready.ports[NAME]) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(hello[:100])
        assert not select.select([sock], [], [], 0.05)[0]
        sock.sendall(hello[100:])
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_sni_drop_is_acknowledged_silence(lab: LabProcess, indifferent: ssl.SSLContext) -> None:
    """The hello is acknowledged to its last byte, and nothing ever comes back."""
    lab.apply([SniDrop(server_name=SERVICE_PATTERN)])
    hello = hello_of(NAME)
    with connected(WEB_ADDRESS, lab.ready.ports[NAME], 0.5) as sock:
        sock.sendall(hello)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        info = tcp_info(sock)
        assert (info.bytes_acked, info.unacked, info.bytes_received) == (len(hello) + 1, 0, 0)
    assert get(lab, indifferent, OTHER_NAME).body


def test_throttle_paces_one_name_only(lab: LabProcess, indifferent: ssl.SSLContext) -> None:
    """The rate is the parameter's within 20 %; the same address under another name is not slow."""
    rate = 32_000
    lab.apply([Throttle(server_name=SERVICE_PATTERN, rate_bytes_per_s=rate)])
    slow = get(lab, indifferent, NAME)
    assert len(slow.body) / slow.seconds == pytest.approx(rate, rel=0.2)
    free = get(lab, indifferent, OTHER_NAME)
    assert len(free.body) / free.seconds > 20 * rate


def test_freeze_stops_to_the_byte(lab: LabProcess, indifferent: ssl.SSLContext) -> None:
    """Exactly the limit arrives, then silence without RST or FIN."""
    limit = 20_000
    lab.apply([Freeze(server_name=SERVICE_PATTERN, after_bytes=limit)])
    with connected(WEB_ADDRESS, lab.ready.ports[NAME], 0.5) as sock:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = indifferent.wrap_bio(incoming, outgoing, server_hostname=NAME)
        received = 0
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                received += incoming.write(sock.recv(65536))
        tls.write(b"GET / HTTP/1.1\r\nHost: " + NAME.encode() + b"\r\n\r\n")
        sock.sendall(outgoing.read())
        with pytest.raises(TimeoutError):
            while chunk := sock.recv(65536):
                received += len(chunk)
        assert received == limit == tcp_info(sock).bytes_received
    assert len(get(lab, indifferent, OTHER_NAME).body) == PAGE_BYTES


def test_forged_certificate(lab: LabProcess, trusting: ssl.SSLContext) -> None:
    """The right name under an unknown authority (19 or 20), at the true address."""
    lab.apply([ForgedCertificate(server_name=NAME)])
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        get(lab, trusting, NAME)
    assert caught.value.verify_code in {19, 20}
    with (
        connected(WEB_ADDRESS, lab.ready.ports[NAME]) as sock,
        trusting.wrap_socket(sock, server_hostname="t.messenger.test") as tls,
    ):
        assert tls.version()


def test_encrypted_dns_drop(lab: LabProcess) -> None:
    """DoT and DoH ports fall silent; plain TCP at the same address does not."""
    lab.apply([EncryptedDnsDrop()])
    assert is_silent(RESOLVER_ADDRESS, lab.ready.ports["lab-dot"], 0.2)
    assert is_silent(RESOLVER_ADDRESS, lab.ready.ports["lab-doh"], 0.2)
    with connected(RESOLVER_ADDRESS, lab.ready.ports["lab-tcp"]):
        pass


def test_blackout(lab: LabProcess) -> None:
    """Nothing answers: service, controls, resolvers, proxy."""
    lab.apply([Blackout()])
    places = [(a, g) for g, a in DC_ADDRESSES.items()]
    places += [(a, n) for n, addresses in WEB_ADDRESSES.items() for a in addresses]
    places += [(host.address, host.id) for host in KNOWN_GOOD]
    places += [(RESOLVER_ADDRESS, key) for key in ("lab-tcp", "lab-dot", "lab-doh")]
    places += [("127.0.0.1", "proxy")]
    assert all(is_silent(address, lab.ready.ports[key], 0.02) for address, key in places)


def test_what_is_not_tls_passes(lab: LabProcess) -> None:
    """The censor fails open: a data centre's own protocol is not examined."""
    lab.apply([SniDrop(server_name=SERVICE_PATTERN)])
    with connected(DC, lab.ready.ports["dc1"], 0.1) as sock:
        sock.sendall(b"\xef" * 64)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.shutdown(socket.SHUT_WR)
        sock.settimeout(2)
        assert sock.recv(1) == b""


def test_a_burst_of_connections_is_not_slowed(lab: LabProcess) -> None:
    """No SYN is dropped by the lab itself when 300 clients come at once."""
    socks = [socket.socket() for _ in range(300)]
    try:
        for sock in socks:
            sock.settimeout(0)
            sock.connect_ex((DC, lab.ready.ports["dc1"]))
        for sock in socks:
            assert select.select([], [sock], [], CONNECT_LIMIT_S)[1]
            assert tcp_info(sock).retransmits == 0
    finally:
        for sock in socks:
            sock.close()


def test_the_second_record_is_lost(lab: LabProcess, trusting: ssl.SSLContext) -> None:
    """A handshake that completes, a request that is acknowledged, and no answer to it."""
    lab.apply([RecordDrop(server_name=SERVICE_PATTERN)])
    with (
        connected(WEB_ADDRESS, lab.ready.ports[NAME]) as sock,
        trusting.wrap_socket(sock, server_hostname=NAME) as tls,
    ):
        tls.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        tls.settimeout(0.5)
        with pytest.raises(TimeoutError):
            tls.recv(1)
        assert tcp_info(tls).unacked == 0


def test_a_page_is_injected(lab: LabProcess) -> None:
    """Instead of whatever the true server would have said."""
    redirect = "HTTP/1.1 302 Found\r\nLocation: http://warning.test/\r\n\r\n"
    lab.apply([HttpBlockpage(host=SERVICE_PATTERN, response=redirect)])
    with connected(WEB_ADDRESS, lab.ready.ports[NAME]) as sock:
        sock.sendall(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        with sock.makefile("rb") as answer:
            assert answer.read() == redirect.encode()


def test_an_allowlist_covers_the_proxy_too(lab: LabProcess) -> None:
    """Places elsewhere can be connected to, and hear nothing."""
    lab.apply([Allowlist(addresses=(WEB_ADDRESS,))])
    address, port = lab.proxy_url.removeprefix("socks5://").split(":")
    with connected(address, int(port)) as sock:
        sock.sendall(b"\x05\x01\x00")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
