"""Ways around are rewrites of the direct chain: what differs is the way, and nothing else."""

from collections.abc import Iterable

import msgspec
import pytest

from fakes import OWNER
from probe.model.observation import TACTICS
from probe.model.step import (
    Chain,
    EchProbe,
    Http3Request,
    HttpRequest,
    MtprotoHandshake,
    ProxyHandshake,
    TcpConnect,
    TlsHandshake,
)
from probe.tactics.hello import encrypted_hello, other_hellos
from probe.tactics.proxy import at_fresh_address, through_mtproxy
from probe.tactics.transport import HTTP_PORT, other_transports, over_quic

CONNECT = TcpConnect(timeout_s=3.3)
HELLO = TlsHandshake(server_name="a.example", alpn=(), trust="public", timeout_s=6.0)
PAGE = HttpRequest(host="a.example", path="/x", max_body_bytes=9, timeout_s=8.0)
QUESTION = MtprotoHandshake(transport="obfuscated", dc_id=4, timeout_s=6.0)
WEB = Chain(role="test", owner=OWNER, port=443, hostname="a.example", steps=(CONNECT, HELLO, PAGE))
CENTRE = Chain(role="test", owner=OWNER, port=443, address="203.0.113.7", steps=(CONNECT, QUESTION))
WEB_WAYS = (*other_hellos(WEB), encrypted_hello(WEB), over_quic(WEB, 8.0))
CENTRE_WAYS = (*other_transports(CENTRE), through_mtproxy(CENTRE, 2), at_fresh_address(CENTRE))


def tactics(chains: Iterable[Chain]) -> list[str]:
    return [chain.tactic for chain in chains]


def test_every_tactic_has_a_rewrite_or_shows_by_itself() -> None:
    """No word of the vocabulary is without a meaning."""
    seen = {"none", "encrypted_dns", "ipv4", "ipv6", "other_port", "websocket"}
    through = {"socks5", "http_connect"}
    assert {*tactics((*WEB_WAYS, *CENTRE_WAYS)), *seen, *through} == set(TACTICS) - {"withheld"}


@pytest.mark.parametrize("way", [*WEB_WAYS, *CENTRE_WAYS], ids=lambda way: way.tactic)
def test_whose_it_is_and_what_for_stays(way: Chain) -> None:
    """A way is the endpoint's own, and a test like the direct one."""
    assert (way.owner, way.role, way.follow_up) == (OWNER, "test", None)
    assert way.tactic != "none"


@pytest.mark.parametrize("way", list(other_hellos(WEB)), ids=lambda way: way.tactic)
def test_a_hello_differs_in_form_only(way: Chain) -> None:
    """Name, trust and page are those of the direct way."""
    connect, hello, page = way.steps
    assert (connect, page) == (CONNECT, PAGE)
    assert isinstance(hello, TlsHandshake)
    assert (hello.split, hello.profile) != (None, "default")
    as_before = msgspec.structs.replace(hello, split=None, profile="default", alpn=())
    assert as_before == HELLO


def test_a_browser_that_asks_for_a_page_offers_http_1_1_only() -> None:
    """It is what we speak then; without a page it offers what browsers do."""
    bare = msgspec.structs.replace(WEB, steps=(CONNECT, HELLO))
    for chain, alpn in ((WEB, ("http/1.1",)), (bare, ("h2", "http/1.1"))):
        offered = {
            step.alpn
            for way in other_hellos(chain)
            for step in way.steps
            if isinstance(step, TlsHandshake) and step.profile in {"chrome", "firefox", "safari"}
        }
        assert offered == {alpn}


def test_an_encrypted_hello_ends_with_its_proof() -> None:
    """No page: what counts is that the server read the name."""
    assert encrypted_hello(WEB).steps == (
        CONNECT,
        EchProbe(server_name="a.example", timeout_s=HELLO.timeout_s),
    )


def test_quic_asks_for_the_same_page() -> None:
    """Under the same trust."""
    (request,) = over_quic(WEB, 8.0).steps
    assert request == Http3Request(
        server_name="a.example", path="/x", trust="public", max_body_bytes=9, timeout_s=8.0
    )


@pytest.mark.parametrize("way", list(other_transports(CENTRE)), ids=lambda way: way.tactic)
def test_a_transport_asks_the_same_data_centre(way: Chain) -> None:
    """HTTP goes to the port of HTTP, all others to the endpoint's own."""
    connect, question = way.steps
    assert connect == CONNECT
    assert isinstance(question, MtprotoHandshake)
    assert question.transport != QUESTION.transport
    assert msgspec.structs.replace(question, transport="obfuscated") == QUESTION
    assert way.port == (HTTP_PORT if question.transport == "http" else CENTRE.port)
    assert way.address == CENTRE.address


def test_a_proxy_with_a_secret_is_told_the_data_centre() -> None:
    """It has no use for an address; results know the proxy by its number."""
    way = through_mtproxy(CENTRE, 2)
    (step,) = way.steps
    assert isinstance(step, ProxyHandshake)
    assert (step.proxy_index, step.dc_id, way.proxy_id) == (2, 4, "proxy-3")


def test_a_fresh_address_is_not_known_before_the_run() -> None:
    """Neither the old address nor a name is taken along."""
    way = at_fresh_address(CENTRE)
    assert (way.address, way.hostname) == (None, None)
    assert way.proxy_id is not None
