"""mitmproxy forges certificates for what a packet filter sends it, and nothing else changes."""

from datetime import datetime
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys, new_authority
from censorlab.servers.certificates import leaf, self_signed
from censorlab.servers.data_centre import data_centre
from censorlab.servers.interceptor import mitmproxy, redirect_words
from censorlab.servers.program import MissingProgramError
from censorlab.servers.web import PAGE_BYTES, Site, nginx

pytestmark = pytest.mark.netns
V4, V6 = "198.51.100.7", "2001:db8::7"
UNKNOWN_ISSUER = 20


@pytest.fixture(scope="module")
def forger() -> AuthorityKeys:
    return new_authority("Antivirus")


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, forger: AuthorityKeys, now: datetime) -> Any:
    sites = [
        Site(("a.test",), leaf(authority, "a.test", now=now)),
        Site(("self.test",), self_signed("self.test", now=now)),
    ]
    inside.start(lambda: nginx(sites))
    inside.start(lambda: mitmproxy(forger, authority.certificate))
    try:
        words = redirect_words()
    except MissingProgramError as error:
        pytest.skip(str(error))
    assert inside.run(words=words)["code"] == 0
    return inside


@pytest.mark.parametrize("address", [V4, V6])
def test_certificates_are_forged_on_the_fly(
    served: Any, authority: AuthorityKeys, forger: AuthorityKeys, address: str
) -> None:
    honest = served.get(address=address, name="a.test", trusted=authority.certificate)
    assert honest["verify_code"] == UNKNOWN_ISSUER
    trusting = served.get(address=address, name="a.test", trusted=forger.certificate)
    assert "Antivirus" in trusting["issuer"]
    assert (trusting["status"], trusting["bytes"]) == (200, PAGE_BYTES)


def test_its_own_connections_are_not_intercepted(served: Any, authority: AuthorityKeys) -> None:
    """From a port of those it uses, the real certificate is seen."""
    answer = served.get(
        address=V4, name="a.test", trusted=authority.certificate, source=["0.0.0.0", 64_999]
    )
    assert (answer["verify_code"], answer["status"]) == (0, 200)


def test_plain_http_is_left_alone(served: Any) -> None:
    assert served.get(address=V4, name="a.test", port=80)["bytes"] == PAGE_BYTES


def test_a_server_that_it_cannot_verify_is_not_passed_on_as_good(
    served: Any, forger: AuthorityKeys
) -> None:
    answer = served.get(address=V4, name="self.test", trusted=forger.certificate)
    assert answer["verify_code"] or answer["status"] == 502


def test_what_is_neither_tls_nor_http_passes(
    fresh: Any, authority: AuthorityKeys, forger: AuthorityKeys
) -> None:
    fresh.start(data_centre)
    fresh.start(lambda: mitmproxy(forger, authority.certificate))
    assert fresh.run(words=redirect_words())["code"] == 0
    answer = fresh.res_pq(
        address=V4, port=443, transport="intermediate", obfuscated=True, chunk=9999
    )
    assert answer["echoed"]
