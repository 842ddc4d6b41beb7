"""What it takes to start a server: values, and where its executable is."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from censorlab.world.namespaces import FOLDER
from censorlab.world.world import Socket

__all__ = ["FOLDER", "MissingProgramError", "Program", "Socket", "executable"]

_SYSTEM_FOLDERS: Final = ("/usr/sbin", "/sbin")
"""Debian leaves them out of an ordinary user's PATH."""


class MissingProgramError(RuntimeError):
    """A server is not installed; the message names the Debian package that brings it."""


class Program(NamedTuple):
    """A server to start: it stays in the foreground and writes below `FOLDER` only."""

    name: str
    """Tells two of a kind apart: the folder of its files below `FOLDER`."""
    package: str
    """The Debian package, or the PyPI distribution, that brings it."""
    files: Mapping[str, bytes]
    """Names below `FOLDER` and what they hold, to be written before the start."""
    words: tuple[str, ...]
    listens: tuple[Socket, ...]


def executable(name: str, package: str) -> str:
    """Return where the executable is.

    Raises:
        MissingProgramError: if it is not installed.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS))
    found = shutil.which(name, path=path)
    if found is None:
        script = Path(__file__).with_name("install.sh")
        raise MissingProgramError(
            f"{name} is not installed: Debian package {package}, or all at once: sh {script}"
        )
    return found
