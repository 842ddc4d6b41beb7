"""Tables for charts, without files: a made-up history as a day grid."""

from datetime import date, timedelta
from typing import Any

import pandas as pd

FIRST_DAY = date(2030, 3, 1)

Day = tuple[str, str | None, int, int] | None
"""State, mechanism, n_ok, n_total; None where nothing was measured."""

FINE: Day = ("ok", None, 5, 5)
DROPPED: Day = ("likely_blocked", "ip_drop", 0, 5)
RESET: Day = ("blocked", "sni_rst", 0, 5)
PARTIAL: Day = ("impaired", "ip_drop", 3, 5)
SLOW: Day = ("impaired", "throttling", 0, 5)
DOWN: Day = ("down", None, 0, 5)
NO_LINE: Day = ("insufficient", None, 0, 0)

DIRECT: list[Day] = [
    *[FINE] * 3, *[DROPPED] * 3, *[RESET] * 3, *[PARTIAL] * 3, None, NO_LINE,
    *[SLOW] * 3, *[DROPPED] * 3, DOWN, *[FINE] * 2,
]  # fmt: skip
AROUND: list[Day] = [*[None] * 17, *[FINE] * 3, *[None] * 3]


def rows_of(
    days: list[Day], target_id: str = "messenger/web", proxy_id: str | None = None, runs: int = 1
) -> list[dict[str, Any]]:
    """Return one series of a day grid."""
    series = {
        "target_id": target_id,
        "service_id": "messenger",
        "tactic": "socks5" if proxy_id else "none",
        "proxy_id": proxy_id,
        "is_mixed": False,
        "lab": True,
    }
    found = []
    for number, day in enumerate(days):
        state, mechanism, n_ok, n_total = day or (None, None, None, None)
        found.append(
            {
                **series,
                "day": FIRST_DAY + timedelta(days=number),
                "n": runs if day else 0,
                "state": state,
                "mechanism": mechanism,
                "n_ok": n_ok if n_total else None,
                "n_total": n_total or None,
            }
        )
    return found


def table_of(*series: list[dict[str, Any]]) -> pd.DataFrame:
    """Return a day grid of several series."""
    frame = pd.DataFrame([row for rows in series for row in rows], dtype=object)
    return frame.where(frame.notna(), None)


def short_history() -> pd.DataFrame:
    """Every state, a gap, and a way around, in 23 days."""
    return table_of(rows_of(DIRECT), rows_of(AROUND, proxy_id="proxy-1"))


def long_history(n_days: int = 400, n_targets: int = 5) -> pd.DataFrame:
    """Ten rows of more than a year."""
    days = (DIRECT * (n_days // len(DIRECT) + 1))[:n_days]
    around = (AROUND * (n_days // len(AROUND) + 1))[:n_days]
    names = [f"messenger/{number}" for number in range(n_targets)]
    return table_of(
        *(rows_of(days, name) for name in names),
        *(rows_of(around, name, "proxy-1") for name in names),
    )
