"""Real daily counts of four countries, 2021-01 to 2023-03: what is known is found, little else.

The series sum over everything that volunteers measured, so volume and mix change from week to
week. `DAILY` was chosen with these very series at hand; other countries would be the proof.
"""

import csv
import os
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from analysis.stats.association import Association, detrended_log, lagged_association
from analysis.stats.design import DAILY, Design
from analysis.stats.offline import change_points
from analysis.stats.online import detect
from analysis.stats.volume import busy

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("REACHWATCH_DATA", ROOT.parent / "shared" / "data")) / "daily"
FIRST, LAST = date(2021, 1, 1), date(2023, 3, 31)
KNOWN: dict[str, list[dict[str, Any]]] = orjson.loads(
    Path(__file__).with_name("known_events.json").read_bytes()
)
COUNTRIES = ["RU", "IR", "MM", "TR"]
TOLERANCE = timedelta(days=2)

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no real daily series here")


def days(name: str, *columns: str) -> list[np.ndarray]:
    """Return columns of a file on a dense grid of days, 0 where a day is missing."""
    found = np.zeros((len(columns), (LAST - FIRST).days + 1), np.int64)
    with (DATA / name).open(newline="") as file:
        for row in csv.DictReader(file):
            cell = (date.fromisoformat(row["date"]) - FIRST).days
            if 0 <= cell < found.shape[1]:
                found[:, cell] = [int(row[column]) for column in columns]
    return list(found)


def counts(country: str) -> tuple[np.ndarray, np.ndarray]:
    """Return anomalies and valid measurements; ``total`` leaves invalid ones out already."""
    ok, total = days(f"ooni-data-{country.lower()}.csv", "ok", "total")
    return total - ok, total


def day(cell: int) -> date:
    return FIRST + timedelta(days=cell)


def is_explained(country: str, onset: date) -> bool:
    return any(
        date.fromisoformat(event["first"]) - TOLERANCE
        <= onset
        <= date.fromisoformat(event["last"]) + TOLERANCE
        for event in KNOWN[country]
    )


@cache
def onsets(country: str) -> list[date]:
    found = detect(*counts(country), DAILY, 1)
    return [day(change.cell) for change in found if change.direction == "onset"]


def is_near(found: list[date], wanted: date) -> bool:
    return any(abs(one - wanted) <= TOLERANCE for one in found)


def test_russia_2022_is_found_online_and_afterwards() -> None:
    """Throttling of Twitter on 02-26, the wave of 02-28, Instagram on 03-14: within two days."""
    online = onsets("RU")
    offline = [
        day(point.cell)
        for point in change_points(*counts("RU"), np.random.default_rng(1))
        if point.is_rise
    ]

    assert is_near(online, date(2022, 2, 26))
    assert is_near(online, date(2022, 3, 14))
    assert is_near(offline, date(2022, 2, 28))
    assert is_near(offline, date(2022, 3, 14))


def test_iran_2022_is_found_online_and_afterwards() -> None:
    """Within two days of 09-26, when the wave that began on 09-21 reached most measurements."""
    offline = [
        day(point.cell)
        for point in change_points(*counts("IR"), np.random.default_rng(1))
        if point.is_rise
    ]

    assert is_near(onsets("IR"), date(2022, 9, 26))
    assert is_near(offline, date(2022, 9, 26))


def test_myanmar_2021_is_found_by_how_much_was_measured() -> None:
    """January 2021 holds 26 measurements: no share to rise from. People began to measure."""
    _, n = counts("MM")
    design = Design(
        block_share=0.7, cells_per_false_alarm=1000, warm_up=14, settle=7, memory=240, cap=2.0
    )
    found = detect(*busy(n, 14), design, 1)

    assert n[:31].sum() == 26
    assert is_near([day(c.cell) for c in found if c.direction == "onset"], date(2021, 2, 1))


@pytest.mark.parametrize("country", COUNTRIES)
def test_at_most_three_unexplained_onsets_a_year(country: str) -> None:
    """Online; an onset is explained within two days of a dated event of the list."""
    unexplained = [onset for onset in onsets(country) if not is_explained(country, onset)]

    for year in (2021, 2022, 2023):
        assert sum(onset.year == year for onset in unexplained) <= 3, unexplained


def tor_association(country: str, first: date, last: date) -> Association:
    k, n = counts(country)
    (users,) = days(f"tor-data-{country.lower()}.csv", "users")
    window = slice((first - FIRST).days, (last - FIRST).days)
    return lagged_association(
        detrended_log((k / np.maximum(n, 1))[window]),
        detrended_log(users[window]),
        14,
        14,
        np.random.default_rng(1),
    )


def test_tor_users_and_blocking_go_together_in_iran() -> None:
    """Second half of 2022: the whole band is above zero; Tor's users rose some days earlier."""
    found = tor_association("IR", date(2022, 7, 1), date(2023, 1, 1))
    best = int(np.nanargmax(found.correlation))

    assert found.low[best] > 0
    assert found.lag[best] < 0


def test_tor_users_and_blocking_are_not_seen_to_in_russia() -> None:
    """Spring 2022: Tor itself was being blocked, its direct users fell; no lag stands out."""
    found = tor_association("RU", date(2022, 2, 1), date(2022, 5, 1))

    assert not (found.low > 0).any()
