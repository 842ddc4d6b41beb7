"""The SOCKS5 proxy stands outside the censor and reaches the lab only."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from censorlab.process import LabProcess
from censorlab.rules import IpDrop, SniRst
from censorlab.topology import (
    ALL_DC_ADDRESSES,
    ALL_WEB_ADDRESSES,
    DC_ADDRESSES,
    SERVICE_PATTERN,
    WEB_ADDRESSES,
)

NAME = "web.messenger.test"


def by_address(address: str, port: int) -> bytes:
    return b"\x05\x01\x00\x01" + socket.inet_aton(address) + port.to_bytes(2, "big")


def by_name(name: str, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes((len(name),)) + name.encode() + port.to_bytes(2, "big")


@contextmanager
def at_proxy(lab: LabProcess) -> Iterator[socket.socket]:
    parts = urlsplit(lab.proxy_url)
    assert parts.scheme == "socks5"
    with socket.create_connection((parts.hostname, parts.port), 5) as sock:
        yield sock


def ask(sock: socket.socket, request: bytes) -> int:
    """The reply code to a request, after agreeing on no authentication."""
    sock.sendall(b"\x05\x01\x00")
    assert sock.recv(2) == b"\x05\x00"
    sock.sendall(request)
    reply = sock.recv(10)
    assert len(reply) == 10
    return reply[1]


@pytest.mark.parametrize("by", ["address", "name"])
def test_the_proxy_bypasses_the_censor(lab: LabProcess, trusting: ssl.SSLContext, by: str) -> None:
    """Dropped and reset when direct, the page's host answers through the proxy."""
    lab.apply(
        [
            IpDrop(addresses=ALL_DC_ADDRESSES + ALL_WEB_ADDRESSES),
            SniRst(server_name=SERVICE_PATTERN),
        ]
    )
    port = lab.ready.ports[NAME]
    request = by_name(NAME, port) if by == "name" else by_address(WEB_ADDRESSES[NAME][1], port)
    with at_proxy(lab) as sock:
        assert ask(sock, request) == 0
        with trusting.wrap_socket(sock, server_hostname=NAME) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: web.messenger.test\r\n\r\n")
            assert tls.recv(15) == b"HTTP/1.1 200 OK"
    for group, address in DC_ADDRESSES.items():
        with at_proxy(lab) as sock:
            assert ask(sock, by_address(address, lab.ready.ports[group])) == 0


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (by_address("192.0.2.1", 443), 2),
        (by_address("127.0.0.1", 22), 2),
        (by_name("nobody.test", 443), 4),
        (b"\x05\x02\x00\x01\x7f\x0a\x01\x01\x01\xbb", 7),
        (b"\x05\x01\x00\x04" + bytes(15) + b"\x01\x01\xbb", 2),
    ],
    ids=["elsewhere", "this machine", "unknown name", "BIND", "IPv6"],
)
def test_the_proxy_leads_nowhere_else(lab: LabProcess, request_bytes: bytes, code: int) -> None:
    """What the lab does not publish is refused with RFC 1928's code."""
    with at_proxy(lab) as sock:
        assert ask(sock, request_bytes) == code


def test_a_client_that_insists_on_authentication(lab: LabProcess) -> None:
    """There is none to offer: 0xFF, then the end."""
    with at_proxy(lab) as sock:
        sock.sendall(b"\x05\x01\x02")
        assert sock.recv(2) == b"\x05\xff"
        assert sock.recv(1) == b""
