"""What the rest of a run says about one target."""

from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts import Scene
from probe.verdict.judge import judge
from probe.verdict.surroundings import (
    LOSS_P,
    MIN_CONNECTS,
    broken_resolvers,
    fisher_greater,
    survey,
)
from verdict.cases import lossy_service, one_for_many
from verdict.scenes import (
    EARLY,
    NOBODY,
    OK,
    RESET_HELLO,
    SILENT,
    TIMEOUT,
    A,
    B,
    C,
    clean,
    twice,
    verdict_of,
)


def by_counting(a: int, n: int, b: int, m: int) -> float:
    """The chance of ``a`` or more among the first ``n`` of ``n + m``, by trying every way."""
    ways = Counter(sum(i < n for i in chosen) for chosen in combinations(range(n + m), a + b))
    return sum(count for hit, count in ways.items() if hit >= a) / sum(ways.values())


@given(st.data())
def test_fisher_is_the_share_of_all_ways(data: st.DataObject) -> None:
    """Of all the ways to place the events, those at least as uneven."""
    n, m = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    a, b = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    assert fisher_greater(a, n, b, m) == pytest.approx(by_counting(a, n, b, m))


def line(resent: int, of: int, *, controls: int, controls_resent: int = 0) -> Scene:
    """Connects of the service and of controls, so many of them sent twice; one is silent."""
    scene = clean()
    for number in range(controls - 2):
        scene.control("heartbeat", ("tcp", None), tcp_retransmits=int(number < controls_resent))
    for number in range(of):
        scene.chain(*OK, address=f"91.108.{number}.1", tcp_retransmits=int(number < resent))
    return scene.chain(*SILENT, address=A)


@pytest.mark.parametrize(
    ("resent", "of", "controls", "controls_resent", "expected"),
    [
        (8, 8, 8, 0, True),
        (8, 10, 20, 0, True),
        (4, 8, 8, 0, False),
        (MIN_CONNECTS - 1, MIN_CONNECTS - 1, 20, 0, False),
        (8, 8, 20, 10, False),
        (0, 20, 20, 0, False),
    ],
    ids=["all", "most", "half of few", "too few", "the line too", "none"],
)
def test_loss_on_the_way_to_one_service(
    resent: int, of: int, controls: int, controls_resent: int, *, expected: bool
) -> None:
    """By Fisher's exact test against the controls, at one in a thousand."""
    scene = line(resent, of, controls=controls, controls_resent=controls_resent)
    assert bool(survey(scene.rows).lossy) is expected
    assert (verdict_of(scene).rule_id == "line.lossy_to_service") is expected


def test_loss_says_nothing_of_a_reset() -> None:
    """Lost packets send no resets."""
    scene = lossy_service()
    twice(scene, *RESET_HELLO, address=B, **EARLY)
    scene.beside("other_name", *OK, address=B)
    assert verdict_of(scene).rule_id == "tls.rst_contrast"


def test_a_service_without_a_single_success_is_not_lossy() -> None:
    """Connects that never came through are silence, whatever was sent again."""
    scene = clean()
    for number in range(20):
        scene.chain(*SILENT, address=f"91.108.{number}.1", tcp_retransmits=4)
    assert not survey(scene.rows).lossy
    assert 0 < LOSS_P < 0.01


def test_networks_count_by_service_and_only_whole() -> None:
    """One host that answers clears its network, another service's silence adds none."""
    scene = clean()
    for address in (A, B, C):
        scene.chain(*SILENT, address=address)
    scene.chain(*OK, address="91.108.56.9", member="dc1")
    scene.chain(*SILENT, address="198.51.100.1", service_id="b", target_id="b/web")

    silent = survey(scene.rows).silent
    assert silent["a"] == {"149.154.167.0/24", "149.154.175.0/24"}
    assert silent["b"] == {"198.51.100.0/24"}


def test_what_goes_through_a_proxy_is_no_silence_of_the_service() -> None:
    """The proxy is what is silent."""
    scene = clean()
    for address in (A, B, C):
        scene.chain(*SILENT, address=address, tactic="socks5", proxy_id="proxy-1")
    assert not any(survey(scene.rows).silent.values())


def test_resolvers_are_broken_by_control_names_alone() -> None:
    """One that fails for a control name in the end; one that was asked for none is not."""
    control = {"role": "control", "control_id": "resolvable_name/x", **NOBODY}
    scene = clean().lookup("system", TIMEOUT, **control).lookup("system", None, [A], **control)
    scene.lookup("udp", "dns_servfail_error", **control).lookup("doh", TIMEOUT)
    assert broken_resolvers(scene.rows) == {"udp"}


def test_one_control_name_of_two_is_enough_to_distrust_a_resolver() -> None:
    """What it does to a name of nobody's interest it does to any; a private answer is none."""
    control: dict[str, Any] = {"role": "control", **NOBODY}
    for address in (None, "10.0.0.1", "0.0.0.0"):
        one, two = (
            {"control_id": f"resolvable_name/{n}", "hostname": f"{n}.example"} for n in "12"
        )
        scene = clean().lookup("system", None, [A], **one, **control)
        failure, answers = ("dns_nxdomain_error", []) if address is None else (None, [[address]])
        scene.lookup("system", failure, *answers, **two, **control)
        assert broken_resolvers(scene.rows) == {"system"}


def test_one_address_for_many_names_of_different_targets() -> None:
    """The names of a run's other targets testify too."""
    scene = one_for_many()
    rows = [
        row if row.hostname != "b.example" else type(row)(
            **{name: getattr(row, name) for name in row.__struct_fields__} | {"target_id": "a/two"}
        )
        for row in scene.rows
    ]  # fmt: skip
    assert [verdict.rule_id for verdict in judge(rows)] == ["dns.one_for_many"] * 2
