"""Hypothesis strategies for the model's types, read off the types themselves."""

from typing import Any

import msgspec.inspect as types
from hypothesis import strategies as st

LARGEST_INTEGER = 2**53
"""Integers beyond it are legal here, but not every JSON reader keeps them exact."""


def values_of(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Values of a Struct type, each within its declared bounds."""
    return _values(types.type_info(kind))


def _values(info: types.Type) -> st.SearchStrategy[Any]:
    match info:
        case types.Metadata():
            return _values(info.type)
        case types.StructType():
            fields = {f.name: _values(f.type) for f in info.fields}
            return st.builds(info.cls, **fields)
        case types.VarTupleType():
            items = st.lists(_values(info.item_type), min_size=info.min_length or 0, max_size=3)
            return items.map(tuple)
        case types.UnionType():
            return st.one_of(*map(_values, info.types))
        case types.LiteralType():
            return st.sampled_from(info.values)
        case types.NoneType():
            return st.none()
        case types.BoolType():
            return st.booleans()
        case types.IntType():
            low = -LARGEST_INTEGER if info.ge is None else info.ge
            return st.integers(low, LARGEST_INTEGER if info.le is None else info.le)
        case types.FloatType():
            return st.floats(min_value=info.ge, allow_nan=False, allow_infinity=False)
        case types.StrType(pattern=None):
            return st.text(max_size=min(info.max_length or 40, 40))
        case types.StrType():
            longest = info.max_length or 200
            return st.from_regex(info.pattern, fullmatch=True).filter(lambda s: len(s) <= longest)
        case _:
            raise NotImplementedError(info)
