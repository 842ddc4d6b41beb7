"""Damage to JSON documents: every node deleted, replaced, doubled."""

from collections.abc import Iterator
from typing import Any

import orjson

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
    mutant = _copied(document)
    _parent(mutant, path)[path[-1]] = value
    return mutant


def deleted(document: Any, path: Path) -> Any:
    """Return a copy without the node at the path (not the root)."""
    mutant = _copied(document)
    del _parent(mutant, path)[path[-1]]
    return mutant


def doubled(document: Any, path: Path) -> Any:
    """Return a copy with the node twice: beside itself, or under a new key."""
    mutant = _copied(document)
    parent, key = _parent(mutant, path), path[-1]
    if isinstance(parent, list):
        parent.insert(int(key), _copied(parent[int(key)]))
    else:
        parent[f"{key}_"] = _copied(parent[key])
    return mutant


def _copied(document: Any) -> Any:
    return orjson.loads(orjson.dumps(document))


def _parent(document: Any, path: Path) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document
