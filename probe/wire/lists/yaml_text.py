"""YAML (1.1, as PyYAML parses it) as plain values: mappings, lists and strings.

Built from parser events rather than by a loader: no tag makes an object, no scalar changes
its type, nesting is bounded, and an alias costs what it unfolds to.
"""

import importlib
from dataclasses import dataclass
from typing import Any, Final

from probe.wire.lists.row import BadListError, MissingYamlError

Value = Any
"""``dict[str, Value] | list[Value] | str``."""

_MAX_DEPTH: Final = 32
_MAX_UNFOLDED: Final = 500_000
"""Values of a document, those behind each alias counted each time: ten times what a
configuration of 5000 endpoints has."""

_MERGE: Final = "<<"


@dataclass(slots=True)
class _Open:
    """A container that has not ended. ``key`` waits for its value."""

    value: dict[str, Value] | list[Value]
    anchor: str | None
    line: int
    weight: int = 1
    key: str | None = None


def read_yaml(text: str) -> Value:
    """Read the first document.

    Raises:
        BadListError: not YAML, or more than it should be; names the line.
        MissingYamlError: PyYAML is not installed.
    """
    try:
        yaml: Any = importlib.import_module("yaml")
    except ModuleNotFoundError:
        raise MissingYamlError from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _build(yaml, yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"line {mark.line + 1}: " if mark is not None else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise BadListError(f"{at}{problem}") from None


def _build(yaml: Any, events: Any) -> Value:
    stack: list[_Open] = []
    anchors: dict[str, tuple[Value, int]] = {}
    for event in events:
        line = event.start_mark.line + 1
        if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            if len(stack) == _MAX_DEPTH:
                raise BadListError(f"line {line}: nested deeper than {_MAX_DEPTH} levels")
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            stack.append(_Open({} if is_mapping else [], event.anchor, line))
            continue
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            top = stack.pop()
            value, weight, anchor, line = top.value, top.weight, top.anchor, top.line
        elif isinstance(event, yaml.ScalarEvent):
            value, weight, anchor = event.value, 1, event.anchor
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise BadListError(f"line {line}: an alias without its anchor before it")
            (value, weight), anchor = anchors[event.anchor], None
        else:
            continue
        if anchor is not None:
            anchors[anchor] = (value, weight)
        if not stack:
            return value
        _add(stack[-1], value, weight, line)
    raise BadListError("the document is empty")


def _add(top: _Open, value: Value, weight: int, line: int) -> None:
    top.weight += weight
    if top.weight > _MAX_UNFOLDED:
        raise BadListError(f"line {line}: unfolds to more than {_MAX_UNFOLDED} values")
    if isinstance(top.value, list):
        top.value.append(value)
    elif top.key is None:
        if not isinstance(value, str):
            raise BadListError(f"line {line}: a key that is not a word")
        top.key = value
    else:
        key, top.key = top.key, None
        if key == _MERGE:
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, dict):
                    # What the mapping says itself goes first, wherever it stands.
                    for name, item in one.items():
                        top.value.setdefault(name, item)
        else:
            top.value[key] = value
