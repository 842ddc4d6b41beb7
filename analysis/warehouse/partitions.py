"""Staged files -> partitions. Only those that rows come to, or go from, are written again."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from analysis.warehouse.manifest import Manifest
from analysis.warehouse.schema import DAILY, MEASUREMENTS, TABLES, Table
from analysis.warehouse.stage import ROWS, Stage, literal, write

_SMALL_BYTES: Final = 1024 * 1024
_MAX_FILES: Final = 64
"""Files of a partition that together are smaller, or that are more, become one: readers pay
for each file. Else rows that come are a file more, and nothing is written again."""


def write_partitions(
    stage: Stage, warehouse: Path, manifest: Manifest, replaced: Collection[str]
) -> dict[str, list[str]]:
    """Put new files beside the old ones; return the names that touched partitions come to have.

    ``replaced`` are ``source_file`` values whose rows go. The old files stay until the
    manifest is replaced.
    """
    losing = _partitions_of(stage, warehouse, manifest, replaced)
    written = {}
    for partition in sorted({*stage.written, *losing}):
        table = TABLES[partition.split("/")[0]]
        staged = sorted((stage.folder / "tables" / partition).glob("*.parquet"))
        names = manifest.partitions.get(partition, [])
        old = [warehouse / partition / name for name in names]
        if table is MEASUREMENTS and staged and old:
            _note_repeated(stage, manifest, staged, old)
        files = [*old, *staged]
        is_small = len(files) > 1 and sum(path.stat().st_size for path in files) < _SMALL_BYTES
        if partition in losing or table is DAILY or is_small or len(files) > _MAX_FILES:
            staged, names = _merged(stage, table, staged, old, replaced), []
        elif old:
            staged = [path for one in staged for path in _merged(stage, table, [one], old, None)]
        placed = [_place(path, warehouse / partition) for path in staged]
        # The same rows twice, which a build that was killed may have left, are one file.
        written[partition] = list(dict.fromkeys([*names, *placed]))
    return {
        name: files for name, files in written.items() if files != manifest.partitions.get(name, [])
    }


def _note_repeated(
    stage: Stage, manifest: Manifest, staged: Sequence[Path], old: Sequence[Path]
) -> None:
    """Count in the manifest what staged files have that old ones have too."""
    rows = stage.run(
        f"SELECT source_file, count(DISTINCT measurement_id) FROM {_files(staged)} "  # noqa: S608
        f"WHERE measurement_id IN (SELECT measurement_id FROM {_files(old)}) GROUP BY ALL"
    )
    counts = dict(rows)
    for entry in manifest.files.values():
        entry.n_repeated += counts.get(entry.sha256[:16], 0)


def _merged(
    stage: Stage,
    table: Table,
    staged: Sequence[Path],
    old: Sequence[Path],
    replaced: Collection[str] | None,
) -> list[Path]:
    """Write old and staged rows into one file; none if no row is left.

    Of a measurement that is in both, the old rows stay. With ``replaced`` None the old rows
    are left out, for they stay where they are.
    """
    parts = []
    if old:
        gone = ", ".join(f"'{name}'" for name in sorted(replaced or ())) or "''"
        kept = f"SELECT * FROM {_files(old)} WHERE source_file NOT IN ({gone})"  # noqa: S608
        if replaced is not None:
            parts.append(kept)
    if staged:
        new = f"SELECT * FROM {_files(staged)}"  # noqa: S608 - our own files
        if old and table is not DAILY:
            new += f" WHERE measurement_id NOT IN (SELECT measurement_id FROM ({kept}))"  # noqa: S608
        parts.append(new)
    rows = " UNION ALL BY NAME ".join(parts)
    if table is DAILY:
        # Of two files that tell one day the one that counts more is the later one; a day is
        # taken from one file, or its parts would not add up.
        rows = (
            "SELECT * EXCLUDE (most) FROM (SELECT *, max(value) "  # noqa: S608
            f"OVER (PARTITION BY date, probe_cc, source_file) AS most FROM ({rows})) "
            "QUALIFY rank() OVER (PARTITION BY date, probe_cc ORDER BY most DESC, source_file) = 1"
        )
    path = stage.folder / f"merged-{next(stage.numbers):06}.parquet"
    return [path] if write(table, stage.connection.sql(rows).to_arrow_reader(ROWS), path) else []


def _files(paths: Sequence[Path]) -> str:
    names = ", ".join(f"'{literal(path)}'" for path in paths)
    return f"read_parquet([{names}], union_by_name = true, hive_partitioning = false)"


def _place(path: Path, folder: Path) -> str:
    with path.open("rb") as file:
        name = f"part-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.parquet"
    folder.mkdir(parents=True, exist_ok=True)
    path.replace(folder / name)
    return name


def _partitions_of(
    stage: Stage, warehouse: Path, manifest: Manifest, source_files: Collection[str]
) -> set[str]:
    """Return the partitions that hold rows of files that are replaced."""
    found: set[str] = set()
    for table in TABLES:
        paths = manifest.paths(warehouse, table)
        if not source_files or not paths:
            continue
        gone = ", ".join(f"'{name}'" for name in sorted(source_files))
        files = _files(paths).removesuffix(")") + ", filename = true)"
        rows = stage.run(f"SELECT DISTINCT filename FROM {files} WHERE source_file IN ({gone})")  # noqa: S608
        found |= {Path(name).parent.relative_to(warehouse).as_posix() for (name,) in rows}
    return found
