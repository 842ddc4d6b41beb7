"""The same endpoint through a proxy: the endpoint's steps, and a tunnel before them."""

from typing import Literal

import pytest

from fakes import OWNER
from probe.model.step import Chain, HttpRequest, ProxyConnect, StepSpec, TcpConnect, TlsHandshake
from probe.tactics.proxy import through_proxy

STEPS: tuple[StepSpec, ...] = (
    TcpConnect(timeout_s=3.3),
    TlsHandshake(server_name="a.example", alpn=(), trust="public", timeout_s=6.0),
    HttpRequest(host="a.example", path="/", max_body_bytes=1, timeout_s=8.0),
)
DIRECT = Chain(
    role="test",
    owner=OWNER,
    port=443,
    hostname="a.example",
    steps=STEPS,
    attempts=2,
    max_addresses=4,
)


@pytest.mark.parametrize("kind", ["socks5", "http_connect"])
def test_a_tunnel_follows_the_connect(kind: Literal["socks5", "http_connect"]) -> None:
    """Everything else of the chain stays: whose it is, where it ends, how often it is tried."""
    chain = through_proxy(DIRECT, 1, kind)

    assert isinstance(chain.steps[1], ProxyConnect)
    assert chain.steps[1].proxy_index == 1
    assert (chain.steps[0], *chain.steps[2:]) == STEPS
    assert (chain.tactic, chain.proxy_id) == (kind, "proxy-2")
    assert (chain.owner, chain.hostname, chain.port) == (OWNER, "a.example", 443)
    assert (chain.attempts, chain.max_addresses) == (2, 1)


def test_the_direct_chain_is_untouched() -> None:
    """A rewrite makes a new value."""
    through_proxy(DIRECT, 0, "socks5")
    assert DIRECT.steps == STEPS
    assert DIRECT.proxy_id is None
