"""OONI Run v2 descriptors: JSON with ``nettests``, each a test and its inputs.

Format: github.com/ooni/spec, backends/bk-005-ooni-run-v2.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from probe.wire.lists.places import BadPlaceError, read_place
from probe.wire.lists.row import OTHER_CATEGORY, BadListError, ReadList, Row, bounded
from probe.wire.lists.words import day_of, kept_value, short_name

SOURCE: Final = "OONI Run descriptor"

_BUILT_IN: Final[Mapping[str, tuple[str, ...]]] = {
    "telegram": ("telegram",),
    "signal": ("signal", "signal-web"),
    "whatsapp": ("whatsapp",),
}
"""Tests that measure what the built-in list has, and its services."""

_CATEGORY: Final = re.compile(r"[A-Z]{3,5}")
_KEPT: Final = (
    "oonirun_link_id", "revision", "author", "name_intl", "short_description",
    "short_description_intl", "description", "description_intl", "icon", "color",
    "date_created", "date_updated", "expiration_date",
)  # fmt: skip


def read_ooni_run(document: Any, *, private: bool) -> ReadList:
    """Read a descriptor.

    Raises:
        BadListError: not one, or its author says that it has expired.
    """
    if not isinstance(document, dict) or not isinstance(document.get("nettests"), list):
        raise BadListError("$.nettests: no list of tests")
    if document.get("is_expired") is True:
        raise BadListError("$.is_expired: its author says that it has expired")
    rows = (
        row
        for number, nettest in enumerate(document["nettests"])
        for row in _nettest(f"$.nettests[{number}]", nettest, private=private)
    )
    updated = day_of(document.get("date_updated")) or day_of(document.get("date_created"))
    name = document.get("name")
    return ReadList(
        rows=bounded(rows),
        source=SOURCE,
        name=short_name(name) if isinstance(name, str) else "",
        updated=updated,
        kept=kept_value({key: document[key] for key in _KEPT if document.get(key)}),
    )


def _nettest(at: str, nettest: Any, *, private: bool) -> Iterator[Row]:
    if not isinstance(nettest, dict) or not isinstance(nettest.get("test_name"), str):
        yield Row(at=at, reason="no test_name", kept=kept_value({"nettest": nettest}))
        return
    test = nettest["test_name"]
    key = "inputs" if nettest.get("inputs") else "targets"
    inputs = nettest.get(key) or []
    if test in _BUILT_IN:
        kept = kept_value({"nettest": nettest})
        for service in _BUILT_IN[test]:
            yield Row(at=at, builtin=service, kept=kept)
        return
    if test != "web_connectivity":
        reason = f"{short_name(test)}: no such test, and no built-in service like it"
        yield Row(at=at, reason=reason, kept=kept_value({"nettest": nettest}))
        return
    if isinstance(nettest.get("targets_name"), str):
        reason = "targets_name: a list that only OONI's server knows"
        yield Row(at=f"{at}.targets_name", reason=reason, kept=kept_value({"nettest": nettest}))
    if not isinstance(inputs, list):
        yield Row(at=f"{at}.{key}", reason="not a list", kept=kept_value({"nettest": nettest}))
        return
    extra = nettest.get("inputs_extra")
    for number, one in enumerate(inputs):
        beside = extra[number] if isinstance(extra, list) and number < len(extra) else {}
        yield _input(f"{at}.{key}[{number}]", one, beside, private=private)


def _input(at: str, one: Any, beside: Any, *, private: bool) -> Row:
    # Some descriptors give an object in place of a URL beside which the rest stands.
    fields = {"url": one} if isinstance(one, str) else one
    if not isinstance(fields, dict) or not isinstance(fields.get("url"), str):
        return Row(at=at, reason="no URL", kept=kept_value({"input": one}))
    about = {**fields, **(beside if isinstance(beside, dict) else {})}
    code = about.get("category_code")
    is_code = isinstance(code, str) and _CATEGORY.fullmatch(code) is not None
    category = str(code) if is_code else OTHER_CATEGORY
    kept = kept_value({name: value for name, value in about.items() if name != "url"})
    try:
        endpoint, notes = read_place(fields["url"], private=private)
    except BadPlaceError as error:
        return Row(at=at, reason=str(error), kept=kept | kept_value({"url": fields["url"]}))
    return Row(at=at, endpoint=endpoint, notes=notes, category=category, kept=kept)
