"""Resolvers over four transports, and what the UDP injector does to one of them."""

import base64
import http.client
import socket
import ssl
import time

import dns.message
import dns.rcode
import pytest

from censorlab.process import LabProcess
from censorlab.rules import (
    Blackout,
    DnsForge,
    DnsHijack,
    DnsNxdomain,
    DnsRefused,
    DnsServfail,
    DnsTimeout,
    Rule,
    UdpDrop,
)
from censorlab.topology import (
    HONEST_RESOLVER_ADDRESS,
    RESOLVER_ADDRESS,
    RESOLVER_NAME,
    SERVICE_PATTERN,
    WEB_ADDRESSES,
)

NAME = "web.messenger.test"
TRUE = set(WEB_ADDRESSES[NAME])
WINDOW_S = 0.15


def query(name: str = NAME, record: str = "A") -> bytes:
    return dns.message.make_query(name, record).to_wire()


def addresses(message: dns.message.Message) -> set[str]:
    return {item.to_text() for rrset in message.answer for item in rrset}


def ask_udp(address: str, port: int, wire: bytes) -> list[dns.message.Message]:
    """Every datagram that arrives within the window, in order."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((address, port))
        sock.send(wire)
        deadline = time.monotonic() + WINDOW_S
        while (left := deadline - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                found.append(dns.message.from_wire(sock.recv(65535)))
            except TimeoutError:
                break
    return found


def exchange(sock: socket.socket, wire: bytes) -> dns.message.Message:
    sock.sendall(len(wire).to_bytes(2, "big") + wire)
    with sock.makefile("rb") as stream:
        return dns.message.from_wire(stream.read(int.from_bytes(stream.read(2), "big")))


def ask_tcp(lab: LabProcess, wire: bytes) -> dns.message.Message:
    with socket.create_connection((RESOLVER_ADDRESS, lab.ready.ports["lab-tcp"]), 5) as sock:
        return exchange(sock, wire)


def at_censored(lab: LabProcess, wire: bytes | None = None) -> list[dns.message.Message]:
    return ask_udp(RESOLVER_ADDRESS, lab.ready.ports["lab-udp"], wire or query())


def test_honest_answers(lab: LabProcess) -> None:
    """Addresses, an empty answer for a family without any, NXDOMAIN for no such name."""
    (answer,) = at_censored(lab)
    assert addresses(answer) == TRUE
    (empty,) = at_censored(lab, query(record="AAAA"))
    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    (unknown,) = at_censored(lab, query("nobody.test"))
    assert unknown.rcode() == dns.rcode.NXDOMAIN


def test_the_same_over_tcp_and_tls(lab: LabProcess, trusting: ssl.SSLContext) -> None:
    """TCP and DoT agree with UDP."""
    assert addresses(ask_tcp(lab, query())) == TRUE
    with (
        socket.create_connection((RESOLVER_ADDRESS, lab.ready.ports["lab-dot"]), 5) as sock,
        trusting.wrap_socket(sock, server_hostname=RESOLVER_NAME) as tls,
    ):
        assert addresses(exchange(tls, query())) == TRUE
        assert addresses(exchange(tls, query("www.alpha.test"))) == {"127.20.1.1"}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_same_over_https(lab: LabProcess, trusting: ssl.SSLContext, method: str) -> None:
    """DoH agrees too, by either method of RFC 8484."""
    raw = socket.create_connection((RESOLVER_ADDRESS, lab.ready.ports["lab-doh"]), 5)
    with raw, trusting.wrap_socket(raw, server_hostname=RESOLVER_NAME) as tls:
        connection = http.client.HTTPConnection(RESOLVER_NAME)
        connection.sock = tls
        if method == "POST":
            headers = {"Content-Type": "application/dns-message"}
            connection.request("POST", "/dns-query", query(), headers)
        else:
            encoded = base64.urlsafe_b64encode(query()).rstrip(b"=").decode()
            connection.request("GET", f"/dns-query?dns={encoded}")
        with connection.getresponse() as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "application/dns-message"
            assert addresses(dns.message.from_wire(response.read())) == TRUE


def test_forged_answer_comes_first(lab: LabProcess) -> None:
    """Two answers to one query on one socket, the forged one first."""
    lab.apply([DnsForge(name=SERVICE_PATTERN, address="192.0.2.7")])
    forged, true = at_censored(lab)
    assert (addresses(forged), addresses(true)) == ({"192.0.2.7"}, TRUE)
    assert forged.id == true.id


@pytest.mark.parametrize(
    ("rule", "rcode"),
    [
        (DnsNxdomain(name=SERVICE_PATTERN), dns.rcode.NXDOMAIN),
        (DnsRefused(name=SERVICE_PATTERN), dns.rcode.REFUSED),
        (DnsServfail(name=SERVICE_PATTERN), dns.rcode.SERVFAIL),
        (DnsTimeout(name=SERVICE_PATTERN), None),
    ],
)
def test_refusals(lab: LabProcess, rule: Rule, rcode: dns.rcode.Rcode | None) -> None:
    """One code or silence on UDP; TCP, other names and the far resolver stay honest."""
    lab.apply([rule])
    assert [m.rcode() for m in at_censored(lab)] == ([] if rcode is None else [rcode])
    assert addresses(ask_tcp(lab, query())) == TRUE
    (control,) = at_censored(lab, query("www.alpha.test"))
    assert addresses(control) == {"127.20.1.1"}
    (honest,) = ask_udp(HONEST_RESOLVER_ADDRESS, lab.ready.ports["lab2-udp"], query())
    assert addresses(honest) == TRUE


@pytest.mark.parametrize("name", [SERVICE_PATTERN, None])
def test_a_hijacker_answers_alone(lab: LabProcess, name: str | None) -> None:
    """One answer, and an empty one for the other family; the far resolver is out of reach."""
    lab.apply([DnsHijack(name=name, address="192.0.2.7")])
    (hijacked,) = at_censored(lab)
    assert addresses(hijacked) == {"192.0.2.7"}
    (empty,) = at_censored(lab, query(record="AAAA"))
    assert (empty.rcode(), empty.answer) == (dns.rcode.NOERROR, [])
    (other,) = at_censored(lab, query("www.alpha.test"))
    assert addresses(other) == {"127.20.1.1" if name else "192.0.2.7"}
    assert addresses(ask_tcp(lab, query())) == TRUE
    (honest,) = ask_udp(HONEST_RESOLVER_ADDRESS, lab.ready.ports["lab2-udp"], query())
    assert addresses(honest) == TRUE


def test_dropped_udp_leaves_tcp(lab: LabProcess) -> None:
    """As port 53, at the resolver's address or all."""
    for rule in (UdpDrop(port=53), UdpDrop(addresses=(RESOLVER_ADDRESS,))):
        lab.apply([rule])
        assert at_censored(lab) == []
        assert addresses(ask_tcp(lab, query())) == TRUE


def test_blackout_silences_every_resolver(lab: LabProcess) -> None:
    """A dead line has no honest resolver."""
    lab.apply([Blackout()])
    assert at_censored(lab) == []
    assert ask_udp(HONEST_RESOLVER_ADDRESS, lab.ready.ports["lab2-udp"], query()) == []


def test_garbage_is_not_answered(lab: LabProcess) -> None:
    """What is not a query gets no answer, and the next query still does."""
    assert at_censored(lab, b"\x00" * 5) == []
    assert len(at_censored(lab)) == 1
