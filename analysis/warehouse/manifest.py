"""Which files are in a warehouse and which Parquet files are its tables: ``manifest.json``.

It is replaced as the last act of a build. What it does not list is a leftover of a build
that was killed, and goes with the next one.
"""

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
import orjson
from msgspec import Meta, Struct

FILE: Final = "manifest.json"
MAX_BYTES: Final = 256 * 1024 * 1024

Name = Annotated[str, Meta(pattern=r"^part-[0-9a-f]{16}\.parquet$")]
Partition = Annotated[str, Meta(pattern=r"^[a-z]+(/[a-z]+=[A-Za-z0-9_-]+)+$")]


class ManifestError(Exception):
    """The manifest is not one of this version. Names the file and the place."""


class Entry(Struct, kw_only=True, forbid_unknown_fields=True):
    """A file that was imported. ``name`` is its last part: where it lay is nobody's business.

    ``n_repeated``: measurements left out of the tables because they were there already.
    """

    name: str
    kind: str
    size: int
    mtime_ns: int
    sha256: str
    n_measurements: int
    n_bad: int
    n_withheld: int = 0
    n_repeated: int = 0


class Manifest(Struct, kw_only=True, forbid_unknown_fields=True):
    """``files`` by the SHA-256 of their absolute path; ``partitions`` by folder.

    ``with_ways``: which ways around work is in the tables.
    """

    format: Literal[1] = 1
    with_ways: bool = False
    files: dict[str, Entry] = {}
    partitions: dict[Partition, list[Name]] = {}

    def paths(self, warehouse: Path, table: str) -> list[Path]:
        """Return a table's files, sorted."""
        return sorted(
            warehouse / partition / name
            for partition, names in self.partitions.items()
            if partition.split("/")[0] == table
            for name in names
        )


def read_manifest(warehouse: Path) -> Manifest | None:
    """Return a warehouse's manifest; None where there is none yet.

    Raises:
        ManifestError: it cannot be read.
    """
    path = warehouse / FILE
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ManifestError(f"{path}: more than {MAX_BYTES} bytes")
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from None
    try:
        return msgspec.convert(orjson.loads(data), Manifest)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise ManifestError(f"{path}: {error}") from None


def write_manifest(warehouse: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    path = warehouse / FILE
    part = path.with_name(f"{FILE}.part")
    with part.open("wb") as file:
        file.write(
            orjson.dumps(
                msgspec.to_builtins(manifest), option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2
            )
        )
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def remove_leftovers(warehouse: Path, manifest: Manifest) -> None:
    """Remove Parquet files that the manifest does not list."""
    listed = {
        warehouse / partition / name
        for partition, names in manifest.partitions.items()
        for name in names
    }
    for path in warehouse.glob("*/*=*/**/part-*.parquet"):
        if path not in listed:
            path.unlink()
