"""Figures as files: SVG or PNG, by the name's ending."""

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
    """Write a file.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}") from None
