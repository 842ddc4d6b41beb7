"""Files, or a warehouse -> typed tables to ask: what charts, reports and notebooks start from."""

import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import duckdb
import ibis
import pandas as pd
import pyarrow as pa

from analysis.query.judged import judged
from analysis.result_files import NoResultsError
from analysis.warehouse.builder import Built, Progress, build
from analysis.warehouse.faults import Faults
from analysis.warehouse.manifest import FILE, Entry, ManifestError, read_manifest
from analysis.warehouse.read import open_tables
from analysis.warehouse.schema import TABLES, arrow_schema

if TYPE_CHECKING:
    import polars as pl

TableName = Literal["observations", "measurements", "verdicts", "daily"]
Frame = Any
"""A pandas or polars DataFrame, an Arrow table, a DuckDB relation, or an Ibis table."""


@dataclass(frozen=True)
class Provenance:
    """Where the tables came from. ``files`` in order of name; of frames there are none.

    ``faults`` are the first places that could not be read, and count all of them.
    """

    files: tuple[Entry, ...] = ()
    faults: Faults = field(default_factory=Faults)
    n_withheld: int = 0


@dataclass(frozen=True)
class Dataset:
    """Tables as in docs/tables.md, each an Ibis table. Nothing is computed before it is asked.

    Draw it (`analysis.timeline` and the others), narrow it with `where`, or take a table out
    of it: `to_pandas`, `to_polars`, `to_arrow`, `to_duckdb`.
    """

    observations: ibis.Table
    measurements: ibis.Table
    verdicts: ibis.Table
    daily: ibis.Table
    provenance: Provenance = field(default_factory=Provenance)
    selection: tuple[tuple[str, str], ...] = ()
    """What `where` was asked, in words, in the order asked."""

    @property
    def judged(self) -> ibis.Table:
        """One row per run and target, ours and OONI's alike: see `analysis.query.judged`."""
        return judged(self.verdicts, self.measurements)

    def countries(self) -> frozenset[str]:
        """Return the codes of all countries that anything here is of; ``ZZ`` is unknown."""
        found: set[str] = set()
        for table in (self.measurements, self.verdicts, self.daily):
            rows = table.select("probe_cc").distinct().to_pyarrow()["probe_cc"]
            found.update(code for code in rows.to_pylist() if code)
        return frozenset(found)

    def table(self, name: TableName = "verdicts") -> ibis.Table:
        """Return a table by its name.

        Raises:
            KeyError: there is no such table.
        """
        if name not in TABLES:
            raise KeyError(f"{name}: expected one of {', '.join(TABLES)}")
        found: ibis.Table = getattr(self, name)
        return found

    def where(
        self,
        *,
        source: str | Sequence[str] | None = None,
        country: str | Sequence[str] | None = None,
        asn: int | Sequence[int] | None = None,
        service: str | Sequence[str] | None = None,
        target: str | Sequence[str] | None = None,
        first: date | str | None = None,
        last: date | str | None = None,
    ) -> "Dataset":
        """Return the rows of some countries, networks, services, targets and days.

        None does not filter; a list keeps any of its values; days are included. What a table
        has no column for does not filter it.

        Raises:
            ValueError: a day that is none.
        """
        wanted: dict[str, tuple[Any, ...]] = {}
        given = {
            "source": source, "probe_cc": country, "probe_asn": asn,
            "service_id": service, "target_id": target,
        }  # fmt: skip
        for column, value in given.items():
            if value is not None:
                is_one = isinstance(value, str | int)
                wanted[column] = (value,) if is_one else tuple(value)  # type: ignore[arg-type]
        if "probe_cc" in wanted:
            wanted["probe_cc"] = tuple(code.upper() for code in wanted["probe_cc"])
        days = [_day(first), _day(last)]
        said = [
            *((_WORDS[column], ", ".join(map(str, values))) for column, values in wanted.items()),
            *((word, str(day)) for word, day in zip(("from", "to"), days, strict=True) if day),
        ]
        tables = {name: _filtered(self.table(name), wanted, *days) for name in _names()}
        return replace(self, **tables, selection=(*self.selection, *said))

    def to_pandas(self, name: TableName = "verdicts") -> pd.DataFrame:
        """Return a table in pandas, its columns in Arrow's types: nulls stay nulls."""
        return self.to_arrow(name).to_pandas(types_mapper=pd.ArrowDtype)

    def to_polars(self, name: TableName = "verdicts") -> "pl.DataFrame":
        """Return a table in polars.

        Raises:
            ModuleNotFoundError: polars is not installed.
        """
        import polars as pl  # noqa: PLC0415 - no part of the extra: who has it, asks for it

        frame = pl.from_arrow(self.to_arrow(name))
        assert isinstance(frame, pl.DataFrame)
        return frame

    def to_arrow(self, name: TableName = "verdicts") -> pa.Table:
        """Return a table in Arrow, in the types of docs/tables.md."""
        return self.table(name).to_pyarrow().cast(arrow_schema(TABLES[name].all_columns))

    def to_duckdb(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of its own that holds all tables under their names."""
        connection = duckdb.connect()
        for name in _names():
            found = self.to_arrow(name)  # noqa: F841 - DuckDB finds it by its name
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM found")  # noqa: S608
        return connection


_WORDS: Final = {
    "source": "source", "probe_cc": "country", "probe_asn": "network",
    "service_id": "service", "target_id": "target",
}  # fmt: skip


def load(
    paths: str | Path | Iterable[str | Path],
    *,
    with_ways: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Dataset:
    """Read results, OONI measurements and daily counts, or a warehouse that holds them.

    Files are imported into a warehouse that goes with the process; to keep one, build it once
    (``reachwatch tables``) and load its folder. Which ways around work is left out unless
    asked for, so that a picture that is passed on does not tell what to block next.

    Raises:
        NoResultsError: a path does not exist or holds nothing of a known kind.
        ManifestError: a warehouse cannot be read, or was built without ways that are asked for.
    """
    found = [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]
    if len(found) == 1 and (found[0] / FILE).is_file():
        return _opened(found[0], with_ways=with_ways, built=None)
    for path in found:
        if (path / FILE).is_file():
            raise ManifestError(f"{path}: a warehouse is read alone; add the rest to it first")
    folder = Path(tempfile.mkdtemp(prefix="reachwatch-"))
    try:
        dataset = _imported(found, folder, progress, with_ways=with_ways)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    # Every expression over the tables holds their engine: it outlives the dataset.
    engine = dataset.verdicts.get_backend()
    weakref.finalize(engine, shutil.rmtree, folder, ignore_errors=True)
    return dataset


def _imported(
    paths: list[Path], folder: Path, progress: Callable[[Progress], None], *, with_ways: bool
) -> Dataset:
    built = build(paths, folder, progress, with_ways=with_ways)
    if not built.imported:
        said = ", ".join(map(str, paths))
        raise NoResultsError(f"{said}: no results, OONI measurements or daily counts here")
    return _opened(folder, with_ways=with_ways, built=built)


def _opened(folder: Path, *, with_ways: bool, built: Built | None) -> Dataset:
    manifest = read_manifest(folder)
    if manifest is None:
        raise ManifestError(f"{folder}: no warehouse here (manifest.json is missing)")
    if manifest.with_ways != with_ways:
        words = "with" if manifest.with_ways else "without"
        raise ManifestError(f"{folder}: was built {words} ways around; build another folder")
    if not manifest.files:
        raise NoResultsError(f"{folder}: no results, OONI measurements or daily counts here")
    files = tuple(sorted(manifest.files.values(), key=lambda file: (file.name, file.sha256)))
    provenance = Provenance(
        files=files,
        faults=built.faults if built else Faults(),
        n_withheld=sum(file.n_withheld for file in files),
    )
    return Dataset(**open_tables(folder), provenance=provenance)


def as_dataset(data: "Dataset | Frame") -> Dataset:
    """Return a dataset of one frame: whose table it is, its columns say.

    So what was filtered or joined elsewhere can be drawn: a frame may lack columns that no
    chart needs, which are then null.

    Raises:
        TypeError: the columns are those of no table, or of other types. Names what is wrong.
    """
    if isinstance(data, Dataset):
        return data
    arrow = _arrow(data)
    names = set(arrow.column_names)
    name = next((name for name, marks in _MARKS.items() if marks <= names), None)
    if name is None:
        raise TypeError(
            f"a frame with columns {', '.join(sorted(names)[:8])} … is no table of reachwatch's: "
            + "; ".join(f"{name} has {', '.join(sorted(marks))}" for name, marks in _MARKS.items())
        )
    connection = duckdb.connect()
    for other, table in TABLES.items():
        schema = arrow_schema(table.all_columns)
        rows = _filled(arrow, schema) if other == name else schema.empty_table()
        connection.register("incoming", rows)
        connection.execute(f"CREATE TABLE {other} AS SELECT * FROM incoming")  # noqa: S608
        connection.unregister("incoming")
    engine = ibis.duckdb.from_connection(connection)
    return Dataset(**{other: engine.table(other) for other in TABLES})


_COLUMNS: Final = {column.name for table in TABLES.values() for column in table.all_columns}

_MARKS: Final = {
    "verdicts": {"date", "target_id", "state", "tactic"},
    "measurements": {"date", "target_id", "outcome"},
    "observations": {"date", "target_id", "step", "failure"},
    "daily": {"date", "probe_cc", "metric", "value"},
}


def _arrow(data: Frame) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pd.DataFrame):
        known = [name for name in dict.fromkeys(data.columns) if name in _COLUMNS]
        try:
            # Columns of the caller's own may hold what Arrow has no type for.
            return pa.Table.from_pandas(data[known or data.columns], preserve_index=False)
        except (pa.ArrowException, ValueError) as error:
            raise TypeError(f"a frame that is no table: {error}") from None
    for method in ("to_pyarrow", "to_arrow_table", "to_arrow"):
        if hasattr(data, method):
            found = getattr(data, method)()
            return found if isinstance(found, pa.Table) else found.read_all()
    raise TypeError(f"{type(data).__name__}: expected a Dataset, or a frame of one of its tables")


_DEFAULTS: Final = {
    "source": "reachwatch", "probe_cc": "ZZ", "probe_asn": 0, "service_id": "",
    "lab": False, "tactic": "none",
}  # fmt: skip
"""Columns that tell series apart are never null in a warehouse, and must not be here."""


def _filled(arrow: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = []
    for column in schema:
        given = column.name in arrow.column_names
        try:
            values = (
                arrow[column.name].cast(column.type)
                if given
                else pa.chunked_array([pa.nulls(arrow.num_rows, column.type)])
            )
        except pa.ArrowException as error:
            raise TypeError(f"column {column.name}, {column.type}: {error}") from None
        if column.name in {"measurement_id", "run_id"} and not given:
            # Without a name every row is a measurement of its own.
            rows = [str(number) for number in range(arrow.num_rows)]
            values = pa.chunked_array([pa.array(rows, column.type)])
        if column.name in _DEFAULTS:
            values = values.fill_null(pa.scalar(_DEFAULTS[column.name], column.type))
        columns.append(values)
    return pa.table(columns, schema=schema)


def _names() -> tuple[TableName, ...]:
    return ("observations", "measurements", "verdicts", "daily")


def _day(day: date | str | None) -> date | None:
    return date.fromisoformat(day) if isinstance(day, str) else day


def _filtered(
    table: ibis.Table, wanted: dict[str, tuple[Any, ...]], first: date | None, last: date | None
) -> ibis.Table:
    conditions = [
        table[column].isin(values) for column, values in wanted.items() if column in table.columns
    ]
    if first is not None:
        conditions.append(table.date >= ibis.literal(first))
    if last is not None:
        conditions.append(table.date <= ibis.literal(last))
    return table.filter(*conditions) if conditions else table
