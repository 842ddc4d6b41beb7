"""Of many names fewer resolvers are asked: a long list must not take minutes of questions."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from facts import targets_of
from probe.model.step import DnsLookup, Plan
from probe.model.target import ENCRYPTED, Endpoint
from probe.model.validate import load_targets
from probe.plan.build import Options, build_plan
from probe.plan.lookups import MANY_NAMES

SHIPPED = load_targets((Path(__file__).parent.parent.parent / "targets.json").read_bytes())


def plan_of(names: int) -> Plan:
    endpoints = [
        Endpoint(
            address=f"n{number}.example",
            port=443,
            probes=("dns", "tcp", "tls", "http"),
            server_name=f"n{number}.example",
        )
        for number in range(names)
    ]
    targets = targets_of(*endpoints, controls=SHIPPED.controls)
    return build_plan(msgspec.structs.replace(targets, resolvers=SHIPPED.resolvers), Options())


def questions(plan: Plan) -> Iterator[DnsLookup]:
    for chain in plan.lookups:
        for step in chain.steps:
            if isinstance(step, DnsLookup) and step.owners[0].control_id is None:
                yield step


@pytest.mark.parametrize("names", [1, MANY_NAMES])
def test_of_a_few_names_every_resolver_is_asked(names: int) -> None:
    asked = Counter(question.hostname for question in questions(plan_of(names)))

    assert set(asked.values()) == {2 * len(SHIPPED.resolvers)}


def test_of_many_names_the_ordinary_one_in_clear_and_one_encrypted_are_asked() -> None:
    names = 300
    found = list(questions(plan_of(names)))
    kinds = Counter((question.hostname, question.resolver.protocol) for question in found)
    sealed = Counter(q.resolver.address for q in found if q.resolver.protocol in ENCRYPTED)

    assert {kinds[f"n{n}.example", "system"] for n in range(names)} == {2}
    assert {kinds[f"n{n}.example", "udp"] for n in range(names)} == {2}
    assert {kinds[f"n{n}.example", "tcp"] for n in range(names)} == {0}
    assert sum(sealed.values()) == names
    assert max(sealed.values()) - min(sealed.values()) <= 1


def test_what_stands_in_for_a_resolver_is_declared() -> None:
    """Each other encrypted resolver may be asked for a name of many; for few nobody stands in."""
    plan = plan_of(MANY_NAMES + 1)
    first = {
        question.hostname: question.resolver.id
        for question in questions(plan)
        if question.resolver.protocol in ENCRYPTED
    }
    declared = [
        (step.hostname, step.resolver.id)
        for chain in plan.follow_ups
        if chain.trigger == "resolver_failed"
        for step in chain.steps
        if isinstance(step, DnsLookup)
    ]
    sealed = {resolver.id for resolver in SHIPPED.resolvers if resolver.protocol in ENCRYPTED}

    assert sorted(declared) == sorted(
        (name, other) for name, own in first.items() for other in sealed - {own}
    )
    assert not [c for c in plan_of(1).follow_ups if c.trigger == "resolver_failed"]
