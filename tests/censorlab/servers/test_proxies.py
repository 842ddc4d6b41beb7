"""Stock proxies carry a TLS connection to a site, spoken to in plain bytes."""

from datetime import datetime
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.proxies import dante, microsocks, tinyproxy
from censorlab.servers.web import PAGE_BYTES, Site, nginx

pytestmark = pytest.mark.netns
V4, V6, OUTSIDE = "198.51.100.7", "2001:db8::7", "198.51.100.8"


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, now: datetime) -> Any:
    inside.start(lambda: nginx([Site(("a.test",), leaf(authority, "a.test", now=now))]))
    inside.start(microsocks)
    inside.start(tinyproxy)
    inside.start(lambda: dante(OUTSIDE, V6, port=1081))
    return inside


@pytest.mark.parametrize("proxy", [V4, V6])
@pytest.mark.parametrize(("kind", "port"), [("socks5", 1080), ("connect", 8888)])
def test_microsocks_and_tinyproxy_listen_on_both_families(
    served: Any, authority: AuthorityKeys, kind: str, port: int, proxy: str
) -> None:
    via = [kind, proxy, port]
    answer = served.get(address=V4, name="a.test", trusted=authority.certificate, via=via)
    assert (answer["status"], answer["bytes"]) == (200, PAGE_BYTES)


@pytest.mark.parametrize("target", [V4, V6])
def test_dante_goes_out_over_both_families(
    served: Any, authority: AuthorityKeys, target: str
) -> None:
    via = ["socks5", V4, 1081]
    answer = served.get(address=target, name="a.test", trusted=authority.certificate, via=via)
    assert (answer["status"], answer["bytes"]) == (200, PAGE_BYTES)
