"""unbound answers from its own records over UDP, TCP, DoT and DoH, and asks nobody."""

from datetime import datetime
from typing import Any

import pytest

from censorlab.authority import AuthorityKeys
from censorlab.servers.certificates import leaf
from censorlab.servers.resolver import unbound

pytestmark = pytest.mark.netns
V4, V6, ELSEWHERE = "198.51.100.7", "2001:db8::7", "198.51.100.8"
NOT_OWNED = "203.0.113.53"
HOST = "dns.test"
RECORDS = {"a.test": ("192.0.2.9", "192.0.2.1", "2001:db8:9::1"), "b.test": ("192.0.2.2",)}


@pytest.fixture(scope="module")
def served(inside: Any, authority: AuthorityKeys, now: datetime) -> Any:
    inside.start(
        lambda: unbound(
            RECORDS,
            addresses=[V4, V6, NOT_OWNED],
            leaf=leaf(authority, HOST, now=now),
            failures={
                "gone.test": "NXDOMAIN",
                "refused.test": "REFUSED",
                "broken.test": "SERVFAIL",
            },
            ttl_s=60,
        )
    )
    inside.start(lambda: unbound({"a.test": ("192.0.2.77",)}, addresses=[ELSEWHERE], name="geo"))
    return inside


@pytest.mark.parametrize("over", ["udp", "tcp", "dot", "doh"])
@pytest.mark.parametrize("address", [V4, V6])
def test_records_are_answered_over_each_transport(
    served: Any, authority: AuthorityKeys, over: str, address: str
) -> None:
    given = {"over": over, "trusted": authority.certificate, "host": HOST}
    answer = served.ask(address=address, name="a.test", **given)
    assert (answer["rcode"], answer["rows"]) == ("NOERROR", ["192.0.2.9", "192.0.2.1"])
    assert answer["ttl"] == [60]
    answer = served.ask(address=address, name="a.test", kind="AAAA", **given)
    assert answer["rows"] == ["2001:db8:9::1"]


@pytest.mark.parametrize(
    ("name", "rcode"),
    [
        ("gone.test", "NXDOMAIN"),
        ("refused.test", "REFUSED"),
        ("broken.test", "SERVFAIL"),
        ("www.broken.test", "SERVFAIL"),
        ("elsewhere.example", "NXDOMAIN"),
        ("1.2.0.192.in-addr.arpa", "NXDOMAIN"),
    ],
)
@pytest.mark.parametrize("over", ["udp", "tcp"])
def test_failures_come_at_once(served: Any, name: str, rcode: str, over: str) -> None:
    answer = served.ask(address=V4, name=name, over=over)
    assert (answer["rcode"], answer["rows"]) == (rcode, [])
    assert answer["seconds"] < 0.5


def test_a_name_without_that_type_exists(served: Any) -> None:
    answer = served.ask(address=V4, name="b.test", kind="AAAA")
    assert (answer["rcode"], answer["rows"]) == ("NOERROR", [])


def test_a_second_instance_gives_other_addresses(served: Any) -> None:
    assert served.ask(address=ELSEWHERE, name="a.test")["rows"] == ["192.0.2.77"]
    assert served.ask(address=V4, name="a.test")["rows"] == ["192.0.2.9", "192.0.2.1"]


def test_an_address_that_comes_later_is_served(served: Any) -> None:
    """AnyIP: a local route makes every address of a network the kernel's own."""
    added = served.run(words=["ip", "route", "replace", "local", "203.0.113.0/24", "dev", "lo"])
    assert added["code"] == 0, added
    for over in ("udp", "tcp"):
        assert served.ask(address=NOT_OWNED, name="b.test", over=over)["rows"] == ["192.0.2.2"]
