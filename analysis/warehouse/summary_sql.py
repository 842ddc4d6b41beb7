"""Rows of steps -> one row a measurement and target: what passed, what failed and how.

A summary, not a judgement: no control is asked, and no cause is named. A member works if at
each step that was tried with it one try at least passed; a target's members are counted,
never rounded. Of OONI's, a member that works but that also failed where it passed is reached
only at times: it counts as one that works, and the outcome is ``partial``.
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


def _first(is_so: str) -> str:
    whens = " ".join(
        f"WHEN {is_so.format(layer)} THEN {number}" for number, layer in enumerate(LAYERS)
    )
    return f"CASE {whens} END"


def _name_of(number: str) -> str:
    whens = " ".join(f"WHEN {number} THEN '{layer}'" for number, layer in enumerate(LAYERS))
    return f"CASE {number} {whens} END"


def _number_of(step: str) -> str:
    whens = " ".join(f"WHEN '{layer}' THEN {number}" for number, layer in enumerate(LAYERS))
    return f"CASE {step} {whens} END"


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

OURS: Final = f"""
    SELECT n, service_id, target_id, member, step, failure, port, address, ip_version
    FROM obs
    WHERE role = 'test' AND tactic = 'none' AND follow_up IS NULL AND proxy_id IS NULL
        AND target_id IS NOT NULL AND step IN ({_STEPS})
        AND failure_class IS DISTINCT FROM 'skipped'"""  # noqa: S608 - constants

OONI: Final = """
    SELECT n, target_id, member, step, failure, port, address, ip_version
    FROM obs WHERE target_id IS NOT NULL AND failure_class IS DISTINCT FROM 'skipped'"""


_SERVICE_OONI: Final = """CASE m.test_name
            WHEN 'facebook_messenger' THEN 'facebook' WHEN 'web_connectivity' THEN 'web' END"""
_SERVICE_OURS: Final = "split_part(t.target_id, '/', 1)"

_UNSTEADY: Final = """
        SELECT f.n, f.target_id, f.member, f.step, f.failure
        FROM tried p JOIN failing f ON p.n = f.n AND p.target_id = f.target_id
            AND p.member = f.member AND p.step = f.step AND p.port = f.port
            AND p.address IS NOT DISTINCT FROM f.address
        WHERE p.failure IS NULL AND f.step IN ('tcp', 'tls', 'http')
            AND f.ip_version IS DISTINCT FROM 6"""
"""Failures at the very address and port at which the same step passed. IPv6 that is broken on
the way is no sign of the target, and a lookup's failure is its own matter."""

_NEVER: Final = """
        SELECT n, target_id, member, step, failure FROM failing WHERE false"""
"""Ours are tried again on purpose: one try of three lost on a lossy line is no failure."""


def summary_sql(*, is_ooni: bool) -> str:
    """Return SQL over ``meta`` (one row a measurement, ``n`` its number) and ``obs`` (a step)."""
    return f"""
    WITH tried AS ({OONI if is_ooni else OURS}),
    failing AS (SELECT * FROM tried WHERE failure IS NOT NULL),
    members AS (
        SELECT n, target_id, member, {_counts()}
        FROM tried GROUP BY n, target_id, member
    ), failed AS (
        SELECT n, target_id, member, step,
            min(failure) AS least_failure, max(failure) AS most_failure
        FROM failing GROUP BY n, target_id, member, step
    ), failures AS (
        SELECT n, target_id, {_failures()} FROM failed GROUP BY n, target_id
    ), unsteady AS (
        SELECT n, target_id, min({_number_of("step")}) AS at, {_alike("failure")} AS failure
        FROM ({_UNSTEADY if is_ooni else _NEVER}) GROUP BY n, target_id
    ), steps_failed AS (
        SELECT *, {_name_of("failed_at")} AS failed_step, {_IS_NAME} AS is_name
        FROM (SELECT *, {_first("{0}_total > 0 AND {0}_ok = 0")} AS failed_at FROM members)
    ), judged AS (
        SELECT m.*, CASE WHEN f.least_failure = f.most_failure THEN f.least_failure
                         WHEN f.least_failure IS NOT NULL THEN 'mixed' END AS failure
        FROM steps_failed m LEFT JOIN failed f ON m.n = f.n AND m.target_id = f.target_id
            AND m.member IS NOT DISTINCT FROM f.member AND m.failed_step = f.step
    ), targets AS (
        SELECT n, target_id, {_sums()},
            CAST(count(*) FILTER (failed_at IS NULL AND NOT is_name) AS INTEGER) AS n_ok,
            CAST(count(*) FILTER (NOT is_name) AS INTEGER) AS n_total,
            min(failed_at) AS failed_at,
            CASE WHEN min(failed_at) IS NOT NULL THEN {_alike("failure")} END AS failure
        FROM judged GROUP BY n, target_id
    ), whole AS (
        SELECT t.* EXCLUDE (failed_at, failure),
            coalesce(t.failed_at, u.at) AS failed_at,
            CASE WHEN t.failed_at IS NULL THEN u.failure ELSE t.failure END AS failure,
            u.n IS NOT NULL AS is_unsteady
        FROM targets t LEFT JOIN unsteady u ON t.n = u.n AND t.target_id = u.target_id
    )
    SELECT
        m.*,
        coalesce({_SERVICE_OONI if is_ooni else _SERVICE_OURS}, m.test_name) AS service_id,
        coalesce(t.target_id, m.test_name) AS target_id,
        coalesce(n_ok, 0) AS n_ok,
        coalesce(n_total, 0) AS n_total,
        CASE WHEN coalesce(n_total, 0) = 0 THEN 'no_data'
             WHEN n_ok = n_total AND NOT is_unsteady THEN 'ok'
             WHEN n_ok = 0 THEN 'failed' ELSE 'partial' END AS outcome,
        {_name_of("failed_at")} AS failed_step,
        failure,
        {class_sql("failure")} AS failure_class,
        {_zeros()}
    FROM meta m
        LEFT JOIN whole t ON m.n = t.n
        LEFT JOIN failures f ON t.n = f.n AND t.target_id = f.target_id"""  # noqa: S608
