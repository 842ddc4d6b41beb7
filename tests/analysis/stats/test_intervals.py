"""Intervals hold what they promise, with and without probes that repeat."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.stats.intervals import by_probe, design_effect, intraclass_correlation, jeffreys


def probes(share: float, rho: float, n: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rho == 0:
        return rng.binomial(n, share)
    size = (1 - rho) / rho
    return rng.binomial(n, rng.beta(share * size, (1 - share) * size, n.shape))


def test_edges_of_jeffreys() -> None:
    """Nothing measured says nothing; nothing failed starts at 0; everything failed ends at 1."""
    found = jeffreys([0, 0, 10, 3], [0, 10, 10, 10])

    assert np.isnan(found.share[0])
    assert (found.low[0], found.high[0]) == (0.0, 1.0)
    assert found.low[1] == 0.0 < found.high[1] < 0.25
    assert 0.75 < found.low[2] < found.high[2] == 1.0
    assert found.low[3] < 0.3 < found.high[3]


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0.5, 0.999))
def test_an_interval_holds_its_share(k: int, n: int, level: float) -> None:
    """Whatever the counts: 0 <= low <= share <= high <= 1."""
    k = min(k, n)
    found = jeffreys(k, n, level)

    assert 0 <= found.low <= found.high <= 1
    assert n == 0 or found.low <= found.share <= found.high


@pytest.mark.parametrize(("k", "n"), [(-1, 3), (4, 3), (np.nan, 3), (1, np.inf)])
def test_counts_that_are_none(k: float, n: float) -> None:
    """An impossible count is an error, not an interval."""
    with pytest.raises(ValueError):
        jeffreys(k, n)


def test_coverage_of_independent_measurements() -> None:
    """Over shares from 2 to 98 %, 95 % intervals hold the truth in 93 to 97 % of cases."""
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.02, 0.98, 20000)
    for n in (20, 72, 1000):
        found = jeffreys(rng.binomial(n, truth), n)

        assert 0.93 <= np.mean((found.low <= truth) & (truth <= found.high)) <= 0.97


@pytest.mark.parametrize("rho", [0.0, 0.4])
@pytest.mark.parametrize("n_probes", [8, 40])
def test_coverage_with_repeating_probes(rho: float, n_probes: int) -> None:
    """Probes that measure 1 to 20 times each: about 95 %, where Jeffreys alone has 60."""
    rng = np.random.default_rng(2)
    hits, naive, rounds = 0, 0, 250
    for _ in range(rounds):
        truth = rng.uniform(0.05, 0.6)
        n = rng.integers(1, 21, n_probes)
        k = probes(truth, rho, n, rng)
        found, alone = by_probe(k, n), jeffreys(k.sum(), n.sum())
        hits += found.low <= truth <= found.high
        naive += bool(alone.low <= truth <= alone.high)

    assert 0.92 <= hits / rounds <= 0.98
    assert rho < 0.4 or naive / rounds < 0.75


def test_correlation_is_found_again() -> None:
    """The estimate is right on average, and 0 where probes do not differ."""
    rng = np.random.default_rng(3)
    n = np.full(2000, 8)

    for rho in (0.0, 0.1, 0.5):
        assert intraclass_correlation(probes(0.3, rho, n, rng), n) == pytest.approx(rho, abs=0.03)


def test_what_a_share_rests_on_is_beside_it() -> None:
    """A hundred measurements by two probes that disagree are worth two."""
    found = by_probe([50, 0, 0], [50, 50, 0])

    assert (found.n_measurements, found.n_probes) == (100, 2)
    assert found.rho == pytest.approx(1.0)
    assert found.n_effective == pytest.approx(2.0)
    assert found.low < 0.1
    assert found.high > 0.9


def test_one_probe_and_none() -> None:
    """One probe says little about a country however often it measures; none says nothing."""
    one, none = by_probe([100], [100]), by_probe([], [])

    assert one.low < 0.6
    assert one.high == 1.0
    assert np.isnan(one.rho)
    assert (none.low, none.high, none.n_probes) == (0.0, 1.0, 0)


def test_design_effect_of_equal_probes_is_kishs() -> None:
    """1 + (n - 1) rho."""
    assert design_effect([5, 5, 5], 0.25) == pytest.approx(2.0)
