"""Damage to JSON documents: every node deleted, replaced, doubled."""

import copy
from collections.abc import Iterator
from typing import Any

REPLACEMENTS: tuple[Any, ...] = (None, True, -1, 2**63, 0.5, "", "\x1b[31m\n", "x" * 600, [], {})
"""One of each JSON type, at the edges where types have them."""

Path = tuple[str | int, ...]


def paths(node: Any, here: Path = ()) -> Iterator[Path]:
    """Yield the path of every node, the root first."""
    yield here
    items: Any = ()
    if isinstance(node, dict):
        items = node.items()
    elif isinstance(node, list):
        items = enumerate(node)
    for key, item in items:
        yield from paths(item, (*here, key))


def replaced(document: Any, path: Path, value: Any) -> Any:
    """Return a copy with the node at the path replaced."""
    if not path:
        return value
    mutant = copy.deepcopy(document)
    _parent(mutant, path)[path[-1]] = value
    return mutant


def deleted(document: Any, path: Path) -> Any:
    """Return a copy without the node at the path (not the root)."""
    mutant = copy.deepcopy(document)
    del _parent(mutant, path)[path[-1]]
    return mutant


def doubled(document: Any, path: Path) -> Any:
    """Return a copy with the node twice: beside itself, or under a new key."""
    mutant = copy.deepcopy(document)
    parent, key = _parent(mutant, path), path[-1]
    if isinstance(parent, list):
        parent.insert(int(key), copy.deepcopy(parent[int(key)]))
    else:
        parent[f"{key}_"] = copy.deepcopy(parent[key])
    return mutant


def _parent(document: Any, path: Path) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document
