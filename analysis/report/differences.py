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
from probe.locale import ENGLISH, Language, marked

Floats = NDArray[np.float64]

TARGETS: Final = ("source", "service_id", "target_id")
METHOD: Final = "agresti-caffo"
"""Agresti & Caffo 2000: interval and test agree with each other, and hold for few measurements
and for shares of 0 and 1."""

_CAPTION: Final = marked(
    "One row per target, the largest differences first. Shares count failing of decided "
    "measurements (n), each with its 95 % interval; n counts for less where one run (of OONI's: "
    "one report) measured often. The difference is B less A in percentage points, with its 95 % "
    "interval ({method}). p is adjusted for all targets (Benjamini and Yekutieli). “Differs”: "
    "adjusted p at most {most} and an interval without 0."
)


def caption(say: Language = ENGLISH) -> str:
    """Say how the table is to be read."""
    return say(_CAPTION).format(method=METHOD, most=f"{FALSE_DISCOVERIES:g}")


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
            ~enough, _TOO_LITTLE, np.where(differs, marked("differs"), marked("no difference seen"))
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


_TOO_LITTLE: Final = marked("not enough data")
_HEADINGS: Final = (
    marked("Target"),
    marked("Fails in A"),
    marked("n in A"),
    marked("Runs in A"),
    marked("Fails in B"),
    marked("n in B"),
    marked("Runs in B"),
    marked("Difference"),
    "p",
    marked("In words"),
)


def difference_table(found: pd.DataFrame, say: Language = ENGLISH) -> pd.DataFrame:
    """Return `differences` as people read them."""
    rows = found.to_dict("records")
    is_mixed = len({row["source"] for row in rows}) > 1
    return pd.DataFrame(
        [
            (
                row["target_id"] + (f" ({row['source']})" if is_mixed else ""),
                _share(row, "a", say),
                _count(row["n_a"]),
                _count(row["probes_a"]),
                _share(row, "b", say),
                _count(row["n_b"]),
                _count(row["probes_b"]),
                _difference(row, say),
                None if np.isnan(row["p"]) else _p(row["p"]),
                say(row["words"]),
            )
            for row in rows
        ],
        columns=[say(heading) for heading in _HEADINGS],
        dtype=object,
    )


def _share(row: dict[str, Any], side: str, say: Language) -> str:
    if not row[f"n_{side}"] > 0:
        return say("no data")
    low, high = (100 * row[f"{bound}_{side}"] for bound in ("low", "high"))
    if not row[f"is_shown_{side}"]:
        return say("not enough data ({low} to {high} %)").format(
            low=f"{low:.0f}", high=f"{high:.0f}"
        )
    share = f"{100 * row[f'share_{side}']:.1f}"
    return say("{share} % ({low} to {high} %)").format(
        share=share, low=f"{low:.1f}", high=f"{high:.1f}"
    )


def _count(n: float) -> int:
    return 0 if np.isnan(n) else int(n)


def _difference(row: dict[str, Any], say: Language) -> str | None:
    if np.isnan(row["difference"]):
        return None
    difference, low, high = (f"{100 * row[name]:+.1f}" for name in ("difference", "low", "high"))
    return say("{difference} ({low} to {high})").format(difference=difference, low=low, high=high)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
