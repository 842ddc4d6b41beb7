"""What may follow an outcome is in the plan: where, under which name, when, at what cost."""

from collections.abc import Sequence
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import targets_of
from probe.model.observation import FollowUp
from probe.model.step import (
    NO_TRUST,
    Chain,
    HelloProbe,
    HttpRequest,
    MtprotoHandshake,
    QuicHandshake,
    TlsHandshake,
    Trigger,
)
from probe.model.target import Control, Endpoint, Probe, Resolver, Service, Targets
from probe.plan.build import Options, build_plan
from probe.plan.cost import step_bytes
from probe.plan.follow_ups import MAX_HOPS, Asked, innocuous_name, set_apart
from probe.verdict.pace import MIN_BODY_BYTES, MIN_PAIRS
from probe.wire.addresses import network_of

ADDRESS = "203.0.113.9"
NAME = "a-rather-long-name.service.example"
INNOCUOUS = Control(id="i", kind="innocuous_name", server_name="example.com")
KNOWN_GOOD = Control(
    id="k", kind="known_good", address="192.0.2.1", server_name="one.example", has_quic=True
)
KNOWN_GOOD_6 = Control(
    id="k6", kind="known_good", address="2001:db8::1", server_name="one.example", has_quic=True
)

FAMILIES: dict[Literal[4, 6], str] = {4: KNOWN_GOOD.address, 6: KNOWN_GOOD_6.address}

Declared = tuple[FollowUp | None, Trigger]


def endpoint(*probes: Probe, port: int = 443, address: str = ADDRESS) -> Endpoint:
    return Endpoint(address=address, port=port, probes=probes, server_name=NAME, path="/page")


def listed(
    *endpoints: Endpoint, controls: Sequence[Control] = (KNOWN_GOOD, INNOCUOUS), ranges: str = ""
) -> Targets:
    service = Service(
        id="a", name="A", category_code="COMT", address_ranges=(ranges,) if ranges else ()
    )
    return msgspec.structs.replace(targets_of(*endpoints, controls=controls), services=(service,))


def follow_ups(targets: Targets, *asked: Asked) -> tuple[Chain, ...]:
    """Return what follows endpoints; controls' own follow-ups are left out."""
    plan = build_plan(targets, Options(asked=frozenset(asked)))
    return tuple(c for c in plan.follow_ups if c.role == "contrast")


def declared(chains: Sequence[Chain]) -> set[Declared]:
    return {(chain.follow_up, chain.trigger) for chain in chains}


def one(chains: Sequence[Chain], follow_up: FollowUp, trigger: Trigger) -> Chain:
    (chain,) = [c for c in chains if (c.follow_up, c.trigger) == (follow_up, trigger)]
    return chain


CONNECTS: set[Declared] = {("other_port", "connect_failed"), ("udp_twin", "connect_failed")}
HELLOS: set[Declared] = {
    ("second_hello", "hello_failed"),
    ("small_hello", "hello_varies"),
    ("large_hello", "hello_varies"),
    ("other_name", "hello_failed"),
    ("other_name", "certificate_failed"),
    ("name_elsewhere", "last"),
    ("harmless_elsewhere", "last"),
}
PAGES: set[Declared] = {
    ("other_name", "http_failed"),
    ("tiny_writes", "http_failed"),
    ("paired", "http_slow"),
}


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        (("tcp",), CONNECTS),
        (("tcp", "tls"), CONNECTS | HELLOS),
        (("tcp", "tls", "http"), CONNECTS | HELLOS | PAGES),
        (
            ("tcp", "http"),
            CONNECTS | {("other_name", "http_failed"), ("other_name", "answer_odd")},
        ),
        (
            ("tcp", "mtproto"),
            CONNECTS | {("second_hello", "mtproto_failed"), ("other_payload", "mtproto_failed")},
        ),
        (("tcp", "tls", "quic"), CONNECTS | HELLOS | {("quic_other_name", "quic_failed")}),
        (
            ("tcp", "tls", "ech"),
            CONNECTS | HELLOS | {("ech", "passed"), ("ech_other_name", "ech_failed")},
        ),
    ],
)
def test_each_kind_of_endpoint_declares_what_may_follow(
    probes: tuple[Probe, ...], expected: set[Declared]
) -> None:
    """Exactly that, and each costs something that the plan can say."""
    found = follow_ups(listed(endpoint(*probes)))

    assert declared(found) == expected
    assert len(found) == len(expected)
    assert all(sum(map(step_bytes, chain.steps)) > 0 for chain in found)


@settings(max_examples=50, deadline=None)
@given(
    st.sets(st.sampled_from(["tls", "http", "mtproto", "quic", "ech"])),
    st.frozensets(st.sampled_from(["locate", "residual", "throttling"])),
)
def test_follow_ups_belong_to_a_chain(probes: set[Probe], asked: frozenset[Asked]) -> None:
    """Each has an owner that is measured itself, starts later, and says what it is.

    It goes to the owner's own address, unless being elsewhere is its purpose.
    """
    targets = listed(endpoint("tcp", *sorted(probes)), ranges="203.0.113.0/24")
    plan = build_plan(targets, Options(asked=asked))
    direct = {chain.owner: chain for chain in plan.chains if chain.follow_up is None}
    for chain in (c for c in plan.follow_ups if c.role == "contrast"):
        own = direct[chain.owner]
        assert chain.trigger != "start"
        assert chain.follow_up is not None
        assert chain.proxy_id is None
        is_away = chain.follow_up in {"neighbour", "name_elsewhere", "harmless_elsewhere"}
        assert (chain.address == own.address) is not is_away
        assert chain.port == own.port or chain.follow_up == "other_port"


def test_other_names_are_as_long_as_the_endpoint_s_own() -> None:
    """A rule on the length of hellos hits both alike.

    Their certificate is nobody's business, unless it is the certificate that failed.
    """
    everything = follow_ups(listed(endpoint("tcp", "tls", "http", "quic", "ech")))
    # At a stranger's host it is the host's manners that are asked about.
    found = [chain for chain in everything if chain.follow_up != "harmless_elsewhere"]
    names = {
        step.server_name
        for chain in found
        for step in chain.steps
        if isinstance(step, TlsHandshake | HelloProbe | QuicHandshake)
    }
    other = innocuous_name("example.com", len(NAME))

    assert names == {NAME, other}
    assert len(other) == len(NAME)
    for chain in found:
        for step in chain.steps:
            if isinstance(step, TlsHandshake) and step.server_name == other:
                is_asked = chain.trigger == "certificate_failed"
                assert (step.trust == NO_TRUST) is not is_asked
            if isinstance(step, HttpRequest):
                assert step.host == other


@given(st.integers(1, 253), st.sampled_from(["example.com", "a.example", "x.y"]))
def test_innocuous_names(length: int, base: str) -> None:
    """Of the very length where that is possible, always a host name, always under the base."""
    name = innocuous_name(base, length)

    assert name == base or name.endswith(f".{base}")
    assert all(1 <= len(label) <= 63 for label in name.split("."))
    # One label of one letter and its dot are two characters more than the base.
    assert len(name) == (length if length >= len(base) + 2 else len(base))


def test_the_innocuous_name_that_pairs() -> None:
    """The one for this target or for any; without one nothing is sent under another name."""
    other = Control(id="o", kind="innocuous_name", server_name="o.example", pairs_with="b/web")
    own = Control(id="p", kind="innocuous_name", server_name="p.example", pairs_with="a/web")

    found = follow_ups(listed(endpoint("tcp", "tls", "http"), controls=[other, own]))
    hello = one(found, "other_name", "hello_failed").steps[1]
    alone = follow_ups(listed(endpoint("tcp", "tls", "http"), controls=[other]))

    assert isinstance(hello, TlsHandshake)
    assert hello.server_name.endswith("p.example")
    assert declared(alone) == CONNECTS | {
        ("second_hello", "hello_failed"),
        ("small_hello", "hello_varies"),
        ("large_hello", "hello_varies"),
    }


@pytest.mark.parametrize(("port", "other"), [(443, 80), (80, 443), (5222, 80)])
def test_the_other_port_is_an_ordinary_one(port: int, other: int) -> None:
    chain = one(follow_ups(listed(endpoint("tcp", port=port))), "other_port", "connect_failed")

    assert (chain.address, chain.port) == (ADDRESS, other)


@pytest.mark.parametrize(
    ("address", "ranges", "expected"),
    [
        ("203.0.113.9", "203.0.113.0/24", "203.0.113.10"),
        ("203.0.113.9", "", None),
        ("203.0.113.9", "203.0.113.8/31", None),
        ("203.0.113.9", "2001:db8::/32", None),
        ("203.0.113.255", "203.0.112.0/22", None),
        ("255.255.255.255", "255.255.255.0/24", None),
        ("2001:db8::ffff", "2001:db8::/32", "2001:db8::1:0"),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff::/16", None),
    ],
)
def test_a_neighbour_is_the_operator_s_own(address: str, ranges: str, expected: str | None) -> None:
    """The next address of the same network, if the service is known to have it."""
    found = follow_ups(listed(endpoint("tcp", address=address), ranges=ranges))
    beside = [c.address for c in found if c.follow_up == "neighbour"]

    assert beside == ([] if expected is None else [expected])
    assert expected is None or network_of(expected) == network_of(address)


def test_names_go_elsewhere_to_a_host_of_a_wanted_family() -> None:
    """Under their own name and unverified; with two operators or fewer, after everything."""
    targets = listed(
        endpoint("tcp", "tls", address="web.example"),
        controls=(KNOWN_GOOD, KNOWN_GOOD_6, INNOCUOUS),
    )
    for family, address in FAMILIES.items():
        plan = build_plan(targets, Options(families=(family,)))
        chain = one(plan.follow_ups, "name_elsewhere", "last")
        assert (chain.address, chain.hostname) == (address, None)
        hello = chain.steps[1]
        assert isinstance(hello, TlsHandshake)
        assert (hello.server_name, hello.trust) == (NAME, NO_TRUST)


OPERATORS = tuple(
    Control(
        id=f"o{n}",
        kind="known_good",
        operator=f"operator {n}",
        scope=scope,
        address=f"192.0.2.{n}",
        port=8000 + n,
        server_name=f"o{n}.example",
        path="/own",
    )
    for n, scope in enumerate(("foreign", "foreign", "RU"), 1)
)


def test_of_three_operators_one_is_spared_for_names() -> None:
    """The last foreign one: failing names are sent there at once, its page under them too."""
    found = follow_ups(listed(endpoint("tcp", "tls", "http"), controls=(*OPERATORS, INNOCUOUS)))
    hello = one(found, "name_elsewhere", "hello_failed")
    page = one(found, "name_elsewhere", "http_failed")
    stranger = one(found, "harmless_elsewhere", "hello_failed")
    request, harmless = page.steps[2], stranger.steps[1]

    assert set_apart(OPERATORS) == OPERATORS[1]
    assert set_apart(OPERATORS[:2]) is None
    assert {(c.address, c.port) for c in (hello, page, stranger)} == {("192.0.2.2", 8002)}
    assert isinstance(harmless, TlsHandshake)
    assert harmless.server_name == INNOCUOUS.server_name
    assert isinstance(request, HttpRequest)
    # Inside TLS only the host itself reads whose page is wanted.
    assert (request.host, request.path) == ("o2.example", "/own")


def test_the_host_of_plain_requests_is_named_to_a_portal_check() -> None:
    """There the service's own server has no say in what becomes of the name."""
    portal = Control(
        id="p",
        kind="portal_check",
        address="192.0.2.9",
        port=80,
        server_name="check.example",
        path="/204",
    )
    found = follow_ups(listed(endpoint("tcp", "http", port=80), controls=(portal, INNOCUOUS)))
    chain = one(found, "name_elsewhere", "http_failed")
    request = chain.steps[1]

    assert (chain.address, chain.port) == (portal.address, portal.port)
    assert isinstance(request, HttpRequest)
    assert (request.host, request.path) == (NAME, portal.path)


def test_hellos_differ_from_the_first_in_one_respect() -> None:
    """The second is the library's without TLS 1.3; the others are ours, by size."""
    found = follow_ups(listed(endpoint("tcp", "tls")))
    second = one(found, "second_hello", "hello_failed").steps[1]
    profiles = {
        chain.follow_up: step.profile
        for chain in found
        for step in chain.steps
        if isinstance(step, HelloProbe)
    }

    assert isinstance(second, TlsHandshake)
    assert second.profile == "tls12"
    assert second.trust != NO_TRUST
    assert profiles == {"small_hello": "small", "large_hello": "large"}


def test_mtproto_is_asked_again_in_another_transport_and_beside_it_for_a_page() -> None:
    found = follow_ups(listed(endpoint("tcp", "mtproto")))
    second = one(found, "second_hello", "mtproto_failed").steps[1]
    other = one(found, "other_payload", "mtproto_failed").steps[1]

    assert isinstance(second, MtprotoHandshake)
    assert second.transport != "obfuscated"
    assert isinstance(other, HttpRequest)
    assert other.host == INNOCUOUS.server_name


def test_a_page_gets_a_paired_transfer() -> None:
    """The contrast of a slow page is the same page under the other name, often enough."""
    paired = one(follow_ups(listed(endpoint("tcp", "tls", "http"))), "paired", "http_slow")
    page = paired.steps[-1]

    assert isinstance(page, HttpRequest)
    assert page.path == "/page"
    # A throttling rule needs so many, of such a size; less could never be enough.
    assert paired.attempts >= MIN_PAIRS
    assert page.max_body_bytes >= MIN_BODY_BYTES


def test_what_disturbs_is_promised_only_if_asked() -> None:
    """Hops one by one, a harmless name after a forbidden one, longer transfers."""
    targets = listed(endpoint("tcp", "tls", "http"))
    plain = follow_ups(targets)
    located = follow_ups(targets, "locate")
    residual = follow_ups(targets, "residual")
    throttling = follow_ups(targets, "throttling")
    limits = [s.hop_limit for c in located for s in c.steps if isinstance(s, HelloProbe)]

    assert "asked" not in {chain.trigger for chain in (*plain, *throttling)}
    assert [n for n in limits if n is not None] == list(range(1, MAX_HOPS + 1))
    assert declared(located) - declared(plain) == {("hop", "asked")}
    assert declared(residual) - declared(plain) == {("residual", "asked")}
    assert declared(throttling) == declared(plain)
    # People are told what they have asked for: six pairs are the megabytes of a long test.
    assert _paired_bytes(throttling) > 100_000 > _paired_bytes(plain)


def _paired_bytes(chains: Sequence[Chain]) -> int:
    return sum(map(step_bytes, one(chains, "paired", "http_slow").steps))


def test_encrypted_resolvers_have_follow_ups_too() -> None:
    """The port of the other encrypted protocol at the same address, and a harmless name."""
    targets = msgspec.structs.replace(
        listed(endpoint("tcp"), controls=[INNOCUOUS]),
        resolvers=(
            Resolver(id="u", protocol="udp", address="192.0.2.53", port=53),
            Resolver(
                id="t", protocol="dot", address="192.0.2.54", port=853, server_name="t.example"
            ),
            Resolver(
                id="h", protocol="doh", address="192.0.2.55", port=443, server_name="h.example"
            ),
        ),
    )
    plan = build_plan(targets, Options())
    found = {
        (c.owner.endpoint_id, c.follow_up, c.trigger, c.port)
        for c in plan.follow_ups
        if c.owner.target_id is None
    }

    assert found == {
        ("t", "other_port", "connect_failed", 443),
        ("t", "other_name", "hello_failed", 853),
        ("h", "other_port", "connect_failed", 853),
        ("h", "other_name", "hello_failed", 443),
    }


def test_quic_is_measured_beside_tcp_and_controls_stand_by() -> None:
    """At once and under its own name; known-good hosts only where it fails."""
    plan = build_plan(listed(endpoint("tcp", "tls", "quic")), Options())
    beside = [c for c in plan.chains if c.follow_up == "quic"]
    standing_by = [c for c in plan.follow_ups if c.role == "control"]

    assert [(c.trigger, c.role, c.max_addresses) for c in beside] == [("start", "test", 1)]
    assert [(c.follow_up, c.trigger, c.address) for c in standing_by] == [
        ("quic", "quic_failed", KNOWN_GOOD.address)
    ]
    without = build_plan(listed(endpoint("tcp", "tls")), Options())
    assert not [c for c in without.follow_ups if c.role == "control"]
