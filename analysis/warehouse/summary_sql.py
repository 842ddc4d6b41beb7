"""Rows of steps -> one row a measurement and target: what passed, what failed and how.

A summary, not a judgement: no control is asked, and no cause is named. A member works if at
each step that was tried with it one try at least passed; a target's members are counted,
never rounded.
"""

from typing import Final

from analysis.warehouse.failure_class import class_sql
from analysis.warehouse.schema import LAYERS

_STEPS: Final = ", ".join(f"'{layer}'" for layer in LAYERS)


def _alike(name: str) -> str:
    return f"CASE WHEN min({name}) = max({name}) THEN min({name}) ELSE 'mixed' END"


def _counts() -> str:
    return ", ".join(
        f"count(*) FILTER (step = '{layer}' AND failure IS NULL) AS {layer}_ok, "
        f"count(*) FILTER (step = '{layer}') AS {layer}_total, "
        f"min(failure) FILTER (step = '{layer}') AS {layer}_min, "
        f"max(failure) FILTER (step = '{layer}') AS {layer}_max"
        for layer in LAYERS
    )


def _sums() -> str:
    return ", ".join(
        f"CAST(sum({layer}_ok) AS INTEGER) AS {layer}_ok, "
        f"CAST(sum({layer}_total) AS INTEGER) AS {layer}_total, "
        f"CASE WHEN min({layer}_min) = max({layer}_max) THEN min({layer}_min) "
        f"WHEN min({layer}_min) IS NOT NULL THEN 'mixed' END AS {layer}_failure"
        for layer in LAYERS
    )


def _first_failed() -> str:
    whens = " ".join(
        f"WHEN {layer}_total > 0 AND {layer}_ok = 0 THEN {number}"
        for number, layer in enumerate(LAYERS)
    )
    return f"CASE {whens} END"


def _failure_at() -> str:
    whens = " ".join(
        f"WHEN {number} THEN CASE WHEN {layer}_min = {layer}_max THEN {layer}_min "
        "ELSE 'mixed' END"
        for number, layer in enumerate(LAYERS)
    )
    return f"CASE failed_at {whens} END"


def _name_at() -> str:
    whens = " ".join(f"WHEN {number} THEN '{layer}'" for number, layer in enumerate(LAYERS))
    return f"CASE failed_at {whens} END"


def _zeros() -> str:
    return ", ".join(
        f"coalesce(t.{layer}_ok, 0) AS {layer}_ok, coalesce(t.{layer}_total, 0) AS "
        f"{layer}_total, t.{layer}_failure AS {layer}_failure"
        for layer in LAYERS
    )


SUMMARY: Final = f"""
    WITH members AS (
        SELECT n, service_id, target_id, member, {_counts()}
        FROM obs
        WHERE role = 'test' AND tactic = 'none' AND follow_up IS NULL AND proxy_id IS NULL
            AND target_id IS NOT NULL AND step IN ({_STEPS})
            AND (failure IS NULL OR failure_class <> 'skipped')
        GROUP BY n, service_id, target_id, member
    ), judged AS (
        SELECT *, {_failure_at()} AS failure
        FROM (SELECT *, {_first_failed()} AS failed_at FROM members)
    ), targets AS (
        SELECT n, service_id, target_id, {_sums()},
            CAST(count(*) FILTER (failed_at IS NULL) AS INTEGER) AS n_ok,
            CAST(count(*) AS INTEGER) AS n_total,
            min(failed_at) AS failed_at,
            CASE WHEN min(failed_at) IS NOT NULL THEN {_alike("failure")} END AS failure
        FROM judged GROUP BY n, service_id, target_id
    )
    SELECT
        m.*,
        coalesce(t.service_id, m.test_name) AS service_id,
        coalesce(t.target_id, m.test_name) AS target_id,
        coalesce(n_ok, 0) AS n_ok,
        coalesce(n_total, 0) AS n_total,
        CASE WHEN n_total IS NULL THEN 'no_data' WHEN n_ok = n_total THEN 'ok'
             WHEN n_ok = 0 THEN 'failed' ELSE 'partial' END AS outcome,
        {_name_at()} AS failed_step,
        failure,
        {class_sql("failure")} AS failure_class,
        {_zeros()}
    FROM meta m LEFT JOIN targets t ON m.n = t.n"""  # noqa: S608 - constants
"""Over ``meta`` (one row a measurement, ``n`` its number) and ``obs`` (one row a step)."""
