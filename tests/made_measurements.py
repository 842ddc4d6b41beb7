"""Measurements in OONI's shape as a frame of the table, with blocks that are known."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from analysis.dataset import Dataset, as_dataset

FIRST = date(2024, 1, 1)
TARGETS = ("telegram/dc_pool", "telegram/web")


def measured(
    networks: Sequence[tuple[str, int]],
    n_days: int,
    share: Callable[[str, int, int], float],
    *,
    per_day: int = 6,
    probes: int = 0,
    targets: Sequence[str] = TARGETS[1:],
    seed: int = 1,
) -> pd.DataFrame:
    """Return measurements that fail at ``share(country, asn, number of the day)``; NaN: none made.

    ``probes`` of each network take turns; by default each measurement is by a probe of its own.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for code, asn in networks:
        for number in range(n_days):
            expected = share(code, asn, number)
            if np.isnan(expected):
                continue
            failing = rng.random((per_day, len(targets))) < expected
            for turn in range(per_day):
                probe = turn % probes if probes else turn
                rows += [
                    {
                        "date": FIRST + timedelta(days=number),
                        "source": "ooni", "probe_cc": code, "probe_asn": asn,
                        "service_id": "telegram", "target_id": target,
                        "run_id": f"{code}-{asn}-{number}-{probe}",
                        "measurement_id": f"{code}-{asn}-{number}-{turn}",
                        "outcome": "failed" if failing[turn, place] else "ok",
                        "failed_step": "tls" if failing[turn, place] else None,
                        "failure_class": "reset" if failing[turn, place] else None,
                        "n_ok": int(not failing[turn, place]), "n_total": 1,
                    }
                    for place, target in enumerate(targets)
                ]  # fmt: skip
    return pd.DataFrame(rows)


def dataset(frame: pd.DataFrame) -> Dataset:
    return as_dataset(frame)


def blocked(code: str, _asn: int, number: int) -> float:
    """Return the share of a block: RU from day 20 to 39, almost all; else one in fifty."""
    return 0.95 if code == "RU" and 20 <= number < 40 else 0.02


def verdicts(
    days: Sequence[tuple[int, str, str | None]],
    *,
    tactic: str = "none",
    proxy_id: str | None = None,
    asn: int = 8402,
    runs: int = 1,
) -> pd.DataFrame:
    """Return verdicts of ours: number of the day, state, mechanism; so many runs each."""
    return pd.DataFrame(
        [
            {
                "date": FIRST + timedelta(days=number), "source": "reachwatch", "probe_cc": "RU",
                "probe_asn": asn, "service_id": "telegram", "target_id": "telegram/web",
                "tactic": tactic, "proxy_id": proxy_id, "state": state, "mechanism": mechanism,
                "n_ok": 2 if state == "ok" else 0, "n_total": 0 if state == "insufficient" else 2,
                "measurement_id": f"{asn}-{number}-{run}", "lab": False,
                "control_state": "failed" if state == "insufficient" else "ok",
            }
            for number, state, mechanism in days
            for run in range(runs)
        ]
    )  # fmt: skip
