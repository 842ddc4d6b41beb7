"""Where results lie: ``ROOT/v1/date=YYYY-MM-DD/run-<UTC minute>-<run id>.<kind>``.

The path holds the date because queries prune by it, and no country or network:
a local path should not say where its owner is. Pure: names only, no files.
"""

from pathlib import Path
from typing import Final, NamedTuple

from probe.model.vantage import RunColumns

OBSERVATIONS: Final = "obs"
VERDICTS: Final = "verdict"
PART: Final = ".part"
SUFFIX: Final = ".jsonl.gz"


class ResultFile(NamedTuple):
    """One file of results. ``is_part``: unfinished, or its run was killed."""

    path: Path
    kind: str
    is_part: bool


def run_path(root: Path, run: RunColumns, kind: str) -> Path:
    """Return the final path of a run's file of one kind."""
    start = run.measurement_start_time
    stamp = start.replace("-", "").replace(":", "")[:13] + "Z"
    name = f"run-{stamp}-{run.run_id}.{kind}{SUFFIX}"
    return root / "v1" / f"date={start[:10]}" / name


def classify(path: Path) -> ResultFile | None:
    """Say what a file is by its name; None for anything but a file of results."""
    name = path.name
    is_part = name.endswith(PART)
    stem = name.removesuffix(PART)
    for kind in (OBSERVATIONS, VERDICTS):
        if stem.endswith((f".{kind}{SUFFIX}", f".{kind}.jsonl")):
            return ResultFile(path, kind, is_part)
    return None
