"""Many networks and endpoints tested at once: how many of the onsets found are false?"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.stats.intervals import checked

Floats = NDArray[np.float64]

FALSE_DISCOVERIES: Final = 0.05


@dataclass(frozen=True, eq=False)
class Selected:
    """Which tests are kept, and each one's p-value adjusted for all; NaN was not tested."""

    is_selected: NDArray[np.bool_]
    adjusted: Floats


def onset_p_values(
    k_before: ArrayLike, n_before: ArrayLike, k_after: ArrayLike, n_after: ArrayLike
) -> Floats:
    """Return one-sided p-values that a share rose, elementwise; NaN without data on a side.

    The probability of as many failures or more afterwards, if the share is what it was; what
    was is known no better than its measurements allow (beta-binomial predictive, Jeffreys).
    Where probes repeat, give effective counts: fractions are rounded against a finding.

    Raises:
        ValueError: not 0 <= k <= n.
    """
    k0, n0 = checked(k_before, n_before)
    k1, n1 = checked(k_after, n_after)
    failed, total = np.floor(k1), np.ceil(n1)
    a, b = k0 + 0.5, n0 - k0 + 0.5
    p = stats.betabinom.sf(failed - 1, total, a, b)
    # sf loses its last digits far out; nothing is impossible.
    return np.where((n0 > 0) & (n1 > 0), np.clip(p, 1e-300, 1.0), np.nan)


def select(
    p_values: ArrayLike, rate: float = FALSE_DISCOVERIES, *, is_dependent: bool = True
) -> Selected:
    """Keep tests such that at most ``rate`` of the kept are false, on average.

    Networks of one country and endpoints of one service fail together in every way, so the
    default is Benjamini & Yekutieli 2001, which holds under any dependence; Benjamini &
    Hochberg 1995 (``is_dependent=False``) finds more where it is known to be positive.

    Raises:
        ValueError: a p-value outside 0 to 1.
    """
    p = np.asarray(p_values, float)
    tested = ~np.isnan(p)
    if ((p[tested] < 0) | (p[tested] > 1)).any():
        raise ValueError("p-values need 0 <= p <= 1")
    kept, adjusted = np.zeros(p.shape, bool), np.full(p.shape, np.nan)
    if tested.any():
        method = "fdr_by" if is_dependent else "fdr_bh"
        kept[tested], adjusted[tested] = multipletests(p[tested], rate, method)[:2]
    return Selected(kept, adjusted)
