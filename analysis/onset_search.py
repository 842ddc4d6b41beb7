"""When blocking began and ended: changes of many series, in hindsight, and as they were seen.

Counts in, a table of onsets and liftings out. An event beside an onset is near to it in time;
nothing here says that it is the cause.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.chart.events import Event
from analysis.drawn import NoDataError
from analysis.onset_causes import Window, down_words, explained_by, undecided_words
from analysis.query.grid import MAX_DAYS
from analysis.stats.clusters import SeriesChange, cluster
from analysis.stats.design import DAILY, TARGET_BY_DAY, Design
from analysis.stats.multiplicity import FALSE_DISCOVERIES, onset_p_values, select
from analysis.stats.offline import change_points, noise_around, noise_between
from analysis.stats.online import Change, detect
from analysis.stats.prefilter import evidence
from analysis.stats.segments import ChangePoint
from analysis.stats.volume import busy

Counts = NDArray[np.int64]

MAX_SERIES: Final = 40
"""Series searched: those for which most speaks. A search takes a tenth of a second."""

VOLUME: Final = Design(0.7, 1000, warm_up=14, settle=7, memory=240, cap=2.0, simulated_alarms=20)
"""For `stats.volume.busy`: most days of some weeks, not one alone."""

_VOLUME_WINDOW: Final = 14
_CHUNK: Final = 512
_NEAR_CELLS: Final = 14
"""An alarm of a change is dated by the detector within so many days of it."""

_WEEK: Final = 7
_GAP, _SPAN = 2, 7
"""Days between changes of series, and in all, that are one event."""

_DATE_KNOWN: Final = 42
"""A date known to no better than six weeks is doubtful."""

COLUMNS: Final = (
    "series", "country", "direction", "date", "first", "last", "detected", "before",
    "before_low", "before_high", "n_before", "after", "after_low", "after_high", "n_after",
    "n_effective", "p_adjusted", "method", "is_doubtful", "notes", "near", "event",
)  # fmt: skip


@dataclass(frozen=True)
class Onsets:
    """What was found. ``changes``: a row per change of a series, in order of date.

    Columns of ``changes``: those of the series' names; ``series`` (its names in one text),
    ``country``, ``direction`` (onset or lifting); ``date`` of the first day of the new level
    with its 95 % interval ``first`` to ``last``; ``detected``: day on which a detector that
    looks at the past only raised its alarm, None if never; shares ``before`` and ``after``
    with 95 % intervals and n; ``n_effective``: what both n are worth; ``p_adjusted`` for all
    series and dates searched (Benjamini & Yekutieli); ``method`` (hindsight, or volume);
    ``is_doubtful`` with the reasons in ``notes``; ``near``: dated events within two days;
    ``event``: number of the row in ``events``.

    ``events``: changes of a country that go together: ``event``, ``country``, ``direction``,
    ``date``, ``first``, ``last``, ``n_series``, ``is_doubtful``, ``near``.
    """

    changes: pd.DataFrame
    events: pd.DataFrame
    n_series: int
    n_searched: int
    n_left_out: int


class _Series(NamedTuple):
    names: tuple[Any, ...]
    country: str
    k: Counts
    n: Counts
    undecided: Counts


class _Found(NamedTuple):
    series: int
    point: ChangePoint
    p_value: float
    n_effective: float
    alarm: int | None


def find(
    counts: pd.DataFrame,
    by: Sequence[str],
    events: Sequence[Event] = (),
    *,
    design: Design = TARGET_BY_DAY,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> Onsets:
    """Find onsets and liftings in every series.

    Args:
        counts: a row per day and series: ``date``, the columns of ``by`` (``probe_cc`` is the
            country, if it is one), ``failing`` of ``decided``; ``n``, if there is such a
            column, counts what decided nothing too. Days may be left out: nothing measured.
        by: what a series is of.
        events: dated events, to name what is near.
        design: of the detector; `DAILY` for counts of a whole country.
        progress: told how many series were searched, of how many.

    The result depends on neither the order of rows nor other series' names, but for the
    adjustment for their number.

    Raises:
        NoDataError: no rows, or more than `MAX_DAYS` days.
        ValueError: counts that are none.
    """
    if counts.empty:
        raise NoDataError("no measurement that decides anything")
    first, last = counts["date"].min(), counts["date"].max()
    n_days = (last - first).days + 1
    if n_days > MAX_DAYS:
        raise NoDataError(f"data span {n_days} days ({first} to {last}), more than {MAX_DAYS}")
    series = _series(counts, list(by), first, n_days)
    chosen, n_possible = _chosen(series)
    found: list[_Found] = []
    for number, index in enumerate(chosen):
        found += _searched(index, series[index], design)
        progress(number + 1, len(chosen))
    # Every series is tested, those without a change too.
    n_without = len(series) - len({one.series for one in found})
    p = np.array([one.p_value for one in found] + [1.0] * n_without)
    kept = select(p, FALSE_DISCOVERIES)
    rows = []
    for one, adjusted in zip(found, kept.adjusted, strict=False):
        rows.append(_row(series, one, float(adjusted), first, by))
    if design is DAILY:
        rows += [row for one in series for row in _began(one, first, by)]
    rows.sort(key=lambda row: (row["date"], row["series"], row["direction"]))
    for row in rows:
        row["near"] = explained_by(row["date"], row["first"], row["last"], events)
    changes, together = _clustered(rows, first, by)
    return Onsets(changes, together, len(series), len(chosen), n_possible - len(chosen))


def _series(counts: pd.DataFrame, by: list[str], first: date, n_days: int) -> list[_Series]:
    given = [name for name in ("n",) if name in counts.columns]
    sums = counts.groupby([*by, "date"], as_index=False, sort=True)[
        ["failing", "decided", *given]
    ].sum()
    found = []
    for names, own in sums.groupby(by, sort=True):
        cell = np.array([(day - first).days for day in own["date"]], np.int64)
        grid = np.zeros((3, n_days), np.int64)
        grid[0, cell], grid[1, cell] = own["failing"], own["decided"]
        if given:
            grid[2, cell] = own["n"] - own["decided"]
        key = tuple(names)
        country = str(key[by.index("probe_cc")]) if "probe_cc" in by else ""
        found.append(_Series(key, country, *grid))
    return found


def _chosen(series: Sequence[_Series]) -> tuple[list[int], int]:
    """Return the series to search, and how many there would be without a limit."""
    strength = np.concatenate(
        [
            evidence(
                np.stack([one.k for one in series[start : start + _CHUNK]]),
                np.stack([one.n for one in series[start : start + _CHUNK]]),
            )
            for start in range(0, len(series), _CHUNK)
        ]
    )
    possible = [int(index) for index in np.flatnonzero(strength >= 1)]
    # Names decide between equals: a limit must not depend on the order of rows.
    possible.sort(key=lambda index: (-strength[index], index))
    return sorted(possible[:MAX_SERIES]), len(possible)


def _seed(names: tuple[Any, ...]) -> int:
    return int.from_bytes(blake2b(repr(names).encode(), digest_size=4).digest(), "big")


def _searched(index: int, one: _Series, design: Design) -> list[_Found]:
    points = change_points(one.k, one.n, np.random.default_rng(_seed(one.names)))
    alarms = detect(one.k, one.n, design, _seed(one.names)) if points else []
    rho = noise_between(one.k, one.n)
    found = []
    for point in points:
        before, after = (
            slice(segment.start, segment.stop) for segment in (point.before, point.after)
        )
        own_rho = max(rho, noise_around(one.k, one.n, point))
        worth = 1 / (1 + np.maximum(one.n - 1, 0) * own_rho)
        failed = one.k if point.is_rise else one.n - one.k
        k0, k1 = ((failed * worth)[cells].sum() for cells in (before, after))
        n0, n1 = ((one.n * worth)[cells].sum() for cells in (before, after))
        p = float(onset_p_values(k0, n0, k1, n1))
        # The date was searched for: any measured day could have been it.
        tried = int((one.n[before.start : after.stop] > 0).sum())
        found.append(
            _Found(index, point, min(p * tried, 1.0), float(n0 + n1), _alarm(alarms, point))
        )
    return found


def _row(
    series: Sequence[_Series], found: _Found, adjusted: float, first: date, by: Sequence[str]
) -> dict[str, Any]:
    one, point, alarm = series[found.series], found.point, found.alarm
    notes = []
    if adjusted > FALSE_DISCOVERIES:
        notes.append("may be chance")
    if point.last - point.first > _DATE_KNOWN:
        notes.append("began within weeks")
    # A service that comes back was not unblocked either: of a lifting, what ended counts.
    level = point.after if point.is_rise else point.before
    window = Window(level.start, min(level.start + _WEEK, level.stop), point.before.start)
    if not point.is_rise:
        window = window._replace(base=0)
    notes += [
        text
        for text in (down_words(series, found.series, window, by), undecided_words(one, window))
        if text
    ]
    before, after = point.before, point.after
    return {
        **_named(one, by),
        "direction": "onset" if point.is_rise else "lifting",
        "date": first + timedelta(days=point.cell),
        "first": first + timedelta(days=point.first),
        "last": first + timedelta(days=point.last),
        "detected": None if alarm is None else first + timedelta(days=alarm),
        "before": before.share, "before_low": before.low, "before_high": before.high,
        "n_before": before.n,
        "after": after.share, "after_low": after.low, "after_high": after.high,
        "n_after": after.n,
        "n_effective": found.n_effective,
        "p_adjusted": adjusted,
        "method": "hindsight",
        "is_doubtful": bool(notes),
        "notes": "; ".join(notes),
    }  # fmt: skip


def _named(one: _Series, by: Sequence[str]) -> dict[str, Any]:
    return {
        **dict(zip(by, one.names, strict=True)),
        "series": " · ".join(str(name) for name in one.names),
        "country": one.country,
    }


def _alarm(alarms: Sequence[Change], point: ChangePoint) -> int | None:
    """Return the cell in which the online detector saw this change, if it did."""
    direction = "onset" if point.is_rise else "lifting"
    for change in alarms:
        is_after = point.first <= change.detected < point.after.stop
        is_near = abs(change.cell - point.cell) <= _NEAR_CELLS
        if change.direction == direction and is_after and is_near:
            return change.detected
    return None


def _began(one: _Series, first: date, by: Sequence[str]) -> list[dict[str, Any]]:
    """Return the day from which much more was measured, where no share is known before it.

    People measure when something happens. This is no share that rose, and marked as that.
    """
    measured = np.cumsum(one.n > 0)
    stop = int(np.searchsorted(measured, DAILY.warm_up)) + _VOLUME_WINDOW
    for change in detect(*busy(one.n[:stop], _VOLUME_WINDOW), VOLUME, _seed(one.names)):
        if change.direction != "onset" or measured[max(change.cell - 1, 0)] >= DAILY.warm_up:
            continue
        until = slice(change.cell, change.detected + 1)
        n_before, n_after = int(one.n[: change.cell].sum()), int(one.n[until].sum())
        return [
            {
                **_named(one, by),
                "direction": "onset",
                "date": first + timedelta(days=change.cell),
                "first": first + timedelta(days=change.first),
                "last": first + timedelta(days=change.last),
                "detected": first + timedelta(days=change.detected),
                "before": np.nan, "before_low": 0.0, "before_high": 1.0, "n_before": n_before,
                "after": float(one.k[until].sum() / n_after), "after_low": 0.0,
                "after_high": 1.0, "n_after": n_after,
                "n_effective": np.nan, "p_adjusted": np.nan,
                "method": "volume",
                "is_doubtful": True,
                "notes": "much more was measured from here on; no share before to compare with",
            }
        ]  # fmt: skip
    return []


def _clustered(
    rows: list[dict[str, Any]], first: date, by: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    changes = []
    for number, row in enumerate(rows):
        cell, low, high = ((row[name] - first).days for name in ("date", "first", "last"))
        change = Change(row["direction"], cell, low, high, high, 0.0, 0.0, 0, 0.0)
        changes.append(SeriesChange(row["country"], number, change))
    events = []
    for number, event in enumerate(cluster(changes, _GAP, _SPAN)):
        own = [rows[member.series] for member in event.members]
        for row in own:
            row["event"] = number
        near = sorted({text for row in own for text in row["near"].split("; ") if text})
        events.append(
            {
                "event": number,
                "country": event.country,
                "direction": event.direction,
                "date": first + timedelta(days=event.cell),
                "first": first + timedelta(days=event.first),
                "last": first + timedelta(days=event.last),
                "n_series": len({row["series"] for row in own}),
                "is_doubtful": all(row["is_doubtful"] for row in own),
                "near": "; ".join(near),
            }
        )
    names = ["event", "country", "direction", "date", "first", "last", "n_series",
             "is_doubtful", "near"]  # fmt: skip
    return (
        pd.DataFrame(rows, columns=[*by, *COLUMNS], dtype=object),
        pd.DataFrame(events, columns=names, dtype=object),
    )
