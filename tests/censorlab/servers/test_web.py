"""nginx serves sites, good certificates and bad ones, as ordinary sockets see it."""

import hashlib
import signal
import sys
from datetime import datetime, timedelta
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys, new_authority
from censorlab.servers.certificates import expired_leaf, future_leaf, leaf, self_signed
from censorlab.servers.clock import skewed_words
from censorlab.servers.program import MissingProgramError, executable
from censorlab.servers.web import LARGE_BYTES, LARGE_PATH, PAGE_BYTES, Site, nginx

pytestmark = pytest.mark.netns
V4, V6 = "198.51.100.7", "2001:db8::7"
# From OpenSSL's x509_vfy.h.
NOT_YET_VALID, EXPIRED, SELF_SIGNED, UNKNOWN_ISSUER, WRONG_HOST = 9, 10, 18, 20, 62


def sites(authority: AuthorityKeys, now: datetime) -> list[Site]:
    forger = new_authority("Forger")
    other = leaf(authority, "elsewhere.test", now=now)
    return [
        Site(("default.test",), leaf(authority, "default.test", now=now)),
        Site(("a.test", "www.a.test"), leaf(authority, "a.test", "www.a.test", now=now)),
        Site(("expired.test",), expired_leaf(authority, "expired.test", now=now)),
        Site(("early.test",), future_leaf(authority, "early.test", now=now)),
        Site(("wrong.test",), other),
        Site(("forged.test",), leaf(forger, "forged.test", now=now)),
        Site(("self.test",), self_signed("self.test", now=now)),
        Site(
            ("portal.test",), leaf(authority, "portal.test", now=now), "http://login.portal.test/"
        ),
    ]


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, now: datetime) -> Any:
    inside.start(lambda: nginx(sites(authority, now)))
    inside.start(
        lambda: nginx(
            sites(authority, now)[:2],
            name="small",
            record_bytes=1000,
            page_bytes=5000,
            tls_port=4430,
            http_port=8000,
        )
    )
    return inside


@pytest.mark.parametrize("address", [V4, V6])
def test_any_path_gives_the_page_with_tls_and_without(
    served: Any, authority: AuthorityKeys, address: str
) -> None:
    for trusted, port in ((authority.certificate, 443), (None, 80)):
        for path in ("/", "/any/path?x"):
            answer = served.get(
                address=address, name="www.a.test", path=path, port=port, trusted=trusted
            )
            assert (answer["status"], answer["bytes"]) == (200, PAGE_BYTES)
            assert answer["headers"]["content-type"] == "text/html"
            assert answer["start"].startswith("<!doctype html><title>a.test</title>")


def test_the_large_file_is_whole(served: Any, authority: AuthorityKeys) -> None:
    answer = served.get(address=V4, name="a.test", path=LARGE_PATH, trusted=authority.certificate)
    assert answer["status"] == 200
    assert answer["digest"] == hashlib.sha256(bytes(LARGE_BYTES)).hexdigest()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.test", 0),
        ("default.test", 0),
        ("expired.test", EXPIRED),
        ("early.test", NOT_YET_VALID),
        ("wrong.test", WRONG_HOST),
        ("forged.test", UNKNOWN_ISSUER),
        ("self.test", SELF_SIGNED),
        ("unknown.test", WRONG_HOST),
    ],
)
def test_each_name_shows_its_certificate(
    served: Any, authority: AuthorityKeys, name: str, code: int
) -> None:
    """The codes are OpenSSL's; a name of no site gets the first site's certificate."""
    answer = served.get(address=V4, name=name, trusted=authority.certificate)
    assert answer["verify_code"] == code


def test_a_portal_redirects_every_path(served: Any, authority: AuthorityKeys) -> None:
    for trusted, port in ((authority.certificate, 443), (None, 80)):
        answer = served.get(
            address=V4, name="portal.test", path="/generate_204", port=port, trusted=trusted
        )
        assert answer["status"] == 302
        assert answer["headers"]["location"] == "http://login.portal.test/"


def test_records_are_as_small_as_asked(served: Any, authority: AuthorityKeys) -> None:
    """One read of a TLS socket gives at most one record."""
    small = served.get(address=V4, name="a.test", port=4430, trusted=authority.certificate)
    assert (small["bytes"], small["biggest"]) == (5000, 1000)
    usual = served.get(address=V4, name="a.test", trusted=authority.certificate)
    assert usual["biggest"] == 16_384


def test_a_slow_server_is_slow(fresh: Any, authority: AuthorityKeys, now: datetime) -> None:
    fresh.start(lambda: nginx(sites(authority, now)[:1], page_bytes=4000, bytes_per_s=4000))
    answer = fresh.get(address=V4, name="default.test", port=80)
    assert answer["bytes"] == 4000
    assert answer["seconds"] > 0.9


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_on_a_signal(
    fresh: Any, authority: AuthorityKeys, now: datetime, number: signal.Signals
) -> None:
    started = fresh.start(lambda: nginx(sites(authority, now)[:1]))
    fresh.stop(pid=started["pid"], signal=number)


@pytest.mark.parametrize(
    ("days", "code"), [(-400, NOT_YET_VALID), (400, EXPIRED), (0, None)], ids=str
)
def test_a_wrong_clock_finds_a_good_certificate_invalid(
    served: Any, authority: AuthorityKeys, days: int, code: int | None
) -> None:
    """Only the date is wrong: the monotonic clock runs as everyone's."""
    script = f"""
import ssl, socket, time
print(time.monotonic())
context = ssl.create_default_context(cadata={authority.certificate!r})
try:
    context.wrap_socket(socket.create_connection(({V4!r}, 443), 5), server_hostname="a.test")
    print(None)
except ssl.SSLCertVerificationError as error:
    print(error.verify_code)
"""
    try:
        words = skewed_words([sys.executable, "-c", script], timedelta(days=days))
    except MissingProgramError as error:
        pytest.skip(str(error))
    answer = served.run(words=words)
    monotonic, seen = answer["out"].split()
    assert seen == str(code), answer
    assert answer["begin"] < float(monotonic) < answer["end"]


def test_what_is_missing_is_named_with_its_package() -> None:
    with pytest.raises(MissingProgramError, match=r"no-such-server .* Debian package its-package"):
        executable("no-such-server", "its-package")
