"""Partial pooling: networks of one country borrow from each other, thin cells the most.

A network with 1 failure of 1 measurement is not "100 % blocked", and 1 of 1 is not 10 of 10.
Each network's share is drawn from the country's beta distribution; what its own measurements
leave open is filled from the others.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from analysis.stats.betabinomial import posterior
from analysis.stats.intervals import LEVEL, jeffreys

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pooled:
    """Shares per network, shrunk, with intervals; and the country's mean over networks.

    ``own`` is each network's weight in its own share: near 1 with many measurements, 0 without
    any. ``rho`` says how alike networks are inside: 0 all the same, 1 each all or nothing.
    """

    raw: Floats
    share: Floats
    low: Floats
    high: Floats
    own: Floats
    country_share: float
    country_low: float
    country_high: float
    rho: float


def pool(k: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Pooled:
    """Shrink each network's share of failures towards its country's.

    Where probes repeat, give effective counts (`intervals.by_probe`): k and n may be fractions.
    The hyperparameters are summed over (hierarchical Bayes), since plugging in their estimate
    makes intervals too short. Mean and variance are exact, the interval is that of the beta
    distribution which has them.

    Raises:
        ValueError: not 0 <= k <= n, or no measurement in any network.
    """
    raw = jeffreys(k, n).share
    failed, total = np.asarray(k, float), np.asarray(n, float)
    if failed.ndim != 1 or not (total > 0).any():
        raise ValueError("needs one dimension of networks, one of them measured")
    has_data = total > 0
    known = posterior(failed[has_data], total[has_data])
    # Improbable corners cost time and change nothing.
    likely = known.weight > known.weight.max() * 1e-5
    share, rho = (part[likely] for part in np.meshgrid(known.share, known.rho, indexing="ij"))
    weight = known.weight[likely] / known.weight[likely].sum()
    size = (1 - rho) / rho
    a = failed[:, None] + share * size
    b = (total - failed)[:, None] + (1 - share) * size
    means = a / (a + b)
    mean = means @ weight
    variance = (means * (1 - means) / (a + b + 1) + means**2) @ weight - mean**2
    worth = mean * (1 - mean) / np.maximum(variance, 1e-300) - 1
    low, high = stats.beta.interval(level, mean * worth, (1 - mean) * worth)
    country_low, country_high = known.interval(level)
    return Pooled(
        raw=raw,
        share=mean,
        low=low,
        high=high,
        own=(total[:, None] / (total[:, None] + size)) @ weight,
        country_share=float(known.weight.sum(axis=1) @ known.share),
        country_low=country_low,
        country_high=country_high,
        rho=float(known.weight.sum(axis=0) @ known.rho),
    )
