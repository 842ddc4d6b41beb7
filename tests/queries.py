"""Every public query, asked of a dataset: what engines must answer alike."""

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, Final

import ibis
import pyarrow as pa

import analysis.query
from analysis.dataset import Dataset
from analysis.query import (
    coverage,
    found,
    grid,
    judged,
    layers,
    members,
    onsets,
    speed,
    states,
    ways,
)
from odd_warehouse import DAYS, day_range

Asked = ibis.Table | Any
"""An expression, or what a query that runs its own has answered."""

_TARGETS: Final = ["telegram/web", "telegram/dc_pool", "\u00e9", 'a "b"', "none of them"]
_BY: Final = ("probe_cc", "target_id")


def _states(data: Dataset) -> ibis.Table:
    return states.states(data.verdicts, data.measurements)


QUERIES: Final[dict[str, Callable[[Dataset], list[Asked]]]] = {
    "judged.judged": lambda d: [judged.judged(d.verdicts, d.measurements)],
    "judged.judged_ours": lambda d: [judged.judged_ours(d.verdicts)],
    "grid.cells": lambda d: [grid.cells(d.judged), grid.cells(d.judged, _BY)],
    "grid.totals": lambda d: [grid.totals(d.judged, judged.COUNTRIES)],
    "grid.pattern_counts": lambda d: [grid.pattern_counts(d.judged)],
    "grid.probe_counts": lambda d: [grid.probe_counts(d.judged)],
    "grid.layer_counts": lambda d: [grid.layer_counts(d.observations)],
    "grid.with_share": lambda d: [grid.with_share(grid.totals(d.judged))],
    "grid.dense": lambda d: [grid.dense(grid.cells(d.judged, _BY), *day_range(), _BY)],
    "grid.span": lambda d: [grid.span(d.daily), grid.span(d.verdicts)],
    "found.held": lambda d: [found.held(d.judged)],
    "found.days_with": lambda d: [
        found.days_with(d.verdicts, signs=True), found.days_with(d.verdicts, signs=False),
    ],
    "found.states_and_causes": lambda d: [found.states_and_causes(d.verdicts)],
    "found.differing": lambda d: [found.differing(d.verdicts, "software_version", 5)],
    "layers.last_states": lambda d: [layers.last_states(d.verdicts, d.measurements)],
    "layers.last_layers": lambda d: [layers.last_layers(d.verdicts, d.measurements)],
    "members.member_totals": lambda d: [members.member_totals(d.observations)],
    "members.member_counts": lambda d: [members.member_counts(d.observations, _TARGETS)],
    "members.pool_counts": lambda d: [members.pool_counts(d.measurements, _TARGETS)],
    "states.states": lambda d: [_states(d)],
    "states.series_totals": lambda d: [states.series_totals(_states(d))],
    "states.day_states": lambda d: [states.day_states(_states(d))],
    "states.among": lambda d: [
        states.among(_states(d), [{"target_id": 'a "b"'}, {"probe_asn": 2**63 - 1}]),
    ],
    "coverage.coverage": lambda d: [coverage.coverage(d.verdicts, d.measurements)],
    "onsets.counts_by_day": lambda d: [onsets.counts_by_day(d.daily)],
    "onsets.users_by_day": lambda d: [onsets.users_by_day(d.daily)],
    "onsets.ways_by_day": lambda d: [onsets.ways_by_day(d.verdicts)],
    "speed.speed_totals": lambda d: [speed.speed_totals(d.observations)],
    "speed.speed_histograms": lambda d: [speed.speed_histograms(d.observations, _TARGETS)],
    "speed.speed_runs": lambda d: [speed.speed_runs(d.observations, _TARGETS)],
    "ways.way_counts": lambda d: [ways.way_counts(d.verdicts)],
}  # fmt: skip
"""A query as ``module.function``."""

FILTERS: Final[dict[str, dict[str, Any]]] = {
    "days": {"first": DAYS[0], "last": DAYS[1]},
    "before 1970": {"last": date(1969, 12, 31)},
    "names": {"country": ["RU", "it's"], "service": "it's"},
    "numbers": {"asn": [2**63 - 1, -1, 0]},
    "nothing": {"source": "ooni", "target": "no such"},
}


def public_queries() -> Iterator[str]:
    """Return the public functions of the room, as ``module.function``."""
    for info in pkgutil.iter_modules(analysis.query.__path__):
        module = importlib.import_module(f"analysis.query.{info.name}")
        for name, value in vars(module).items():
            is_own = inspect.isfunction(value) and value.__module__ == module.__name__
            if is_own and not name.startswith("_"):
                yield f"{info.name}.{name}"


def rows(asked: Asked) -> list[tuple[Any, ...]]:
    """Run what is not run yet; return its columns' names and types, and its rows in order."""
    table = asked.to_pyarrow() if isinstance(asked, ibis.Table) else asked
    if not isinstance(table, pa.Table):
        return [("answer", repr(asked))]
    types = [(field.name, str(field.type)) for field in table.schema]
    values = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return [tuple(types), *sorted(values, key=_order)]


def difference(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]]) -> str | None:
    """Return the first row that differs: floats by more than 1e-9, anything else at all."""
    if len(ours) != len(theirs):
        return f"{len(ours) - 1} rows against {len(theirs) - 1}"
    for one, other in zip(ours, theirs, strict=True):
        if not all(map(_alike, one, other)):
            return f"{one} against {other}"
    return None


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        both_none = math.isnan(one) and math.isnan(other)
        return both_none or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return type(one) is type(other) and bool(one == other)


def _order(row: tuple[Any, ...]) -> list[tuple[bool, Any]]:
    # A float of one engine may be another's but for its last digits: they come last, rounded.
    exact = [(value is None, str(value)) for value in row if not isinstance(value, float)]
    return exact + [(False, f"{value:.6g}") for value in row if isinstance(value, float)]


_GUIDE: Final = Path(__file__).resolve().parent.parent / "docs" / "how-to-use-a-cluster.md"


def guide_blocks(language: str, *, spark: bool) -> list[str]:
    """Return the guide's code blocks in a language: those that need Spark, or the others."""
    text = _GUIDE.read_text(encoding="utf-8")
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return [block for block in found if ("spark" in block) == spark]
