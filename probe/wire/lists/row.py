"""What every reader of a list gives: rows, each with its place, what it names, what is kept."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from probe.model.target import Endpoint

MAX_LIST_BYTES: Final = 10 * 1024 * 1024
"""Largest list that is read, as of a target list: 60 times the largest of Citizen Lab's."""

MAX_ROWS: Final = 50_000
"""Entries that are read: ten times what a target list may hold."""

OTHER_CATEGORY: Final = "MISC"
"""Citizen Lab's code for what has none."""


class BadListError(ValueError):
    """The list as a whole cannot be read; the message names the place."""


class MissingYamlError(Exception):
    """The list is YAML, and nothing that reads YAML is installed."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One entry of a list.

    ``at`` is its place, as people find it there. Either ``endpoint`` or ``builtin`` (the
    id of a service of the built-in list) says what to measure, or ``reason`` why nothing
    is. ``notes`` say what of it was left out. ``kept`` is what has no place in a target
    list; no value in it is a secret.
    """

    at: str
    endpoint: Endpoint | None = None
    builtin: str = ""
    reason: str = ""
    notes: tuple[str, ...] = ()
    category: str = OTHER_CATEGORY
    name: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ReadList:
    """A list that was read. ``updated`` is its own date (YYYY-MM-DD), if it has one.

    ``source`` says whose it is; ``license`` is an SPDX id, or NOASSERTION.
    """

    rows: tuple[Row, ...]
    source: str
    name: str = ""
    license: str = "NOASSERTION"
    updated: str = ""
    kept: Mapping[str, Any] = field(default_factory=dict)


def bounded(rows: Iterable[Row]) -> tuple[Row, ...]:
    """Take all rows.

    Raises:
        BadListError: there are more than `MAX_ROWS`.
    """
    taken = tuple(islice(rows, MAX_ROWS + 1))
    if len(taken) > MAX_ROWS:
        raise BadListError(f"more than {MAX_ROWS} entries")
    return taken
