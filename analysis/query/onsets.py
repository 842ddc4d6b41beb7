"""Engine-neutral expressions over somebody else's daily counts: a row a country and day."""

import ibis


def counts_by_day(daily: ibis.Table) -> ibis.Table:
    """Return OONI's counts: date, probe_cc, ok and total (without errors), as int64.

    Where two files tell the same day, the larger number counts: the later count is of more.
    """
    rows = daily.filter((daily.source == "ooni_counts") & daily.metric.isin(["ok", "total"]))
    return _pivoted(rows, ("ok", "total"))


def users_by_day(daily: ibis.Table) -> ibis.Table:
    """Return Tor's users: date, probe_cc, users, lower, upper, as float64 or null."""
    rows = daily.filter((daily.source == "tor_users") & (daily.metric != "frac"))
    return _pivoted(rows, ("users", "lower", "upper"), kind="float64")


def ways_by_day(verdicts: ibis.Table) -> ibis.Table:
    """Count our runs with a way around tried: date, probe_cc, n, and n_worked: some way works.

    A run counts for a day and country once, whatever number of targets and ways it has.
    """
    tried = verdicts.filter(verdicts.tactic != "none").select(
        "date",
        "probe_cc",
        run_id=verdicts.measurement_id,
        works=(verdicts.state == "ok").fill_null(False).cast("int64"),  # noqa: FBT003
    )
    runs = tried.group_by("date", "probe_cc", "run_id").aggregate(
        works=tried.works.max().cast("int64")
    )
    return runs.group_by("date", "probe_cc").aggregate(
        n=runs.count().cast("int64"), n_worked=runs.works.sum().cast("int64")
    )


def _pivoted(rows: ibis.Table, metrics: tuple[str, ...], kind: str = "int64") -> ibis.Table:
    columns = {
        name: ibis.cases((rows.metric == name, rows.value), else_=ibis.null("float64"))
        for name in metrics
    }
    wide = rows.select("date", "probe_cc", **columns)
    return wide.group_by("date", "probe_cc").aggregate(
        **{name: wide[name].max().cast(kind) for name in metrics}
    )
