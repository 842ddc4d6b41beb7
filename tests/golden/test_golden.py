"""Facts of lab runs, stored, are judged today as when they were stored.

A rule may change what it says of them; then a person has read what changed and accepts
it: ``python tests/golden/make.py --rejudge``.
"""

import pytest

from golden import corpus

EXPECTED = corpus.read_expected()
ACCEPT = "if this is meant: python tests/golden/make.py --rejudge"


@pytest.mark.parametrize("name", corpus.scenarios())
def test_facts_are_judged_as_they_were(name: str) -> None:
    """State, mechanism, rule and n of N of each target; in whatever order lines come."""
    expected = EXPECTED[name]
    rows = [stored.value for stored in corpus.read_facts(corpus.path_of(name).read_bytes())]
    targets = [one.target for one in expected]

    changed = corpus.differences(name, expected, corpus.judged(rows, targets))

    assert not changed, "\n".join([*changed, ACCEPT])
    assert corpus.judged(rows[::-1], targets) == expected


def test_the_table_names_the_facts_that_there_are() -> None:
    """A scenario without facts, or facts without verdicts, would pin nothing."""
    assert sorted(EXPECTED) == corpus.scenarios()


def test_facts_are_of_simulated_networks() -> None:
    """Nobody's own network is in the repository."""
    for name in corpus.scenarios():
        for run, _ in corpus.read_facts(corpus.path_of(name).read_bytes()):
            assert (run.network_type, run.probe_cc, run.probe_asn) == ("lab", "ZZ", 0)


def test_it_stays_small() -> None:
    """A repository carries it to everybody who clones it."""
    assert sum(corpus.path_of(name).stat().st_size for name in EXPECTED) <= corpus.MAX_BYTES


def test_a_change_is_said_as_old_and_new() -> None:
    """What a person has to read before accepting it."""
    old = corpus.Expected("a/web", "none", "blocked", "sni_rst", "tls.rst_contrast", 0, 2)
    new = old._replace(state="impaired", rule_id="tls.no_contrast")

    (line,) = corpus.differences("x", [old], [new])

    assert line == (
        "x a/web: blocked sni_rst 0/2 tls.rst_contrast -> impaired sni_rst 0/2 tls.no_contrast"
    )
    assert corpus.differences("x", [old], []) == [
        "x a/web: blocked sni_rst 0/2 tls.rst_contrast -> no verdict"
    ]
