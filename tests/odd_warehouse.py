"""A warehouse of what no importer would write but every engine must read alike: seeded.

Nulls, quotes, look-alike letters, numbers at their bounds, days before 1970 and far away, files
whose columns are all null or never null, in any order; and a leftover that is not listed.
"""

import os
import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

import ooni_measurements as ooni
from analysis.warehouse import build
from analysis.warehouse.manifest import Manifest, write_manifest
from analysis.warehouse.schema import DAILY, TABLES, Column, Table, arrow_schema
from probe.model.verdict import STATES

_REAL: Final = (
    Path(os.environ.get("REACHWATCH_DATA", Path(__file__).parents[2] / "shared" / "data")) / "ooni"
)
DAYS: Final = (date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2024, 3, 3))
FAR_DAYS: Final = (
    date(1582, 10, 4), date(1899, 12, 31), date(1969, 12, 31), date(1970, 1, 1),
    date(2149, 6, 7), date(2299, 12, 31), date(2300, 1, 1), date(9999, 12, 31),
)  # fmt: skip

_NAMES: Final = (
    "", " ", "a", "A", "a ", "it's", 'a "name"', "`tick`", "back\\slash", "\\n", "\n", "é", "é",
    "e\u0301", "ß", "ss", "İ", "\U0001f512", "\u202e", "NULL", "null", "%", "_", "{0}", "$1",
    "--", "/*", "x" * 999,
)  # fmt: skip
_WORDS: Final[dict[str, Sequence[Any]]] = {
    "source": ("ooni", "reachwatch"),
    "month": ("2024-02", "1969-12"),
    "state": STATES,
    "tactic": ("none", "none", "none", "socks5", "withheld", "tls.split", None),
    "outcome": ("ok", "partial", "failed", "no_data", "odd", None),
    "failed_step": ("tls", "tcp", None),
    "step": ("dns", "tcp", "tls", "http", "mtproto", None),
    "role": ("test", "test", "test", "control", None),
    "follow_up": (None, None, None, "again"),
    "rule_id": ("way.works", "way.partial", "way.fails", "target.reachable", None),
    "control_state": ("ok", "degraded", "failed", None),
    "probe_cc": ("RU", "IR", "ZZ", "it's"),
    "probe_asn": (0, 1, 64512, -1, 2**32 - 1, 2**63 - 1, -(2**63)),
    "service_id": ("telegram", "it's"),
    "target_id": ("telegram/web", "telegram/dc_pool", 'a "b"', "\u00e9", "e\u0301"),
    "metric": ("ok", "total", "users", "lower", "upper", "frac"),
    # Its importer lets neither infinities nor negative ones in.
    "value": (0.0, 0.5, 1.0, 1.5, 2.5, 7.7, 12.0, 2.0**53),
    "tls_version": ("TLSv1.3", None),
}
_VALUES: Final[dict[str, Sequence[Any]]] = {
    "VARCHAR": (*_NAMES, *[None] * 9),
    "BIGINT": (None, 0, 1, 2, -1, 2**31, 2**53 + 1),
    "INTEGER": (None, None, 0, 0, 1, 2, 3, 5, -4, 2**31 - 1, -(2**31)),
    "DOUBLE": (
        None, 0.0, -0.0, 0.0004, 0.0005, 0.0015, 0.0025, 0.1, 0.3, 1.0, 2.5, 7.7, 60.0, -0.0005,
        -3.25, 1e300, float("inf"), float("nan"),
    ),
    "BOOLEAN": (True, False, None),
    "TIMESTAMP": (
        *(datetime.fromisoformat(text) for text in ("1969-12-31 23:59", "2024-02-29 12:00")), None,
    ),
    "DATE": (*DAYS * 4, *FAR_DAYS),
}  # fmt: skip


def write_odd(folder: Path, seed: int = 1, rows: int = 250) -> None:
    """Write a warehouse of ``rows`` rows a partition."""
    rng = random.Random(seed)
    partitions: dict[str, list[str]] = {}
    for table in TABLES.values():
        for values in _combinations(table):
            path = "/".join([table.name, *(f"{name}={value}" for name, value in values.items())])
            listed = partitions[path] = []
            for number, form in enumerate(("any", "never null", "all null", "leftover")):
                name = f"part-{seed:08}{number:08}.parquet"
                (folder / path).mkdir(parents=True, exist_ok=True)
                pq.write_table(_file(table, rng, rows, form), folder / path / name)
                if form != "leftover":
                    listed.append(name)
    write_manifest(folder, Manifest(partitions=partitions))


def write_one(folder: Path) -> None:
    """Write a warehouse of one row, of a verdict; the other tables have no files."""
    table, path = TABLES["verdicts"], "verdicts/source=reachwatch"
    if any(column.name == "month" for column in table.partitions):
        path += "/month=2024-02"
    row: dict[str, Any] = {column.name: None for column in table.columns} | {
        "date": date(2024, 2, 29), "measurement_id": "a", "probe_cc": "RU", "probe_asn": 1,
        "service_id": "s", "target_id": "t", "tactic": "none", "state": "blocked",
    }  # fmt: skip
    (folder / path).mkdir(parents=True)
    name = "part-0000000000000001.parquet"
    pq.write_table(pa.Table.from_pylist([row], arrow_schema(table.columns)), folder / path / name)
    write_manifest(folder, Manifest(partitions={path: [name]}))


def write_imported(folder: Path) -> None:
    """Build a warehouse from OONI-like measurements, and from real ones if there are any."""
    source = folder.parent / "source"
    source.mkdir()
    rows = [
        ooni.telegram() | {
            "measurement_start_time": f"2024-03-0{day} 10:0{number}:00", "report_id": f"r{day % 2}",
            "probe_cc": country,
        }
        for number, (day, country) in enumerate((d, c) for d in (1, 2, 5) for c in ("IT", "RU"))
    ]  # fmt: skip
    (source / "made.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    build([source, *_REAL.glob("*.json")], folder, threads=1)


def write_empty(folder: Path) -> None:
    """Write a warehouse without a single file."""
    folder.mkdir(parents=True, exist_ok=True)
    write_manifest(folder, Manifest())


def _combinations(table: Table) -> list[dict[str, str]]:
    words = _WORDS | ({"source": ("ooni_counts", "tor_users")} if table is DAILY else {})
    found: list[dict[str, str]] = [{}]
    for column in table.partitions:
        found = [known | {column.name: word} for known in found for word in words[column.name]]
    return found


def _file(table: Table, rng: random.Random, rows: int, form: str) -> pa.Table:
    columns = list(table.columns)
    rng.shuffle(columns)
    arrays = [
        pa.array(
            [_value(column, rng, form) for _ in range(rows)],
            arrow_schema([column]).field(0).type,
        )
        for column in columns
    ]
    fields = [
        arrow_schema([column]).field(0).with_nullable(form != "never null") for column in columns
    ]
    return pa.table(arrays, schema=pa.schema(fields))


_KEYS: Final = {"date", "probe_cc", "probe_asn", "service_id", "target_id"}
"""Never null, in any warehouse."""


def _value(column: Column, rng: random.Random, form: str) -> Any:
    choices = _WORDS.get(column.name, _VALUES[column.type])
    if column.name in _KEYS:
        return rng.choice(choices)
    if form == "all null":
        return None
    if column.name in {"measurement_id", "run_id", "chain_id"}:
        return f"{rng.randrange(60):016x}"
    if form == "never null":
        return rng.choice([value for value in choices if value is not None])
    return rng.choice(choices)


def day_range() -> tuple[date, date]:
    """Return a span of days with and without data."""
    return DAYS[0] - timedelta(days=1), DAYS[-1] + timedelta(days=1)
