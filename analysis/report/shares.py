"""Shares of failures over all days of a dataset, as its charts would tell them."""

from collections.abc import Sequence
from typing import Final

import ibis
import pandas as pd

from analysis.views.cells import counted, with_statistics

SHARE: Final = ("share", "low", "high", "n", "probes", "n_effective", "is_shown")


def over_days(judged: ibis.Table, by: Sequence[str]) -> pd.DataFrame:
    """Return one row per series: columns of ``by`` and `SHARE`, without rows where no data are.

    ``n`` are decided results, ``probes`` runs or reports, those of each day added up.
    """
    counts = counted(judged, by)
    if counts.empty:
        return pd.DataFrame(columns=[*by, *SHARE])
    summed = [name for name in counts.columns if name not in {*by, "date", "rho"}]
    how = {**dict.fromkeys(summed, "sum"), "rho": "first"}
    together = counts.groupby(list(by), as_index=False).agg(how).drop(columns="n")
    told = with_statistics(together.assign(n=together["decided"]))
    return told.rename(columns={"n_probes": "probes"})[[*by, *SHARE]]
