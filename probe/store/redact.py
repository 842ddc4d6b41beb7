"""The last gate before disk: nothing in a stored line names the volunteer.

Steps already store no own address; this catches what a hostile or chatty peer
put into a banner, a certificate or an answer.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec.inspect as types

from probe.model.observation import Observation
from probe.model.vantage import RunColumns
from probe.model.verdict import Verdict

MIN_SECRET_CHARS: Final = 4
"""Shorter strings (a host called "pc") would damage facts everywhere."""

REDACTED: Final = "[..]"
"""No longer than the shortest secret, so no column outgrows its bound."""

_COMMON: Final = frozenset({"localhost", "localhost.localdomain", "127.0.0.1", "::1"})


class Redactor:
    """Replaces given secrets in every free string of a record, ignoring case.

    Columns whose words the format itself fixes (literals, ids, hashes, times)
    stay: a host called "test" would otherwise make every line unreadable.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        """Args: host names, own and resolver addresses, proxy hosts and secrets."""
        kept = {s for s in secrets if len(s) >= MIN_SECRET_CHARS and s.lower() not in _COMMON}
        # Reverse DNS names carry addresses with dashes; both forms are secrets.
        kept |= {s.replace(".", "-") for s in kept if s.count(".") == 3}
        longest_first = sorted(kept, key=lambda s: (-len(s), s))
        self._pattern = (
            re.compile("|".join(map(_in_any_case, longest_first)), re.IGNORECASE)
            if longest_first
            else None
        )

    def apply(self, value: Any) -> Any:
        """Return a copy of JSON-like data with every secret replaced."""
        if isinstance(value, str):
            return self._pattern.sub(REDACTED, value) if self._pattern else value
        if isinstance(value, dict):
            return {k: v if k in _FIXED else self.apply(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.apply(item) for item in value]
        return value


def _in_any_case(secret: str) -> str:
    """Return a pattern of the secret; IGNORECASE pairs single letters only.

    Some letters change case into two ("ß" into "SS").
    """
    forms = (sorted({c, c.lower(), c.upper()}, key=len) for c in secret)
    return "".join(f"(?:{'|'.join(map(re.escape, letters))})" for letters in forms)


def _structs(info: types.Type) -> Iterator[types.StructType]:
    """Yield the structs that a stored type consists of."""
    if isinstance(info, types.StructType):
        yield info
        for field in info.fields:
            yield from _structs(field.type)
    elif isinstance(info, types.VarTupleType):
        yield from _structs(info.item_type)


def _is_fixed(info: types.Type) -> bool:
    """Tell whether a column's strings are the format's own words."""
    match info:
        case types.Metadata():
            return _is_fixed(info.type)
        case types.UnionType():
            return all(map(_is_fixed, info.types))
        case types.StrType():
            return info.pattern is not None
        case types.LiteralType() | types.NoneType():
            return True
        case _:
            return False


_FIXED: Final = frozenset(
    field.encode_name
    for stored in (RunColumns, Observation, Verdict)
    for struct in _structs(types.type_info(stored))
    for field in struct.fields
    if _is_fixed(field.type)
)
