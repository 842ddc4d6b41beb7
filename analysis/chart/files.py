"""Figures as files: SVG or PNG, by the name's ending."""

import os
import secrets
from pathlib import Path

from analysis.chart.style import save_png, save_svg
from analysis.drawn import Drawn


class OutputError(Exception):
    """The output cannot be written, or is of no known kind. Names the path."""


def write_chart(drawn: Drawn, path: Path) -> None:
    """Write a chart as SVG or PNG, whole or not at all.

    Raises:
        OutputError: the name ends otherwise, or the file cannot be written.
    """
    if path.suffix not in {".svg", ".png"}:
        raise OutputError(f"{path}: expected a name ending in .svg or .png")
    save = save_svg if path.suffix == ".svg" else save_png
    write(path, save(drawn.figure))


def write(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all: what stood there stays until then.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        _write(path, data)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None


def check_writable(path: Path) -> None:
    """Say before minutes of work that a file cannot be written there.

    Raises:
        OutputError: it is a directory, or there is none to hold it.
    """
    if path.is_dir():
        raise OutputError(f"{path}: it is a directory")
    if not path.parent.is_dir():
        raise OutputError(f"{path}: there is no directory {path.parent}")


def _write(path: Path, data: bytes) -> None:
    # A link stays one: what it points to is replaced.
    place = Path(os.path.realpath(path))
    if place.exists() and not place.is_file():
        place.write_bytes(data)  # a device or a pipe cannot be replaced
        return
    part = place.with_name(f".reachwatch-{secrets.token_hex(6)}.part")
    try:
        part.write_bytes(data)
        part.replace(place)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
