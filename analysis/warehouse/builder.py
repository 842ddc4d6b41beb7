"""Files -> a warehouse: what is new is imported, what is late joins its partitions.

Atomic: a build that is killed leaves the tables as they were. Idempotent: the same files
again change nothing, and whatever the order in which files come, the same rows result.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import duckdb

from analysis.result_files import Fault, NoResultsError, find
from analysis.warehouse import ooni, ours
from analysis.warehouse.daily import import_daily
from analysis.warehouse.faults import Faults
from analysis.warehouse.manifest import (
    Entry,
    Manifest,
    read_manifest,
    remove_leftovers,
    write_manifest,
)
from analysis.warehouse.partitions import write_partitions
from analysis.warehouse.read import first_line
from analysis.warehouse.stage import Stage, open_stage
from probe.model.layout import OBSERVATIONS, PART, ResultFile, classify

_OONI: Final = (".json", ".jsonl")
_COMPRESSED: Final = (".gz", ".zst")
_DAILY: Final = ".csv"
_EVENTS: Final = "events"


class WaysError(Exception):
    """A warehouse with ways around cannot be continued without them, nor the reverse."""


class Progress(NamedTuple):
    """How far a build is: bytes of input, and what it works on."""

    done_bytes: int
    total_bytes: int
    name: str


@dataclass
class Built:
    """What a build did. ``faults`` keeps the first places and counts all.

    ``n_withheld``: rows about ways around that it left out (as `probe.verdict.withheld` says).

    ``events`` are lists of events among the sources (``events*.json``): they are no table,
    and for charts to read.
    """

    folder: Path
    faults: Faults = field(default_factory=Faults)
    imported: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    events: list[Path] = field(default_factory=list)
    n_measurements: int = 0
    n_rows: int = 0
    n_withheld: int = 0
    partitions: list[str] = field(default_factory=list)


class _Input(NamedTuple):
    path: Path
    kind: str
    size: int
    mtime_ns: int


def build(
    sources: Iterable[Path],
    folder: Path,
    progress: Callable[[Progress], None] = lambda _: None,
    *,
    with_ways: bool = False,
    threads: int | None = None,
) -> Built:
    """Import files, and those under directories, into the warehouse at ``folder``.

    Files are told apart by their names: our results, OONI measurements (``.json``,
    ``.jsonl``, also ``.gz`` or ``.zst``) and daily counts (``.csv``).

    Raises:
        NoResultsError: a path does not exist, or a file named is of no known kind.
        BusyError: another process builds here.
        ManifestError: the folder holds a manifest that cannot be read.
        WaysError: the folder was built with another ``with_ways``.
        OSError: the disk is full, or a file of the tables is damaged or gone.
    """
    try:
        return _build(sources, folder, progress, with_ways=with_ways, threads=threads)
    except duckdb.Error as error:
        raise OSError(f"{folder}: {first_line(error)}") from error


def _build(
    sources: Iterable[Path],
    folder: Path,
    progress: Callable[[Progress], None],
    *,
    with_ways: bool,
    threads: int | None,
) -> Built:
    built = Built(folder)
    inputs = []
    for path, kind in _find(sources, folder):
        if kind == _EVENTS:
            built.events.append(path)
        else:
            inputs.append(_input(path, kind))
    with open_stage(folder, threads or os.cpu_count() or 1) as stage:
        manifest = read_manifest(folder) or Manifest(with_ways=with_ways)
        if manifest.with_ways != with_ways:
            words = "with" if manifest.with_ways else "without"
            raise WaysError(f"{folder}: was built {words} ways around; build another folder")
        remove_leftovers(folder, manifest)
        replaced = _import_all(stage, inputs, manifest, built, progress)
        written = write_partitions(stage, folder, manifest, replaced)
        _commit(folder, manifest, written)
        built.partitions = sorted(written)
    return built


def _commit(folder: Path, manifest: Manifest, written: dict[str, list[str]]) -> None:
    old = {
        folder / partition / name
        for partition in written
        for name in manifest.partitions.get(partition, [])
    }
    for partition, names in written.items():
        if names:
            manifest.partitions[partition] = names
        else:
            manifest.partitions.pop(partition, None)
    write_manifest(folder, manifest)
    kept = {folder / partition / name for partition, names in written.items() for name in names}
    for path in old - kept:
        path.unlink(missing_ok=True)


def _import_all(
    stage: Stage,
    inputs: list[_Input],
    manifest: Manifest,
    built: Built,
    progress: Callable[[Progress], None],
) -> set[str]:
    """Stage what is new; return the ``source_file`` of contents that are no more."""
    total = sum(item.size for item in inputs)
    before = {entry.sha256 for entry in manifest.files.values()}
    contents = {entry.sha256: entry for entry in manifest.files.values()}
    own = ours.Importer(stage, built.faults, with_ways=manifest.with_ways)
    entries: dict[str, Entry] = {}
    done = 0
    with ooni.Importer(stage, built.faults.append) as foreign:
        for item in inputs:
            key = _key(item)
            known = manifest.files.get(key)
            if known and (known.size, known.mtime_ns) == (item.size, item.mtime_ns):
                built.skipped.append(item.path)
            elif (sha256 := _hash(item, built.faults)) is not None:
                entry = manifest.files[key] = _entry(item, sha256)
                if same := contents.get(sha256):
                    entry.n_measurements, entry.n_bad = same.n_measurements, same.n_bad
                    entry.n_withheld, entry.n_repeated = same.n_withheld, same.n_repeated
                    built.skipped.append(item.path)
                else:
                    contents[sha256] = entries[key] = entry
                    report = partial(_report, progress, Progress(done, total, item.path.name))
                    report(0)
                    if item.kind == "ooni":
                        foreign.add(item.path, sha256[:16], report)
                    elif item.kind == "daily":
                        built.n_rows += import_daily(stage, item.path, sha256[:16], built.faults)
                    else:
                        own.add(_result_file(item.path), sha256[:16])
                    built.imported.append(item.path)
            done += item.size
        gone = before - {entry.sha256 for entry in manifest.files.values()}
        for item in inputs if gone else ():
            # What it has in common with contents that are no more is in no table now.
            known = manifest.files.get(_key(item))
            if item.kind == "ooni" and known and known.n_repeated and known.sha256 in before:
                foreign.add(item.path, known.sha256[:16], lambda _: None)
        foreign.finish(lambda: progress(Progress(total, total, "sorting by month")))
        own.finish()
    progress(Progress(total, total, "writing tables"))
    counts = foreign.n_measurements + own.n_measurements
    bad = {str(path.absolute()): n for path, n in built.faults.by_path.items()}
    for item in inputs:
        if new := entries.get(_key(item)):
            new.n_measurements = counts[new.sha256[:16]]
            new.n_bad = bad.get(str(item.path.absolute()), 0)
            new.n_withheld = own.n_withheld[new.sha256[:16]]
            new.n_repeated = foreign.n_repeated[new.sha256[:16]]
    built.n_measurements = foreign.n_measurements.total() + own.n_runs
    built.n_rows += foreign.n_rows + own.n_rows
    built.n_withheld = own.n_withheld.total()
    return {name[:16] for name in gone}


def _entry(item: _Input, sha256: str) -> Entry:
    return Entry(
        name=item.path.name,
        kind=item.kind,
        size=item.size,
        mtime_ns=item.mtime_ns,
        sha256=sha256,
        n_measurements=0,
        n_bad=0,
    )


def _report(progress: Callable[[Progress], None], start: Progress, n_bytes: int) -> None:
    progress(start._replace(done_bytes=start.done_bytes + n_bytes))


def _key(item: _Input) -> str:
    """Return what a file is known by: a hash of where it lies, which the manifest may not say.

    An unfinished file and the finished one are the same file at different times.
    """
    place = str(item.path.absolute()).removesuffix(PART)
    return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()


def _hash(item: _Input, faults: Faults) -> str | None:
    try:
        with item.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        faults.append(Fault(item.path, 0, error.strerror or type(error).__name__))
        return None


def _result_file(path: Path) -> ResultFile:
    file = classify(path)
    assert file is not None
    return file


def _find(sources: Iterable[Path], folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield files and their kinds, each once; files of other kinds only if named are errors."""
    seen: set[Path] = set()
    for source in sources:
        if not source.exists():
            raise NoResultsError(f"{source}: no such file or directory")
        ours = find(source) if source.is_dir() or classify(source) else []
        found = [(file.path, _kind_of(file)) for file in ours]
        found += _others(source, folder)
        if source.is_file() and not found:
            raise NoResultsError(
                f"{source}: not results, OONI measurements (.json, .jsonl, .gz, .zst) "
                "or daily counts (.csv)"
            )
        for path, kind in found:
            if (absolute := path.absolute()) not in seen:
                seen.add(absolute)
                yield path, kind


def _kind_of(file: ResultFile) -> str:
    return "observations" if file.kind == OBSERVATIONS else "verdicts"


def _others(source: Path, folder: Path) -> list[tuple[Path, str]]:
    paths = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.is_file())
    found = []
    for path in paths:
        if classify(path) is not None or folder.absolute() in path.absolute().parents:
            continue
        stem = path.name
        for suffix in _COMPRESSED:
            stem = stem.removesuffix(suffix)
        if path.name.startswith(_EVENTS) and path.suffix == ".json":
            found.append((path, _EVENTS))
        elif stem.endswith(_OONI):
            found.append((path, "ooni"))
        elif path.name.endswith(_DAILY):
            found.append((path, "daily"))
    return found


def _input(path: Path, kind: str) -> _Input:
    status = path.stat()
    return _Input(path, kind, status.st_size, status.st_mtime_ns)
