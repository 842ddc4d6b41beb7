"""How long steps take and how fast bodies come, as histograms of whole numbers.

Engines differ in their quantiles, so they count and `analysis.stats.histograms` does the rest.
"""

from collections.abc import Sequence
from typing import Final, Literal

import ibis

from analysis.query.judged import NETWORKS

Kind = Literal["tcp", "rtt", "tls", "rate"]
KINDS: Final[tuple[Kind, ...]] = ("tcp", "rtt", "tls", "rate")
"""Connecting, the kernel's round trip of it, the TLS handshake (microseconds); bodies (bytes a
second)."""

KEYS: Final = ("date", *NETWORKS, "is_control", "kind")
"""Controls belong to a network: their service_id and target_id are empty."""

MIN_BODY_BYTES: Final = 8192
"""A smaller body fits into a first window and tells of nothing but the round trip."""

_MICRO: Final = 1e6
_DIGITS: Final = 10
"""Of the largest number that is told apart: 10^10 microseconds are hours."""


def speed_totals(observations: ibis.Table) -> ibis.Table:
    """Count what can be timed by network, target and kind; controls are left out.

    Columns: those of `NETWORKS`, kind, n.
    """
    rows = _values(observations)
    tests = rows.filter(rows.is_control == 0)
    return tests.group_by(*NETWORKS, "kind").aggregate(n=tests.count().cast("int64"))


def speed_histograms(observations: ibis.Table, targets: Sequence[str]) -> ibis.Table:
    """Count values of some targets and of all controls.

    Columns: those of `KEYS`, value (its first two digits, the rest 0: the least of a range of at
    most a tenth of it), n.
    """
    rows = _chosen(observations, targets)
    return rows.group_by(*KEYS, "value").aggregate(n=rows.count().cast("int64"))


def speed_runs(observations: ibis.Table, targets: Sequence[str]) -> ibis.Table:
    """Count the measurements behind `speed_histograms`: columns of `KEYS`, n_runs."""
    rows = _chosen(observations, targets).select(*KEYS, "measurement_id").distinct()
    return rows.group_by(*KEYS).aggregate(n_runs=rows.count().cast("int64"))


def _chosen(observations: ibis.Table, targets: Sequence[str]) -> ibis.Table:
    rows = _values(observations)
    return rows.filter((rows.is_control == 1) | rows.target_id.isin(list(targets)))


def _values(observations: ibis.Table) -> ibis.Table:
    """Return one row a value. What failed has no speed: it is not slow, it failed."""
    passed = observations.filter(
        observations.failure.isnull(),
        observations.tactic == "none",
        observations.follow_up.isnull(),
        observations.proxy_id.isnull(),
        (observations.role == "control")
        | ((observations.role == "test") & observations.target_id.notnull()),
    )
    took = (passed.t - passed.t0) * _MICRO
    is_body = (passed.body_bytes >= MIN_BODY_BYTES) & (passed.body_duration_s > 0)
    rate = passed.body_bytes / passed.body_duration_s.nullif(0)
    steps = passed.filter(passed.step.isin(["tcp", "tls"]) | ((passed.step == "http") & is_body))
    connects = passed.filter(passed.step == "tcp")
    kinds = passed.step.cases(("http", "rate"), else_=passed.step)
    values = ibis.ifelse(passed.step == "http", rate, took)
    return _of(steps, kinds, values).union(
        _of(connects, ibis.literal("rtt"), passed.tcp_rtt_s * _MICRO)
    )


def _of(rows: ibis.Table, kind: ibis.Value, value: ibis.Value) -> ibis.Table:
    """Return values as whole numbers of two digits, less those that no step can take."""
    is_control = rows.role == "control"
    # Zero and less is a clock's fault, and so is what is longer than any step.
    sound = ibis.ifelse((value > 0) & (value < 10.0**_DIGITS), value, ibis.null("float64"))
    named = rows.select(
        "date", "measurement_id", "source", "probe_cc", "probe_asn",
        service_id=ibis.ifelse(is_control, "", rows.service_id),
        target_id=ibis.ifelse(is_control, "", rows.target_id),
        is_control=is_control.cast("int64"),
        kind=kind,
        value=_two_digits(sound.floor().cast("int64")),
    )  # fmt: skip
    return named.filter(named.value.notnull())


def _two_digits(whole: ibis.Value) -> ibis.Value:
    """Keep the first two digits of a whole number: in integers, which all engines have alike."""
    units = [(whole < 10**digits, 10 ** (digits - 2)) for digits in range(2, _DIGITS)]
    return whole - whole % ibis.cases(*units, else_=10 ** (_DIGITS - 2)).cast("int64")
