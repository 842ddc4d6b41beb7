"""Asking a proxy: what it says is recorded, and where it is never is."""

import errno

import pytest

from fakes import Arrival, FakeNetwork, FakeTcpConnection, Row, context_of, play
from probe.model.observation import Observation
from probe.model.step import ProxyConnect
from probe.net.api import ProxyAddress
from probe.steps.proxy_connect import proxy_connect
from probe.wire.proxy_links import ProxyLink

PROXY = ProxyAddress(ProxyLink("socks5", "192.0.2.66", 1080, "somebody", "password"), "192.0.2.66")
SPEC = ProxyConnect(proxy_index=0, timeout_s=10.0)


def ask(row: Row) -> Observation:
    """Ask a written-down proxy for a tunnel."""

    async def scene() -> Observation:
        network = FakeNetwork([row])
        context = context_of(
            network, address=PROXY.address, port=PROXY.link.port, proxy_id="proxy-1"
        )
        return await proxy_connect(
            context, SPEC, FakeTcpConnection(row), PROXY, ("www.example.org", 443)
        )

    return play(scene)


@pytest.mark.parametrize(
    ("row", "failure", "detail"),
    [
        (Row(PROXY.address, arrivals=(Arrival(0.1, b"ok"),)), None, None),
        (
            Row(PROXY.address, refusal="reply_5"),
            "unknown_failure: proxy_refused",
            "reply_5",
        ),
        (
            Row(PROXY.address, arrivals=(Arrival(0.1, errno.ECONNRESET),)),
            "connection_reset",
            "ECONNRESET",
        ),
        (Row(PROXY.address), "generic_timeout_error", None),
    ],
    ids=["opened", "refused", "reset", "silent"],
)
def test_what_the_proxy_says(row: Row, failure: str | None, detail: str | None) -> None:
    """Each outcome has its word; the row names the proxy and not its place."""
    found = ask(row)

    assert (found.failure, found.failure_detail) == (failure, detail)
    assert (found.proxy_id, found.tactic) == ("proxy-1", "socks5")
    assert (found.address, found.port, found.ip_version) == (None, None, None)
    assert found.sent_bytes > 0
    assert PROXY.address not in str(found)


def test_a_silent_proxy_ends_at_the_deadline() -> None:
    """Two paths lie behind it, and no more time than the plan says."""
    row = ask(Row(PROXY.address))
    assert row.t - row.t0 == pytest.approx(SPEC.timeout_s)
