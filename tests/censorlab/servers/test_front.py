"""haproxy terminates TLS before nginx, passes connections on, and closes too many."""

from datetime import datetime
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.front import Backend, RateLimit, cdn_edge, tcp_front
from censorlab.servers.web import PAGE_BYTES, Site, nginx

pytestmark = pytest.mark.netns
V4, V6 = "198.51.100.7", "2001:db8::7"


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, now: datetime) -> Any:
    site = Site(("a.test",), leaf(authority, "origin.test", now=now))
    inside.start(lambda: nginx([site], tls_port=4430))
    leaves = [leaf(authority, name, now=now) for name in ("edge.test", "a.test")]
    inside.start(lambda: cdn_edge(leaves, Backend("127.0.0.1", 80), name="edge"))
    inside.start(lambda: tcp_front([5222, 8000], Backend("::1", 80), name="front"))
    limit = RateLimit(connections=3, period_s=60)
    inside.start(lambda: tcp_front([8888], Backend("127.0.0.1", 80), name="gate", limit=limit))
    return inside


@pytest.mark.parametrize("address", [V4, V6])
def test_the_edge_shows_its_own_certificate_and_the_origins_page(
    served: Any, authority: AuthorityKeys, address: str
) -> None:
    for name in ("a.test", "edge.test"):
        answer = served.get(address=address, name=name, trusted=authority.certificate)
        assert (answer["verify_code"], answer["status"]) == (0, 200)
        assert answer["bytes"] == PAGE_BYTES


@pytest.mark.parametrize(("address", "port"), [(V4, 5222), (V6, 8000)])
def test_connections_are_passed_on_as_they_are(served: Any, address: str, port: int) -> None:
    assert served.get(address=address, name="a.test", port=port)["bytes"] == PAGE_BYTES


def test_those_above_the_limit_are_closed_for_that_address_only(served: Any) -> None:
    """The fourth in a minute, with an answer to none of its bytes."""
    first = served.burst(address=V4, port=8888, name="a.test", count=6, source=V4)
    assert first["outcomes"] == [200, 200, 200, *["ConnectionResetError"] * 3]
    other = served.burst(address=V4, port=8888, name="a.test", count=1, source="198.51.100.8")
    assert other["outcomes"] == [200]
