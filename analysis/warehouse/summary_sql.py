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
        f"count(*) FILTER (step = '{layer}') AS {layer}_total"
        for layer in LAYERS
    )


def _sums() -> str:
    return ", ".join(
        f"CAST(sum({layer}_ok) AS INTEGER) AS {layer}_ok, "
        f"CAST(sum({layer}_total) AS INTEGER) AS {layer}_total"
        for layer in LAYERS
    )


def _failures() -> str:
    return ", ".join(
        f"CASE WHEN min(least_failure) FILTER (step = '{layer}') = max(most_failure) "
        f"FILTER (step = '{layer}') THEN min(least_failure) FILTER (step = '{layer}') "
        f"WHEN count(*) FILTER (step = '{layer}') > 0 THEN 'mixed' END AS {layer}_failure"
        for layer in LAYERS
    )


def _first_failed() -> str:
    whens = " ".join(
        f"WHEN {layer}_total > 0 AND {layer}_ok = 0 THEN {number}"
        for number, layer in enumerate(LAYERS)
    )
    return f"CASE {whens} END"


def _name_at() -> str:
    whens = " ".join(f"WHEN {number} THEN '{layer}'" for number, layer in enumerate(LAYERS))
    return f"CASE failed_at {whens} END"


def _zeros() -> str:
    return ", ".join(
        f"coalesce(t.{layer}_ok, 0) AS {layer}_ok, coalesce(t.{layer}_total, 0) AS "
        f"{layer}_total, f.{layer}_failure AS {layer}_failure"
        for layer in LAYERS
    )


_IS_NAME: Final = " AND ".join(
    ["dns_ok > 0", *(f"{layer}_total = 0" for layer in LAYERS if layer != "dns")]
)
"""A name that was found and at which nothing more was tried: that says nothing of its host."""

SUMMARY: Final = f"""
    WITH tried AS (
        SELECT n, service_id, target_id, member, step, failure
        FROM obs
        WHERE role = 'test' AND tactic = 'none' AND follow_up IS NULL AND proxy_id IS NULL
            AND target_id IS NOT NULL AND step IN ({_STEPS})
            AND (failure IS NULL OR failure_class <> 'skipped')
    ), members AS (
        SELECT n, target_id, member, any_value(service_id) AS service_id, {_counts()}
        FROM tried GROUP BY n, target_id, member
    ), failed AS (
        SELECT n, target_id, member, step,
            min(failure) AS least_failure, max(failure) AS most_failure
        FROM tried WHERE failure IS NOT NULL GROUP BY n, target_id, member, step
    ), failures AS (
        SELECT n, target_id, {_failures()} FROM failed GROUP BY n, target_id
    ), steps_failed AS (
        SELECT *, {_name_at()} AS failed_step, {_IS_NAME} AS is_name
        FROM (SELECT *, {_first_failed()} AS failed_at FROM members)
    ), judged AS (
        SELECT m.*, CASE WHEN f.least_failure = f.most_failure THEN f.least_failure
                         WHEN f.least_failure IS NOT NULL THEN 'mixed' END AS failure
        FROM steps_failed m LEFT JOIN failed f ON m.n = f.n AND m.target_id = f.target_id
            AND m.member IS NOT DISTINCT FROM f.member AND m.failed_step = f.step
    ), targets AS (
        SELECT n, target_id, any_value(service_id) AS service_id, {_sums()},
            CAST(count(*) FILTER (failed_at IS NULL AND NOT is_name) AS INTEGER) AS n_ok,
            CAST(count(*) FILTER (NOT is_name) AS INTEGER) AS n_total,
            min(failed_at) AS failed_at,
            CASE WHEN min(failed_at) IS NOT NULL THEN {_alike("failure")} END AS failure
        FROM judged GROUP BY n, target_id
    )
    SELECT
        m.*,
        coalesce(t.service_id, m.test_name) AS service_id,
        coalesce(t.target_id, m.test_name) AS target_id,
        coalesce(n_ok, 0) AS n_ok,
        coalesce(n_total, 0) AS n_total,
        CASE WHEN coalesce(n_total, 0) = 0 THEN 'no_data' WHEN n_ok = n_total THEN 'ok'
             WHEN n_ok = 0 THEN 'failed' ELSE 'partial' END AS outcome,
        {_name_at()} AS failed_step,
        failure,
        {class_sql("failure")} AS failure_class,
        {_zeros()}
    FROM meta m
        LEFT JOIN targets t ON m.n = t.n
        LEFT JOIN failures f ON t.n = f.n AND t.target_id = f.target_id"""  # noqa: S608
"""Over ``meta`` (one row a measurement, ``n`` its number) and ``obs`` (one row a step)."""
