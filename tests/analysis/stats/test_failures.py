"""A probe's own failures and a service that is down are not blocking."""

import numpy as np
import pytest

from analysis.stats.failures import service_down, split_self_failures


def test_failed_controls_set_a_measurement_apart() -> None:
    """Whether it worked or not; everything is counted once."""
    found = split_self_failures([1, 1, 0, 0], [3, 1, 2, 0], [0, 0, 1, 1], 3)

    assert found.failed.tolist() == [1, 0, 0]
    assert found.worked.tolist() == [0, 1, 0]
    assert found.self_failed.tolist() == [1, 1, 0]


def test_a_cell_outside_is_an_error() -> None:
    """Rather than a grid that grew."""
    with pytest.raises(ValueError):
        split_self_failures([1], [3], [7], 3)


def test_down_everywhere_is_down_and_blocked_in_one_country_is_not() -> None:
    """Row 0: all fine. Row 1: down. Row 2: blocked in the first. Row 3: only the first measured."""
    n = np.array([[40, 40, 40, 40], [40, 40, 40, 40], [40, 40, 40, 40], [40, 0, 0, 0]])
    k = np.array([[2, 1, 2, 0], [36, 38, 35, 37], [30, 1, 2, 1], [30, 0, 0, 0]])
    found = service_down(k, n, np.full(4, 0.05))

    assert found.is_down.tolist() == [False, True, False, False]
    assert found.n_failing.tolist() == [0, 4, 1, 1]
    assert found.n_measuring.tolist() == [4, 4, 4, 1]
    assert (found.excess_low[1] < 0.05).all()
    assert found.excess_low[2, 0] > 0.5
    assert np.isnan(found.elsewhere[3, 0])
    assert found.excess_low[3, 0] > 0.5


def test_a_block_during_an_outage_is_an_excess() -> None:
    """Half fails everywhere, everything in one country: the other half is that country's."""
    k, n = np.array([[100, 50, 52, 48]]), np.full((1, 4), 100)
    found = service_down(k, n, np.full(4, 0.02))

    assert found.is_down[0]
    assert found.excess_low[0, 0] > 0.4
    assert (found.excess_low[0, 1:] == 0).all()
