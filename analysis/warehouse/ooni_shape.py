"""Which parts of an OONI measurement are read: types for the engine, and their check.

Nothing else of a measurement enters the engine's memory. The check follows what DuckDB's
reader refuses, so that a line is bad or good whichever of the two looks at it first.
"""

import json
import re
from collections import Counter
from datetime import datetime
from math import isfinite
from typing import Any, Final

import orjson

Shape = str | dict[str, "Shape"] | list["Shape"]
"""A leaf's type, an object's keys, or the one element of a list."""

_TIMES: Final[dict[str, Shape]] = {"t0": "DOUBLE", "t": "DOUBLE", "transaction_id": "BIGINT"}

SHAPE: Final[dict[str, Shape]] = {
    "annotations": {
        "architecture": "VARCHAR",
        "engine_name": "VARCHAR",
        "engine_version": "VARCHAR",
        "network_type": "VARCHAR",
        "origin": "VARCHAR",
        "platform": "VARCHAR",
    },
    "input": "VARCHAR",
    "measurement_start_time": "VARCHAR",
    "probe_asn": "VARCHAR",
    "probe_cc": "VARCHAR",
    "report_id": "VARCHAR",
    "resolver_asn": "VARCHAR",
    "software_name": "VARCHAR",
    "software_version": "VARCHAR",
    "test_keys": {
        "queries": [
            {
                "hostname": "VARCHAR",
                "query_type": "VARCHAR",
                "engine": "VARCHAR",
                "failure": "VARCHAR",
                "answers": [
                    {"asn": "VARCHAR", "ipv4": "VARCHAR", "ipv6": "VARCHAR", "hostname": "VARCHAR"}
                ],
                **_TIMES,
            }
        ],
        "tcp_connect": [
            {
                "ip": "VARCHAR",
                "port": "BIGINT",
                "status": {"failure": "VARCHAR", "success": "BOOLEAN"},
                **_TIMES,
            }
        ],
        "tls_handshakes": [
            {
                "address": "VARCHAR",
                "server_name": "VARCHAR",
                "failure": "VARCHAR",
                "tls_version": "VARCHAR",
                "cipher_suite": "VARCHAR",
                "negotiated_protocol": "VARCHAR",
                "no_tls_verify": "VARCHAR",
                "peer_certificates": [{"data": "VARCHAR"}],
                **_TIMES,
            }
        ],
        "requests": [
            {
                "failure": "VARCHAR",
                "network": "VARCHAR",
                "request": {
                    "url": "VARCHAR",
                    "method": "VARCHAR",
                    "x_transport": "VARCHAR",
                    "body": "VARCHAR",
                    "body_is_truncated": "VARCHAR",
                },
                "response": {
                    "code": "BIGINT",
                    "body": "VARCHAR",
                    "body_is_truncated": "BOOLEAN",
                    "headers": {"Server": "VARCHAR", "Location": "VARCHAR"},
                },
                **_TIMES,
            }
        ],
    },
    "test_name": "VARCHAR",
    "test_runtime": "DOUBLE",
    "test_version": "VARCHAR",
}

NEEDED: Final = {
    "measurement_start_time": r"20[1-9][0-9]-[01][0-9]-[0-3][0-9][ T][0-2][0-9]:[0-5][0-9]:.*",
    "probe_cc": r"[A-Z]{2}",
    "probe_asn": r"AS[0-9]{1,10}",
    "test_name": r"[a-z0-9_]{1,60}",
}
"""Without these a measurement has no place in a table. Times outside of 2010 to 2099
would be days of partitions that nobody meant."""

_NEEDED: Final = {name: re.compile(pattern) for name, pattern in NEEDED.items()}
_MAX_SHOWN: Final = 60


def columns_sql() -> str:
    """Return the ``columns`` argument of DuckDB's ``read_json``, for lines that are marked."""
    pairs = ", ".join(f"'{name}': '{_type_sql(shape)}'" for name, shape in SHAPE.items())
    return f"{{'rw_file': 'BIGINT', 'rw_line': 'BIGINT', {pairs}}}"


def _type_sql(shape: Shape) -> str:
    if isinstance(shape, str):
        return shape
    if isinstance(shape, list):
        return f"{_type_sql(shape[0])}[]"
    inner = ", ".join(f'"{name}" {_type_sql(part)}' for name, part in shape.items())
    return f"STRUCT({inner})"


def valid_sql() -> str:
    """Return SQL of whether a row of ``read_json`` is a measurement with a place and time."""
    tests = [f"regexp_full_match({name}, '{pattern}')" for name, pattern in NEEDED.items()]
    tests += ["coalesce(isfinite(test_runtime), true)"]
    tests += ["TRY_CAST(measurement_start_time AS TIMESTAMP) IS NOT NULL", "test_keys IS NOT NULL"]
    return f"COALESCE({' AND '.join(tests)}, false)"


def problem_of(line: bytes) -> str | None:
    """Say why a line is no measurement that can be read, with its JSON path; None if it can."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return f"$: not JSON: {str(error)[:_MAX_SHOWN]}"
    if not isinstance(value, dict):
        return f"$: expected an object, got {_kind(value)}"
    if found := _problem(value, SHAPE, "$"):
        return found
    for name, pattern in _NEEDED.items():
        text = value.get(name)
        if text is None:
            return f"$.{name}: missing"
        if not pattern.fullmatch(text if isinstance(text, str) else str(text)):
            return f"$.{name}: unexpected value {str(text)[:_MAX_SHOWN]!r}"
    try:
        datetime.fromisoformat(value["measurement_start_time"])
    except ValueError as error:
        return f"$.measurement_start_time: {error}"
    return "$.test_keys: missing" if value.get("test_keys") is None else None


def _problem(value: Any, shape: Shape, path: str) -> str | None:
    if value is None:
        return None
    if isinstance(shape, str):
        return None if _fits(value, shape) else f"{path}: expected {shape}, got {_kind(value)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path}: expected a list, got {_kind(value)}"
        for number, item in enumerate(value):
            if found := _problem(item, shape[0], f"{path}[{number}]"):
                return found
        return None
    if not isinstance(value, dict):
        return f"{path}: expected an object, got {_kind(value)}"
    for name, part in shape.items():
        if name in value and (found := _problem(value[name], part, f"{path}.{name}")):
            return found
    return None


class _Object(dict[str, Any]):
    """An object that knows which of its keys were there more than once."""

    twice: frozenset[str] = frozenset()


def key_twice(line: bytes) -> str | None:
    """Say which key that is read stands twice in an object, with its path; slow.

    The engine refuses these; orjson takes the last one.
    """
    try:
        return _twice(json.loads(line, object_pairs_hook=_object), SHAPE, "$")
    except (ValueError, RecursionError) as error:
        return f"$: not JSON: {str(error)[:_MAX_SHOWN]}"


def _object(pairs: list[tuple[str, Any]]) -> _Object:
    found = _Object(pairs)
    if len(found) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        found.twice = frozenset(name for name, n in counts.items() if n > 1)
    return found


def _twice(value: Any, shape: Shape, path: str) -> str | None:
    if isinstance(shape, list) and isinstance(value, list):
        found = (_twice(item, shape[0], f"{path}[{n}]") for n, item in enumerate(value))
        return next((problem for problem in found if problem), None)
    if not isinstance(shape, dict) or not isinstance(value, _Object):
        return None
    for name, part in shape.items():
        if name in value.twice:
            return f"{path}.{name}: twice"
        if problem := _twice(value.get(name), part, f"{path}.{name}"):
            return problem
    return None


def _fits(value: Any, kind: str) -> bool:
    """Whether DuckDB's reader casts a value: it takes numbers in strings, and texts of all."""
    if kind == "VARCHAR":
        return True
    if isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return isfinite(value) and (kind != "BIGINT" or -(2**63) <= value < 2**63)
    if not isinstance(value, str) or kind == "BOOLEAN":
        return kind == "BOOLEAN" and str(value).lower() in {"true", "false"}
    try:
        number = float(value)
    except ValueError:
        return False
    return isfinite(number) and (kind == "DOUBLE" or abs(number) < 2**63)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", bool: "true or false"}.get(
        type(value), "null" if value is None else "a number"
    )
