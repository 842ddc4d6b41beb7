"""A plan is a promise: seeded, within the list, within the families, without secrets."""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts import targets_of
from probe.model.step import (
    PUBLIC_TRUST,
    Chain,
    DnsLookup,
    HelloProbe,
    HttpRequest,
    Plan,
    ProxyConnect,
    QuicHandshake,
    TlsHandshake,
)
from probe.model.target import Control, Endpoint, Resolver, Targets
from probe.model.validate import load_targets
from probe.plan.build import MAX_ADDRESSES, Options, build_plan, trust_anchors
from probe.plan.follow_ups import Asked
from probe.wire.addresses import is_address, is_expected, parse_ranges

SHIPPED = load_targets((Path(__file__).parent.parent.parent / "targets.json").read_bytes())

FAMILIES: tuple[tuple[Literal[4, 6], ...], ...] = ((4,), (6,), (4, 6))
OPTIONS = st.builds(
    Options,
    families=st.sampled_from(FAMILIES),
    proxies=st.lists(st.sampled_from(["socks5", "http_connect"]), max_size=3).map(tuple),
    seed=st.integers(0, 2**32),
    asked=st.frozensets(st.sampled_from(get_args(Asked))),
)


@st.composite
def shipped_parts(draw: st.DrawFn) -> Targets:
    """The shipped list with some of its targets, controls and resolvers."""

    def some(items: Sequence[object], least: int = 0) -> tuple[object, ...]:
        chosen = draw(st.sets(st.integers(0, len(items) - 1), min_size=least, max_size=5))
        return tuple(items[i] for i in sorted(chosen))

    return msgspec.structs.replace(
        SHIPPED,
        targets=some(SHIPPED.targets, 1),
        controls=some(SHIPPED.controls),
        resolvers=some(SHIPPED.resolvers),
    )


NAMES = st.sampled_from(["a.example", "b.example", "www.example.org"])
ENDPOINTS = st.builds(
    Endpoint,
    address=st.one_of(NAMES, st.ip_addresses().map(str)),
    port=st.integers(1, 65535),
    probes=st.sampled_from(
        [
            ("tcp",),
            ("dns", "tcp"),
            ("tcp", "tls"),
            ("tcp", "http"),
            ("tcp", "mtproto"),
            ("tcp", "tls", "http"),
            ("tcp", "tls", "http", "quic", "ech"),
        ]
    ),
    group=st.sampled_from(["", "dc1", "dc2"]),
)
RESOLVERS = (
    Resolver(id="system", protocol="system"),
    Resolver(id="u", protocol="udp", address="192.0.2.53", port=53),
    Resolver(id="h", protocol="doh", address="2001:db8::53", port=443, server_name="dns.example"),
)
CONTROLS = (
    Control(id="k4", kind="known_good", address="192.0.2.1", server_name="one.example"),
    Control(id="k6", kind="known_good", address="2001:db8::1", server_name="two.example", path="/"),
    Control(id="i", kind="innocuous_name", server_name="example.com"),
    Control(id="n", kind="no_resolver", address="192.0.2.7", port=53, server_name="one.example"),
    Control(id="r", kind="resolvable_name", server_name="www.example.org"),
)
SMALL = st.lists(ENDPOINTS, min_size=1, max_size=5).map(
    lambda endpoints: targets_of(*endpoints, controls=CONTROLS, resolvers=RESOLVERS)
)
LISTS = st.one_of(shipped_parts(), SMALL)


def chains_of(plan: Plan) -> Iterable[Chain]:
    """Every chain that a plan may open."""
    return (*plan.controls, *plan.lookups, *plan.chains, *plan.follow_ups)


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_the_same_seed_gives_the_same_plan(targets: Targets, options: Options) -> None:
    """Byte for byte; another seed changes nothing but the order."""
    plan = build_plan(targets, options)
    assert plan == build_plan(targets, options)

    other = build_plan(targets, dataclasses.replace(options, seed=1))
    assert sorted(map(repr, other.chains)) == sorted(map(repr, plan.chains))
    assert (other.controls, other.lookups, other.budget) == (
        plan.controls,
        plan.lookups,
        plan.budget,
    )


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_every_destination_is_named_by_the_list(targets: Targets, options: Options) -> None:
    """Address or host of each chain, its port, each question's name, each server name.

    What follows a failure may also knock at another port of the same host, and at the
    next address, if that is in the service's own published ranges.
    """
    endpoints = [e for t in targets.targets for e in t.endpoints]
    places = {
        *((e.address, e.port) for e in endpoints),
        *((c.address, c.port) for c in targets.controls),
        *((r.address or None, r.port or 53) for r in targets.resolvers),
    }
    hosts = {where for where, _ in places}
    names = {
        *(e.address for e in endpoints),
        *(e.server_name for e in endpoints),
        *(c.server_name for c in targets.controls),
        *(r.server_name for r in targets.resolvers),
    }
    innocuous = [c.server_name for c in targets.controls if c.kind == "innocuous_name"]
    paths = {*(e.path for e in endpoints), *(c.path for c in targets.controls), "/"}
    ranges = {s.id: parse_ranges(s.address_ranges) for s in targets.services}

    def is_named(name: str) -> bool:
        return name in names or any(name.endswith(f".{base}") for base in innocuous)

    plan = build_plan(targets, options)
    for chain in chains_of(plan):
        where = chain.address or chain.hostname
        if chain.follow_up == "neighbour":
            assert chain.address is not None
            assert chain.owner.service_id is not None
            assert is_expected(chain.address, ranges[chain.owner.service_id])
        elif chain.follow_up == "other_port":
            assert where in hosts
            assert chain.port in {80, 443, 853}
        else:
            assert (where, chain.port) in places
        for step in chain.steps:
            match step:
                case DnsLookup():
                    assert step.hostname in names
                    assert step.resolver in targets.resolvers or step.resolver.id in {
                        c.id for c in targets.controls if c.kind == "no_resolver"
                    }
                case TlsHandshake() | HelloProbe() | QuicHandshake():
                    assert is_named(step.server_name)
                case HttpRequest():
                    assert is_named(step.host)
                    assert step.path in paths
                case _:
                    pass


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_families_filter(targets: Targets, options: Options) -> None:
    """No address and no question of a family that is not wanted."""
    for chain in chains_of(build_plan(targets, options)):
        if chain.address is not None:
            assert (6 if ":" in chain.address else 4) in options.families
        for step in chain.steps:
            if isinstance(step, DnsLookup):
                assert {"A": 4, "AAAA": 6}[step.query_type] in options.families


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_each_endpoint_is_measured_directly_and_through_each_proxy(
    targets: Targets, options: Options
) -> None:
    """One chain each, and no proxy's place or secret: the plan does not know them.

    QUIC to the same endpoint is one more, and never through a proxy.
    """
    plan = build_plan(targets, options)
    wanted = [
        e
        for t in targets.targets
        for e in t.endpoints
        if not is_address(e.address) or (6 if ":" in e.address else 4) in options.families
    ]
    ordinary = [chain for chain in plan.chains if chain.follow_up is None]
    beside = [chain for chain in plan.chains if chain.follow_up is not None]

    assert len(ordinary) == len(wanted) * (1 + len(options.proxies))
    assert {chain.follow_up for chain in beside} <= {"quic"}
    assert len(beside) == sum({"quic", "tls"} <= {*e.probes} for e in wanted)
    for chain in ordinary:
        tunnels = [step for step in chain.steps if isinstance(step, ProxyConnect)]
        assert len(tunnels) == (chain.proxy_id is not None)
        if tunnels:
            assert chain.proxy_id == f"proxy-{tunnels[0].proxy_index + 1}"
            assert chain.tactic == options.proxies[tunnels[0].proxy_index]
    for chain in (*plan.controls, *plan.lookups, *beside, *plan.follow_ups):
        assert chain.proxy_id is None


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_a_question_is_asked_once(targets: Targets, options: Options) -> None:
    """Per resolver, name and type; the owners share the answer."""
    plan = build_plan(targets, options)
    asked = [
        (step.resolver.id, step.hostname, step.query_type)
        for chain in plan.lookups
        for step in chain.steps
        if isinstance(step, DnsLookup)
    ]
    assert len(asked) == len(set(asked))


@settings(max_examples=50, deadline=None)
@given(LISTS, OPTIONS)
def test_the_budget_counts_every_socket(targets: Targets, options: Options) -> None:
    """As if everything answers at the first attempt."""
    plan = build_plan(targets, options)
    assert plan.budget.sockets == len(plan.controls) + len(plan.lookups) + len(plan.chains)
    assert (plan.budget.bytes > 0) == (plan.budget.sockets > 0)


def test_probes_decide_the_steps() -> None:
    """tcp connects, tls shakes hands, http asks for the page."""
    targets = targets_of(
        Endpoint(address="192.0.2.9", port=443, probes=("tcp",)),
        Endpoint(address="a.example", port=443, probes=("dns", "tcp", "tls", "http"), path="/x"),
    )
    chains = {chain.owner.endpoint_id: chain for chain in build_plan(targets, Options()).chains}
    kinds = {
        endpoint_id: [type(step).__name__ for step in chain.steps]
        for endpoint_id, chain in chains.items()
    }

    assert kinds == {
        "192.0.2.9:443": ["TcpConnect"],
        "a.example:443": ["TcpConnect", "TlsHandshake", "HttpRequest"],
    }
    page = chains["a.example:443"].steps[-1]
    assert isinstance(page, HttpRequest)
    assert (page.host, page.path) == ("a.example", "/x")
    assert chains["a.example:443"].max_addresses == MAX_ADDRESSES


@pytest.mark.parametrize("pages", [(True, False), (False, True)])
def test_a_name_with_a_page_goes_to_every_resolver(pages: tuple[bool, bool]) -> None:
    """In whatever order its endpoints are listed."""
    resolvers = (*RESOLVERS, Resolver(id="u2", protocol="udp", address="192.0.2.54", port=53))
    endpoints = [
        Endpoint(
            address="a.example",
            port=80 + index,
            probes=("tcp", "tls", "http") if is_page else ("tcp",),
        )
        for index, is_page in enumerate(pages)
    ]
    plan = build_plan(targets_of(*endpoints, resolvers=resolvers), Options())
    asked = {s.resolver.id for c in plan.lookups for s in c.steps if isinstance(s, DnsLookup)}

    assert asked == {"system", "u", "u2", "h"}


def test_trust() -> None:
    """A service's own anchors, else the list's, else the public web's."""
    endpoint = Endpoint(address="a.example", port=443, probes=("tcp", "tls"))
    targets = targets_of(endpoint)

    def trust_of(targets: Targets) -> str:
        (chain,) = build_plan(targets, Options()).chains
        (hello,) = [s for s in chain.steps if isinstance(s, TlsHandshake)]
        assert hello.trust in {PUBLIC_TRUST, *trust_anchors(targets)}
        return hello.trust

    listed = msgspec.structs.replace(targets, trust_anchors=("PEM",))
    own = msgspec.structs.replace(
        listed,
        services=(msgspec.structs.replace(targets.services[0], trust_anchors=("PEM 2",)),),
    )
    assert [trust_of(t) for t in (targets, listed, own)] == [PUBLIC_TRUST, "list", "a"]
