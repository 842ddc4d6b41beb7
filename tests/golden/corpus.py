"""The golden corpus: stored facts of lab runs, and the verdicts that the rules gave.

A scenario is one file of observations as a run stores them, ``NAME.obs.jsonl.gz``.
``verdicts.csv`` has a line for each of its targets, so that a change of the rules is
a change of lines that a person can read.
"""

import csv
import gzip
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from probe.model.codec import Stored, decode_line
from probe.model.lines import Damage, read_lines
from probe.model.observation import Observation
from probe.model.verdict import Verdict
from probe.verdict.judge import judge, unmeasured

FOLDER = Path(__file__).resolve().parent
ENDING = ".obs.jsonl.gz"
MAX_BYTES = 400_000
"""All files together: as much as a repository carries for a test."""


class Expected(NamedTuple):
    """What of a verdict is pinned."""

    target: str
    tactic: str
    state: str
    mechanism: str
    rule_id: str
    n_ok: int
    n_total: int

    def __str__(self) -> str:
        mechanism = f" {self.mechanism}" if self.mechanism else ""
        return f"{self.state}{mechanism} {self.n_ok}/{self.n_total} {self.rule_id}"


def expected_of(verdict: Verdict) -> Expected:
    """Take the pinned columns."""
    return Expected(
        verdict.target_id,
        verdict.tactic,
        verdict.state,
        verdict.mechanism or "",
        verdict.rule_id,
        verdict.n_ok,
        verdict.n_total,
    )


def scenarios() -> list[str]:
    """Return the scenarios of which there are facts."""
    return sorted(path.name.removesuffix(ENDING) for path in FOLDER.glob(f"*{ENDING}"))


def path_of(name: str) -> Path:
    """Return where a scenario's facts are."""
    return FOLDER / f"{name}{ENDING}"


def read_facts(data: bytes) -> list[Stored[Observation]]:
    """Read a file of facts as any reader of results does."""
    found = []
    for item in read_lines([data]):
        assert not isinstance(item, Damage), item.reason
        found.append(decode_line(item.data, Observation))
    return found


def judged(rows: Sequence[Observation], targets: Iterable[str]) -> list[Expected]:
    """Judge facts by the present rules; of ``targets`` the run may have got to none."""
    verdicts = judge(rows)
    known = {verdict.target_id for verdict in verdicts}
    missing = [(target, "", "all_of") for target in targets if target not in known]
    return sorted(expected_of(verdict) for verdict in (*verdicts, *unmeasured(rows, missing)))


def pack(lines: Iterable[bytes]) -> bytes:
    """Compress lines, like ones beside each other; the same bytes each time."""
    return gzip.compress(b"".join(lines), 9, mtime=0)


def read_expected() -> dict[str, list[Expected]]:
    """Read the table: the verdicts of each scenario."""
    path = FOLDER / "verdicts.csv"
    found: dict[str, list[Expected]] = {}
    if not path.exists():
        return found
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            one = Expected(
                row["target"],
                row["tactic"],
                row["state"],
                row["mechanism"],
                row["rule_id"],
                int(row["n_ok"]),
                int(row["n_total"]),
            )
            found.setdefault(row["scenario"], []).append(one)
    return found


def write_expected(expected: dict[str, list[Expected]]) -> None:
    """Write the table, in the order of names."""
    with (FOLDER / "verdicts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["scenario", *Expected._fields])
        for name in sorted(expected):
            writer.writerows([name, *one] for one in expected[name])


def differences(name: str, old: Iterable[Expected], new: Iterable[Expected]) -> list[str]:
    """Say what changed, a line for each target and tactic."""
    was = {(one.target, one.tactic): one for one in old}
    now = {(one.target, one.tactic): one for one in new}
    return [
        f"{name} {key[0]}{'' if key[1] == 'none' else f' {key[1]}'}: "
        f"{was.get(key, 'no verdict')} -> {now.get(key, 'no verdict')}"
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    ]


def say(text: str) -> None:
    """Print a line at once: a corpus takes minutes."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
