"""gatus configurations: ``endpoints``, each with a name, a group and a URL.

Format: github.com/TwiN/gatus. What it expects (``conditions``) is kept, not judged: our
verdicts have rules of their own.
"""

from typing import Any, Final

from probe.wire.lists.places import BadPlaceError, Place, read_place
from probe.wire.lists.row import BadListError, ReadList, Row, bounded
from probe.wire.lists.words import LEFT_OUT, is_secret_name, kept_value, short_name

SOURCE: Final = "gatus configuration"

_KEPT: Final = ("name", "group", "interval", "conditions", "method", "enabled", "dns")
_READ: Final = {*_KEPT, "url"}


def read_gatus(document: Any, *, private: bool) -> ReadList:
    """Read a configuration.

    Raises:
        BadListError: not one.
    """
    endpoints = document.get("endpoints") if isinstance(document, dict) else None
    if not isinstance(endpoints, list):
        raise BadListError("$.endpoints: no list of endpoints")
    rows = (
        _row(f"$.endpoints[{number}]", one, private=private) for number, one in enumerate(endpoints)
    )
    others = [short_name(key) for key in document if key != "endpoints"]
    return ReadList(rows=bounded(rows), source=SOURCE, kept={"sections_not_copied": others[:50]})


def _row(at: str, one: Any, *, private: bool) -> Row:
    url = one.get("url") if isinstance(one, dict) else None
    if not isinstance(one, dict) or not isinstance(url, str):
        return Row(at=at, reason="no url", kept=kept_value({"endpoint": one}))
    kept = kept_value({key: one[key] for key in _KEPT if key in one})
    if isinstance(kept.get("conditions"), list):
        # What a body is compared with may be the secret itself.
        kept["conditions"] = [
            LEFT_OUT if isinstance(c, str) and is_secret_name(c) else c for c in kept["conditions"]
        ]
    # Headers, bodies and clients hold passwords: their names are kept, their values never.
    if others := [short_name(key) for key in one if key not in _READ]:
        kept = kept | {"keys_not_copied": others[:50]}
    name = one.get("name")
    try:
        endpoint, notes = _place(one, url, private=private)
    except BadPlaceError as error:
        return Row(at=at, reason=str(error), kept=kept | kept_value({"url": url}))
    if one.get("conditions"):
        notes = (*notes, "conditions are kept, not judged")
    return Row(
        at=at,
        endpoint=endpoint,
        notes=notes,
        name=short_name(name) if isinstance(name, str) else "",
        kept=kept,
    )


def _place(one: dict[str, Any], url: str, *, private: bool) -> Place:
    if str(one.get("enabled", "true")).lower() == "false":
        raise BadPlaceError("not enabled")
    if "dns" in one:
        raise BadPlaceError("a question to one resolver has no place in a target list")
    return read_place(url, private=private)
