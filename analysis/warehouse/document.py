"""docs/tables.md out of the tables' definition: ``python -m analysis.warehouse.document``."""

from typing import Final

from analysis.warehouse.failure_class import CLASSES, PREFIXES
from analysis.warehouse.schema import TABLES, Table

_HEAD: Final = """# Tables

A warehouse is a folder of Parquet files (zstd), partitioned as Hive does. Whatever reads
Parquet reads it; no program of ours is needed:

```sql
SELECT * FROM read_parquet('warehouse/measurements/*/*/*.parquet', hive_partitioning = true);
```

This page is written by `python -m analysis.warehouse.document > docs/tables.md`.

- Times are UTC. Every column may be null, in every file, and is where it does not apply.
- OONI's report ids, resolver addresses, network names, headers other than those named, and
  seconds of the start are not kept, nor what OONI concluded.
- Ways around a block are left out unless the warehouse was built with them.
- The same measurement in two files is one measurement: the one that came first.
- Files of a month grow in number as data come late, and are put together now and then.
- Which network, company or country an address belongs to is no column: that takes a database
  which is not ours to pass on. Join one on `address`, `answers` or `probe_asn`.
- `manifest.json` lists the files that were imported (name, size, SHA-256, how many lines were
  bad, how many rows about ways around were left out) and the Parquet files that count. It is
  replaced last: a reader that goes by file names alone can see rows twice in the moment before
  old files go.
"""

_CLASSES: Final = """## Classes of failures

`failure_class` sums up `failure`:
"""


def document() -> str:
    """Return the page."""
    parts = [_HEAD, *(_section(table) for table in TABLES.values()), _CLASSES]
    rows = [
        f"| `{name}` | {', '.join(f'`{text}`' for text in strings)} |"
        for name, strings in CLASSES.items()
    ]
    rows += [f"| `{name}` | `{prefix}…` |" for prefix, name in PREFIXES.items()]
    rows += ["| `other` | the rest |", "| `mixed` | of a measurement: not all alike |"]
    parts.append("\n".join(["| Class | Strings |", "| --- | --- |", *rows]) + "\n")
    return "\n".join(parts)


def _section(table: Table) -> str:
    folders = "/".join(f"{column.name}=…" for column in table.partitions)
    rows = [
        f"| `{column.name}` | {column.type.lower()} | {column.about.replace('|', '')} |"
        for column in table.columns
    ]
    rows += [
        f"| `{column.name}` | {column.type.lower()} | {column.about}; in the folder's name |"
        for column in table.partitions
    ]
    return "\n".join(
        [
            f"## `{table.name}`",
            "",
            f"{table.about} In `{table.name}/{folders}/`.",
            "",
            "| Column | Type | Meaning |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 - a page for a file
