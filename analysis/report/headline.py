"""What a dataset holds, in a sentence or two: finding, span and n."""

from typing import Final, NamedTuple

from analysis.dataset import Dataset
from analysis.query.found import Held, days_with, held
from analysis.report.cut import cut
from analysis.report.shares import over_days
from analysis.stats.intervals import jeffreys

MAX_NAMES: Final = 3


class Headline(NamedTuple):
    """``sentences`` of each source; ``is_simulated``: any of it is of the lab."""

    sentences: tuple[str, ...]
    is_simulated: bool
    sources: tuple[Held, ...]


def headline(dataset: Dataset) -> Headline:
    """Say what was found, by source. Without verdicts and measurements there is no sentence."""
    sources = tuple(held(dataset.judged))
    said = []
    for source in sources:
        of = _ours(dataset, source) if source.source == "reachwatch" else _theirs(dataset, source)
        said.append(of)
    return Headline(tuple(said), any(source.lab_n for source in sources), sources)


def counted(n: int, noun: str) -> str:
    """Return a number with its noun: 1 run, 1,204 runs."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def share_words(failing: int, n: int) -> str:
    """Return a share with its interval: 12.3 % (95 % interval 10.1 to 14.9 %)."""
    found = jeffreys(failing, n)
    return interval_words(float(found.share), float(found.low), float(found.high))


def interval_words(share: float, low: float, high: float) -> str:
    """Return a share and its interval in per cent."""
    return f"{100 * share:.1f} % (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"


def _span(source: Held) -> str:
    return str(source.first) if source.first == source.last else f"{source.first} to {source.last}"


def _ours(dataset: Dataset, source: Held) -> str:
    blocked = days_with(dataset.verdicts, signs=True).to_pyarrow().to_pylist()
    around = days_with(dataset.verdicts, signs=False).to_pyarrow().to_pylist()
    if blocked:
        days = {row["date"] for row in blocked}
        targets = sorted({row["target_id"] for row in blocked})
        names = ", ".join(cut(name, 60) for name in targets[:MAX_NAMES])
        more = f" and {len(targets) - MAX_NAMES} more" if len(targets) > MAX_NAMES else ""
        finding = f"Signs of blocking on {len(days)} of {source.n_days} measured days"
        finding += f" ({names}{more})"
        if around:
            finding += f"; a way around worked on {len({row['date'] for row in around})}"
    else:
        finding = "No blocking was found"
    return f"{finding}, {_span(source)}, {counted(source.n_runs, 'run')}."


def _theirs(dataset: Dataset, source: Held) -> str:
    measured = (
        f"{counted(source.n, 'result')} by OONI in {counted(source.n_networks, 'network')}, "
        f"{_span(source)}"
    )
    if not source.decided:
        return f"{measured}: none of them says whether it works."
    judged = dataset.judged
    row = over_days(judged.filter(judged.source == source.source), ["source"]).iloc[0]
    return (
        f"{measured}: {source.failing:,} of {source.decided:,} fail, "
        f"{interval_words(row['share'], row['low'], row['high'])}, cause unclear."
    )
