"""Thin networks borrow from the others; thick ones speak for themselves."""

import numpy as np
import pytest

from analysis.stats.pooling import pool


def test_thin_cells_shrink_more() -> None:
    """Of two networks with the same share, the one with fewer measurements moves further."""
    found = pool([3, 300, 50, 80, 40, 60], [3, 300, 500, 900, 400, 700])

    assert found.share[0] < found.share[1]
    assert found.own[0] < found.own[1]
    assert found.share[1] == pytest.approx(1.0, abs=0.02)
    assert found.high[0] - found.low[0] > found.high[1] - found.low[1]


def test_alike_networks_are_pooled_wholly() -> None:
    """Where networks do not differ, a network without failures is near the country's share."""
    rng = np.random.default_rng(1)
    n = np.concatenate([[5], np.full(60, 40)])
    k = np.concatenate([[0], rng.binomial(40, 0.2, 60)])
    found = pool(k, n)

    assert found.share[0] == pytest.approx(0.2, abs=0.05)
    assert found.country_low < 0.2 < found.country_high


def test_a_network_without_data_gets_the_countrys_spread() -> None:
    """Its share is the country's mean, its own weight 0, its interval everything likely."""
    found = pool([0, 90, 10, 70, 5], [0, 100, 100, 100, 100])

    assert np.isnan(found.raw[0])
    assert found.own[0] == 0.0
    assert found.share[0] == pytest.approx(found.country_share, abs=1e-6)
    assert found.high[0] - found.low[0] > 0.7


def test_coverage_over_networks() -> None:
    """Networks drawn from one country: 93 to 97 % of the intervals hold their network's truth."""
    rng = np.random.default_rng(2)
    hits = []
    for _ in range(60):
        truth = rng.beta(2, 8, 25)
        n = rng.integers(1, 60, 25)
        found = pool(rng.binomial(n, truth), n)
        hits.append((found.low <= truth) & (truth <= found.high))

    assert 0.93 <= np.mean(hits) <= 0.97


def test_pooled_shares_err_less_than_raw_ones() -> None:
    """That is what it is for."""
    rng = np.random.default_rng(3)
    truth = rng.beta(2, 8, 200)
    n = rng.integers(1, 15, 200)
    found = pool(rng.binomial(n, truth), n)

    assert np.mean((found.share - truth) ** 2) < 0.5 * np.mean((found.raw - truth) ** 2)


def test_nothing_measured() -> None:
    """A country without a measurement has no share."""
    with pytest.raises(ValueError):
        pool([0, 0], [0, 0])
