"""From the bytes of somebody else's list to its rows, whichever format it has."""

import re
from typing import Any, Final, Literal, get_args

import orjson

from probe.wire.lists.citizenlab import read_citizenlab
from probe.wire.lists.file_sd import read_file_sd
from probe.wire.lists.gatus import read_gatus
from probe.wire.lists.links import is_proxy, read_links
from probe.wire.lists.ooni_run import read_ooni_run
from probe.wire.lists.row import BadListError, ReadList
from probe.wire.lists.words import decoded
from probe.wire.lists.yaml_text import read_yaml

Format = Literal["citizenlab", "ooni-run", "gatus", "file-sd", "links"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)

_GATUS: Final = re.compile(r"^endpoints\s*:", re.MULTILINE)
_GROUPS: Final = re.compile(r"^\s*-\s+\"?(?:targets|labels)\"?\s*:", re.MULTILINE)
_SNIFFED_CHARS: Final = 1_000_000


def read_list(data: bytes, *, form: Format | None, private: bool) -> tuple[Format, ReadList]:
    """Read a list; ``form`` None: tell its format by what it says.

    Raises:
        BadListError: it cannot be read; names the place.
        MissingYamlError: it is YAML, and PyYAML is not installed.
    """
    text = decoded(data)
    form = form or _format_of(text)
    match form:
        case "citizenlab":
            return form, read_citizenlab(text, private=private)
        case "links":
            return form, read_links(text, private=private)
        case "ooni-run":
            return form, read_ooni_run(_json(text), private=private)
        case "gatus":
            return form, read_gatus(_document(text), private=private)
        case "file-sd":
            return form, read_file_sd(_document(text), private=private)


def _format_of(text: str) -> Format:
    start = text.lstrip()
    if start[:1] in {"{", "["}:
        return _json_format(_json(text))
    first = start.partition("\n")[0].strip().lower()
    if "url" in [name.strip(' "') for name in first.split(",")] and "," in first:
        return "citizenlab"
    if is_proxy(start.partition("\n")[0].strip()):
        return "links"
    sniffed = text[:_SNIFFED_CHARS]
    if _GATUS.search(sniffed):
        return "gatus"
    if _GROUPS.search(sniffed):
        return "file-sd"
    if all(len(line.split()) == 1 for line in _entries(sniffed)):
        return "links"
    raise BadListError(f"of no known format; --from names one of {', '.join(FORMATS)}")


def _entries(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _json_format(document: Any) -> Format:
    if isinstance(document, dict):
        for key, form in (("nettests", "ooni-run"), ("endpoints", "gatus")):
            if key in document:
                return form  # type: ignore[return-value]  # one of the two words above
        if "schema_version" in document and "targets" in document:
            raise BadListError("this is a target list already: `reachwatch check FILE` takes it")
    elif isinstance(document, list) and any(
        isinstance(o, dict) and "targets" in o for o in document
    ):
        return "file-sd"
    raise BadListError(f"JSON of no known format; --from names one of {', '.join(FORMATS)}")


def _document(text: str) -> Any:
    """Read JSON where it is JSON, which needs nothing installed, else YAML."""
    if text.lstrip()[:1] in {"{", "["}:
        return _json(text)
    return read_yaml(text)


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadListError(f"not JSON: {place}: {error.msg}") from None
