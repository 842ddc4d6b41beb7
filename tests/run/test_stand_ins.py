"""Names of a long list whose encrypted resolver is kept out are asked of another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts import Scene
from probe.model.failure import DNS_NXDOMAIN, DNS_SERVFAIL
from probe.model.observation import Observation
from probe.model.step import Chain, DnsLookup, Owner, TcpConnect
from probe.model.target import Resolver
from probe.plan.lookups import NAMES_PER_CONNECTION
from probe.run.stand_ins import stand_ins

IDS = ("a", "b", "c")
NAMES = [f"n{number}.example" for number in range(100)]


def own_of(name: str) -> str:
    return IDS[NAMES.index(name) % len(IDS)]


def question(resolver_id: str, name: str) -> DnsLookup:
    resolver = Resolver(
        id=resolver_id, protocol="doh", address="192.0.2.1", port=443, server_name="r.example"
    )
    return DnsLookup(
        hostname=name,
        query_type="A",
        resolver=resolver,
        owners=(Owner(endpoint_id=name, member=name),),
        expected_ranges=(),
        timeout_s=3.0,
    )


DECLARED = [
    Chain(
        role="resolver",
        owner=Owner(endpoint_id=resolver_id, member=resolver_id),
        port=443,
        trigger="resolver_failed",
        steps=(
            TcpConnect(timeout_s=3.3),
            *(question(resolver_id, name) for name in NAMES if own_of(name) != resolver_id),
        ),
    )
    for resolver_id in IDS
]


def row(resolver_id: str, name: str, failure: str | None) -> Observation:
    return Scene().add(
        step="dns",
        hostname=name,
        resolver_id=resolver_id,
        resolver_protocol="doh",
        failure=failure,
    )


def asked(chains: list[Chain]) -> list[tuple[str, str]]:
    return [
        (chain.owner.endpoint_id, step.hostname)
        for chain in chains
        for step in chain.steps
        if isinstance(step, DnsLookup)
    ]


@given(st.sets(st.sampled_from(IDS)))
def test_each_name_that_nobody_answered_is_asked_once_of_one_that_works(out: set[str]) -> None:
    """Whichever are kept out; if all are, or none is, nothing more is asked."""
    rows = [
        row(own_of(name), name, "generic_timeout_error" if own_of(name) in out else None)
        for name in NAMES
    ]
    found = asked(stand_ins(DECLARED, rows))

    left = [] if out == set(IDS) else [name for name in NAMES if own_of(name) in out]
    assert Counter(name for _, name in found) == Counter(left)
    assert not {resolver_id for resolver_id, _ in found} & out


def test_stand_ins_open_connections_as_declared_and_with_no_more_names_than_usual() -> None:
    rows = [row("a", name, None) for name in NAMES if own_of(name) == "a"]
    chains = stand_ins(DECLARED, rows)

    assert len(chains) == -(-len([n for n in NAMES if own_of(n) != "a"]) // NAMES_PER_CONNECTION)
    assert all(isinstance(chain.steps[0], TcpConnect) for chain in chains)
    assert all(len(chain.steps) <= 1 + NAMES_PER_CONNECTION for chain in chains)


@pytest.mark.parametrize(("failure", "n"), [(DNS_NXDOMAIN, 0), (DNS_SERVFAIL, 1)])
def test_that_there_is_no_such_name_is_an_answer(failure: str, n: int) -> None:
    """A server's failure is none."""
    rows = [row(own_of(name), name, failure if name == NAMES[0] else None) for name in NAMES]

    assert len(asked(stand_ins(DECLARED, rows))) == n
