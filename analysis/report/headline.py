"""What a dataset holds, in a sentence or two: finding, span and n."""

from datetime import date
from typing import Final, NamedTuple

from analysis.dataset import Dataset
from analysis.query.found import Held, days_with, held
from analysis.report.cut import cut
from analysis.report.shares import over_days
from analysis.stats.intervals import jeffreys
from probe.locale import ENGLISH, Language

MAX_NAMES: Final = 3


class Headline(NamedTuple):
    """``sentences`` of each source; ``is_simulated``: any of it is of the lab."""

    sentences: tuple[str, ...]
    is_simulated: bool
    sources: tuple[Held, ...]


def headline(dataset: Dataset, say: Language = ENGLISH) -> Headline:
    """Say what was found, by source. Without verdicts and measurements there is no sentence."""
    sources = tuple(held(dataset.judged))
    said = []
    for source in sources:
        about = _ours if source.source == "reachwatch" else _theirs
        said.append(about(dataset, source, say))
    return Headline(tuple(said), any(source.lab_n for source in sources), sources)


def share_words(failing: int, n: int, say: Language = ENGLISH) -> str:
    """Return a share with its interval: 12.3 % (95 % interval 10.1 to 14.9 %)."""
    found = jeffreys(failing, n)
    return interval_words(float(found.share), float(found.low), float(found.high), say)


def interval_words(share: float, low: float, high: float, say: Language = ENGLISH) -> str:
    """Return a share and its interval in per cent."""
    return say("{share} % (95 % interval {low} to {high} %)").format(
        share=f"{100 * share:.1f}", low=f"{100 * low:.1f}", high=f"{100 * high:.1f}"
    )


def span_words(first: date | str, last: date | str, say: Language = ENGLISH) -> str:
    """Return a span of days, or the one day that it is."""
    return str(first) if first == last else say("{first} to {last}").format(first=first, last=last)


def _ours(dataset: Dataset, source: Held, say: Language) -> str:
    blocked = days_with(dataset.verdicts, signs=True).to_pyarrow().to_pylist()
    around = days_with(dataset.verdicts, signs=False).to_pyarrow().to_pylist()
    if blocked:
        days = {row["date"] for row in blocked}
        targets = sorted({row["target_id"] for row in blocked})
        names = ", ".join(cut(name, 60) for name in targets[:MAX_NAMES])
        if len(targets) > MAX_NAMES:
            names += say(" and {n} more").format(n=len(targets) - MAX_NAMES)
        finding = say.plural(
            "Signs of blocking on {n} of {days} measured days ({names})",
            "Signs of blocking on {n} of {days} measured days ({names})",
            len(days),
        ).format(n=len(days), days=source.n_days, names=names)
        if around:
            n = len({row["date"] for row in around})
            finding += say.plural(
                "; a way around worked on {n}", "; a way around worked on {n}", n
            ).format(n=n)
    else:
        finding = say("No blocking was found")
    runs = say.plural("{n} run", "{n} runs", source.n_runs).format(n=f"{source.n_runs:,}")
    return say("{finding}, {span}, {runs}.").format(
        finding=finding, span=span_words(source.first, source.last, say), runs=runs
    )


def _theirs(dataset: Dataset, source: Held, say: Language) -> str:
    measured = say("{results} by OONI in {networks}, {span}").format(
        results=say.plural("{n} result", "{n} results", source.n).format(n=f"{source.n:,}"),
        networks=say.plural("{n} network", "{n} networks", source.n_networks).format(
            n=f"{source.n_networks:,}"
        ),
        span=span_words(source.first, source.last, say),
    )
    if not source.decided:
        return say("{measured}: none of them says whether it works.").format(measured=measured)
    judged = dataset.judged
    row = over_days(judged.filter(judged.source == source.source), ["source"]).iloc[0]
    return say("{measured}: {failing} of {decided} fail, {share}, cause unclear.").format(
        measured=measured,
        failing=f"{source.failing:,}",
        decided=f"{source.decided:,}",
        share=interval_words(row["share"], row["low"], row["high"], say),
    )
