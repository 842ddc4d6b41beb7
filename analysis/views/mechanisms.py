"""How it fails over time: shares of mechanisms by target, with intervals."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from statsmodels.stats.proportion import multinomial_proportions_confint

from analysis.chart.days import days_words
from analysis.chart.events import Event
from analysis.chart.mechanisms import (
    OTHER_LOOK,
    PATTERN_LOOKS,
    Pattern,
    mechanisms,
    mechanisms_alt_text,
)
from analysis.dataset import Dataset
from analysis.drawn import Drawn, NoDataError
from analysis.query.grid import pattern_counts
from analysis.views import cells as grid
from analysis.views.sources import counted, source_words
from probe.verdict.words import MECHANISM_WORDS

BY: Final = ("source", "service_id", "target_id")
MAX_PANELS: Final = 3
MAX_COLUMNS: Final = 100
OTHER: Final = "other"

_SOURCE_WORDS: Final = {"reachwatch": "by reachwatch", "ooni": "by OONI"}
_STEP_WORDS: Final = {
    "dns": "the lookup", "tcp": "connecting", "tls": "the TLS handshake", "http": "the request",
    "mtproto": "the MTProto handshake",
}  # fmt: skip
_CLASS_WORDS: Final = {
    "timeout": "times out", "reset": "is reset", "closed": "is closed", "refused": "is refused",
    "unreachable": "finds no route", "certificate": "gets a certificate that is not valid",
    "local": "fails on the device", "mixed": "fails in several ways",
}  # fmt: skip
_WHOLE_WORDS: Final = {
    "mixed": "fails in several ways", "unknown": "no pattern named", OTHER: "rarer patterns",
}  # fmt: skip
_PERIODS: Final[tuple[grid.Period, ...]] = ("day", "week", "month", "quarter")


def view(dataset: Dataset, events: Sequence[Event] = ()) -> Drawn:  # noqa: ARG001 - panels are full
    """Draw the targets with most results.

    Raises:
        NoDataError: nothing was measured.
    """
    counts = grid.counted(dataset.judged, BY)
    if counts.empty:
        raise NoDataError("no verdicts of ours and no measurements of OONI's")
    first, last = grid.days_of(counts)
    patterns = grid.frame_of(pattern_counts(dataset.judged, BY))
    panels = _panels(counts)
    drawn = counts.merge(panels)
    period, cells = _cells(drawn, first, last)
    codes = _codes(patterns.merge(panels))
    table = _with_patterns(cells, patterns, codes, period)
    names = [
        Pattern(code, pattern_words(code), OTHER_LOOK if code == OTHER else look)
        for code, look in zip(codes, (*PATTERN_LOOKS, OTHER_LOOK), strict=False)
    ]
    title = f"How it fails, {days_words(first, last)}"
    return Drawn(
        name="mechanisms",
        title=title,
        figure=mechanisms(
            table, names, title=title, source=_source(dataset, counts, panels), period=period
        ),
        alt=mechanisms_alt_text(table, names, period),
        table=_table(table, codes),
        caption=f"A row is a target, a {period} and a pattern: k of n decided results failed in "
        "that way. Intervals of the patterns of one row hold together (Goodman 1965), over "
        "effective numbers where probes repeat.",
    )


def pattern_words(code: str) -> str:
    """Say a mechanism, or an OONI pattern such as ``tls.reset``, in words."""
    if code in _WHOLE_WORDS:
        return _WHOLE_WORDS[code]
    known = {str(name): words for name, words in MECHANISM_WORDS.items()}
    if code in known:
        return known[code]
    step, _, kind = code.partition(".")
    if step not in _STEP_WORDS:
        return ""
    return f"{_STEP_WORDS[step]} {_CLASS_WORDS.get(kind, 'fails')}"


def _panels(counts: pd.DataFrame) -> pd.DataFrame:
    """Return the targets drawn: those with most failures, then those with most results."""
    sums = counts.groupby(list(BY), as_index=False)[["failing", "n"]].sum()
    order = sums.sort_values(["failing", "n", *BY], ascending=[False, False, *(True,) * len(BY)])
    return order.head(MAX_PANELS)[list(BY)]


def _cells(counts: pd.DataFrame, first: Any, last: Any) -> tuple[grid.Period, pd.DataFrame]:
    """Return cells by the shortest period in which most cells with data can be told."""
    shortest = grid.period_for(first, last, MAX_COLUMNS)
    for period in _PERIODS[_PERIODS.index(shortest) : -1]:
        dense = grid.dense(grid.binned(counts, BY, period), BY, period, first, last)
        cells = grid.with_statistics(dense)
        if 2 * cells["is_shown"].sum() >= (cells["decided"] > 0).sum():
            return period, cells
    dense = grid.dense(grid.binned(counts, BY, shortest), BY, shortest, first, last)
    return shortest, grid.with_statistics(dense)


def _codes(patterns: pd.DataFrame) -> list[str]:
    """Return the patterns drawn, most frequent first; the rest is `OTHER`."""
    sums = patterns.groupby("pattern")["n"].sum()
    ordered = sorted(sums.index, key=lambda code: (-sums[code], code))
    limit = len(PATTERN_LOOKS)
    return ordered[:limit] + [OTHER] * (len(ordered) > limit)


def _with_patterns(
    cells: pd.DataFrame, patterns: pd.DataFrame, codes: Sequence[str], period: grid.Period
) -> pd.DataFrame:
    keyed = patterns.assign(
        start=patterns["date"].map(lambda day: grid.start_of(day, period)),
        pattern=patterns["pattern"].where(patterns["pattern"].isin(codes), OTHER),
    )
    wide = keyed.pivot_table(
        index=[*BY, "start"], columns="pattern", values="n", aggfunc="sum", fill_value=0
    ).reindex(columns=list(codes), fill_value=0)
    starts = cells.assign(start=cells["date"].map(lambda day: grid.start_of(day, period)))
    found = starts.merge(wide.reset_index(), how="left", on=[*BY, "start"])
    found[list(codes)] = found[list(codes)].fillna(0).astype("int64")
    source = found["source"].map(_SOURCE_WORDS).fillna(found["source"])
    return found.assign(panel=found["target_id"] + "\n" + source, lab=found["lab_n"] > 0)


def _source(dataset: Dataset, counts: pd.DataFrame, panels: pd.DataFrame) -> str:
    judged, drawn = dataset.judged, counts.merge(panels)
    own = judged.filter(judged.target_id.isin(sorted(set(panels["target_id"]))))
    networks = own.select("probe_cc", "probe_asn").distinct().to_pyarrow().to_pylist()
    by_source = {str(name): int(n) for name, n in drawn.groupby("source")["n"].sum().items()}
    places = [(row["probe_cc"], row["probe_asn"]) for row in networks]
    words = source_words(by_source, places, "result")
    n_more = len(counts[list(BY)].drop_duplicates()) - len(panels)
    n = int(counts["n"].sum() - drawn["n"].sum())
    return words + (
        f"; {counted(n_more, 'more target')} with n = {n:,} not drawn" if n_more else ""
    )


def _table(table: pd.DataFrame, codes: Sequence[str]) -> pd.DataFrame:
    rows = []
    for cell in table[table["decided"] > 0].to_dict("records"):
        numbers = [int(cell[code]) for code in codes]
        intervals = _intervals(numbers, int(cell["decided"]), float(cell["n_effective"]))
        failing = int(cell["failing"])
        lines = [("all that fail", failing, (cell["low"], cell["high"]))]
        lines += [(code, k, own) for code, k, own in zip(codes, numbers, intervals, strict=True)]
        for code, k, (low, high) in lines:
            if k or code == "all that fail":
                rows.append(
                    {
                        "Target": cell["target_id"],
                        "Source": cell["source"],
                        "From": cell["date"],
                        "To": cell["until"],
                        "Pattern": code,
                        "k": k,
                        "n": int(cell["decided"]),
                        "95 % interval": f"{low:.1%} to {high:.1%}",
                    }
                )
    return pd.DataFrame(rows)


def _intervals(numbers: Sequence[int], decided: int, effective: float) -> list[tuple[float, float]]:
    """Return simultaneous intervals of the patterns' shares, the reachable rest beside them."""
    counts = np.array([*numbers, decided - sum(numbers)], float) * effective / decided
    bounds = multinomial_proportions_confint(counts, alpha=0.05, method="goodman")
    return [(float(low), float(high)) for low, high in bounds[:-1]]
