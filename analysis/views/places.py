"""Networks and sources of a frame in words: what rows are called, who measured how much."""

from typing import Any, Final

import pandas as pd

from analysis.views.sources import network_words, source_words

SHORT: Final = {"reachwatch": "ours", "ooni": "OONI"}
"""Sources beside a name, where both measured."""

_PLACE: Final = ["source", "probe_cc", "probe_asn"]


def place_words(frame: pd.DataFrame) -> list[str]:
    """Name the network of each row, with the source where the frame has more than one."""
    has_sources = len(set(frame["source"])) > 1
    words = {
        key: network_words(key[1], key[2])
        + (f", {SHORT.get(key[0], key[0])}" if has_sources else "")
        for key in frame[_PLACE].drop_duplicates().itertuples(index=False, name=None)
    }
    return [words[key] for key in zip(*(frame[name] for name in _PLACE), strict=True)]


def measured_by(frame: pd.DataFrame, noun: str) -> str:
    """Say whose ``n`` a frame holds, and of how many networks, as in `sources.source_words`."""
    by_source = {str(name): int(n) for name, n in frame.groupby("source")["n"].sum().items()}
    networks = frame[["probe_cc", "probe_asn"]].drop_duplicates().itertuples(index=False, name=None)
    return source_words(by_source, networks, noun)


def share_columns(measured: pd.DataFrame) -> dict[str, Any]:
    """Return the columns of a table that say what a share is of, how sure it is, and of whom.

    ``measured``: rows of `cells.Cells` in which something was measured.
    """
    share = measured["share"].where(measured["is_shown"])
    return {
        "From": measured["date"],
        "To": measured["until"],
        "Failing": measured["failing"],
        "Decided": measured["decided"],
        "Share": ["" if pd.isna(value) else f"{value:.1%}" for value in share],
        "95 % from": [f"{value:.1%}" for value in measured["low"]],
        "to": [f"{value:.1%}" for value in measured["high"]],
        "n": measured["n"],
        "Probes": measured["n_probes"],
    }
