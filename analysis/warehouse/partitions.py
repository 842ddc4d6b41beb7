"""Staged rows -> partitions. Only those that rows come to, or go from, are written again."""

import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from analysis.warehouse.manifest import Manifest
from analysis.warehouse.schema import DAILY, OBSERVATIONS, TABLES, Table, empty_select
from analysis.warehouse.stage import Stage, literal

_ROW_GROUP: Final = 100_000
_COMPRESSION_LEVEL: Final = 1
"""zstd's: a twentieth larger than the default level, and a third less work."""


def write_partitions(
    stage: Stage, warehouse: Path, manifest: Manifest, replaced: Collection[str]
) -> dict[str, list[str]]:
    """Write touched partitions anew beside the old files; return their new names.

    ``replaced`` are ``source_file`` values whose rows go. The old files stay until the
    manifest is replaced.
    """
    written: dict[str, list[str]] = {}
    has_losers = _find_losers(stage, warehouse, manifest, replaced)
    for table in TABLES.values():
        touched = _touched(stage, warehouse, manifest, table, replaced)
        if not touched:
            continue
        old = [
            warehouse / partition / name
            for partition in touched
            for name in manifest.partitions.get(partition, [])
        ]
        rows = _rows(stage, table, old, replaced)
        if table is DAILY:
            rows = (
                f"SELECT * FROM ({rows}) QUALIFY row_number() OVER "  # noqa: S608 - our own names
                "(PARTITION BY source, date, probe_cc, metric ORDER BY source_file) = 1"
            )
        elif has_losers:
            rows = (
                f"SELECT r.* FROM ({rows}) r ANTI JOIN losers l ON "  # noqa: S608 - our own names
                "r.measurement_id = l.measurement_id AND r.source_file = l.source_file "
                "AND r.n = l.n AND r.source = l.source AND r.date = l.date"
            )
        written |= dict.fromkeys(touched, [])
        written |= _write(stage, warehouse, table, rows)
    return written


def _staged(stage: Stage, table: Table) -> list[Path]:
    return sorted((stage.folder / table.name).glob("*.parquet"))


def _files(paths: Sequence[Path]) -> str:
    return "[" + ", ".join(f"'{literal(path)}'" for path in paths) + "]"


def _rows(stage: Stage, table: Table, old: Sequence[Path], replaced: Collection[str]) -> str:
    """Return SQL of a table's staged rows and those of older files; ``n`` is -1 in these."""
    parts = [f"SELECT *, CAST(-1 AS BIGINT) AS n FROM ({empty_select(table)})"]  # noqa: S608
    if staged := _staged(stage, table):
        parts.append(f"SELECT * FROM read_parquet({_files(staged)}, union_by_name = true)")  # noqa: S608
    if old:
        gone = ", ".join(f"'{name}'" for name in sorted(replaced)) or "''"
        parts.append(
            f"SELECT *, CAST(-1 AS BIGINT) AS n FROM read_parquet({_files(old)}, "  # noqa: S608
            "union_by_name = true, hive_partitioning = true, "
            f"hive_types = {{{_hive(table)}}}) WHERE source_file NOT IN ({gone})"
        )
    columns = ", ".join(
        f'CAST("{column.name}" AS {column.type}) AS "{column.name}"'
        for column in table.all_columns
    )
    return f"SELECT {columns}, n FROM ({' UNION ALL BY NAME '.join(parts)})"  # noqa: S608


def _hive(table: Table) -> str:
    return ", ".join(f"'{column.name}': {column.type}" for column in table.partitions)


def _find_losers(
    stage: Stage, warehouse: Path, manifest: Manifest, replaced: Collection[str]
) -> bool:
    """Find measurements that came in more than once: one copy stays, whatever the order."""
    keys = []
    for table in TABLES.values():
        # Every observation has its measurement, and these are fewer.
        if table in {DAILY, OBSERVATIONS} or not _staged(stage, table):
            continue
        touched = _touched(stage, warehouse, manifest, table, replaced)
        old = [
            warehouse / partition / name
            for partition in touched
            for name in manifest.partitions.get(partition, [])
        ]
        keys.append(
            f"SELECT DISTINCT '{table.name}' AS kind, source, date, measurement_id, "  # noqa: S608
            f"source_file, n FROM ({_rows(stage, table, old, replaced)})"
        )
    if not keys:
        return False
    stage.run(f"CREATE OR REPLACE TEMP TABLE keys AS {' UNION ALL '.join(keys)}")
    stage.run(
        """
        CREATE OR REPLACE TEMP TABLE losers AS
        WITH twice AS (
            SELECT kind, source, date, measurement_id FROM keys
            GROUP BY ALL HAVING count(*) > 1
        )
        SELECT DISTINCT source, date, measurement_id, source_file, n
        FROM keys SEMI JOIN twice USING (kind, source, date, measurement_id)
        QUALIFY row_number() OVER
            (PARTITION BY kind, source, date, measurement_id ORDER BY source_file, n) > 1"""
    )
    stage.run("DROP TABLE keys")
    return stage.value("SELECT count(*) FROM losers") > 0


def _touched(
    stage: Stage,
    warehouse: Path,
    manifest: Manifest,
    table: Table,
    replaced: Collection[str],
) -> list[str]:
    """Return the partitions that staged rows belong to or replaced rows are in, sorted."""
    touched: set[str] = set()
    columns = ", ".join(column.name for column in table.partitions)
    if staged := _staged(stage, table):
        found = stage.run(
            f"SELECT DISTINCT {columns} FROM read_parquet({_files(staged)}, union_by_name = true)"  # noqa: S608
        )
        for values in found:
            pairs = zip(table.partitions, values, strict=True)
            touched.add("/".join([table.name, *(f"{c.name}={value}" for c, value in pairs)]))
    if replaced and (paths := manifest.paths(warehouse, table.name)):
        gone = ", ".join(f"'{name}'" for name in sorted(replaced))
        found = stage.run(
            f"SELECT DISTINCT filename FROM read_parquet({_files(paths)}, union_by_name = true, "  # noqa: S608
            f"filename = true) WHERE source_file IN ({gone})"
        )
        touched |= {Path(name).parent.relative_to(warehouse).as_posix() for (name,) in found}
    return sorted(touched)


def _write(stage: Stage, warehouse: Path, table: Table, rows: str) -> dict[str, list[str]]:
    target = stage.folder / "out" / table.name
    target.mkdir(parents=True)
    columns = ", ".join(f'"{column.name}"' for column in table.all_columns)
    partitions = ", ".join(column.name for column in table.partitions)
    stage.run(
        f"COPY (SELECT {columns} FROM ({rows})) TO '{literal(target)}' (FORMAT parquet, "  # noqa: S608
        f"COMPRESSION zstd, COMPRESSION_LEVEL {_COMPRESSION_LEVEL}, ROW_GROUP_SIZE {_ROW_GROUP}, "
        f"PARTITION_BY ({partitions}), OVERWRITE)"
    )
    written: dict[str, list[str]] = {}
    for path in sorted(target.glob("**/*.parquet")):
        partition = f"{table.name}/{path.parent.relative_to(target).as_posix()}"
        with path.open("rb") as file:
            name = f"part-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}.parquet"
        place = warehouse / partition / name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.replace(place)
        written.setdefault(partition, []).append(name)
    return written


