"""How much is measured, as a signal of its own; never as blocking.

People measure when something happens. Where a country begins to measure on the day of an event
there is no share before to compare with: that is what can be said, and this says it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analysis.stats.levels import Counts, as_counts

_QUANTILE: Final = 0.9
_FACTOR: Final = 2


def busy(n: NDArray[np.int_], window: int) -> tuple[Counts, Counts]:
    """Return, per cell, whether it was busy (of 1), ready for `online.detect`.

    Busy: more than twice as many measurements as in nine of ten of the ``window`` cells before
    (an empty cell counts as 0; twice none is none). The first ``window`` cells have nothing to
    be compared with: 0 of 0. Quiet and steady growth is not busy.

    Raises:
        ValueError: counts that are none.
    """
    n, _ = as_counts(n, n)
    is_busy, known = np.zeros(n.size, np.int64), np.zeros(n.size, np.int64)
    if n.size > window:
        past = np.lib.stride_tricks.sliding_window_view(n, window)[:-1]
        usual = np.quantile(past, _QUANTILE, axis=1)
        is_busy[window:] = n[window:] > _FACTOR * usual
        known[window:] = 1
    return is_busy, known
