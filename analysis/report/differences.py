"""How two parts of a dataset differ, target by target: with intervals, and n on both sides."""

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

from analysis.dataset import Dataset
from analysis.report.shares import over_days
from analysis.stats.intervals import LEVEL
from analysis.stats.multiplicity import FALSE_DISCOVERIES
from analysis.stats.multiplicity import select as select_tests

Floats = NDArray[np.float64]

TARGETS: Final = ("source", "service_id", "target_id")
METHOD: Final = "agresti-caffo"
"""Agresti & Caffo 2000: interval and test agree with each other, and hold for few measurements
and for shares of 0 and 1."""

CAPTION: Final = (
    "One row per target, the largest differences first. Shares count failing of decided "
    "measurements (n), each with its 95 % interval; n counts for less where one run (of OONI's: "
    "one report) measured often. The difference is B less A in percentage points, with its 95 % "
    f"interval ({METHOD}). p is adjusted for all targets (Benjamini and Yekutieli). “Differs”: "
    f"adjusted p at most {FALSE_DISCOVERIES:g} and an interval without 0."
)


def differences(a: Dataset, b: Dataset) -> pd.DataFrame:
    """Compare shares of failures by target.

    Columns: those of `TARGETS`; for each side ``share_X`` with ``low_X`` to ``high_X``, ``n_X``
    (decided), ``probes_X``; ``difference`` (b - a) with ``low`` to ``high``; ``p`` (adjusted;
    NaN where a side has too little), ``words``. The largest differences come first.
    """
    both = over_days(a.judged, TARGETS).merge(
        over_days(b.judged, TARGETS), how="outer", on=list(TARGETS), suffixes=("_a", "_b")
    )
    both = both.sort_values(list(TARGETS), ignore_index=True)
    shown = [both[f"is_shown_{side}"].fillna(False).astype(bool).to_numpy() for side in "ab"]  # noqa: FBT003 - pandas
    enough = shown[0] & shown[1]
    rows = [_tested(row) if told else (np.nan,) * 4
            for row, told in zip(both.to_dict("records"), enough, strict=True)]  # fmt: skip
    tested = np.array(rows, float).reshape(-1, 4)
    chosen = select_tests(tested[:, 3])
    is_without_0 = (tested[:, 1] > 0) | (tested[:, 2] < 0)
    differs = chosen.is_selected & is_without_0
    both = both.assign(
        difference=tested[:, 0], low=tested[:, 1], high=tested[:, 2], p=chosen.adjusted,
        words=np.where(
            ~enough, "not enough data", np.where(differs, "differs", "no difference seen")
        ),
    )  # fmt: skip
    order = np.argsort(-np.abs(np.where(enough, tested[:, 0], 0.0)), kind="stable")
    order = order[np.argsort(~enough[order], kind="stable")]
    return both.iloc[order].reset_index(drop=True)


def _tested(row: dict[str, Any]) -> tuple[float, float, float, float]:
    """Return difference, interval and p of effective counts."""
    counts = [
        value
        for side in "ba"
        for value in (row[f"share_{side}"] * row[f"n_effective_{side}"], row[f"n_effective_{side}"])
    ]
    # It works out ratios as well, which are not asked for and not finite where a share is 0.
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = confint_proportions_2indep(
            *counts, method=METHOD, compare="diff", alpha=1 - LEVEL
        )
        p = test_proportions_2indep(*counts, method=METHOD, compare="diff", return_results=False)[1]
    return (
        float(row["share_b"] - row["share_a"]), max(float(low), -1.0), min(float(high), 1.0),
        float(p),
    )  # fmt: skip


_HEADINGS: Final = [
    "Target", "Fails in A", "n in A", "Runs in A", "Fails in B", "n in B", "Runs in B",
    "Difference", "p", "In words",
]  # fmt: skip


def difference_table(found: pd.DataFrame) -> pd.DataFrame:
    """Return `differences` as people read them."""
    rows = found.to_dict("records")
    is_mixed = len({row["source"] for row in rows}) > 1
    return pd.DataFrame(
        [
            {
                "Target": row["target_id"] + (f" ({row['source']})" if is_mixed else ""),
                "Fails in A": _share(row, "a"),
                "n in A": _count(row["n_a"]),
                "Runs in A": _count(row["probes_a"]),
                "Fails in B": _share(row, "b"),
                "n in B": _count(row["n_b"]),
                "Runs in B": _count(row["probes_b"]),
                "Difference": _difference(row),
                "p": None if np.isnan(row["p"]) else _p(row["p"]),
                "In words": row["words"],
            }
            for row in rows
        ],
        columns=_HEADINGS,
        dtype=object,
    )


def _share(row: dict[str, Any], side: str) -> str:
    if not row[f"n_{side}"] > 0:
        return "no data"
    low, high = (100 * row[f"{bound}_{side}"] for bound in ("low", "high"))
    if not row[f"is_shown_{side}"]:
        return f"not enough data ({low:.0f} to {high:.0f} %)"
    return f"{100 * row[f'share_{side}']:.1f} % ({low:.1f} to {high:.1f} %)"


def _count(n: float) -> int:
    return 0 if np.isnan(n) else int(n)


def _difference(row: dict[str, Any]) -> str | None:
    if np.isnan(row["difference"]):
        return None
    return f"{100 * row['difference']:+.1f} ({100 * row['low']:+.1f} to {100 * row['high']:+.1f})"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
