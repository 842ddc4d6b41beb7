"""What of a chart is of a simulated network: neither it nor a real one may pass for the other."""

from typing import Final, Literal

import pandas as pd

Simulated = Literal["none", "partly", "wholly"]

BANNERS: Final[dict[Simulated, str]] = {
    "none": "",
    "partly": "PARTLY SIMULATED: some of these results are of no real network",
    "wholly": "SIMULATED NETWORK: these days say nothing about any real network",
}
SPOKEN: Final[dict[Simulated, str]] = {
    "none": "",
    "partly": "Partly a simulated network. ",
    "wholly": "Simulated network. ",
}
"""How the words of a chart begin."""


def simulated(table: pd.DataFrame) -> Simulated:
    """Say how much of a chart's cells is simulated.

    Columns: ``lab_n`` of ``n`` results, or ``lab`` of a cell; cells with n = 0 do not count.
    """
    measured = table[table["n"] > 0] if "n" in table.columns else table
    if {"lab_n", "n"} <= set(table.columns):
        some, every = (
            bool(measured["lab_n"].any()),
            bool((measured["lab_n"] == measured["n"]).all()),
        )
    elif "lab" in table.columns:
        some, every = bool(measured["lab"].any()), bool(measured["lab"].all())
    else:
        return "none"
    if not some:
        return "none"
    return "wholly" if every else "partly"
