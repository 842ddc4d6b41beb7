"""Text out of lists: decoded, made fit for a terminal, and free of secrets."""

import re
import unicodedata
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from probe.wire.lists.row import MAX_LIST_BYTES, BadListError

MAX_KEPT_CHARS: Final = 2000
"""Of one text that is kept beside a list: longer than any note of Citizen Lab's."""

_MAX_KEPT_ITEMS: Final = 200
_UTF16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
_USERINFO: Final = re.compile(r"//[^/?#\s]*@")
_PIECES: Final = re.compile(r"([\s/]+)")
_QUERY_VALUE: Final = re.compile(r"([?&;#])([^=&;#\s]{1,100})=[^&;#\s]*")
_SECRET_PART: Final = re.compile(
    r"token|secret|passw|api_?-?key|signature|credential|bearer|sess(?:ion)?_?-?id", re.IGNORECASE
)
_SECRET_NAMES: Final = frozenset(
    {"key", "pass", "pwd", "auth", "authorization", "sig", "sid", "session", "user", "username"}
)
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?![0-9])")
LEFT_OUT: Final = "[left out]"


def decoded(data: bytes) -> str:
    """Return the text of a list: UTF-8, or UTF-16 with its mark.

    Raises:
        BadListError: too large, another encoding, or no text; names the line.
    """
    if len(data) > MAX_LIST_BYTES:
        raise BadListError(f"more than the maximum of {MAX_LIST_BYTES} bytes")
    encoding = "utf-16" if data.startswith(_UTF16_MARKS) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise BadListError(f"not UTF-16, as its first bytes say: {error.reason}") from None
        line = data.count(b"\n", 0, error.start) + 1
        fault = f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8"
        raise BadListError(f"{fault}; save the list as UTF-8") from None
    if not text.strip():
        raise BadListError("the list is empty")
    return text


def is_secret_name(name: str) -> bool:
    """Tell whether the value of a field of this name may be a secret."""
    return name.lower() in _SECRET_NAMES or _SECRET_PART.search(name) is not None


def scrubbed(text: str) -> str:
    """Return text without credentials in URLs, short, and safe on a terminal."""
    plain = "".join("�" if unicodedata.category(c)[0] == "C" else c for c in text[:MAX_KEPT_CHARS])
    without = "".join(map(_without_password, _PIECES.split(_USERINFO.sub("//", plain))))
    return _QUERY_VALUE.sub(_scrub_value, without) + ("…" if len(text) > MAX_KEPT_CHARS else "")


def _without_password(piece: str) -> str:
    """Drop ``user:password@`` where no scheme stands before it."""
    before, _, host = piece.rpartition("@")
    return host if ":" in before else piece


def _scrub_value(match: re.Match[str]) -> str:
    mark, name = match[1], match[2]
    return f"{mark}{name}={LEFT_OUT}" if is_secret_name(name) else match[0]


def kept_value(value: Any, depth: int = 6) -> Any:
    """Return a JSON value as it may be kept: bounded, no secret in it."""
    if isinstance(value, str):
        return scrubbed(value)
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    if depth == 0:
        return LEFT_OUT
    if isinstance(value, Mapping):
        return {
            scrubbed(name)[:100]: (
                LEFT_OUT if is_secret_name(name) and item else kept_value(item, depth - 1)
            )
            for name, item in list(value.items())[:_MAX_KEPT_ITEMS]
        }
    return [kept_value(item, depth - 1) for item in value[:_MAX_KEPT_ITEMS]]


def short_name(text: str) -> str:
    """Return a name for people: one line, at most 100 characters."""
    return " ".join(scrubbed(text).split())[:100]


def day_of(text: Any) -> str:
    """Return the day (YYYY-MM-DD) that a date or time in ISO 8601 begins with; else nothing."""
    if not isinstance(text, str) or not _DAY.match(text):
        return ""
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""
