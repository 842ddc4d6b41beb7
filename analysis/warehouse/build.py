"""Files -> a warehouse: what is new is imported, what is late joins its partitions.

Atomic: a build that is killed leaves the tables as they were. Idempotent: the same files
again change nothing, and whatever the order in which files come, the same rows result.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from analysis.load import Fault, NoResultsError, find
from analysis.warehouse.daily import import_daily
from analysis.warehouse.faults import Faults
from analysis.warehouse.manifest import (
    Entry,
    Manifest,
    read_manifest,
    remove_leftovers,
    write_manifest,
)
from analysis.warehouse.ooni import Counts, import_file
from analysis.warehouse.ours import import_observations, import_verdicts
from analysis.warehouse.partitions import write_partitions
from analysis.warehouse.segments import Source
from analysis.warehouse.stage import Stage, open_stage
from probe.model.layout import OBSERVATIONS, PART, ResultFile, classify

_OONI: Final = (".json", ".jsonl")
_COMPRESSED: Final = (".gz", ".zst")
_DAILY: Final = ".csv"


class WaysError(Exception):
    """A warehouse with ways around cannot be continued without them, nor the reverse."""


class Progress(NamedTuple):
    """How far a build is: bytes of input, and what it works on."""

    done_bytes: int
    total_bytes: int
    name: str


@dataclass
class Built:
    """What a build did. ``faults`` keeps the first places and counts all."""

    folder: Path
    faults: Faults = field(default_factory=Faults)
    imported: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    n_measurements: int = 0
    n_rows: int = 0
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
    """
    built = Built(folder)
    inputs = [_input(path, kind) for path, kind in _find(sources, folder)]
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
    done = 0
    before = {entry.sha256 for entry in manifest.files.values()}
    for item in inputs:
        progress(Progress(done, total, item.path.name))

        def report(n_bytes: int, item: _Input = item, done: int = done) -> None:
            progress(Progress(done + n_bytes, total, item.path.name))

        _import_one(stage, item, manifest, built, report)
        done += item.size
    progress(Progress(total, total, "writing tables"))
    return {name[:16] for name in before - {e.sha256 for e in manifest.files.values()}}


def _import_one(
    stage: Stage,
    item: _Input,
    manifest: Manifest,
    built: Built,
    report: Callable[[int], None],
) -> None:
    # An unfinished file and the finished one are the same file at different times.
    place = str(item.path.absolute()).removesuffix(PART)
    key = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()
    known = manifest.files.get(key)
    if known and (known.size, known.mtime_ns) == (item.size, item.mtime_ns):
        built.skipped.append(item.path)
        return
    try:
        with item.path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        built.faults.append(Fault(item.path, 0, error.strerror or type(error).__name__))
        return
    same = next((e for e in manifest.files.values() if e.sha256 == sha256), None)
    if same is not None:
        built.skipped.append(item.path)
        counts, n_bad = Counts(same.n_measurements, same.n_rows), same.n_bad
    else:
        n_before = built.faults.total
        counts = _import(stage, item, sha256[:16], built.faults, manifest.with_ways, report)
        n_bad = built.faults.total - n_before
        built.imported.append(item.path)
        built.n_measurements += counts.n_measurements
        built.n_rows += counts.n_rows
    manifest.files[key] = Entry(
        name=item.path.name,
        kind=item.kind,
        size=item.size,
        mtime_ns=item.mtime_ns,
        sha256=sha256,
        n_measurements=counts.n_measurements,
        n_rows=counts.n_rows,
        n_bad=n_bad,
    )


def _import(
    stage: Stage,
    item: _Input,
    source_file: str,
    faults: Faults,
    with_ways: bool,  # noqa: FBT001 - passed on
    report: Callable[[int], None],
) -> Counts:
    if item.kind == "ooni":
        return import_file(stage, Source(item.path, faults.append), source_file, report)
    if item.kind == "daily":
        return import_daily(stage, item.path, source_file, faults)
    file = classify(item.path)
    assert file is not None
    take = import_observations if file.kind == OBSERVATIONS else import_verdicts
    return take(stage, file, source_file, faults, with_ways=with_ways)


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
        if stem.endswith(_OONI):
            found.append((path, "ooni"))
        elif path.name.endswith(_DAILY):
            found.append((path, "daily"))
    return found


def _input(path: Path, kind: str) -> _Input:
    status = path.stat()
    return _Input(path, kind, status.st_size, status.st_mtime_ns)
