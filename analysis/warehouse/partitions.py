"""Staged files -> partitions. Only those that rows come to, or go from, are written again."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from analysis.warehouse.manifest import Manifest
from analysis.warehouse.schema import DAILY, TABLES, Table
from analysis.warehouse.stage import FORMAT, Stage, as_table, literal

_SMALL_BYTES: Final = 32 * 1024 * 1024
"""Staged files that together are smaller become one: readers pay for each file."""


def write_partitions(
    stage: Stage, warehouse: Path, manifest: Manifest, replaced: Collection[str]
) -> dict[str, list[str]]:
    """Put touched partitions beside the old files; return their new names.

    ``replaced`` are ``source_file`` values whose rows go. The old files stay until the
    manifest is replaced.
    """
    touched = {*stage.written, *_partitions_of(stage, warehouse, manifest, replaced)}
    written = {}
    for partition in sorted(touched):
        table = TABLES[partition.split("/")[0]]
        staged = sorted((stage.folder / "tables" / partition).glob("*.parquet"))
        old = [warehouse / partition / name for name in manifest.partitions.get(partition, [])]
        small = sum(path.stat().st_size for path in staged) < _SMALL_BYTES
        if old or table is DAILY or (len(staged) > 1 and small):
            staged = _merged(stage, table, staged, old, replaced)
        written[partition] = [_place(path, warehouse / partition) for path in staged]
    return written


def _merged(
    stage: Stage,
    table: Table,
    staged: Sequence[Path],
    old: Sequence[Path],
    replaced: Collection[str],
) -> list[Path]:
    """Write old and staged rows into one file; none if no row is left.

    Of a measurement that is in both, the old rows stay.
    """
    parts = []
    if old:
        gone = ", ".join(f"'{name}'" for name in sorted(replaced)) or "''"
        parts.append(f"SELECT * FROM {_files(old)} WHERE source_file NOT IN ({gone})")  # noqa: S608
    if staged:
        new = f"SELECT * FROM {_files(staged)}"  # noqa: S608 - our own files
        if old and table is not DAILY:
            new += f" WHERE measurement_id NOT IN (SELECT measurement_id FROM ({parts[0]}))"  # noqa: S608
        parts.append(new)
    rows = as_table(table, " UNION ALL BY NAME ".join(parts))
    if table is DAILY:
        rows += (
            " QUALIFY row_number() OVER (PARTITION BY date, probe_cc, metric ORDER BY source_file)"
            " = 1"
        )
    path = stage.folder / "merged.parquet"
    [(n_rows,)] = stage.run(f"COPY ({rows}) TO '{literal(path)}' {FORMAT}")
    return [path] if n_rows else []


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
