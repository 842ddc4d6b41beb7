"""Counts of truth against verdict, with intervals."""

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

from censorlab.matrix.outcome import Outcome

CONFIDENCE: Final = 0.95


class Interval(NamedTuple):
    """The least and the most that a share may be."""

    low: float
    high: float


class Row(NamedTuple):
    """One truth: ``counts`` are of verdicts by label, then of the right and the false ones."""

    truth: str
    is_benign: bool
    counts: dict[str, int]
    right_counts: dict[str, int]
    alarm_counts: dict[str, int]

    @property
    def n(self) -> int:
        """Verdicts."""
        return sum(self.counts.values())

    @property
    def n_right(self) -> int:
        """Right verdicts."""
        return sum(self.right_counts.values())

    @property
    def n_false_alarms(self) -> int:
        """How often it was called blocked although nobody blocks it."""
        return sum(self.alarm_counts.values())

    @property
    def right(self) -> Interval:
        """Interval of the share of right verdicts."""
        return wilson(self.n_right, self.n)


class Confusion(NamedTuple):
    """Rows are truths, columns verdicts: blocked ones first, each in order of name."""

    rows: tuple[Row, ...]
    columns: tuple[str, ...]

    @property
    def n_false_alarms(self) -> int:
        """How often something was called blocked that nobody blocks."""
        return sum(row.n_false_alarms for row in self.rows)

    def totals(self, *, is_benign: bool) -> tuple[int, int]:
        """Return right verdicts and all verdicts, of benign truths or of the others."""
        rows = [row for row in self.rows if row.is_benign == is_benign]
        return sum(row.n_right for row in rows), sum(row.n for row in rows)


def wilson(n_hits: int, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's score interval of a share (Wilson 1927; Brown, Cai, DasGupta 2001).

    Without data anything is possible: 0 to 1.
    """
    if n == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = n_hits / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At the ends rounding would leave the share itself outside.
    return Interval(max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def confusion(outcomes: Iterable[Outcome]) -> Confusion:
    """Count outcomes."""
    by_truth: dict[tuple[bool, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_truth[outcome.is_benign, outcome.truth].append(outcome)
    rows = tuple(
        Row(
            truth=truth,
            is_benign=is_benign,
            counts=dict(Counter(one.verdict for one in own)),
            right_counts=dict(Counter(one.verdict for one in own if one.is_right)),
            alarm_counts=dict(Counter(one.verdict for one in own if one.is_false_alarm)),
        )
        for (is_benign, truth), own in sorted(by_truth.items())
    )
    labels = {label for row in rows for label in row.counts}
    truths = [row.truth for row in rows]
    # A verdict stands below its truth where there is one, so that right is a diagonal.
    order = {label: number for number, label in enumerate(truths)}
    columns = sorted(labels, key=lambda label: (order.get(label.lstrip("~"), len(order)), label))
    return Confusion(rows, tuple(columns))


def as_text(table: Confusion) -> list[str]:
    """Write a line for each truth: how often right, with interval, and what was said."""
    wide = max((len(row.truth) for row in table.rows), default=5)
    lines = [f"{'truth':<{wide}}  right         95 % interval  verdicts"]
    for is_benign, title in ((False, "somebody blocks"), (True, "nobody blocks")):
        own = [row for row in table.rows if row.is_benign == is_benign]
        if not own:
            continue
        lines.append(f"-- {title} --")
        for row in own:
            low, high = row.right
            said = ", ".join(
                f"{label} {count}" for label, count in sorted(row.counts.items(), key=_by_count)
            )
            lines.append(
                f"{row.truth:<{wide}}  {row.n_right:>4} of {row.n:<4}  "
                f"{low:>6.1%} - {high:>6.1%}  {said}"
            )
        n_right, n = table.totals(is_benign=is_benign)
        low, high = wilson(n_right, n)
        lines.append(f"{'all':<{wide}}  {n_right:>4} of {n:<4}  {low:>6.1%} - {high:>6.1%}")
    n_benign = table.totals(is_benign=True)[1]
    low, high = wilson(table.n_false_alarms, n_benign)
    lines.append(
        f"called blocked although nobody blocks: {table.n_false_alarms} of {n_benign} "
        f"(95 % interval {low:.1%} - {high:.1%})"
    )
    return lines


def _by_count(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


def as_csv(table: Confusion) -> str:
    """Write the whole matrix: a row per truth, a column per verdict."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    fixed = ("truth", "is_benign", "n", "n_right", "right_low", "right_high", "n_false_alarms")
    writer.writerow((*fixed, *table.columns))
    for row in table.rows:
        low, high = row.right
        writer.writerow(
            (
                row.truth,
                str(row.is_benign).lower(),
                row.n,
                row.n_right,
                f"{low:.4f}",
                f"{high:.4f}",
                row.n_false_alarms,
                *(row.counts.get(label, 0) for label in table.columns),
            )
        )
    return file.getvalue()


def wrong(outcomes: Sequence[Outcome]) -> list[str]:
    """Write a line for each scenario and target with wrong verdicts, the worst first."""
    found: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        found[outcome.scenario, outcome.target].append(outcome)
    lines = []
    for (scenario, target), own in found.items():
        bad = [one for one in own if not one.is_right]
        if bad:
            said = Counter(
                one.error or f"{one.state} {one.verdict} {one.n_ok}/{one.n_total} {one.rule_id}"
                for one in bad
            )
            words = "; ".join(f"{text} ({count}x)" for text, count in said.most_common(3))
            lines.append((-len(bad) / len(own), f"{scenario} {target}: {words}"))
    return [text for _, text in sorted(lines)]
