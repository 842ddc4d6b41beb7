"""One table of what each measurement found on the direct way, ours and OONI's alike."""

from typing import Final

import ibis

NETWORKS: Final = ("source", "probe_cc", "probe_asn", "service_id", "target_id")
"""What a series is of: one target as seen from one network."""

COUNTRIES: Final = ("source", "probe_cc", "service_id", "target_id")

FAILING: Final = ("blocked", "likely_blocked", "impaired")
"""States that count as failing. ``down`` and ``insufficient`` decide nothing about the way."""

UNDECIDED: Final = ("down", "insufficient")

_STATE_OF_OUTCOME: Final = {
    "ok": "ok",
    "partial": "impaired",
    "failed": "impaired",
    "no_data": "insufficient",
}
"""OONI's measurements have no control of ours beside them: that one fails has no known cause."""


def judged(verdicts: ibis.Table, measurements: ibis.Table) -> ibis.Table:
    """Return one row per run and target: our verdicts, and OONI's measurements as they came out.

    Columns: date, those of `NETWORKS`, run_id (a run; of OONI a report: as near as its data
    come to a person), lab, state, pattern, n_ok, n_total. ``pattern`` is the mechanism; of
    OONI's where and how it failed, as in ``tls.reset``; null where it did not.
    """
    ours = judged_ours(verdicts.filter(verdicts.tactic == "none"))
    other = measurements.filter(measurements.source == "ooni")
    failed = other.outcome.isin(["partial", "failed"])
    theirs = other.select(
        "date",
        *NETWORKS,
        run_id=other.run_id,
        lab=other.lab,
        state=other.outcome.cases(*_STATE_OF_OUTCOME.items(), else_="insufficient"),
        pattern=ibis.cases(
            (
                failed & other.failed_step.notnull(),
                other.failed_step + "." + other.failure_class.fill_null("mixed"),
            ),
            (failed, "mixed"),
            else_=ibis.null("string"),
        ),
        n_ok=other.n_ok.cast("int64"),
        n_total=other.n_total.cast("int64"),
    )
    return ours.union(theirs)


def judged_ours(verdicts: ibis.Table, **more: ibis.Value) -> ibis.Table:
    """Return verdicts in the columns of `judged`, with ``more`` beside them."""
    return verdicts.select(
        "date",
        *NETWORKS,
        run_id=verdicts.measurement_id,
        lab=verdicts.lab,
        state=verdicts.state,
        pattern=verdicts.mechanism,
        n_ok=verdicts.n_ok.cast("int64"),
        n_total=verdicts.n_total.cast("int64"),
        **more,
    )
